"""Several data sets as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from leadline.data.images import Images
from leadline.errors import ConfigError
from leadline.frame import Frame


class Mixed(Images):
    """The frames of several data sets, one set after the other; training mixes them.

    A frame counts the same whatever set it is of: thin a set that is too large by its own ``every``. Frames stand
    alone: neighbours in time are not known.

    Args:
        sets: the data sets, by the names that losses and cards call them.

    Attributes:
        ends: how many frames there are up to the end of each set.

    Raises:
        ConfigError: there is no set.
    """

    def __init__(self, sets: Mapping[str, Images]) -> None:
        if not sets:
            raise ConfigError("sets: at least one data set is needed")
        self.sets = dict(sets)
        self.ends = list(accumulate(len(frames) for frames in self.sets.values()))
        super().__init__([path for frames in self.sets.values() for path in frames.paths])
        self.licence = "; ".join(dict.fromkeys(each.licence for each in self.sets.values()))  # type: ignore[misc]

    def whose(self, index: int) -> tuple[str, int]:
        """The set a frame is of, and its index there."""
        index = range(len(self))[index]
        number = bisect_right(self.ends, index)
        name = list(self.sets)[number]
        return name, index - self.ends[number] + len(self.sets[name])

    def describe(self) -> str:
        """Which sets they are."""
        return "; ".join(f"{name}: {frames.describe()}" for name, frames in self.sets.items())

    def fingerprint(self) -> str:
        """Those of the sets, by name."""
        return "; ".join(f"{name}: {frames.fingerprint()}" for name, frames in self.sets.items())

    def size(self, index: int) -> tuple[int, int]:
        """See :meth:`Images.size`."""
        name, place = self.whose(index)
        return self.sets[name].size(place)

    def place(self, index: int) -> int:
        """See :meth:`Images.place`; no place is of two sets."""
        name, within = self.whose(index)
        return range(len(self))[index] - within + self.sets[name].place(within)

    def __getitem__(self, index: int) -> Frame:
        """The frame of its set."""
        name, place = self.whose(index)
        return self.sets[name][place]
