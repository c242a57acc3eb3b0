"""What all cameras of a rig saw at one instant, as batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import torch

from leadline.data.augmentation import Augmentation
from leadline.data.dataset import NONE, DataSet
from leadline.data.samples import Samples
from leadline.errors import InputError
from leadline.geometry.poses import relative
from leadline.rig import ring


class Instants:
    """Which frames of a data set were taken together, and what is missing of them.

    Args:
        frames: of several cameras.
    """

    def __init__(self, frames: DataSet) -> None:
        self.frames = frames

    @cached_property
    def together(self) -> Mapping[int, Sequence[int]]:
        """Indices of the frames of each instant whose files are there, by the first of them."""
        present = [[index for index in instant if index not in self.missing] for instant in self.frames.instants()]
        return {instant[0]: instant for instant in present if instant}

    @cached_property
    def missing(self) -> Mapping[int, str]:
        """What is missing, by index of the frame; what the other cameras saw at that instant is not lost."""
        files = {index: self.frames.files(id) for index, id in enumerate(self.frames.ids)}
        there = {path: path.is_file() for path in {path for paths in files.values() for path in paths}}
        lacking = {index: [path for path in paths if not there[path]] for index, paths in files.items()}
        return {index: f"{paths[0]}: no such file" for index, paths in lacking.items() if paths}

    def __deepcopy__(self, memo: Any) -> Instants:
        """Nothing here changes: who copies a method that is trained wants no second data set."""
        return self


class RigSamples(Samples):
    """Instants as tensors: all images of a rig at one size, augmented alike.

    An item is asked for by a draw and the index of the frame that begins an instant (see :class:`Instants`); it holds
    what :class:`Samples` has of one frame of each of its V cameras, stacked, ``image`` (V, 3, H, W) and so on, and
    ``pairs`` (P, 2), the neighbours among them in both orders (:func:`leadline.rig.ring`). Cameras may be missing: a
    batch has the views of all its rigs one after the other, (N, ...), and ``pairs`` counts through.

    Mirrored are all views of an instant or none, so neighbours stay neighbours.

    Args:
        frames: of several cameras, with poses.
        size: (height, width) of the tensors.
        augmentation: None for a centre crop, nothing else.
        seed: of the augmentation.
        instants: of the frames, where somebody has looked at their files already.

    Raises:
        InputError: when an item is read: a file is wrong, or nothing tells where a camera sits.
    """

    frames: DataSet

    def __init__(
        self,
        frames: DataSet,
        size: tuple[int, int],
        augmentation: Augmentation | None = None,
        seed: int = 0,
        instants: Instants | None = None,
    ) -> None:
        super().__init__(frames, size, augmentation, seed)
        self.together = (instants or Instants(frames)).together
        self._rings: dict[tuple[str, ...], torch.Tensor] = {}

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        draw, indices = key[0], self.together[self.indices[key[1]]]
        views = [self._sample(index, draw) for index in indices]
        return super().collate(views) | {"pairs": self._pairs(indices)}

    def collate(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The views of all rigs, one after the other."""
        starts = torch.tensor([0, *(len(item["image"]) for item in items)]).cumsum(0)
        pairs = [item["pairs"] + start for item, start in zip(items, starts[:-1], strict=True)]
        shared = [key for key in items[0] if key != "pairs" and all(key in item for item in items)]
        return {key: torch.cat([item[key] for item in items]) for key in shared} | {"pairs": torch.cat(pairs)}

    def _pairs(self, indices: Sequence[int]) -> torch.Tensor:
        """(P, 2) neighbours; cameras are where they are throughout a sequence, so each is looked at once."""
        ids = [self.frames.ids[index] for index in indices]
        key = (ids[0].sequence, *(id.camera for id in ids))
        if key not in self._rings:
            frames = copy(self.frames)
            frames.truth = NONE
            rig = frames.rig(indices)
            poses = [frame.pose for frame in rig.values() if frame.pose is not None]
            if rig.pose is None or len(poses) < len(rig):
                raise InputError(f"{self.frames.paths[indices[0]]}: nothing tells where its camera sits on the vehicle")
            pairs = ring([relative(pose, rig.pose) for pose in poses])
            self._rings[key] = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
        return self._rings[key]
