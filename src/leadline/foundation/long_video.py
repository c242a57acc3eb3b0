"""Disparity of videos of any length, by a model that sees a window of frames at once.

Windows overlap. The first places of each show frames of the window before: two keyframes, then its last frames. They
tell the scale and shift that bring the window into the units of the video, and the last ones are blended over.

Sources: Video Depth Anything (Chen et al., CVPR 2025) and EndoDAV (Zhou et al., MICCAI 2025), by their public code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leadline.align import ALIGNMENTS, Pairs
from leadline.depth import UpTo
from leadline.errors import ConfigError, InputError, suggest
from leadline.foundation.base import DepthModel

F = TypeVar("F")
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Strategy:
    """How a window follows the one before.

    Attributes:
        keyframes: slots of the window before whose frames the first places of a window show. Slot 0 copied into place
            0 is the video's first frame for ever, and what it is compared with stays the first window's map of it.
        fitted: which of the shared places (keyframes, then the last frames of the window before) scale and shift are
            fitted on, by least squares in disparity.
    """

    keyframes: tuple[int, ...]
    fitted: slice


STRATEGIES = {
    # the first frame for ever and slot 12 of the window before; both keyframes are fitted
    "vda": Strategy(keyframes=(0, 12), fitted=slice(0, 2)),
    # two frames of the window before; the frames that are blended are fitted
    "endodav": Strategy(keyframes=(6, 12), fitted=slice(2, None)),
}
"""All strategies by name."""


def long_video(
    frames: Iterable[F],
    infer: Callable[[Sequence[F]], NDArray[np.floating]],
    strategy: str = "vda",
    window: int = 32,
    overlap: int = 10,
    up_to: UpTo = "affine",
) -> Iterator[Map]:
    """Disparity of each frame, all in the scale and shift of the first window.

    A window's last ``overlap - 2`` frames wait for the next window and are blended with it, with weights from 0 to 1;
    negative values become 0. The last window is filled up with the video's last frame.

    At most ``window`` frames are read ahead of what has been yielded, and fewer maps than two windows have are kept,
    however long the video. The maps yielded are the caller's: nothing here looks at them again.

    Ours: sums of the fit are float64 (float32 in the public code), a fit on a constant means scale 1 and shift 0 (there
    where rounding leaves a determinant of exactly 0), and no window is run of which nothing would be given.

    Args:
        frames: images of a video in order, whatever ``infer`` takes.
        infer: ``window`` frames to their disparity: (window, H, W), finite, >= 0, at the size that is wanted, the same
            for all windows. It may return the same array every time.
        strategy: a name of :data:`STRATEGIES`.
        window: frames ``infer`` sees at once.
        overlap: places of a window that show frames of the window before.
        up_to: what the model leaves open, and so what is fitted: scale and shift (``affine``), a ``scale``, or
            ``nothing``: what is metric stays so, and is blended only.

    Returns:
        (H, W) float32 disparity >= 0, one for each frame, in order.

    Raises:
        ConfigError: no such strategy, or a window and an overlap that do not go together.
        InputError: what ``infer`` returned is not what it should be.
    """
    if strategy not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise ConfigError(f"strategy: unknown strategy '{strategy}'{suggest(strategy, STRATEGIES)}; one of {known}")
    rule = STRATEGIES[strategy]
    least = len(rule.keyframes) + 2  # a blend goes from one frame to another
    if overlap < least or window < 2 * overlap or window <= max(rule.keyframes):
        raise ConfigError(
            f"overlap: a window of {window} and an overlap of {overlap} do not go together; '{strategy}' needs an "
            f"overlap of at least {least} and a window of at least {max(2 * overlap, max(rule.keyframes) + 1)}"
        )
    return _aligned_windows(iter(frames), infer, rule, window, overlap, FITS[up_to])


def watch_video(model: DepthModel, images: Iterable[NDArray], strategy: str = "vda") -> Iterator[Map]:
    """What a model that sees video says of each image of one, at the image's size, in the model's kind and unit.

    A model with a window looks ahead by up to that many frames; its windows are aligned, see :func:`long_video`, in
    disparity. Where a window says nothing of a pixel, or the fit would send it to infinity, it is as far as the model
    has said anything is. A model that only remembers sees each image when it comes.

    Args:
        model: see :class:`DepthModel`, ``window`` and ``remembers``.
        images: (H, W, 3) RGB, uint8 or float in [0, 1], all of one size.
        strategy: a name of :data:`STRATEGIES`.

    Returns:
        (H, W) float32, one for each image, in order.

    Raises:
        ConfigError: no such strategy.
        InputError: an image has another size than those before, or the model answers what is no number.
    """
    if model.window == 1:
        yield from watch_live(model, images)
        return
    depth = model.kind.quantity == "depth"
    farthest = 0.0  # the model has said so far: a fit must not send pixels to infinity

    def infer(window: Sequence[NDArray]) -> NDArray[np.float32]:
        nonlocal farthest
        values = model.watch(as_tensor(window)).cpu().numpy()
        if depth:
            known = np.isfinite(values) & (values > 0)
            farthest = max(farthest, float(values.max(initial=0.0, where=known)))
            values = np.divide(1, values, out=np.zeros_like(values), where=known)
        return values

    for values in long_video(_of_one_size(images), infer, strategy, model.window, up_to=model.kind.up_to):
        if depth and farthest:
            np.divide(1, np.maximum(values, 1 / farthest, out=values), out=values)
        yield values


def watch_live(model: DepthModel, images: Iterable[NDArray]) -> Iterator[Map]:
    """The same of a live video: the answer to an image comes before the next one is read; a change of size begins
    anew."""
    memory, shape = None, None
    for image in images:
        memory, shape = (memory if image.shape == shape else None), image.shape
        values, memory = model.watch_next(as_tensor([image]), memory)
        yield values[0].cpu().numpy()


def as_tensor(images: Sequence[NDArray]) -> Tensor:
    """(N, 3, H, W) in [0, 1] of images (H, W, 3), uint8 or in [0, 1]."""
    stacked = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in images])
    return stacked.float() / 255 if stacked.dtype == torch.uint8 else stacked


def _of_one_size(images: Iterable[NDArray]) -> Iterator[NDArray]:
    shape = None
    for image in images:
        if shape not in (None, image.shape):
            raise InputError(
                f"video: an image is {image.shape[1]}x{image.shape[0]}, those before {shape[1]}x{shape[0]}"
            )
        shape = image.shape
        yield image


def _aligned_windows(
    frames: Iterator[F],
    infer: Callable[[Sequence[F]], NDArray[np.floating]],
    rule: Strategy,
    window: int,
    overlap: int,
    fit: Callable[[NDArray[np.float32], Sequence[Map]], tuple[float, float]],
) -> Iterator[Map]:
    keyframes = len(rule.keyframes)
    tail = window - (overlap - keyframes)  # the slots from here on wait for the next window
    shared = (*rule.keyframes, *range(tail, window))  # slots that become the next window's first places
    inputs = list(itertools.islice(frames, window))
    owed = len(inputs)  # frames read whose maps have not been yielded
    earlier: list[Map] = []  # aligned maps of the frames in the first places
    while owed:
        inputs += inputs[-1:] * (window - len(inputs))
        maps = _predict(infer, inputs, earlier)
        scale, shift = fit(maps[:overlap][rule.fitted], earlier[rule.fitted]) if earlier else (1.0, 0.0)
        start = keyframes if earlier else 0
        end = min(start + owed, tail)
        before = earlier
        earlier = [before[0] if before and slot == 0 else _apply(maps[slot], scale, shift) for slot in shared]
        for place in range(start, end):
            aligned = _apply(maps[place], scale, shift)
            if place < len(before):
                weight = (place - keyframes) / (overlap - keyframes - 1)
                aligned = before[place] + (aligned - before[place]) * weight  # exact where both are the same
            yield aligned
        del maps, before, aligned  # not kept while the next window is inferred
        new = list(itertools.islice(frames, window - overlap))
        inputs = [inputs[slot] for slot in shared] + new
        owed += len(new) - (end - start)


def _predict(
    infer: Callable[[Sequence[F]], NDArray[np.floating]], inputs: Sequence[F], earlier: Sequence[Map]
) -> NDArray[np.float32]:
    """The model's maps of a window, (window, H, W), checked."""
    maps = np.asarray(infer(inputs), np.float32)
    if maps.ndim != 3 or len(maps) != len(inputs):
        raise InputError(f"long video: the model must give {len(inputs)} maps, (N, H, W), not {maps.shape}")
    if earlier and maps.shape[1:] != earlier[0].shape:
        raise InputError(
            f"long video: the model's maps are {maps.shape[1:]}, those of the windows before {earlier[0].shape}"
        )
    if not all(np.isfinite(values).all() for values in maps):
        raise InputError("long video: the model's maps hold NaN or infinity")
    return maps


def _fit(current: NDArray[np.float32], reference: Sequence[Map]) -> tuple[float, float]:
    """Scale and shift that bring ``current`` to ``reference``; 1 and 0 where a constant leaves them open."""
    if current.min() == current.max():
        return 1.0, 0.0

    def load(index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return current[index].ravel().astype(np.float64), reference[index].ravel().astype(np.float64)

    return ALIGNMENTS["lsq-disparity-video"].solve(Pairs(range(len(reference)), load))


def _scale(current: NDArray[np.float32], reference: Sequence[Map]) -> tuple[float, float]:
    """The least-squares scale alone."""
    own = sum(float(np.vdot(values, values)) for values in current)
    both = sum(float(np.vdot(values, other)) for values, other in zip(current, reference, strict=True))
    return (both / own if own else 1.0), 0.0


def _nothing(current: NDArray[np.float32], reference: Sequence[Map]) -> tuple[float, float]:
    """What the model says is not changed."""
    del current, reference
    return 1.0, 0.0


FITS: dict[UpTo, Callable[[NDArray[np.float32], Sequence[Map]], tuple[float, float]]] = {
    "affine": _fit,
    "scale": _scale,
    "nothing": _nothing,
}
"""How scale and shift are fitted, by what a model leaves open."""


def _apply(values: Map, scale: float, shift: float) -> Map:
    aligned: Map = np.maximum(values * scale + shift, 0)
    return aligned
