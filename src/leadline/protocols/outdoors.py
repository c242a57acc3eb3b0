"""Driving and outdoor benchmarks other than KITTI: Cityscapes and Make3D."""

from __future__ import annotations

import numpy as np

from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId
from leadline.data.make3d import Make3D
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError
from leadline.frame import Frame
from leadline.protocols.protocol import Protocol
from leadline.protocols.windows import Pixels, Shares

CITYSCAPES = Protocol(
    name="cityscapes",
    about="ManyDepth's: 1,525 test images without their lowest quarter, which shows the vehicle; of what is left rows "
    "from 256 and columns 192 to 1856, median scaling.",
    data="cityscapes",
    split="test",
    alignment="median",
    min_depth=1e-3,
    max_depth=80,
    unit="m",
    view=Shares(0.0, 0.75, 0.0, 1.0),
    judged=Pixels(256, 768, 192, 1856, size=(768, 2048)),
)


class Make3DProtocol(Protocol):
    """Truth is a grid of 55x305 laser measurements; rows 17 to 38 fall into the crop, and the answer is looked up at
    them, as monodepth does with OpenCV's nearest neighbour: the upper left pixel of each cell."""

    rows = slice(17, 38)

    def truth_of(self, data: DataSet, id: FrameId, view: Frame) -> DepthMap:
        """The grid's rows in the crop, (21, 305)."""
        del view
        if not isinstance(data, Make3D):
            raise ConfigError(f"protocol: make3d judges the data set make3d, not {data.name}")
        return DepthMap(data.grid(id)[self.rows], Kind("depth", "nothing"), "m")

    def resized(self, answer: DepthMap, size: tuple[int, int]) -> DepthMap:
        """See the class."""
        pick = np.ix_(*(np.arange(new) * old // new for old, new in zip(answer.shape, size, strict=True)))
        return DepthMap(answer.values[pick], answer.kind, answer.unit, answer.valid[pick])


MAKE3D = Make3DProtocol(
    name="make3d",
    about="monodepth's: 134 images cropped to 2:1 in the middle, the laser's grid, depth up to 70 m, median scaling. "
    "Its third customary figure is rmse_log10.",
    data="make3d",
    split="test",
    alignment="median",
    min_depth=1e-9,
    max_depth=70,
    unit="m",
    view=Pixels(710, 1562, 0, 1704, size=(2272, 1704)),
    scores=("rmse_log10",),
)
