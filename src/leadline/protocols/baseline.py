"""What a protocol gives to a model that does not look."""

from __future__ import annotations

import numpy as np
import torch

from leadline.data.images import Images
from leadline.data.transforms import nearest_pixels
from leadline.depth import ARBITRARY, DepthMap, Kind
from leadline.errors import InputError
from leadline.metrics.mean_map import MeanMap


class MeanDepth:
    """A model that answers every image with the mean depth map of other images.

    Args:
        frames: images with true depth, such as those a model was trained on.
        unit: of :meth:`metric`; by default that of the first frame.

    Raises:
        InputError: the frames are not of one size, or none has valid depth.
        KindError: their depth is not metric.
    """

    def __init__(self, frames: Images, unit: str | None = None) -> None:
        means = {up_to: MeanMap(Kind("depth", up_to)) for up_to in ("nothing", "scale")}
        size = None
        for index in range(len(frames)):
            depth = frames[index].depth
            if depth is None:
                raise InputError(f"{frames.paths[index]}: has no depth to take a mean of")
            unit = unit or depth.to_depth().unit
            truth = depth.to_depth().to_unit(unit)
            if size not in (None, truth.shape):
                raise InputError(f"{frames.paths[index]}: a mean depth map needs images of one size, not {truth.shape}")
            size = truth.shape
            for mean in means.values():
                mean.add(torch.from_numpy(truth.values), torch.from_numpy(truth.valid))
        self.unit = unit or ARBITRARY
        self._means = {up_to: mean.compute().numpy() for up_to, mean in means.items()}
        if not np.isfinite(self._means["scale"]).all() or self._means["scale"].ndim != 2:
            raise InputError(f"{frames.paths[0].parent}: none of {len(frames)} images has valid depth")

    def metric(self, image: np.ndarray) -> DepthMap:
        """The mean depth, in its unit, at the size of an image (H, W, 3)."""
        return self._answer(image, "nothing", self.unit)

    def relative(self, image: np.ndarray) -> DepthMap:
        """The mean of the maps divided by their medians: the better answer where predictions are aligned."""
        return self._answer(image, "scale", ARBITRARY)

    def _answer(self, image: np.ndarray, up_to: str, unit: str) -> DepthMap:
        mean = self._means[up_to]
        pick = nearest_pixels((mean.shape[0], mean.shape[1]), (image.shape[0], image.shape[1]))
        return DepthMap(mean[pick], Kind("depth", up_to), unit)  # type: ignore[arg-type]
