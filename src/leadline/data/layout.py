"""Writing the layout of a data set on disk. A data set's file holds its loader and, as a subclass here, its writer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from leadline.discover import find
from leadline.errors import ConfigError, InputError, suggest
from leadline.frame import Frame
from leadline.rig import Lidar, Mount, Rig

T = TypeVar("T")


class Layout(ABC):
    """How a data set lies on disk: names, encodings, calibration and poses, with their quirks.

    A writer gets rigs that were shot with its own ``mounts``; sizes may be smaller than the data set's, so intrinsics
    and sizes come from the frames. Every rig has the pose of its body, and a sweep where ``lidar`` is set; every frame
    has depth, camera, pose, time, normals and ``reflective``, and optical flow where ``flow`` is set.
    """

    #: What the command line calls it: the name of the data set.
    name: ClassVar[str]
    #: The worlds it suits.
    worlds: ClassVar[tuple[str, ...]]
    #: Frames a second.
    rate: ClassVar[float]
    #: What the data set measures depth with beside its cameras.
    lidar: ClassVar[Lidar | None] = None
    #: Its files hold optical flow.
    flow: ClassVar[bool] = False

    @abstractmethod
    def mounts(self) -> Mapping[str, Mount]:
        """The cameras, in the data set's own size, and where they sit; the first one is the reference."""

    @abstractmethod
    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one clip, called once for every clip, perhaps in several processes at a time.

        Args:
            root: the data set's folder, shared by all clips; no file may be written that another clip writes too.
            number: of the clip, from 0.
            rigs: rendered when they are asked for, in the order of time: go through them once.

        Returns:
            The files and folders written, ``root`` included in each path.

        Raises:
            InputError: a file cannot be written, or a rig lacks what it should have.
        """

    def finish(self, root: Path, clips: int) -> None:
        """Write what is about all clips (tables, splits, lists); by default nothing.

        Args:
            root: as for :meth:`write_clip`, which has written all clips by now.
            clips: how many there are, numbered from 0.

        Raises:
            InputError: a file cannot be written.
        """
        del root, clips


def known(value: T | None) -> T:
    """What a rig, a frame or a sweep should have, where it has it.

    Raises:
        InputError: it has not.
    """
    if value is None:
        raise InputError(
            "layout: this data set needs more than the rigs have: depth, camera, pose, time, normals and reflective of "
            "every frame, the body's pose, and a lidar's sweep or optical flow where the layout asks for them"
        )
    return value


def z_depth(frame: Frame) -> np.ndarray:
    """(H, W) depth of a frame in its own unit; inf where it is not known."""
    depth = known(frame.depth)
    return np.where(depth.valid, depth.values, np.float32(np.inf))


def codes(values: np.ndarray, unknown: int = 0) -> np.ndarray:
    """(H, W) uint16: values above 0, rounded; ``unknown`` where one does not fit into 16 bits."""
    steps = np.rint(values)
    return np.where(steps < 2**16, steps, unknown).astype(np.uint16)


def layouts() -> dict[str, type[Layout]]:
    """Every layout there is, by name."""
    return {layout.name: layout for layout in find("leadline.data", Layout)}  # type: ignore[type-abstract]


def open_layout(name: str, world: str) -> Layout:
    """The layout called ``name``, to be filled with a world.

    Raises:
        ConfigError: there is no such layout, or it does not suit the world.
    """
    every = layouts()
    if name not in every:
        there = ", ".join(["folder", *sorted(every)])
        raise ConfigError(f"layout: '{name}' is not known{suggest(name, ['folder', *every])}; there is {there}")
    if world not in every[name].worlds:
        fitting = ", ".join(["folder", *sorted(key for key, layout in every.items() if world in layout.worlds)])
        raise ConfigError(
            f"layout: {name} does not suit world '{world}', only {', '.join(every[name].worlds)}; "
            f"for {world} there is {fitting}"
        )
    return every[name]()
