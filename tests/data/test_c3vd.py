from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.rigs import rigs
from leadline.camera import Omnidirectional
from leadline.data.c3vd import VIDEOS, C3vdLayout
from leadline.rig import Rig


@pytest.fixture(scope="module")
def shot() -> list[Rig]:
    made = []
    for rig in rigs(C3vdLayout().mounts(), count=3, scale=0.1, unit="mm"):
        frame = rig["camera"]
        flow = frame.backward_flow.copy()
        flow[..., 0], flow[..., 1] = 3.25, -30
        flow[:4] = np.nan
        made.append(Rig({"camera": frame.replace(backward_flow=flow)}, rig.pose))
    return made


@pytest.fixture(scope="module")
def video(shot: list[Rig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("c3vd")
    written = C3vdLayout().write_clip(root, 0, shot)
    assert written == [root / "cecum_t1_a"]
    return written[0]


def read(path: Path) -> np.ndarray:
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return values[..., ::-1] if values.ndim == 3 else values


def rays(camera: Omnidirectional) -> np.ndarray:
    """(H, W, 3) with z = 1, as the authors' loader does it."""
    v, u = np.mgrid[: camera.height, : camera.width]
    centred = np.stack((u - camera.cx, v - camera.cy), axis=-1)
    x, y = np.moveaxis(centred @ np.linalg.inv([[camera.c, camera.d], [camera.e, 1]]).T, -1, 0)
    r = np.hypot(x, y)
    z = camera.a0 + camera.a2 * r**2 + camera.a3 * r**3 + camera.a4 * r**4
    return np.stack((x / z, y / z, np.ones_like(z)), axis=-1)


def test_names(video: Path, shot: list[Rig], tmp_path: Path) -> None:
    assert len(VIDEOS) == 22
    files = {f"{index}_color.png" for index in range(3)} | {"0001_flow.tiff", "0002_flow.tiff", "pose.txt"}
    files |= {f"{index:04d}_{name}" for index in range(3) for name in ("depth.tiff", "normals.tiff", "occlusion.png")}
    assert {path.name for path in video.iterdir()} == files
    assert C3vdLayout().write_clip(tmp_path, 22, shot[:1]) == [tmp_path / "cecum_t1_a_2"]
    np.testing.assert_array_equal(read(video / "1_color.png"), np.rint(shot[1]["camera"].image * 255))


def test_depth(video: Path, shot: list[Rig]) -> None:
    for index, rig in enumerate(shot):
        codes, truth = read(video / f"{index:04d}_depth.tiff"), rig["camera"].depth
        assert codes.dtype == np.uint16
        near = truth.valid & (truth.values < 100)
        assert near.mean() > 0.9
        np.testing.assert_allclose(codes[near] / 65535 * 100, truth.values[near], atol=100 / 65535 + 1e-5)


def test_depth_that_the_file_cannot_hold(shot: list[Rig], tmp_path: Path) -> None:
    frame = shot[0]["camera"]
    values, valid = np.full(frame.depth.shape, 100.0, np.float32), np.ones(frame.depth.shape, bool)
    values[1], valid[2] = 99.9999, False
    depth = type(frame.depth)(values, frame.depth.kind, "mm", valid, frame.camera)
    (folder,) = C3vdLayout().write_clip(tmp_path, 3, [Rig({"camera": frame.replace(depth=depth)}, None)])
    codes = read(folder / "0000_depth.tiff")
    assert (codes[0] == 65535).all()
    assert (codes[1] < 65535).all()
    assert (codes[2] == 0).all()
    assert (read(folder / "0000_normals.tiff")[2] == 0).all()


def test_normals(video: Path, shot: list[Rig]) -> None:
    codes, frame = read(video / "0000_normals.tiff"), shot[0]["camera"]
    assert codes.dtype == np.uint16
    seen = frame.depth.valid
    np.testing.assert_allclose(codes[seen] / 65535 * 2 - 1, frame.normals[seen], atol=1e-4)
    assert (codes[seen][:, 2] < 32768).all()  # they face the camera


def test_flow_goes_to_the_frame_before(video: Path) -> None:
    codes = read(video / "0001_flow.tiff")
    assert (codes.dtype, codes.shape[2]) == (np.uint16, 3)
    assert (codes[:4] == 0).all()
    assert (codes[..., 2] == 0).all()
    flow = codes[4:, :, :2] / 65535 * 40 - 20
    np.testing.assert_allclose(flow[..., 0], 3.25, atol=40 / 65535)
    assert (flow[..., 1] == -20).all()


def test_occlusion_marks_what_stands_before_something(shot: list[Rig], tmp_path: Path) -> None:
    frame = shot[0]["camera"]
    values = np.full(frame.depth.shape, 80.0, np.float32)
    values[20:30, 40:50] = 40.0
    values[50:] = 200.0  # too far to count
    depth = type(frame.depth)(values, frame.depth.kind, "mm", None, frame.camera)
    (folder,) = C3vdLayout().write_clip(tmp_path, 3, [Rig({"camera": frame.replace(depth=depth)}, None)])
    mask = read(folder / "0000_occlusion.png")
    assert mask.dtype == np.uint8
    expected = np.zeros_like(mask)
    expected[20:30, 40:50], expected[21:29, 41:49] = 255, 0
    np.testing.assert_array_equal(mask, expected)


def test_poses_are_transposed(video: Path, shot: list[Rig]) -> None:
    rows = np.loadtxt(video / "pose.txt", delimiter=",")
    assert rows.shape == (3, 16)
    for row, rig in zip(rows, shot, strict=True):
        np.testing.assert_allclose(row.reshape(4, 4).T, rig["camera"].pose, atol=1e-6)


def test_points_move_onto_the_next_frame_by_the_poses(video: Path, shot: list[Rig]) -> None:
    camera = shot[0]["camera"].camera
    depths = [read(video / f"{index:04d}_depth.tiff") / 65535 * 100 for index in (0, 1)]
    poses = np.loadtxt(video / "pose.txt", delimiter=",").reshape(-1, 4, 4)
    known = (depths[0] > 0) & (depths[0] < 100)
    points = (rays(camera) * depths[0][..., None])[known]
    homogeneous = np.concatenate((points, np.ones_like(points[:, :1])), axis=1)
    # points are rows, as in the authors' loader
    moved = (homogeneous @ poses[0] @ np.linalg.inv(poses[1]))[:, :3]
    # The pixel is where the ray lies nearest: no other projection than the rays themselves is needed.
    directions = rays(camera).reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    some = moved[:: len(moved) // 400]
    cosine = some / np.linalg.norm(some, axis=1, keepdims=True) @ directions.T
    hit = cosine.max(axis=1) > np.cos(0.008)
    there = depths[1].ravel()[cosine.argmax(axis=1)][hit]
    assert hit.mean() > 0.6
    assert np.mean(abs(there / some[hit, 2] - 1) < 0.03) > 0.9
