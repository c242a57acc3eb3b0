"""Which pixels of one image can be seen in another, from optical flow. Masks: nothing here has a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.geometry.warp import destination, follow


@torch.no_grad()
def range_map(flow: Tensor) -> Tensor:
    """How much of the other image lands on each pixel: its pixels, splatted bilinearly along their flow.

    ``V(p) = sum_q max(0, 1 - |u_q - u_p|) max(0, 1 - |v_q - v_p|)`` over the places ``q + flow(q)`` (Wang et al.,
    "Occlusion Aware Unsupervised Learning of Optical Flow", CVPR 2018, arXiv 1711.05890).

    Args:
        flow: (B, 2, H, W) in pixels, right and down, from the pixels of the *other* image into this one; what is not
            finite lands nowhere.

    Returns:
        (B, 1, H, W), 1 where the flow is 0, below where little or nothing lands.
    """
    height, width = flow.shape[-2:]
    place = destination(flow).flatten(1, 2)
    landed = torch.isfinite(place).all(dim=-1)
    first = torch.where(landed[..., None], place, -2.0).floor()
    part = torch.where(landed[..., None], place - first, 0.0)
    found = flow.new_zeros(len(flow), height * width)
    for right in (0, 1):
        for down in (0, 1):
            u, v = first[..., 0] + right, first[..., 1] + down
            weight = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1])
            inside = landed & (u >= 0) & (u < width) & (v >= 0) & (v < height)
            index = torch.where(inside, v * width + u, 0.0).long()
            found.scatter_add_(1, index, torch.where(inside, weight, 0.0))
    return found.view(-1, 1, height, width)


def visible_by_range(backward: Tensor, threshold: float = 0.95) -> Tensor:
    """Pixels that the other image reaches: the occlusion mask AF-SfMLearner trains with (its
    ``get_occu_mask_backward``; Shao et al., Medical Image Analysis 2022, arXiv 2112.08122).

    Only the backward flow is asked, so an error of the forward flow, which the mask is used to train, cannot hide
    itself. A surface that grows, as the camera comes nearer, is reached less and falls under the threshold.

    Args:
        backward: (B, 2, H, W) in pixels, right and down, from the other image into this one.
        threshold: the least range value that counts as seen.

    Returns:
        (B, 1, H, W) bool, of this image.
    """
    return range_map(backward) > threshold


@torch.no_grad()
def visible_by_consistency(forward: Tensor, backward: Tensor, scale: float = 0.01, bias: float = 0.5) -> Tensor:
    """Pixels whose flow comes back: ``|f + b|^2 < scale (|f|^2 + |b|^2) + bias`` with ``b`` the backward flow where the
    forward flow leads (Sundaram et al., ECCV 2010; UnFlow, Meister et al., AAAI 2018, arXiv 1711.07837).

    AF-SfMLearner computes ``|f + b|`` (its ``get_occu_mask_bidirection``) but trains with :func:`visible_by_range`.

    Args:
        forward: (B, 2, H, W) in pixels, right and down, from this image into the other.
        backward: (B, 2, H, W), from the other into this one.
        scale: part of the squared lengths that may be missed.
        bias: in squared pixels, missed by any flow.

    Returns:
        (B, 1, H, W) bool, of this image; a flow that leads out of the image is judged by what the border says, one that
        is not finite is not seen.
    """
    back = follow(backward, forward)
    missed, length = ((forward + back) ** 2).sum(1, keepdim=True), (forward**2 + back**2).sum(1, keepdim=True)
    return missed < scale * length + bias
