"""DA-2K (Yang et al., "Depth Anything V2", NeurIPS 2024): pairs of points of which people said the nearer.

Any folder in its form will do: images, and an ``annotations.json`` of
``{"images/a.jpg": [{"point1": [row, column], "point2": [row, column], "closer_point": "point1"}]}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from leadline.data.dataset import NONE, DataSet
from leadline.data.lists import FrameId
from leadline.errors import InputError
from leadline.io.reading import read_json


@dataclass(frozen=True)
class Pair:
    """Two points of an image, (row, column) in pixels, the nearer first."""

    nearer: tuple[int, int]
    farther: tuple[int, int]


class Da2k(DataSet):
    """Images without depth; :meth:`pairs` holds what is known of them."""

    name = "da2k"
    source = "DA-2K: Yang et al., Depth Anything V2, NeurIPS 2024, arXiv 2406.09414"
    licence = "cc-by-nc-4.0 (annotations); images have their own"
    splits = {"all": "every image of annotations.json"}
    truths = {NONE: "no depth, only which of two points is nearer"}
    film = False
    tree = {"annotations.json": "pairs of points by image", "**/*.*": "images"}

    @cached_property
    def _annotations(self) -> dict[str, list[Pair]]:
        file = self.root / "annotations.json"
        found = read_json(file)
        try:
            return {path: [_pair(entry) for entry in pairs] for path, pairs in found.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: is not {{image: [{{point1: [row, column], point2: ..., closer_point: point1}}]}} ({error!r})"
            ) from None

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`; the sequence is the image's path, numbers are 0."""
        del split
        return [FrameId(path, 0) for path in self._annotations]

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self.root / id.sequence

    def pairs(self, id: FrameId) -> list[Pair]:
        """The pairs of points of an image."""
        return self._annotations[id.sequence]


def _pair(entry: dict[str, Any]) -> Pair:
    points = [(int(row), int(column)) for row, column in (entry["point1"], entry["point2"])]
    return Pair(*points) if entry["closer_point"] == "point1" else Pair(*reversed(points))
