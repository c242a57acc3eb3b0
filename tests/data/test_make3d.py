from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from common.rigs import rigs
from leadline.data.lists import FrameId
from leadline.data.make3d import Make3D, Make3DLayout
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.rig import Rig


@pytest.fixture(scope="module")
def made():
    return rigs(Make3DLayout().mounts(), count=2, scale=0.2, drives=True)


@pytest.fixture(scope="module")
def root(made, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("make3d")
    Make3DLayout().write_clip(root, 0, made)
    return root


def protocol(depth: np.ndarray, grid: np.ndarray) -> float:
    """AbsRel of depth (H, W) of the middle crop, as monodepth2's authors evaluate it; nothing is aligned."""
    truth = grid[(55 - 21) // 2 : (55 + 21) // 2, :, 3]
    prediction = cv2.resize(depth, truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    mask = (truth > 0) & (truth < 70)
    assert mask.mean() > 0.9
    return float((np.abs(prediction - truth) / truth)[mask].mean())


def crop(values: np.ndarray) -> np.ndarray:
    height, width = values.shape[:2]
    return values[int((height - width / 2) / 2) : int((height + width / 2) / 2)]


def test_the_truth_itself_has_no_error_by_the_fields_protocol(made, root):
    for index in range(2):
        image = cv2.imread(str(root / f"Test134/img-op1-p-{index:03d}t000.jpg"))
        values = made[index]["camera"].depth.values
        assert image.shape[:2] == values.shape
        grid = loadmat(root / f"Gridlaserdata/depth_sph_corr-op1-p-{index:03d}t000.mat")["Position3DGrid"]
        assert grid.shape == (55, 305, 4)
        assert protocol(crop(values), grid) < 1e-6
        # a network's output has another size
        assert protocol(cv2.resize(crop(values), (512, 256), interpolation=cv2.INTER_LINEAR), grid) < 0.005


def test_grid_covers_the_image(made, root):
    grid = loadmat(root / "Gridlaserdata/depth_sph_corr-op1-p-000t000.mat")["Position3DGrid"]
    values = made[0]["camera"].depth.values
    whole = cv2.resize(values, (305, 55), interpolation=cv2.INTER_NEAREST)
    assert np.abs(grid[..., 3] / whole - 1).mean() < 0.03
    camera = made[0]["camera"].camera
    y, x, z, _ = np.moveaxis(grid, 2, 0)
    u, v = camera.fx * x / z + camera.cx, camera.fy * -y / z + camera.cy
    assert np.allclose(u, np.rint(u)), "points lie on the rays of pixels"
    assert np.allclose(u[0], np.arange(305) * camera.width // 305)
    assert (np.diff(v, axis=0) > 0).all()


def test_sky_is_as_far_as_the_laser_reaches(made, tmp_path):
    frame = made[0]["camera"]
    values = frame.depth.values * 10
    sky = np.zeros(values.shape, bool)
    sky[:80] = True
    truth = DepthMap(values, Kind("depth", "nothing"), "m", ~sky, frame.camera)
    rig = Rig({"camera": frame.replace(depth=truth)})
    Make3DLayout().write_clip(tmp_path, 3, [rig])
    grid = loadmat(tmp_path / "Train400Depth/depth_sph_corr-op4-p-000t000.mat")["Position3DGrid"]
    assert (tmp_path / "Train400Img/img-op4-p-000t000.jpg").is_file()
    assert (grid[:8, :, 3] == 81).all()
    assert grid[..., 3].max() == 81


def test_without_scipy_it_says_what_to_install(made, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ConfigError, match=r"pip install 'leadline\[worlds\]'"):
        Make3DLayout().write_clip(tmp_path, 0, made)


GRID = np.arange(55 * 305, dtype=float).reshape(55, 305) / 200
NAMES = ("10.21op2-p-015t000", "060705-17.10.14-p-080t000", "gatesback1-p-139t0")


@pytest.fixture
def small(tmp_path) -> Path:
    parts = (("Test134", "Gridlaserdata"), ("Test134", "Gridlaserdata"), ("Train400Img", "Train400Depth"))
    for name, (images, grids) in zip(NAMES, parts, strict=True):
        for folder in (images, grids):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("RGB", (613, 817)).save(tmp_path / images / f"img-{name}.jpg")
        stored = np.zeros((55, 305, 4))
        stored[..., 3] = GRID
        savemat(tmp_path / grids / f"depth_sph_corr-{name}.mat", {"Position3DGrid": stored})
    return tmp_path


def test_photographs_are_known_by_their_names(small):
    assert Make3D(small).ids == [FrameId(NAMES[1], 0), FrameId(NAMES[0], 0)]
    assert Make3D(small, "train").ids == [FrameId(NAMES[2], 0)]
    data = Make3D(small, "all")
    assert len(data) == 3
    assert data.image(FrameId(NAMES[0], 0)).name == f"img-{NAMES[0]}.jpg"
    for line in (f"img-{NAMES[0]}", f"Test134/img-{NAMES[0]}.jpg"):
        assert data.parse(line) == FrameId(NAMES[0], 0)
    assert data.neighbour(data.ids[0], 1) is None
    assert all(path.is_file() for id in data.ids for path in data.files(id))


def test_the_archives_may_lie_deeper(small):
    for name in ("Test134", "Gridlaserdata"):
        (small / "make3d/Test134Data").mkdir(parents=True, exist_ok=True)
        (small / name).rename(small / "make3d/Test134Data" / name)
    data = Make3D(small)
    assert len(data) == 2
    assert np.array_equal(data.grid(data.ids[0]), GRID)


def test_the_grid_is_what_is_stored_and_depth_its_nearest_cell(small):
    data = Make3D(small)
    assert np.array_equal(data.grid(data.ids[0]), GRID)
    depth = data.depth(data.ids[0])
    assert depth.shape == (817, 613)
    assert np.array_equal(
        depth.values, cv2.resize(GRID, (613, 817), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    )
    assert np.array_equal(depth.valid, (depth.values > 0) & (depth.values < 80))
    assert 0.9 < depth.valid.mean() < 0.99
    camera = data[0].camera
    assert (camera.width, camera.height) == (613, 817)
    assert camera.fx == pytest.approx(2400.209 * 613 / 1704)


def test_what_is_missing_is_named(small):
    data = Make3D(small)
    first = data.files(data.ids[0])[1]
    first.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"080t000\.mat: should be a MATLAB file with Position3DGrid, 55x305x4"):
        data.depth(data.ids[0])
    savemat(first, {"Position3DGrid": GRID})
    with pytest.raises(InputError, match=r"080t000\.mat: should be a MATLAB file"):
        data.grid(data.ids[0])
    first.unlink()
    with pytest.raises(InputError, match=r"080t000\.mat: no such file; Test134Depth"):
        data.grid(data.ids[0])
    with pytest.raises(InputError, match="is not img-NAME"):
        data.parse("op1-p-000t000")
    Image.new("RGB", (40, 30)).save(data.image(data.ids[0]))
    with pytest.raises(InputError, match=r"080t000\.jpg: the camera is of a 1704x2272 image"):
        data.camera(data.ids[0])


def test_without_scipy_reading_says_what_to_install(small, monkeypatch):
    data = Make3D(small)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ConfigError, match=r"pip install 'leadline\[worlds\]'"):
        data.grid(data.ids[0])


def test_what_the_layout_writes_is_read(made, root):
    data = Make3D(root)
    assert [id.sequence for id in data.ids] == ["op1-p-000t000", "op1-p-001t000"]
    for index in range(2):
        frame, true = data[index], made[index]["camera"]
        assert np.abs(frame.image - true.image).mean() < 0.02
        np.testing.assert_allclose(frame.camera.K, true.camera.K)
        truth = data.grid(data.ids[index])[17:38]
        middle = cv2.resize(crop(true.depth.values), (305, 21), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_allclose(truth, middle, rtol=1e-6)
        assert np.abs(frame.depth.values / true.depth.values - 1).mean() < 0.03


def test_linked_folders_are_found_and_files_of_macos_are_not(small):
    (small / "root").mkdir()
    for name in ("Test134", "Gridlaserdata"):
        (small / name).rename(small / f"disk-{name}")
        (small / "root" / name).symlink_to(small / f"disk-{name}")
    (small / "disk-Test134/._img-gatesback1-p-139t0.jpg").write_bytes(b"\0\5\26\7")
    data = Make3D(small / "root")
    assert [id.sequence for id in data.ids] == sorted(NAMES[:2])
    assert all(path.is_file() for id in data.ids for path in data.files(id))
