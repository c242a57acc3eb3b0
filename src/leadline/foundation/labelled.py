"""Frames whose depth is what a teacher said of them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from leadline.data.dataset import NONE, DataSet
from leadline.data.images import Images
from leadline.data.lists import FrameId
from leadline.data.samples import covering
from leadline.data.transforms import Resize
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.foundation.base import DepthModel
from leadline.foundation.labels import LabelCache
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
        if covered not in self._caches:
            self._caches[covered] = LabelCache(self.folder, self.teacher, covered)
        cache = self._caches[covered]
        key = cache.key(self.frames.paths[index])
        label = cache.get(key)
        if label is None:
            image = torch.from_numpy(frame.image).permute(2, 0, 1)[None]
            answer = self.teacher(image)[:, None].float()
            # Antialiased: a label is judged and learned at this size, not sampled at it.
            answer = torch.nn.functional.interpolate(answer, covered, mode="bilinear", antialias=True)
            label = answer[0, 0].cpu().numpy()
            cache.put(key, label)
        return Resize(*covered)(frame).replace(depth=DepthMap(label, self.teacher.kind, self.teacher.unit))

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
