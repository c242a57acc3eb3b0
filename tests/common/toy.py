"""A data set that lives in memory, for what is done with data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId
from leadline.depth import DepthMap, Kind
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.io.images import write_image

SIZE = (24, 32)


class Toy(DataSet):
    """Frames of a wall with a step before it, seen by cameras that move sideways; numbers a test can foresee.

    Every image's colour says which frame it is: red the index, so that an oracle can find the truth.
    """

    name = "toy"
    source = "tests"
    licence = "none"
    splits = {"all": "every frame", "first": "the first sequence"}
    elsewhere = {"listed": "write one"}
    truths = {"depth": "exact", "double": "twice as far"}
    tree = {"*.png": "images"}

    sequences = ("one", "two")
    cameras = ("",)
    count = 3

    @classmethod
    def write(cls, root: Path) -> Path:
        """Write the images."""
        for index, id in enumerate(cls._all()):
            image = np.full((*SIZE, 3), 10 * (index % 20) / 255, np.float32)
            image[:, ::4] += 0.2
            write_image(root / cls._name(id), image)
        return root

    @classmethod
    def _all(cls) -> list[FrameId]:
        return [FrameId(s, n, c) for s in cls.sequences for n in range(cls.count) for c in cls.cameras]

    @staticmethod
    def _name(id: FrameId) -> str:
        return f"{str(id).replace('/', '-')}.png"

    def frames(self, split):
        return [id for id in self._all() if split == "all" or id.sequence == self.sequences[0]]

    def image(self, id):
        return self.root / self._name(id)

    def parse(self, line):
        sequence, _, number = line.partition(" ")
        if sequence not in self.sequences or not number.isdigit():
            raise InputError("is not SEQUENCE NUMBER")
        return FrameId(sequence, int(number), self.cameras[0])

    def depth(self, id):
        """A wall at 4 m and more with every sequence, a step at 2 m; the first row unknown."""
        values = np.full(SIZE, 4.0 + self.sequences.index(id.sequence), np.float32)
        values[12:, 10:20] = 2.0
        values += np.linspace(0, 0.5, SIZE[1], dtype=np.float32)
        values[0] = 0
        return DepthMap(values * (2 if self.truth == "double" else 1), Kind("depth", "nothing"), "m")

    def camera(self, id):
        return Pinhole(SIZE[1], SIZE[0], 30.0, 30.0, (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2)

    def pose(self, id):
        pose = np.eye(4)
        pose[0, 3] = 0.1 * id.number
        return pose

    def time(self, id):
        return 0.1 * id.number


def truth(data: Toy):
    """A prediction that is the truth, whatever it is asked to look at: 1 m where truth is unknown."""

    def answer(id: FrameId, _: Frame) -> DepthMap:
        depth = data.depth(id)
        return DepthMap(np.where(depth.valid, depth.values, 1.0), depth.kind, depth.unit)

    return answer
