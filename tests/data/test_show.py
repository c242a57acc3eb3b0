from __future__ import annotations

import numpy as np
import pytest

from common.toy import Toy
from leadline.data.lists import FrameId
from leadline.data.show import chosen, picture, write_samples
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.io.images import read_image


def test_a_page_shows_frames_with_their_depth(tmp_path):
    data = Toy(Toy.write(tmp_path / "toy"))
    indices = chosen(data, 3, seed=0)
    assert len(indices) == 3
    assert indices == sorted(set(indices))
    assert chosen(data, 3, seed=0) == indices
    page, failures = write_samples(data, indices, tmp_path / "page")
    assert failures == []
    text = page.read_text()
    assert str(data.ids[indices[0]]) in text
    assert "metric-depth 2.16 to" in text
    assert "pinhole fx 30" in text
    shown = read_image(tmp_path / "page" / "pictures" / f"{indices[0]:06d}.jpg")
    # three pictures of the frame's aspect and a legend
    assert shown.shape[1] > 3 * 320 * 32 / 24


def test_cameras_of_one_instant_are_shown_together(tmp_path):
    class Pair(Toy):
        cameras = ("left", "right")

    data = Pair(Pair.write(tmp_path))
    indices = chosen(data, 1, seed=3)
    assert [data.ids[index].camera for index in indices] == ["left", "right"]
    assert len({(data.ids[index].sequence, data.ids[index].number) for index in indices}) == 1


def test_a_single_point_of_lidar_can_be_seen(tmp_path):
    data = Toy(Toy.write(tmp_path))
    frame = data.load(FrameId("one", 0))
    values = np.zeros_like(frame.depth.values)
    values[10, 10], values[10, 20] = 3.0, 5.0
    sparse = frame.replace(depth=DepthMap(values, frame.depth.kind, "m", values > 0, frame.camera))
    nothing = frame.replace(depth=None)
    width = picture(nothing).shape[1]
    drawn = picture(sparse)[:, 2 * width + 8 :][:, :width].astype(int)
    plain = picture(nothing).astype(int)
    changed = np.abs(drawn - plain).max(axis=2) > 60
    changed[:40] = False  # the captions differ
    rows, columns = np.nonzero(changed)
    assert changed.sum() > 50
    assert columns.min() < width * 12 / 32 < width * 19 / 32 < columns.max()
    assert np.ptp(rows) < 80


def test_bad_frames_are_named_and_the_rest_is_shown(tmp_path):
    data = Toy(Toy.write(tmp_path / "toy"))
    data.image(data.ids[1]).write_bytes(b"x")
    page, failures = write_samples(data, [0, 1], tmp_path / "page")
    assert page.is_file()
    assert len(failures) == 1
    assert "one-000001.png" in failures[0]
    with pytest.raises(InputError, match="none of 1 frames can be read"):
        write_samples(data, [1], tmp_path / "other")
