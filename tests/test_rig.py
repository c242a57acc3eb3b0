from __future__ import annotations

import numpy as np
import pytest

from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.rig import Lidar, Rig, Sweep

IMAGE = np.zeros((6, 8, 3), np.float32)


def test_a_rig_gives_frames_by_the_names_of_their_cameras() -> None:
    rig = Rig({"front": Frame(IMAGE, time=2.0), "left": Frame(IMAGE[:4])})
    assert list(rig) == ["front", "left"]
    assert rig["left"].height == 4
    assert rig.time == 2.0
    with pytest.raises(InputError, match="no frame"):
        Rig({})


def test_a_lidar_that_measures_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 beams of 10 steps"):
        Lidar((), 10, np.eye(4))
    with pytest.raises(ConfigError, match="reach"):
        Lidar((0.0,), 10, np.eye(4), reach=(5, 5))


def test_a_sweep_whose_parts_disagree_is_refused() -> None:
    with pytest.raises(InputError, match="intensity \\(4,\\)"):
        Sweep(np.zeros((3, 3), np.float32), np.zeros(4), np.zeros(3, int), np.eye(4))
