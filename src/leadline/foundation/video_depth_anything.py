"""Public checkpoints of Video Depth Anything, as models to predict with and teach with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from leadline.depth import ARBITRARY, Kind
from leadline.errors import InputError
from leadline.foundation import PUBLIC_VIDEO
from leadline.foundation.base import DepthModel, digest, half_where_possible
from leadline.networks.video import VideoDepth, frame_size
from leadline.networks.video_depth_anything import FRAMES

#: By size: file, and licence as the repository states it.
SIZES = {"Small": ("vits", "apache-2.0"), "Base": ("vitb", "cc-by-nc-4.0"), "Large": ("vitl", "cc-by-nc-4.0")}


class PublicVideoDepth(DepthModel):
    """Video Depth Anything (Chen et al., CVPR 2025): affine-invariant disparity; its metric checkpoints depth in m.

    Args:
        file: the public checkpoint, .pth or .safetensors.
        metric: whether it is a metric one; the weights do not tell.
        name: for messages and cards.
        licence: of the weights.

    Raises:
        InputError: the file is missing or holds another network.
    """

    parallel = True
    window = FRAMES
    remembers = True

    def __init__(self, file: Path, metric: bool, name: str, licence: str) -> None:
        self.network = VideoDepth.load_public(file).eval().requires_grad_(False)
        self.kind = Kind("depth", "nothing") if metric else Kind("disparity", "affine")
        self.unit = "m" if metric else ARBITRARY
        self.name, self.licence = name, licence
        self.digest = digest([file], type(self).__name__, str(metric))
        self.device = "cpu"

    @classmethod
    def open(cls, spec: str) -> Self:
        """That of a file, or of a name on the hub (fetched once, then cached).

        Raises:
            InputError: neither, or not such a network.
        """
        if match := PUBLIC_VIDEO.fullmatch(spec):
            size, licence = SIZES[match[2]]
            metric = bool(match[1])
            file = f"{'metric_' * metric}video_depth_anything_{size}.pth"
            return cls(_fetched(spec, file), metric, spec, licence)
        path = Path(spec)
        terms = next((terms for size, terms in SIZES.values() if size in path.stem), "unknown")
        return cls(path, "metric" in path.stem, path.stem, terms)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """See :func:`leadline.networks.video.frame_size`."""
        return frame_size(height, width)

    def infer(self, images: Tensor) -> Tensor:
        """Each image alone, as a clip of one frame."""
        return self._known(self.network(images.to(self.device)))

    def infer_clip(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.infer_clip`."""
        images = images.to(self.device)
        size = (images.shape[-2], images.shape[-1])
        with half_where_possible(self.device):
            return self._known(self.network.decode(self.network.encode(images), size, len(images)))

    def infer_next(self, image: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """See :meth:`DepthModel.infer_next`."""
        with half_where_possible(self.device):
            output, memory = self.network.following(image.to(self.device), memory)
        return self._known(output), memory

    def _known(self, output: Tensor | list[Tensor]) -> Tensor:
        assert isinstance(output, Tensor)  # in eval mode
        values = output[:, 0].float()
        return values if self.kind.quantity == "disparity" else torch.where(values > 0, values, torch.nan)

    def resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Bicubic, as the public code resizes (OpenCV's, whose coefficient is the same): without antialiasing."""
        return torch.nn.functional.interpolate(images, size, mode="bicubic", align_corners=False).clamp(0, 1)

    def to(self, device: str) -> Self:
        """Move to a device."""
        self.device = device
        self.network.to(device)
        return self


def _fetched(name: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, file))
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: {file} cannot be fetched from the hub ({str(error).splitlines()[0]})") from None
