"""Looking up images between pixels: along a flow, or as another camera sees them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from leadline.camera import Camera
from leadline.geometry.lift import reproject


def sample(image: Tensor, uv: Tensor) -> Tensor:
    """The image at other places, bilinear; beyond the border its nearest pixels.

    Args:
        image: (B, C, H, W).
        uv: (B, H', W', 2) pixels, right and down, the centre of the first pixel at (0, 0); not finite gives the first
            pixel.

    Returns:
        (B, C, H', W').
    """
    height, width = image.shape[-2:]
    size = torch.tensor([width, height], dtype=uv.dtype, device=uv.device)
    grid = torch.nan_to_num((2 * uv + 1) / size - 1, nan=-1.0, posinf=-1.0, neginf=-1.0)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=False)


def destination(flow: Tensor) -> Tensor:
    """Where a flow leads.

    Args:
        flow: (B, 2, H, W) in pixels, right and down.

    Returns:
        (B, H, W, 2) pixels: each pixel's own place plus its flow.
    """
    height, width = flow.shape[-2:]
    rows, columns = torch.arange(height, device=flow.device), torch.arange(width, device=flow.device)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    return flow.permute(0, 2, 3, 1) + torch.stack([u, v], dim=-1)


def follow(image: Tensor, flow: Tensor) -> Tensor:
    """The image where a flow leads: with a right flow the other image from this one, where nothing is hidden.

    Args:
        image: (B, C, H, W) that the flow leads into.
        flow: (B, 2, H, W) in pixels, right and down, from the pixels of the result into ``image``.

    Returns:
        (B, C, H, W), differentiable in image and flow.
    """
    return sample(image, destination(flow))


def synthesise(
    source: Tensor, depth: Tensor, camera: Camera, motion: Tensor, source_camera: Camera | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A view from a neighbour of it: every pixel is lifted with its depth, moved, and looked up in the neighbour.

    ``I'(p) = I_s(project_s(T depth(p) ray(p)))`` (Zhou et al., CVPR 2017, arXiv 1704.07813), for any camera
    model. Differentiable in depth, motion and tensor parameters of the cameras. Nothing is masked: what lies beyond the
    border shows the border's nearest pixel, what has no place in the source some pixel of it, without gradient.

    Args:
        source: (B, 3, H', W'), the neighbour's image, of the source camera's size.
        depth: (B, 1, H, W) z-depth of the view to make, of the camera's size; not finite or not above zero is unknown.
        camera: of that view; may be stacked for the batch.
        motion: (B, 4, 4) from the view's axes to the source's (``poses.relative``), in the depth's unit.
        source_camera: of the source, by default the same camera.

    Returns:
        The image (B, 3, H, W); valid (B, 1, H, W) bool: depth is known and the point lies in front of the source and
        inside its image; z-depth (B, 1, H, W) in the source's axes; and pixels (B, H, W, 2) in the source. At least
        float32.
    """
    dtype = torch.promote_types(torch.promote_types(source.dtype, depth.dtype), torch.float32)
    uv, z, valid = reproject(depth[:, 0].to(dtype), camera, motion.to(dtype), source_camera or camera)
    return sample(source.to(dtype), uv), valid[:, None], z[:, None], uv
