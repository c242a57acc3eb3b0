from __future__ import annotations

import numpy as np
import pytest

from common.rigs import rigs
from leadline.data.layout import codes, known, layouts, z_depth
from leadline.depth import DepthMap, Kind
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.rig import Rig


def test_unknown_depth_is_infinite_and_has_no_code() -> None:
    valid = np.array([[True, False, True]])
    depth = DepthMap(np.float32([[1.25, 7, 300]]), Kind("depth", "nothing"), "m", valid)
    values = z_depth(Frame(np.zeros((1, 3, 3)), depth))
    assert values.tolist() == [[1.25, np.inf, 300]]
    assert values.dtype == np.float32
    assert codes(values * 256).tolist() == [[320, 0, 0]]
    assert codes(values * 1000, unknown=65535).tolist() == [[1250, 65535, 65535]]


@pytest.mark.parametrize("name", sorted(layouts()))
def test_what_a_rig_lacks_is_said_in_one_line(name: str, tmp_path) -> None:
    layout = layouts()[name]()
    bare = [
        Rig({key: Frame(frame.image) for key, frame in rig.items()}) for rig in rigs(layout.mounts(), 1, scale=0.03)
    ]
    with pytest.raises(InputError, match=r"^layout: this data set needs more than the rigs have: depth, camera"):
        layout.write_clip(tmp_path, 0, bare)
    assert known(0) == 0
