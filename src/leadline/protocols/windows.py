"""Parts of an image: what a model sees, and what of it is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


class Window(ABC):
    """A rectangle of an image of any size."""

    @abstractmethod
    def of(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns."""


@dataclass(frozen=True)
class Shares(Window):
    """From and to these shares of height and width, rounded down, as KITTI's crops are given.

    Example:
        >>> Shares(0.40810811, 0.99189189, 0.03594771, 0.96405229).of(375, 1242)
        (slice(153, 371, None), slice(44, 1197, None))
    """

    top: float
    bottom: float
    left: float
    right: float

    def of(self, height: int, width: int) -> tuple[slice, slice]:
        """See :meth:`Window.of`."""
        rows = slice(int(self.top * height), int(self.bottom * height))
        return rows, slice(int(self.left * width), int(self.right * width))


@dataclass(frozen=True)
class Pixels(Window):
    """From and to these pixels of an image of the data set's own size; the like of one that was made smaller.

    Args:
        size: (height, width) of the data set's images.

    Example:
        >>> window = Pixels(256, 768, 192, 1856, size=(768, 2048))
        >>> window.of(768, 2048), window.of(192, 512)
        ((slice(256, 768, None), slice(192, 1856, None)), (slice(64, 192, None), slice(48, 464, None)))
    """

    top: int
    bottom: int
    left: int
    right: int
    size: tuple[int, int]

    def of(self, height: int, width: int) -> tuple[slice, slice]:
        """See :meth:`Window.of`."""
        rows = (round(edge * height / self.size[0]) for edge in (self.top, self.bottom))
        columns = (round(edge * width / self.size[1]) for edge in (self.left, self.right))
        return slice(*rows), slice(*columns)


@dataclass(frozen=True)
class BottomCentre(Window):
    """So many rows from the bottom and columns from the middle; all there are of a smaller image.

    Example:
        >>> BottomCentre(352, 1216).of(375, 1242)
        (slice(23, 375, None), slice(13, 1229, None))
    """

    height: int
    width: int

    def of(self, height: int, width: int) -> tuple[slice, slice]:
        """See :meth:`Window.of`."""
        left = max(0, (width - self.width) // 2)
        return slice(max(0, height - self.height), height), slice(left, min(width, left + self.width))
