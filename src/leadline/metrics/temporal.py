"""How steady the depth of a video is: figures of two adjacent frames, so that a video of any length streams.

The functions take numpy arrays of two frames and return floats. A prediction that is NaN inside its mask makes the
figures NaN, so that it cannot pass unseen.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from leadline.camera import Camera, Pinhole
from leadline.errors import ConfigError
from leadline.geometry import poses as motions
from leadline.geometry.warp import sample
from leadline.metrics.collection import Means

Mode = Literal["clean", "depthcrafter"]

#: How fast a pixel loses its weight where the images disagree (Lai et al., ECCV 2018, arXiv 1808.00449, equation 2).
OCCLUSION = 50.0


class Alignment(NamedTuple):
    """How well the depths of two frames agree.

    Args:
        tae: temporal alignment error in per cent; 0 is best.
        tas: temporal alignment score in [0, 1]; 1 is best.
        overlap: whether there was anything to compare; without it both are NaN.
    """

    tae: float
    tas: float
    overlap: bool


def temporal_alignment(
    depths: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    poses: Sequence[np.ndarray],
    mode: Mode = "clean",
) -> Alignment:
    """Temporal alignment error and score of two frames of a static scene with known poses.

    One frame's depth is lifted, moved and projected into the other frame, where it says D' and the depth map D.
    ``tae = 100 mean(|D - D'| / D)`` and ``tas = share of max(D / D', D' / D) < 1.25`` over the pixels of the mask that
    a point reached, each the mean of both directions.

    - ``clean``: points go to the nearest pixel, the nearest of them wins.
    - ``depthcrafter``: as EndoDAV's published figures are made, with code it shares with Depth Any Video: pixels are
      lifted from their index + 0.5, but their index on arrival is the rounded coordinate (half to even), and of
      several points the last in row-major order wins. The camera is then that code's matrix as it stands.

    TAE: Depth Any Video (Yang et al., ICLR 2025, arXiv 2410.10815) and its public evaluation.

    Args:
        depths: two maps (H, W) > 0 in one unit.
        masks: (H, W) bool, the pixels to judge; they are left out before projecting, too.
        cameras: of the maps; ``depthcrafter`` needs pinholes.
        poses: (4, 4) camera-to-world in the unit of the depths.
        mode: see above.

    Returns:
        NaN, with ``overlap``, if a prediction is not finite and above zero inside its mask.

    Raises:
        ConfigError: the mode is unknown, or needs pinhole cameras.
    """
    if mode not in ("clean", "depthcrafter"):
        raise ConfigError(f"mode: no temporal alignment error {mode!r} (clean, depthcrafter)")
    if mode == "depthcrafter" and not all(isinstance(camera, Pinhole) for camera in cameras):
        raise ConfigError(f"mode: depthcrafter needs pinhole cameras, not {cameras[0].model}; use clean")
    if failed(depths, masks):
        return Alignment(np.nan, np.nan, True)
    found = []
    for a, b in ((0, 1), (1, 0)):
        reached = _splat(depths[a], masks[a], cameras[a], motions.relative(poses[a], poses[b]), cameras[b], mode)
        seen = np.isfinite(reached) & masks[b]
        if not seen.any():
            return Alignment(np.nan, np.nan, False)
        there, reached = depths[b][seen], reached[seen]
        close = np.maximum(there / reached, reached / there) < 1.25
        found.append((np.mean(np.abs(there - reached) / there), np.mean(close)))
    tae, tas = np.mean(found, axis=0)
    return Alignment(100 * float(tae), float(tas), True)


def _splat(
    depth: np.ndarray, mask: np.ndarray, camera: Camera, motion: np.ndarray, target: Camera, mode: Mode
) -> np.ndarray:
    """Depth that the points of a map have in another camera, (H, W) of that camera; infinite where none lands."""
    if mode == "depthcrafter":
        depth = depth.astype(np.float64)  # single precision would decide otherwise on which pixel a point lands
        camera = Pinhole(camera.width, camera.height, camera.fx, camera.fy, camera.cx - 0.5, camera.cy - 0.5)
    _, pixel, z = landing(depth, mask, camera, motion, target)
    reached = np.full(target.height * target.width, np.inf, depth.dtype)
    if mode == "depthcrafter":
        reached[pixel] = z
    else:
        np.minimum.at(reached, pixel, z)
    return reached.reshape(target.height, target.width)


def failed(depths: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> bool:
    """Whether a prediction (H, W) is not finite or not above zero somewhere in its mask."""
    return any(not (np.isfinite(d) & (d > 0))[mask].all() for d, mask in zip(depths, masks, strict=True))


def landing(
    depth: np.ndarray, mask: np.ndarray, camera: Camera, motion: np.ndarray, target: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """On which pixels of another image the points of a depth map land.

    Args:
        depth: (H, W), > 0 inside the mask.
        mask: (H, W) bool.
        camera: of the map.
        motion: (4, 4) from its axes to the target's, in the depth's unit.
        target: the other camera.

    Returns:
        Of the N points that land inside the other image, in row-major order: flat index of their own pixel (N,), flat
        index of the nearest pixel of the other image (N,), z-depth in the other camera (N,).
    """
    # geometry.lift would solve for the rays of a distorted camera again with every frame of a video
    rays, known = _rays(camera, depth.dtype)
    own = np.flatnonzero(mask & known)
    points = motions.transform(motion.astype(depth.dtype), rays[own] * depth.ravel()[own, None])
    uv, seen = target.project(points)
    seen &= target.contains(uv)
    last = np.array([target.width, target.height]) - 1
    column, row = np.clip(np.rint(uv[seen]).astype(np.int64), 0, last).T  # W - 0.5 may round to W
    return own[seen], row * target.width + column, points[seen, 2]


@functools.lru_cache(maxsize=8)
def _rays(camera: Camera, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rays (H * W, 3) of a camera, and where there are any (H, W)."""
    rays = np.asarray(camera.rays(np.empty(0, dtype)))
    return rays.reshape(-1, 3), np.isfinite(rays).all(axis=-1)


def opw(
    depths: Sequence[np.ndarray], masks: Sequence[np.ndarray], images: Sequence[np.ndarray], flow: np.ndarray
) -> float:
    """Difference of depth along the optical flow (OPW), for video without poses; 0 is best.

    ``mean(M |D - D'|)`` with the other frame's depth D' where the flow leads, bilinear, and the weight
    ``M = exp(-50 ||I - I'||^2)`` of the two colours in [0, 1], which falls where the flow is wrong or the surface is
    hidden. FMNet (Wang et al., ACM MM 2022, arXiv 2208.00380) and NVDS (ICCV 2023, arXiv 2307.08695), the weight
    after Lai et al. (ECCV 2018, arXiv 1808.00449). A camera that moves forward changes depth, so the truth does not
    reach 0 either: compare models on one video. The figures NVDS prints are others: its public code normalises every
    map by median and mean deviation first (:func:`leadline.metrics.robust.normalised`), takes colours in 0..255, adds
    a weight of each colour and multiplies by 10.

    Args:
        depths: two maps (H, W) of one quantity, the one the flow starts from first.
        masks: (H, W) bool, the pixels to judge.
        images: (H, W, 3) in [0, 1].
        flow: (H, W, 2) in pixels, right and down, from the first to the second; NaN where it is not seen there.
            Forward and backward flow both do, with the frames in their order.

    Returns:
        In the unit of the maps; NaN where no valid pixel is seen in both.
    """
    height, width = flow.shape[:2]
    uv = flow + np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(depths[0].dtype)
    layers = [np.where(masks[1], depths[1], 0)[..., None], masks[1][..., None], images[1]]
    other = torch.from_numpy(np.concatenate(layers, axis=-1).astype(uv.dtype, copy=False).transpose(2, 0, 1))
    led = sample(other[None], torch.from_numpy(uv)[None])[0].numpy()
    inside = ((uv >= 0) & (uv <= (width - 1, height - 1))).all(axis=-1)  # False for NaN, too
    seen = masks[0] & inside & (led[1] > 1 - 1e-3)  # all four neighbours are valid
    if not seen.any():
        return float("nan")
    weight = np.exp(-OCCLUSION * ((images[0][seen] - led[2:, seen].T) ** 2).sum(axis=-1))
    return float(np.mean(weight * np.abs(depths[0][seen] - led[0, seen])))


def tgm(
    preds: Sequence[np.ndarray], truths: Sequence[np.ndarray], masks: Sequence[np.ndarray], threshold: float = 0.05
) -> float:
    """Temporal gradient matching: does a pixel's depth change from frame to frame as the truth's does? 0 is best.

    ``mean |(p2 - p1) - (g2 - g1)|`` over the pixels where ``|g2 - g1| < threshold (max g2 - min g2)``: a large change
    is another surface. It is the loss of Video Depth Anything (arXiv 2501.12375, equation 2) as its training code has
    it: signed differences, and a threshold relative to the truth's range in the later frame; the paper's equation has
    absolute differences and 0.05. There the maps are disparity, aligned to the truth over the whole video.

    Args:
        preds: two maps (H, W), aligned to the truth.
        truths: two maps (H, W) of the same quantity and unit.
        masks: (H, W) bool, pixels with a valid truth.
        threshold: part of the truth's range.

    Returns:
        In the unit of the maps; NaN where no valid pixel is still.
    """
    mask = masks[0] & masks[1]
    if not mask.any():
        return float("nan")
    later = truths[1][masks[1]]
    change = truths[1][mask] - truths[0][mask]
    still = np.abs(change) < threshold * (later.max() - later.min())
    error = np.abs(preds[1][mask] - preds[0][mask] - change)[still]
    return float(error.mean()) if error.size else float("nan")


class TemporalErrors(Means):
    """Mean TAE and TAS over the adjacent pairs of all videos, each pair weighing the same, as EndoDAV's evaluation
    has it. (Depth Any Video's weighs a video's mean by its number of frames, nearly the same; that of Video Depth
    Anything weighs all videos the same.)

    Pairs must not reach from one video into the next. A pair without overlap is left out of the means, counted as
    ``without_overlap``, and named in ``unjudged`` if its name was given. Sums and counts are added over processes.

    Args:
        mode: of :func:`temporal_alignment`.
    """

    def __init__(self, mode: Mode = "clean") -> None:
        super().__init__(("tae", "tas"))
        self.mode = mode

    def update(
        self,
        depths: Sequence[np.ndarray],
        masks: Sequence[np.ndarray],
        cameras: Sequence[Camera],
        poses: Sequence[np.ndarray],
        name: str | None = None,
    ) -> None:
        """Add a pair of adjacent frames: the arguments of :func:`temporal_alignment`, and what the pair is called."""
        found = temporal_alignment(depths, masks, cameras, poses, self.mode)
        self._add(torch.tensor([[found.tae, found.tas]], dtype=torch.float64), torch.tensor([[found.overlap] * 2]))
        if name is not None and not found.overlap:
            self.unjudged.append(name)

    def compute(self) -> dict[str, torch.Tensor]:
        """``tae`` and ``tas`` (NaN where no pair was judged), and the counts ``pairs`` and ``without_overlap``."""
        return {**self._means(), "pairs": self.count[0], "without_overlap": self.missing[0]}
