"""Writing the layout of a data set on disk. A data set's file holds its loader and, as a subclass here, its writer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from leadline.discover import find
from leadline.errors import ConfigError, suggest
from leadline.rig import Lidar, Mount, Rig


class Layout(ABC):
    """How a data set lies on disk: names, encodings, calibration and poses, with their quirks.

    A writer gets rigs that were shot with its own ``mounts``; sizes may be smaller than the data set's, so intrinsics
    and sizes come from the frames.
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
            The files and folders written, below ``root``.

        Raises:
            InputError: a file cannot be written.
        """

    def finish(self, root: Path, clips: int) -> None:
        """Write what is about all clips (tables, splits, lists), after the last one; by default nothing."""
        del root, clips


def layouts() -> dict[str, type[Layout]]:
    """Every layout there is, by name."""
    return {layout.name: layout for layout in find("leadline.data", Layout)}  # type: ignore[type-abstract]


def open_layout(name: str, world: str) -> Layout:
    """The layout called ``name``, to be filled with a world.

    Raises:
        ConfigError: there is no such layout, or it does not suit the world.
    """
    known = layouts()
    if name not in known:
        there = ", ".join(["folder", *sorted(known)])
        raise ConfigError(f"layout: '{name}' is not known{suggest(name, ['folder', *known])}; there is {there}")
    if world not in known[name].worlds:
        fitting = ", ".join(["folder", *sorted(key for key, layout in known.items() if world in layout.worlds)])
        raise ConfigError(
            f"layout: {name} does not suit world '{world}', only {', '.join(known[name].worlds)}; {world} suits {fitting}"
        )
    return known[name]()
