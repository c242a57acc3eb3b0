from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from common.rigs import rigs
from leadline.data.make3d import Make3DLayout
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError
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
