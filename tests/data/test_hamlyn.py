from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.data.hamlyn import Hamlyn, HamlynLayout
from leadline.errors import InputError
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


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for name in ("rectified08", "rectified23", "rectified99"):
        for number in (3, 4):
            for eye in ("01", "02"):
                write(tmp_path / name / f"image{eye}/{number:010d}.jpg", np.full((4, 6, 3), 10 * number, np.uint8))
            codes = np.full((4, 6), 100 + number, np.uint16)
            codes[0, 0] = 0
            write(tmp_path / name / f"depth01/{number:010d}.png", codes)
        (tmp_path / name / "intrinsics.txt").write_text("417.903625 0.0 3.5 0.0\n0.0 418.5 1.5 0.0\n0.0 0.0 1.0 0.0\n")
    return tmp_path


def test_splits(videos: Path) -> None:
    def names(split: str) -> list[str]:
        return list(dict.fromkeys(id.sequence for id in Hamlyn(videos, split).ids))

    assert names("all22") == ["rectified08", "rectified23"]
    assert names("video21") == names("video5") == ["rectified23"]
    assert names("video17") == ["rectified08"]
    assert names("all") == ["rectified08", "rectified23", "rectified99"]
    assert len(Hamlyn(videos)) == 4
    assert len(Hamlyn(videos, "all")) == 12


def test_frames_are_read(videos: Path) -> None:
    data = Hamlyn(videos, "all")
    assert [str(id) for id in data.ids[1:3]] == ["rectified08/left/000004", "rectified08/right/000003"]
    left, right = data[1], data[3]
    np.testing.assert_allclose(left.image * 255, 40, atol=2)
    assert left.depth.unit == "mm"
    assert (left.depth.values[left.depth.valid] == 104).all()
    assert np.argwhere(~left.depth.valid).tolist() == [[0, 0]]
    assert right.depth is None  # this side has none
    assert left.camera == right.camera
    assert (left.camera.fx, left.camera.fy, left.camera.cx, left.camera.cy) == (417.903625, 418.5, 3.5, 1.5)
    assert (left.time, left.pose) == (4 / 25, None)
    assert data.neighbour(data.ids[0], 1) == data.ids[1]
    assert data.neighbour(data.ids[1], 1) is None
    assert all(path.is_file() for id in data.ids for path in data.files(id))


def test_what_the_writer_writes_is_read(sequence: Path, shot: list[Rig]) -> None:
    data = Hamlyn(sequence.parent, "all")
    assert len(data) == 4
    for index, (side, number) in enumerate((side, number) for side in ("left", "right") for number in range(2)):
        frame, truth = data[index], shot[number][side]
        np.testing.assert_allclose(frame.depth.values, truth.depth.values, atol=0.5)
        np.testing.assert_allclose(frame.camera.K, truth.camera.K, rtol=1e-9)
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (frame.image, truth.image)]
        assert abs(grey[0] - grey[1]).mean() < 0.01


@pytest.mark.parametrize(
    ("line", "id"),
    [
        ("rectified08/image01/0000000003.jpg", "rectified08/left/000003"),
        ("data/rectified08/image02/0000000003.jpg", "rectified08/right/000003"),
        ("rectified23 4 l", "rectified23/left/000004"),
    ],
)
def test_lines_of_lists(line: str, id: str, videos: Path) -> None:
    assert str(Hamlyn(videos).parse(line)) == id


def test_what_is_missing_is_named(videos: Path) -> None:
    data, folder = Hamlyn(videos), videos / "rectified08"
    with pytest.raises(InputError, match=r"is not rectified01/image01/0000000000\.jpg, nor 'rectified01 0 l'"):
        data.parse("image01/0000000003.jpg")
    (folder / "depth01/0000000003.png").unlink()
    with pytest.raises(InputError, match=r"rectified08/depth01/0000000003\.png: no such file"):
        data[0]
    (folder / "intrinsics.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"intrinsics\.txt: holds 3 numbers, not a camera matrix of 3x4 or 3x3"):
        data[1]
    with pytest.raises(InputError, match="holds no frame of hamlyn, split all22"):
        Hamlyn(folder)


def test_images_of_another_size_are_refused(videos: Path) -> None:
    (videos / "rectified08/intrinsics.txt").write_text("417.9 0 360 0\n0 418.5 144 0\n0 0 1 0\n")
    data = Hamlyn(videos, truth="none")
    with pytest.raises(InputError, match=r"rectified08/intrinsics.txt: principal point 360, 144 is not that of 6x4"):
        data[0]
