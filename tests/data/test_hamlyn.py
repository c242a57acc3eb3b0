from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.data.hamlyn import HamlynLayout
from leadline.rig import Rig


@pytest.fixture(scope="module")
def shot() -> list[Rig]:
    return rigs(HamlynLayout().mounts(), count=2, scale=0.2, unit="mm")


@pytest.fixture(scope="module")
def sequence(shot: list[Rig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hamlyn")
    written = HamlynLayout().write_clip(root, 0, shot)
    assert written == [root / "rectified01"]
    return written[0]


@pytest.mark.parametrize(("number", "name"), [(1, "04"), (7, "12"), (8, "14"), (21, "27"), (22, "28")])
def test_sequences_are_numbered_with_gaps(number: int, name: str, shot: list[Rig], tmp_path: Path) -> None:
    assert HamlynLayout().write_clip(tmp_path, number, shot[:1]) == [tmp_path / f"rectified{name}"]


def test_depth_is_whole_mm(sequence: Path, shot: list[Rig]) -> None:
    for folder, side in (("depth01", "left"), ("depth02", "right")):
        assert sorted(path.name for path in (sequence / folder).iterdir()) == ["0000000000.png", "0000000001.png"]
        for index, rig in enumerate(shot):
            codes = cv2.imread(str(sequence / folder / f"{index:010d}.png"), cv2.IMREAD_UNCHANGED)
            assert codes.dtype == np.uint16
            np.testing.assert_allclose(codes, rig[side].depth.values, atol=0.5)


def test_unknown_depth_is_0(shot: list[Rig], tmp_path: Path) -> None:
    left = shot[0]["left"]
    valid = left.depth.valid.copy()
    valid[3:7] = False
    depth = type(left.depth)(left.depth.values, left.depth.kind, "mm", valid, left.camera)
    (folder,) = HamlynLayout().write_clip(
        tmp_path, 0, [Rig({"left": left.replace(depth=depth), "right": shot[0]["right"]}, shot[0].pose)]
    )
    codes = cv2.imread(str(folder / "depth01" / "0000000000.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(codes > 0, valid)


def test_images(sequence: Path, shot: list[Rig]) -> None:
    for folder, side in (("image01", "left"), ("image02", "right")):
        image = cv2.imread(str(sequence / folder / "0000000001.jpg"), cv2.IMREAD_GRAYSCALE) / 255
        expected = cv2.cvtColor(shot[1][side].image, cv2.COLOR_RGB2GRAY)  # JPEG halves the colours' resolution
        assert abs(image - expected).mean() < 0.01


def test_left_depth_lands_on_the_right_one_by_the_intrinsics(sequence: Path) -> None:
    matrix = np.loadtxt(sequence / "intrinsics.txt")
    assert matrix.shape == (3, 4)
    left, right = (
        cv2.imread(str(sequence / folder / "0000000000.png"), cv2.IMREAD_UNCHANGED).astype(float)
        for folder in ("depth01", "depth02")
    )
    beside = np.eye(4)
    beside[0, 3] = -5.382236
    moved, there = reprojected(left, right, matrix[:, :3], beside)
    assert len(moved) > 0.8 * left.size
    assert np.mean(abs(there / moved - 1) < 0.05) > 0.95
