"""From frames to batches: the one way images and labels enter training."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from typing import Any, Protocol, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from leadline.camera import Camera
from leadline.data.augmentation import Augmentation
from leadline.data.transforms import (
    CentreCrop,
    ColourJitter,
    HorizontalFlip,
    LightJitter,
    RandomResizedCrop,
    Resize,
    SensorJitter,
)
from leadline.errors import InputError
from leadline.frame import Clip, Frame

#: Places whose frames are mixed, where frames come place by place.
MIXED = 4


class Frames(Protocol):
    """What every data set is: frames by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...


def covering(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) of the same aspect that covers ``size``.

    Example:
        >>> covering(480, 640, (256, 320))
        (256, 341)
    """
    scale = max(size[0] / height, size[1] / width)
    return max(size[0], round(height * scale)), max(size[1], round(width * scale))


class Samples(Dataset[dict[str, Any]]):
    """Frames as tensors of one size, augmented or not.

    An item is asked for by ``(draw, index)``: which frame, and the number of the draw, so that augmentation is a pure
    function of seed and draw, whatever the worker or the resumed run.

    Args:
        frames: where the images (and depths, which become ``target``) come from.
        size: (height, width) of the tensors.
        augmentation: None for judging: centre crop, nothing else.
        seed: of the augmentation.

    An item holds ``image`` (3, H, W) RGB in [0, 1] for the student; ``clean``, the same without colour changes, for a
    teacher; ``target`` (1, H, W), NaN where unknown; ``mask`` (1, H, W) bool, pixels that may be used at all;
    ``index``, of the frame in ``frames``; ``mirrored``, whether left and right were exchanged; where the camera is
    known, ``focal``, its focal length (horizontal, in pixels of the tensors); and, where it is known what things are,
    ``semantics`` (1, H, W), the number of each pixel's class.
    """

    def __init__(
        self, frames: Frames, size: tuple[int, int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        self.frames = frames
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self.indices: Sequence[int] = range(len(frames))

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, indices: Sequence[int]) -> Self:
        """Those of some frames only: ``(draw, 0)`` is the first of ``indices``."""
        chosen = copy(self)
        chosen.indices = [self.indices[index] for index in indices]
        return chosen

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        return self._sample(self.indices[key[1]], key[0])

    def _sample(self, index: int, draw: int) -> dict[str, Any]:
        """The item of a frame."""
        seen, clean, mirrored = self._varied(Clip([self.frames[index]]), draw)
        images = {"image": pixels(seen[0]), "clean": pixels(clean[0])}
        return images | labels(clean[0]) | {"index": index, "mirrored": mirrored}

    def collate(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Items as a batch, see :func:`collate`."""
        return collate(items)

    def _varied(self, clip: Clip, draw: int) -> tuple[Clip, Clip, bool]:
        """A clip at the size asked for, all its frames changed alike; the same without colour changes; and whether it
        was mirrored."""
        clip = Resize(*covering(clip[0].height, clip[0].width, self.size))(clip)
        if self.augmentation is None:
            clip = CentreCrop(*self.size)(clip)
            return clip, clip, False
        rng = np.random.default_rng([self.seed, draw])
        if self.augmentation.crop < 1:
            clip = RandomResizedCrop(*self.size, scale=(self.augmentation.crop, 1.0))(clip, rng)
        else:
            clip = CentreCrop(*self.size)(clip)
        mirrored = HorizontalFlip(self.augmentation.flip).sample(rng, clip[0])
        clip = HorizontalFlip(float(mirrored))(clip)
        seen = clip
        if self.augmentation.light:
            seen = LightJitter(self.augmentation.light)(seen, rng)
        if strength := self.augmentation.jitter:
            seen = ColourJitter(strength, strength, strength, strength / 4)(seen, rng)
        if self.augmentation.sensor:
            seen = SensorJitter(self.augmentation.sensor)(seen, rng)
        return seen, clip, mirrored


def pixels(frame: Frame) -> Tensor:
    """(3, H, W) RGB in [0, 1] of a frame."""
    return torch.from_numpy(np.ascontiguousarray(frame.image)).permute(2, 0, 1)


def labels(frame: Frame) -> dict[str, Tensor]:
    """``target`` (1, H, W) of a frame, NaN where unknown, ``mask`` (1, H, W) bool, ``focal`` where there is a camera,
    and ``semantics`` (1, H, W) int64 where there are classes."""
    target = torch.full((1, frame.height, frame.width), torch.nan)
    if frame.depth is not None:
        target[0][torch.from_numpy(frame.depth.valid)] = torch.from_numpy(frame.depth.values[frame.depth.valid])
    mask = torch.ones(target.shape, dtype=torch.bool)
    if frame.mask is not None:
        mask &= torch.from_numpy(frame.mask)
    known = {"target": target, "mask": mask}
    if frame.semantics is not None:
        known["semantics"] = torch.from_numpy(frame.semantics.astype(np.int64))[None]
    return known if frame.camera is None else known | {"focal": torch.tensor(float(frame.camera.fx))}


class Draws(Sampler[list[tuple[int, int]]]):
    """Batches of (draw, index) for a run of so many steps, a pure function of seed and step.

    Each pass over the frames is a new permutation. A resumed run starts at ``start`` and sees exactly what it would
    have seen. Of several processes each takes its part of every step: the frames of all their batches are those that
    one process with as large a batch would see. Where frames come place by place, those of a step stand place by place
    too, so that a process, and the machine it runs on, reads few of the places.

    Args:
        count: how many frames there are.
        batch: frames of a step, in each process.
        steps: of the whole run.
        seed: of the permutations.
        start: steps made already.
        places: number of the place each frame shows; the frames of ``MIXED`` places come mixed, then those of the next
            ones, so that few places are needed at a time. None mixes all.
    """

    def __init__(
        self, count: int, batch: int, steps: int, seed: int, start: int = 0, places: Sequence[int] | None = None
    ) -> None:
        self.count, self.batch, self.steps, self.seed, self.start = count, batch, steps, seed, start
        numbers = np.unique(np.arange(count) if places is None else np.asarray(places), return_inverse=True)[1]
        # Where every frame is a place of its own, all are mixed.
        self.places = None if places is None or len(numbers) == numbers.max(initial=0) + 1 else numbers

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order, turns = -1, np.empty(0, int), np.empty(0, int)
        world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        for step in range(self.start, self.steps):
            batch = []
            for draw in range(step * world * self.batch, (step + 1) * world * self.batch):
                if draw // self.count != epoch:
                    epoch = draw // self.count
                    order, turns = self._order(np.random.default_rng([self.seed, 1, epoch]))
                index = int(order[draw % self.count])
                batch.append((draw, index, turns[index]))
            batch.sort(key=lambda each: each[2])
            yield [(draw, index) for draw, index, _ in batch[rank * self.batch : (rank + 1) * self.batch]]

    def _order(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(count,) the frames of one pass, and of each frame when its place has its turn."""
        if self.places is None:
            return rng.permutation(self.count), np.zeros(self.count, int)
        turns = rng.permutation(self.places.max() + 1)[self.places]
        return np.lexsort([rng.permutation(self.count), turns // MIXED]), turns


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Items as a batch: tensors and cameras are stacked; a key that an item lacks is missing.

    Raises:
        ConfigError: the cameras are not of one model.
    """
    batch = {}
    for key in [key for key in items[0] if all(key in item for item in items)]:
        values = [item[key] for item in items]
        batch[key] = Camera.stack(values) if isinstance(values[0], Camera) else default_collate(values)
    return batch


class Readable(Dataset[Any]):
    """Samples of frames some of which may turn out to be damaged when they are read: those are told and left out of
    their batch, so that one file does not end a run of days."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any] | InputError:
        try:
            return self.samples[key]
        except InputError as error:
            return error

    def batch(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """Those of them that can be read; see :meth:`collate`."""
        return self.collate([self[key] for key in keys])

    def collate(self, items: Sequence[dict[str, Any] | InputError]) -> dict[str, Any]:
        """A batch of what could be read.

        Raises:
            InputError: nothing could.
        """
        errors = [item for item in items if isinstance(item, InputError)]
        if len(errors) == len(items):
            raise InputError(f"none of the {len(items)} images of a step can be read, the first: {errors[0]}")
        for error in errors:
            _tell(f"left out: {error}")
        return self.samples.collate([item for item in items if not isinstance(item, InputError)])


@cache
def _tell(what: str) -> None:
    """Once in each process."""
    print(what, file=sys.stderr)


def training_loader(samples: Samples, draws: Draws, workers: int) -> DataLoader[dict[str, Any]]:
    """Batches for training, in the order of ``draws``; frames that cannot be read are left out of theirs."""
    readable = Readable(samples)
    return DataLoader(
        readable,
        batch_sampler=draws,
        num_workers=workers,
        multiprocessing_context=getattr(samples.frames, "start_method", None) if workers else None,
        collate_fn=readable.collate,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )


def judging_loader(samples: Samples, indices: Sequence[int], batch: int) -> DataLoader[dict[str, Any]]:
    """Each of ``indices`` once, in order; frames that cannot be read are left out."""
    keys = [(0, index) for index in indices]
    batches = [keys[start : start + batch] for start in range(0, len(keys), batch)]
    readable = Readable(samples)
    return DataLoader(readable, batch_sampler=batches, collate_fn=readable.collate)


def to_device(batch: dict[str, Any], device: torch.device | str) -> dict[str, Any]:
    """The batch with its tensors, those of cameras too, on ``device``."""
    return {key: _moved(value, device) for key, value in batch.items()}


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Camera):
        moved = {name: _moved(parameter, device) for name, parameter in vars(value).items()}
        return replace(value, **moved)  # type: ignore[type-var]
    # Only from pinned memory to a GPU may a copy be waited for later.
    later = torch.device(device).type == "cuda"
    return value.to(device, non_blocking=later) if isinstance(value, Tensor) else value
