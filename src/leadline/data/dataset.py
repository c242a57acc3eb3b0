"""What every data set on disk is: splits of frames that are found, read and checked in one way."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from leadline.camera import Camera
from leadline.data.images import Images, numbered_images
from leadline.data.lists import FrameId, digest, read_list, shipped
from leadline.depth import DepthMap, Kind
from leadline.discover import find
from leadline.errors import ConfigError, InputError, suggest
from leadline.frame import Clip, Frame
from leadline.io.images import image_size
from leadline.rig import Rig

T = TypeVar("T")

#: The truth that is none: images without depth, for training that needs none.
NONE = "none"


class DataSet(Images, ABC):
    """A data set on disk.

    A subclass, in ``data/<name>.py`` beside its writer, says where the files of a frame lie and what is in them. What
    it does not know it leaves alone.

    Args:
        root: the data set's folder.
        split: which frames: a name of :attr:`splits`, by default the first, or a file that lists frames in the form
            the field lists them (see :meth:`parse`).
        truth: which depth, a name of :attr:`truths`, by default the first; ``none`` reads no depth.
        mask: pixels that carry picture, see ``leadline.data.images.open_mask``.
        drop_highlights: leave out wet highlights too, for endoscopy.
        every: use one in so many frames; of what several cameras took at one instant all or nothing.

    Attributes:
        ids: of the frames of the split, in order.

    Raises:
        ConfigError: there is no such split or truth, or ``every`` is less than 1.
        InputError: the folder holds no frame of the split, or one twice; the message says what was expected.
    """

    #: What the command line calls it.
    name: ClassVar[str]
    #: Who made it, with the publication.
    source: ClassVar[str]
    #: Terms of its use, in short.
    licence: ClassVar[str]
    #: Splits, and in a line what they are; the first is used where none is named.
    splits: ClassVar[Mapping[str, str]]
    #: Splits whose list is not shipped: where to get it, which is put to ``ROOT/splits/SPLIT.txt``.
    elsewhere: ClassVar[Mapping[str, str]] = {}
    #: How many frames splits have in a complete download, where that is known.
    counts: ClassVar[Mapping[str, int]] = {}
    #: Whether frames that follow each other in number follow each other in time.
    film: ClassVar[bool] = True
    #: Kinds of true depth, and in a line what they are; the first is used where none is named.
    truths: ClassVar[Mapping[str, str]]
    #: Globs of the files expected below the root, and in a few words what they are; what fits none is surprising. Lists
    #: of frames, ``splits/*.txt``, always fit.
    tree: ClassVar[Mapping[str, str]]

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        truth: str | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
    ) -> None:
        self.root = Path(root)
        self._known: dict[Hashable, Any] = {}
        if every < 1:
            raise ConfigError(f"every: one in {every} frames cannot be used; 1 uses all")
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder")
        self.split = split or next(iter(self.splits))
        self.truth = self._one_of("truth", truth or next(iter(self.truths)), [*self.truths, NONE])
        listed = self._listed()
        self._available = len(listed)
        self.ids = _thinned(listed, every)
        if not self.ids:
            raise InputError(
                f"{root}: holds no frame of {self.name}, split {self.split}; expected are files such as "
                f"{next(iter(self.tree))}; see leadline data check {self.name} {root}"
            )
        if self.split not in self.elsewhere and len(set(listed)) < len(listed):  # public lists are taken as they are
            [(id, times)] = Counter(listed).most_common(1)
            raise InputError(f"{root}: frame {id} is there {times} times in split {self.split}; it should be once")
        super().__init__([self.image(id) for id in self.ids], mask, drop_highlights)

    @abstractmethod
    def frames(self, split: str) -> Sequence[FrameId]:
        """The frames of a named split, in order.

        Raises:
            InputError: what lists them cannot be read.
        """

    @abstractmethod
    def image(self, id: FrameId) -> Path:
        """The image file of a frame."""

    def depth(self, id: FrameId) -> DepthMap | None:
        """The depth of a frame by :attr:`truth`, at the image's size, without camera; None where this one has none.

        Raises:
            InputError: its file is missing or wrong.
        """
        del id
        return None

    def camera(self, id: FrameId) -> Camera | None:
        """The camera of a frame, of the image's size; None where it is not known.

        Raises:
            InputError: the calibration is missing or wrong.
        """
        del id
        return None

    def pose(self, id: FrameId) -> np.ndarray | None:
        """(4, 4) camera-to-world of a frame, in the unit of its depth; None where it is not known.

        Raises:
            InputError: the file of poses is missing or wrong.
        """
        del id
        return None

    def time(self, id: FrameId) -> float | None:
        """When the frame was taken, in seconds; None where it is not known."""
        del id
        return None

    def more(self, id: FrameId) -> dict[str, Any]:
        """What else is known of a frame: fields of :class:`~leadline.frame.Frame` such as ``reflective``."""
        del id
        return {}

    def needs(self, id: FrameId) -> list[Path]:
        """Files that have to be there for a frame beside its image, such as its calibration, but not for its depth."""
        del id
        return []

    def depth_files(self, id: FrameId) -> list[Path]:
        """Files that have to be there for the depth of a frame by :attr:`truth`; none where it has none."""
        del id
        return []

    def files(self, id: FrameId) -> list[Path]:
        """Every file that has to be there for a frame, its image first."""
        return [self.image(id), *self.needs(id), *([] if self.truth == NONE else self.depth_files(id))]

    def parse(self, line: str) -> FrameId:
        """The frame that a line of a list means, as the field writes lists for this data set.

        Raises:
            InputError: it does not fit.
        """
        raise InputError(f"{self.name}: lists of frames are not known for this data set; its splits are {self._names}")

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """The frame so many later (or, below 0, earlier) from the same camera; None where there is none."""
        if not offset or not self.film:
            return None if offset else id
        other = replace(id, number=id.number + offset)
        return other if other.number >= 0 and self.image(other).is_file() else None

    def load(self, id: FrameId) -> Frame:
        """Any frame, of the split or not.

        Raises:
            InputError: a file is missing or wrong, or image, camera and depth are not of one size.
        """
        image, camera = self.image(id), self.camera(id)
        depth = None if self.truth == NONE else self.depth(id)
        height, width = image_size(image)
        sizes = {} if depth is None else {"depth": depth.shape}
        sizes |= {} if camera is None else {"calibration": (camera.height, camera.width)}
        for what, size in sizes.items():
            if size != (height, width):
                raise InputError(
                    f"{image}: is {width}x{height} but its {what} is of {size[1]}x{size[0]}; use the images as they "
                    "were downloaded, they are resized after loading"
                )
        return self._framed(
            image,
            sequence="/".join(part for part in (id.sequence, id.camera) if part),
            name=f"{id.number:06d}",
            depth=None if depth is None else replace(depth, camera=camera),
            camera=camera,
            pose=self.pose(id),
            time=self.time(id),
            **self.more(id),
        )

    def __getitem__(self, index: int) -> Frame:
        """The frame of this index of the split; see :meth:`load`."""
        return self.load(self.ids[index])

    def only(self, indices: Sequence[int]) -> Self:
        """Some of the frames, in the order given; their neighbours may be others than these."""
        part = copy(self)
        part.ids, part.paths = [self.ids[i] for i in indices], [self.paths[i] for i in indices]
        part.__dict__.pop("digest", None)
        return part

    def clip(self, index: int, offsets: Sequence[int] = (-1, 0, 1)) -> Clip:
        """A frame of the split with its neighbours, in the order of time.

        Raises:
            InputError: one is missing.
        """
        found = [self.neighbour(self.ids[index], offset) for offset in sorted(offsets)]
        if None in found:
            raise InputError(f"{self.paths[index]}: has no neighbour at {sorted(offsets)[found.index(None)]:+d}")
        return Clip([self.load(id) for id in found if id is not None])

    def instants(self) -> list[list[int]]:
        """Indices of the split's frames, those that several cameras took at one instant together."""
        together: dict[tuple[str, int], list[int]] = {}
        for index, id in enumerate(self.ids):
            together.setdefault((id.sequence, id.number), []).append(index)
        return list(together.values())

    def rig(self, indices: Sequence[int]) -> Rig:
        """The frames of one instant, see :meth:`instants`, by the names of their cameras."""
        return Rig({self.ids[index].camera: self[index] for index in indices})

    def readable_rig(self, indices: Sequence[int]) -> tuple[Rig | None, list[str]]:
        """The rig of those frames of one instant that can be read, None where there is none; and what is wrong with the
        others."""
        try:
            return self.rig(indices), []
        except InputError as error:
            if len(indices) == 1:
                return None, [str(error)]
        good, problems = [], []
        for index in indices:  # once more, but one by one
            try:
                self[index]
                good.append(index)
            except InputError as error:
                problems.append(str(error))
        try:
            return (self.rig(good) if good else None), problems
        except InputError as error:  # of what they share
            return None, [*problems, str(error)]

    @cached_property
    def digest(self) -> str:
        """Of the frames and their order, 16 hexadecimal digits: two results are comparable where it agrees."""
        return digest(self.ids)

    @property
    def masks(self) -> str:
        """Which masks of its own this copy brings, where copies differ in that; results with and without are not
        comparable."""
        return ""

    @property
    def incomplete(self) -> str:
        """What is missing of a split whose frames were counted, as ``4 of 134 frames of split test``, else ''."""
        count = self.counts.get(self.split, 0)
        return f"{self._available} of {count} frames of split {self.split}" if self._available < count else ""

    def describe(self) -> str:
        """Which frames they are."""
        return f"{len(self)} frames of {self.name}, split {self.split} ({self.digest})"

    def fingerprint(self) -> str:
        """The same: it tells these frames from others."""
        return self.describe()

    @property
    def _names(self) -> str:
        return ", ".join(self.splits)

    def _one_of(self, key: str, value: str, choices: Sequence[str]) -> str:
        if value not in choices:
            raise ConfigError(
                f"{key}: {self.name} has no {key} '{value}'{suggest(value, choices)}; there is {', '.join(choices)}"
            )
        return value

    def _listed(self) -> list[FrameId]:
        if self.split in self.elsewhere:
            file = self.root / "splits" / f"{self.split}.txt"
            if not file.is_file():
                raise InputError(f"{file}: split {self.split} needs this list; {self.elsewhere[self.split]}")
            return self._parsed(file)
        if self.split in self.splits:
            return list(self.frames(self.split))
        file = Path(self.split)
        if file.is_file():
            return self._parsed(file)
        raise ConfigError(
            f"split: {self.name} has no split '{self.split}'{suggest(self.split, self.splits)}; "
            f"there is {self._names}, or a file that lists frames"
        )

    def _parsed(self, file: Path) -> list[FrameId]:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: cannot be read as a list of frames: {error}") from None
        ids = []
        for number, line in enumerate(lines, 1):
            if line and not line.startswith("#"):
                try:
                    ids.append(self.parse(line))
                except InputError as error:
                    raise InputError(f"{file}: line {number}, '{line[:80]}': {error}") from None
        return ids

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives; it is asked once for every key, more often only by threads that come at once."""
        return self._known[key] if key in self._known else self._known.setdefault(key, make())

    def _images_in(self, folder: Path, prefix: str = "", ending: str = "") -> dict[int, Path]:
        """See :func:`~leadline.data.images.numbered_images`; each folder is listed once."""
        return self._once((folder, prefix, ending), lambda: numbered_images(folder, prefix, ending))

    def _shipped(self, split: str) -> list[FrameId]:
        """The frames of a split whose list comes with leadline, as ``data/splits/NAME-SPLIT.txt``."""
        return read_list(shipped(f"{self.name}-{split}"))


def metric(values: np.ndarray, unit: str, valid: np.ndarray | None = None) -> DepthMap:
    """The map of z-depths (H, W) in ``unit``; valid are those above 0, where ``valid`` allows."""
    return DepthMap(values, Kind("depth", "nothing"), unit, valid)  # type: ignore[arg-type]


def _thinned(ids: list[FrameId], every: int) -> list[FrameId]:
    """One in so many instants, with all their cameras."""
    instants = list(dict.fromkeys((id.sequence, id.number) for id in ids))
    chosen = set(instants[::every])
    return [id for id in ids if (id.sequence, id.number) in chosen]


def datasets() -> dict[str, type[DataSet]]:
    """Every data set there is, by name."""
    return {data.name: data for data in find("leadline.data", DataSet)}  # type: ignore[type-abstract]


def open_dataset(name: str, root: str | os.PathLike[str], **options: Any) -> DataSet:
    """The data set called ``name`` in a folder.

    Args:
        name: see :func:`datasets`.
        root: its folder.
        options: of :class:`DataSet`, and of the data set's own class.

    Raises:
        ConfigError: there is no such data set, or it has no such option, split or truth.
        InputError: the folder does not hold it.
    """
    return dataset_class(name)(root, **options)


def dataset_class(name: str) -> type[DataSet]:
    """The class of the data set called ``name``.

    Raises:
        ConfigError: there is none.
    """
    every = datasets()
    if name not in every:
        raise ConfigError(f"data set: '{name}' is not known{suggest(name, every)}; there is {', '.join(sorted(every))}")
    return every[name]
