from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from leadline.camera import Camera, Fisheye, Omnidirectional, Pinhole, RadialTangential
from leadline.geometry import poses
from leadline.geometry.lift import lift, reproject

CAMERAS = [
    Pinhole(64, 48, 50.0, 55.0, 30.0, 25.0),
    RadialTangential(64, 48, 50.0, 55.0, 30.0, 25.0, -0.2, 0.05, 0.002, -0.003, 0.01),
    Fisheye(64, 48, 40.0, 42.0, 30.0, 25.0, 0.05, -0.01, 0.003, -0.001),
    Omnidirectional(64, 48, 31.0, 23.0, 40.0, -0.01, 1e-4, -2e-6, 1.01, 0.01, -0.02),
]


def plane_depth(camera: Camera, normal: np.ndarray, offset: float) -> np.ndarray:
    """z-depth of the plane normal . X = offset."""
    return offset / (camera.rays() @ normal)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_lifted_plane_is_that_plane_and_projects_back(camera: Camera) -> None:
    normal = np.array([0.1, -0.2, 1.0])
    points = lift(plane_depth(camera, normal, 3.0), camera)
    assert points.shape == (48, 64, 3)
    np.testing.assert_allclose(points @ normal, 3.0, rtol=1e-12)
    uv, valid = camera.project(points)
    assert valid.all()
    np.testing.assert_allclose(uv[5, 9], (9, 5), atol=1e-6)


def test_unknown_depth_goes_nowhere_and_gradients_stay_finite() -> None:
    camera = CAMERAS[0]
    depth = torch.full((48, 64), 2.0)
    depth[0, :4] = torch.tensor([0.0, -1.0, torch.nan, torch.inf])
    depth.requires_grad_()
    points = lift(depth, camera)
    assert (points[0, :4] == 0).all()
    uv, z, valid = reproject(depth, camera, torch.eye(4), camera)
    assert (~valid).sum() == 4
    (uv[valid].sum() + z[valid].sum()).backward()
    assert torch.isfinite(depth.grad).all()


@pytest.mark.parametrize("target", CAMERAS, ids=lambda c: c.model)
def test_reprojected_plane_is_seen_at_its_depth(target: Camera) -> None:
    source, normal, offset = CAMERAS[0], np.array([0.1, -0.2, 1.0]), 3.0
    motion = poses.compose(Rotation.from_rotvec([0.02, -0.05, 0.03]).as_matrix(), np.array([0.1, -0.05, 0.2]))
    uv, z, valid = reproject(plane_depth(source, normal, offset), source, motion, target)
    assert valid.mean() > 0.4
    # the plane in the target's axes, by the other route
    moved_normal = motion[:3, :3] @ normal
    moved_offset = offset + moved_normal @ motion[:3, 3]
    expected = moved_offset / (target.unproject(uv[valid]) @ moved_normal)
    np.testing.assert_allclose(z[valid], expected, rtol=1e-9)
    inside = (uv >= -0.5).all(-1) & (uv[..., 0] <= 63.5) & (uv[..., 1] <= 47.5)
    assert (valid == inside).all()


def test_batches() -> None:
    cameras = [CAMERAS[0], CAMERAS[0].flip()]
    depth = torch.rand((2, 48, 64)) + 1
    motions = torch.from_numpy(
        poses.compose(Rotation.random(2, np.random.default_rng(0)).as_matrix(), np.array([[0, 0, 5.0]] * 2))
    ).float()
    together = reproject(depth, Camera.stack(cameras), motions, Camera.stack(cameras))
    for i, camera in enumerate(cameras):
        alone = reproject(depth[i], camera, motions[i], camera)
        assert torch.equal(together[2][i], alone[2])
        torch.testing.assert_close(together[1][i], alone[1])
        torch.testing.assert_close(together[0][i][alone[2]], alone[0][alone[2]], rtol=1e-4, atol=1e-3)


def read(folder: Path, index: int) -> tuple[np.ndarray, np.ndarray]:
    raw = np.asarray(Image.open(folder / f"frame-{index:06d}.depth.png"))
    depth = np.where((raw == 0) | (raw == 65535), 0.0, raw / 1000)
    return depth, np.loadtxt(folder / f"frame-{index:06d}.pose.txt")


def test_two_real_frames_agree_on_depth(real_data: Path) -> None:
    camera = Camera.load(real_data / "sevenscenes" / "camera-intrinsics.txt", 640, 480)
    (depth, pose), (other, other_pose) = (read(real_data / "sevenscenes" / "seq-01", i) for i in (0, 20))

    def error(motion: np.ndarray) -> float:
        uv, z, valid = reproject(depth, camera, motion, camera)
        column, row = np.rint(uv[valid]).astype(int).clip(0, (639, 479)).T
        seen, z = other[row, column], z[valid]
        assert (seen > 0).mean() > 0.5
        return float(np.median(abs(z - seen)[seen > 0] / seen[seen > 0]))

    right = error(poses.relative(pose, other_pose))
    assert right < 0.01
    # the check can tell: standing still, or the inverse motion, is clearly worse
    assert error(np.eye(4)) > 2 * right
    assert error(poses.relative(other_pose, pose)) > 2 * right
