from __future__ import annotations

import numpy as np
import pytest

from leadline.camera import Pinhole
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.frame import Clip, Frame

IMAGE = np.full((6, 8, 3), 0.5, np.float32)


def test_what_is_kept() -> None:
    frame = Frame(IMAGE.astype(np.float64), pose=np.eye(4, dtype=np.float32), time=1.5, sequence="a", name="3")
    assert frame.image.dtype == np.float32
    assert frame.pose is not None
    assert frame.pose.dtype == np.float64
    assert (frame.height, frame.width) == (6, 8)
    later = frame.replace(time=2.0)
    assert (later.time, later.name, frame.time) == (2.0, "3", 1.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": IMAGE[..., 0]}, "not \\(height, width, 3\\)"),
        ({"image": np.zeros((6, 8, 3), np.uint8)}, "divide by 255"),
        ({"image": IMAGE * 255}, "not in \\[0, 1\\]"),
        ({"image": IMAGE * np.nan}, "not in \\[0, 1\\]"),
        ({"mask": np.ones((6, 8), np.uint8)}, "mask is uint8"),
        ({"mask": np.ones((8, 6), bool)}, "not bool \\(6, 8\\)"),
        ({"reflective": np.ones((6, 8))}, "reflective is float64"),
        ({"semantics": np.ones((6, 8))}, "semantics is float64"),
        ({"forward_flow": np.ones((6, 8, 3))}, "forward_flow is \\(6, 8, 3\\), not \\(6, 8, 2\\)"),
        ({"normals": np.ones((6, 8))}, "normals is \\(6, 8\\), not \\(6, 8, 3\\)"),
        ({"camera": Pinhole.from_fov(6, 8, 60)}, "8x6 pixels but the image has 6x8"),
        ({"depth": DepthMap(np.ones((3, 4), np.float32), "metric-depth", "m")}, "depth is \\(3, 4\\)"),
        ({"pose": np.eye(3)}, "4x4"),
        ({"pose": np.full((4, 4), np.nan)}, "finite"),
        ({"pose": np.diag([2.0, 2, 2, 1])}, "scaled"),
        ({"pose": np.diag([-1.0, 1, 1, 1])}, "mirrored"),
    ],
)
def test_what_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Frame(**{"image": IMAGE, "sequence": "kf1", "name": "0007"} | fields)
    assert str(caught.value).startswith("frame kf1/0007: ")


def test_clip_is_a_list_of_frames_in_time() -> None:
    clip = Clip([Frame(IMAGE, time=t, sequence="a", name=str(i)) for i, t in enumerate((0.0, 0.1, None, 0.3))])
    assert len(clip) == 4
    assert [frame.name for frame in clip] == ["0", "1", "2", "3"]
    assert isinstance(clip[1:3], Clip)
    assert clip[-1].time == 0.3
    assert clip[1:].sequence == "a"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frame"),
        ([Frame(IMAGE, sequence="a"), Frame(IMAGE, sequence="b")], "'a' and 'b'"),
        ([Frame(IMAGE), Frame(IMAGE[:4])], "do not mix"),
        ([Frame(IMAGE, time=1.0), Frame(IMAGE), Frame(IMAGE, time=1.0)], "do not increase"),
    ],
)
def test_clips_that_are_none(frames: list[Frame], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Clip(frames)
