"""Frames with their neighbours in time as batches: what networks learn from that are trained on video alone."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch

from leadline.camera import Camera, Pinhole
from leadline.data.augmentation import Augmentation
from leadline.data.dataset import NONE, DataSet
from leadline.data.samples import Samples, labels, pixels
from leadline.errors import ConfigError, InputError
from leadline.frame import Clip, Frame
from leadline.geometry.poses import relative


def usable(frames: DataSet, offsets: Sequence[int] = (-1, 1)) -> list[int]:
    """Indices of the frames that have a neighbour at each of the offsets; no image is opened."""
    return [i for i, id in enumerate(frames.ids) if None not in (frames.neighbour(id, offset) for offset in offsets)]


class ClipSamples(Samples):
    """Frames with their neighbours as tensors of one size, augmented or not, asked for as in :class:`Samples`.

    All frames of a clip get the same crop, mirroring and colour changes; camera and poses follow. Only the middle
    frame's depth is read, unless that of its neighbours is asked for.

    Args:
        frames: a data set that knows neighbours.
        size: (height, width) of the tensors.
        offsets: of the neighbours, the sources, in the order they shall have.
        augmentation: None for a centre crop, nothing else.
        seed: of the augmentation.
        poses: give the motions of clips whose poses are known.
        camera: used instead of what the data set says, fitted to its images; or a horizontal field of view in degrees,
            used where it says nothing.
        truths: read the depth of the neighbours too.

    Of every frame, also those without neighbours, there is an item; see :func:`usable` and :meth:`Samples.subset`. It
    holds, with S sources,

    - ``image`` (3, H, W) RGB in [0, 1] of the middle frame for networks, ``clean`` the same without colour changes, for
      losses;
    - ``sources`` (S, 3, H, W) and ``clean_sources`` (S, 3, H, W), the neighbours likewise;
    - ``camera``, of the middle frame, where it is known;
    - ``motions`` (S, 4, 4), which move points from the middle camera's axes to those of each source, in the unit of the
      poses, where they are wanted and known;
    - ``source_masks`` (S, 1, H, W) bool, pixels of the neighbours that may be used at all, and, where they are wanted,
      ``source_targets`` (S, 1, H, W), their depth;
    - what :class:`Samples` has beside these of the middle frame: ``target``, ``mask``, ``index`` and ``mirrored``, and
      ``focal`` and ``semantics`` where they are known.

    Raises:
        ConfigError: there is no offset, one is 0 or twice there.
        InputError: when an item is read: a neighbour is missing or a file is wrong.
    """

    frames: DataSet

    def __init__(
        self,
        frames: DataSet,
        size: tuple[int, int],
        offsets: Sequence[int] = (-1, 1),
        augmentation: Augmentation | None = None,
        seed: int = 0,
        poses: bool = False,
        camera: Camera | float | None = None,
        truths: bool = False,
    ) -> None:
        super().__init__(frames, size, augmentation, seed)
        if not offsets or len({0, *offsets}) <= len(offsets):
            raise ConfigError(f"offsets: {list(offsets)} must be one or more, none of them 0 or twice there")
        self.offsets = tuple(offsets)
        self.poses = poses
        self.camera = camera
        self.truths = truths
        self._neighbours = frames
        if not truths:  # it is for nothing then, and need not be there
            self._neighbours = copy(frames)
            self._neighbours.truth = NONE

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        draw, index = key[0], self.indices[key[1]]
        order = sorted((0, *self.offsets))
        seen, clean, mirrored = self._varied(Clip([self._frame(index, offset) for offset in order]), draw)
        middle, places = order.index(0), [order.index(offset) for offset in self.offsets]
        item = {
            "image": pixels(seen[middle]),
            "clean": pixels(clean[middle]),
            "sources": torch.stack([pixels(seen[place]) for place in places]),
            "clean_sources": torch.stack([pixels(clean[place]) for place in places]),
            **labels(clean[middle]),
            "index": index,
            "mirrored": mirrored,
        }
        known = [labels(clean[place]) for place in places]
        item["source_masks"] = torch.stack([each["mask"] for each in known])
        if self.truths:
            item["source_targets"] = torch.stack([each["target"] for each in known])
        if clean[middle].camera is not None:
            item["camera"] = clean[middle].camera
        poses = [frame.pose for frame in clean if frame.pose is not None]
        if self.poses and len(poses) == len(clean):
            motions = [relative(poses[middle], poses[place]) for place in places]
            item["motions"] = torch.stack([torch.from_numpy(motion).float() for motion in motions])
        return item

    def _frame(self, index: int, offset: int) -> Frame:
        """A frame of the split, or one of its neighbours."""
        if offset == 0:
            return self._calibrated(self.frames[index])
        id = self.frames.neighbour(self.frames.ids[index], offset)
        if id is None:
            raise InputError(f"{self.frames.paths[index]}: has no neighbour at {offset:+d}")
        return self._neighbours.load(id)

    def _calibrated(self, frame: Frame) -> Frame:
        """The frame with the camera to use."""
        camera = frame.camera
        if isinstance(self.camera, Camera):
            camera = self.camera.fit(frame.width, frame.height)
        elif self.camera is not None and camera is None:
            camera = Pinhole.from_fov(frame.width, frame.height, self.camera)
        return frame.replace(camera=camera)
