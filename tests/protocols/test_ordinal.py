from __future__ import annotations

import json

import numpy as np
import pytest

from common.toy import Toy
from leadline.data.da2k import Da2k, Pair
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.io.images import write_image
from leadline.protocols.candidate import Candidate
from leadline.protocols.ordinal import DA2K


@pytest.fixture
def root(tmp_path):
    write_image(tmp_path / "images/a b.png", np.zeros((10, 20, 3), np.float32))
    write_image(tmp_path / "images/c.png", np.zeros((10, 20, 3), np.float32))
    pairs = {
        "images/a b.png": [
            {"point1": [2, 3], "point2": [2, 15], "closer_point": "point1"},
            {"point1": [2, 3], "point2": [9, 19], "closer_point": "point2"},
            {"point1": [5, 12], "point2": [5, 5], "closer_point": "point1"},
        ],
        "images/c.png": [{"point1": [0, 0], "point2": [9, 10], "closer_point": "point1"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(pairs))
    return tmp_path


def test_pairs_are_row_column_nearer_first(root):
    data = Da2k(root)
    assert len(data) == 2
    assert data.pairs(data.ids[0])[1] == Pair((9, 19), (2, 3))
    assert data[0].image.shape == (10, 20, 3)


@pytest.mark.parametrize(
    ("kind", "sign"),
    [("scale-invariant-depth", 1), ("affine-invariant-disparity", -1), ("affine-invariant-depth", 1)],
)
def test_the_share_of_all_pairs_in_the_right_order(root, kind, sign):
    def farther_to_the_right(id, image):
        return DepthMap(sign * np.tile(np.arange(1.0, 21.0), (10, 1)), kind)

    result = DA2K.evaluate(Candidate("ramp", farther_to_the_right), Da2k(root))
    assert result.means["accuracy"] == 2 / 4  # 3 < 15 and 0 < 10 are right; 19 < 3 and 12 < 5 are not
    assert result.means["pairs"] == 4
    assert result.images[0]["accuracy"] == pytest.approx(1 / 3)


def test_equal_depth_is_not_an_answer(root):
    flat = Candidate("flat", lambda id, frame: DepthMap(np.ones((10, 20)), "scale-invariant-depth"))
    assert DA2K.evaluate(flat, Da2k(root)).means["accuracy"] == 0


def test_points_outside_and_other_data_are_refused(root, tmp_path):
    small = Candidate("small", lambda id, frame: DepthMap(np.ones((5, 5)), "scale-invariant-depth"))
    with pytest.raises(InputError, match="points outside this 5x5 image"):
        DA2K.evaluate(small, Da2k(root))
    with pytest.raises(ConfigError, match="ordered points"):
        DA2K.evaluate(small, Toy(Toy.write(tmp_path / "toy")))
    (root / "annotations.json").write_text('{"a.png": [{"point1": [1]}]}')
    with pytest.raises(InputError, match=r"annotations.json: is not"):
        Da2k(root)
