"""Frames whose depth is what a teacher said of them."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from leadline.data.dataset import NONE, DataSet
from leadline.data.images import Images
from leadline.data.lists import FrameId, in_videos
from leadline.data.samples import covering
from leadline.data.transforms import Resize
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.foundation.base import DepthModel
from leadline.foundation.labels import LabelCache
from leadline.foundation.long_video import as_tensor, watch_video
from leadline.frame import Frame

#: Images after which it is known how long the rest will take.
TIMED = 5


class Labelled:
    """Image files at training size, labelled by a teacher; labels are kept on disk.

    The teacher sees the whole image at its own size; its answer is kept at the size the image has when it just covers
    ``size``.

    Args:
        frames: the images.
        teacher: who labels.
        size: (height, width) trained at.
        folder: of the labels.
    """

    def __init__(
        self, frames: Images, teacher: DepthModel, size: tuple[int, int], folder: str | os.PathLike[str]
    ) -> None:
        self.frames = frames
        if isinstance(frames, DataSet):  # labels take the place of its depth, which needs not be read
            self.frames = copy(frames)
            self.frames.truth = NONE
        self.teacher = teacher
        self.size = size
        self.folder = Path(folder)
        self._caches: dict[tuple[int, int], LabelCache] = {}

    def __getattr__(self, name: str) -> Any:
        """What the images know of themselves, such as ``ids`` and ``neighbour``."""
        if name == "frames":  # not there yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.frames, name)

    def load(self, id: FrameId) -> Frame:
        """Any frame of the data set, resized likewise, without a label."""
        frame = self.frames.load(id)  # type: ignore[attr-defined]
        return Resize(*covering(frame.height, frame.width, self.size))(frame)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        """The frame of one image, resized to cover the training size, with its label as depth."""
        frame = self.frames[index]
        covered = covering(frame.height, frame.width, self.size)
        cache, key = self._place(index, frame)
        label = cache.get(key)
        if label is None:
            label = self._label(index, frame)
        return Resize(*covered)(frame).replace(depth=DepthMap(label, self.teacher.kind, self.teacher.unit))

    def _place(self, index: int, frame: Frame) -> tuple[LabelCache, str]:
        """Where the label of a frame is kept."""
        covered = covering(frame.height, frame.width, self.size)
        if covered not in self._caches:
            self._caches[covered] = LabelCache(self.folder, self.teacher, covered)
        return self._caches[covered], self._caches[covered].key(self.frames.paths[index])

    def _label(self, index: int, frame: Frame) -> np.ndarray:
        """The teacher's label of a frame, asked for and kept."""
        return self._keep(index, frame, self.teacher(as_tensor([frame.image])))

    def _keep(self, index: int, frame: Frame, answer: Tensor) -> np.ndarray:
        """Keep an answer (1, H, W) to a frame, and give the label."""
        cache, key = self._place(index, frame)
        # Antialiased: a label is judged and learned at this size, not sampled at it.
        sized = torch.nn.functional.interpolate(answer[None].float(), cache.size, mode="bilinear", antialias=True)
        label = sized[0, 0].cpu().numpy()
        cache.put(key, label)
        return label

    def fill(self, used: Sequence[int]) -> dict[int, str]:
        """Label the frames of these indices that have no label yet; says how long that takes.

        Returns:
            What was wrong, for each frame that could not be read; the others are done.
        """
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        failures: dict[int, str] = {}
        began = time.monotonic()
        for done, index in enumerate(
            track(used, "labels", console=console, disable=not console.is_terminal, transient=True)
        ):
            if done == TIMED:
                each = (time.monotonic() - began) / TIMED
                console.print(f"labels: {len(used)} images, {each:.2f} s each at most, {each * len(used) / 60:.1f} min")
            try:
                self[index]
            except InputError as error:
                failures[index] = str(error)
        return failures


class WatchedLabels(Labelled):
    """Frames of videos, labelled by a teacher that sees video: each video is shown to it whole and in order, by its
    frames in the data set's split (see :func:`leadline.data.lists.in_videos`), when the first label of it is wanted. A
    video with a frame that cannot be read is left out.

    Args:
        frames: a data set.
        teacher: who labels; one of single images sees each frame alone.
        size: (height, width) trained at.
        folder: of the labels, of this data set alone: what a teacher says of an image depends on the video.
    """

    @cached_property
    def _broken(self) -> dict[FrameId, InputError]:
        """What was wrong with the videos of frames."""
        return {}

    @cached_property
    def _videos(self) -> dict[FrameId, list[FrameId]]:
        return {id: video for video in in_videos(self.frames.ids) for id in video}  # type: ignore[attr-defined]

    @cached_property
    def _numbers(self) -> dict[FrameId, int]:
        return {id: index for index, id in enumerate(self.frames.ids)}  # type: ignore[attr-defined]

    def load(self, id: FrameId) -> Frame:
        """Any frame of the data set, resized likewise; one of the split with its label."""
        return self[self._numbers[id]] if id in self._numbers else super().load(id)

    def _label(self, index: int, frame: Frame) -> np.ndarray:
        if not self.teacher.remembers:
            return super()._label(index, frame)
        id = self.frames.ids[index]  # type: ignore[attr-defined]
        if id in self._broken:
            raise self._broken[id]
        video = self._videos[id]
        images, shown = itertools.tee(self.frames[self._numbers[each]] for each in video)
        answers = watch_video(self.teacher, (each.image for each in images))
        try:
            for each, seen, answer in zip(video, shown, answers, strict=True):
                self._keep(self._numbers[each], seen, torch.from_numpy(answer)[None])
        except InputError as error:
            self._broken |= dict.fromkeys(video, error)
            raise
        cache, key = self._place(index, frame)
        label = cache.get(key)
        assert label is not None
        return label
