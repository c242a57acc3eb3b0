from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from common.rigs import rigs
from leadline.camera import Omnidirectional
from leadline.data.c3vd import CAMERA, VIDEOS, C3vd, C3vdLayout
from leadline.data.lists import FrameId
from leadline.errors import InputError
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


#: Camera-to-world, and as the files have it.
POSE = np.array([[0, -1, 0, 5.5], [1, 0, 0, -6], [0, 0, 1, 7], [0, 0, 0, 1]], float)
STORED = "0,1,0,0,-1,0,0,0,0,0,1,0,5.5,-6,7,1\n"


def register(folder: Path, count: int = 3, name: str = "{}_color.png", second: bool = False) -> Path:
    """A video of 27x22 pixels; frame n has depth code 1000 n + 6553."""
    places = {"depth": "depth", "normals": "normals", "flow": "optical_flow"} if second else {}
    for place in ("", *places.values(), *(["rgb"] if second else [])):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = np.full((22, 27, 3), (0, 0, number), np.uint8)
        assert cv2.imwrite(str(folder / ("rgb/{:04d}.png" if second else name).format(number)), image)
        codes = np.full((22, 27), 1000 * number + 6553, np.uint16)
        codes[0, :2] = 0, 65535
        tifffile.imwrite(folder / places.get("depth", "") / f"{number:04d}_depth.tiff", codes)
        normals = np.full((22, 27, 3), (32768, 32768, 0), np.uint16)
        normals[0, 0] = 0
        tifffile.imwrite(folder / places.get("normals", "") / f"{number:04d}_normals.tiff", normals, photometric="rgb")
        if number:
            flow = np.full((22, 27, 3), (49151, 16384, 0), np.uint16)
            flow[0, :2] = (0, 0, 0), (65535, 30000, 0)
            tifffile.imwrite(folder / places.get("flow", "") / f"{number:04d}_flow.tiff", flow, photometric="rgb")
    (folder / "pose.txt").write_text(STORED * count)
    return folder


@pytest.mark.parametrize("name", ["{}_color.png", "{:04d}_color.png"])
def test_the_first_release_is_read_with_both_names(name: str, tmp_path: Path) -> None:
    register(tmp_path / "trans_t2_b", 12, name)
    data = C3vd(tmp_path)
    assert [str(id) for id in data.ids] == [f"trans_t2_b/{number:06d}" for number in range(12)]
    frame = data[11]
    assert frame.image[0, 0, 0] == pytest.approx(11 / 255)
    assert frame.depth.unit == "mm"
    np.testing.assert_allclose(frame.depth.values[1], (11000 + 6553) / 65535 * 100, rtol=1e-6)
    assert np.argwhere(~frame.depth.valid).tolist() == [[0, 0], [0, 1]]
    np.testing.assert_array_equal(frame.pose, POSE)
    assert frame.camera == CAMERA.resize(22, 27)
    assert frame.time == 11 / 30
    assert (frame.normals, frame.backward_flow) == (None, None)
    assert data.neighbour(data.ids[11], 1) is None
    assert all(path.is_file() for path in data.files(data.ids[11]))


def test_the_second_release_is_read(tmp_path: Path) -> None:
    register(tmp_path / "registered_videos/c1_cecum_t1_v1", second=True)
    moving = tmp_path / "deformation_videos/c1_cecum_t1_v4/rgb"
    moving.mkdir(parents=True)
    assert cv2.imwrite(str(moving / "0000.png"), np.zeros((22, 27, 3), np.uint8))
    data = C3vd(tmp_path)
    assert [str(id) for id in data.ids] == [f"c1_cecum_t1_v1/00000{number}" for number in range(3)]
    frame = data[2]
    np.testing.assert_allclose(frame.depth.values[1], 8553 / 65535 * 100, rtol=1e-6)
    np.testing.assert_array_equal(frame.pose, POSE)
    every = C3vd(tmp_path, "all")
    assert len(every) == 4
    frame = every.load(FrameId("c1_cecum_t1_v4", 0))
    assert (frame.depth, frame.pose) == (None, None)
    assert every.files(FrameId("c1_cecum_t1_v4", 0)) == [moving / "0000.png"]


def test_poses_row_by_row_are_told(tmp_path: Path) -> None:
    folder = register(tmp_path / "cecum_t1_a", 1)
    (folder / "pose.txt").write_text("0 -1 0 5.5 1 0 0 -6 0 0 1 7 0 0 0 1\n")
    np.testing.assert_array_equal(C3vd(tmp_path)[0].pose, POSE)


def test_intrinsics_beside_the_videos_are_believed(tmp_path: Path) -> None:
    register(tmp_path / "registered_videos/c1_cecum_t1_v1", 1, second=True)
    file = tmp_path / "camera_intrinsics.txt"
    file.write_text("width 54\nheight: 44\ncx = 26.5\ncy=21.5\na0 31.0\na1 0\na2 -1.5e-3\na3 .25e-6\na4 0.0\n"
                    "c 1.0\nd 2e-3\ne -3e-3\n")  # fmt: skip
    camera = C3vd(tmp_path)[0].camera
    assert camera == Omnidirectional(54, 44, cx=26.5, cy=21.5, a0=31.0, a2=-1.5e-3, a3=0.25e-6, a4=0.0,
                                     c=1.0, d=2e-3, e=-3e-3).resize(22, 27)  # fmt: skip
    file.write_text("54 44 26.5")
    with pytest.raises(InputError, match=r"camera_intrinsics\.txt: should hold a number for each of width, height, cx"):
        C3vd(tmp_path)[0]


@pytest.mark.parametrize("names", [("cecum_t2_a", "sigmoid_t3_a", "trans_t2_a"),
                                   ("c0_cecum_t2_v1", "c0_sigmoid_t3_v1", "c0_transverse_t2_v1")])  # fmt: skip
def test_the_test_list_finds_videos_by_both_names(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        register(tmp_path / name, 2)
    data = C3vd(tmp_path, "pdc-test")
    assert len(set(data.ids)) == 1171
    assert [sum(id.sequence == name for id in data.ids) for name in names] == [368, 611, 192]
    assert str(data.parse("trans_t2_a 0001 l")) == f"{names[2]}/000001"
    assert str(data.parse("/data/C3VD/c0_transverse_t2_v1/0001_color.png")) == f"{names[2]}/000001"
    assert str(data.parse("x/c1_rectum_t1_v1/rgb/0012.png")) == "c1_rectum_t1_v1/000012"
    assert data[0].name == "000001"
    register(tmp_path / "cecum_t1_a", 2)
    assert [str(id) for id in C3vd(tmp_path, "pdc-rest").ids] == ["cecum_t1_a/000000", "cecum_t1_a/000001"]


def test_one_video_can_be_the_folder(tmp_path: Path) -> None:
    data = C3vd(register(tmp_path / "cecum_t1_a", 2))
    assert [str(id) for id in data.ids] == ["cecum_t1_a/000000", "cecum_t1_a/000001"]
    assert data[1].depth is not None


def test_what_the_writer_writes_is_read(video: Path, shot: list[Rig]) -> None:
    data = C3vd(video.parent)
    assert len(data) == 3
    for frame, rig in zip(data, shot, strict=True):
        truth = rig["camera"]
        near = truth.depth.valid & (truth.depth.values < 100)
        np.testing.assert_array_equal(frame.depth.valid, near)
        np.testing.assert_allclose(frame.depth.values[near], truth.depth.values[near], atol=100 / 65535 + 1e-5)
        np.testing.assert_allclose(frame.pose, truth.pose, atol=1e-6)
        np.testing.assert_allclose(frame.image, truth.image, atol=1e-6)
        assert frame.camera == truth.camera


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = register(tmp_path / "cecum_t1_a")
    data = C3vd(tmp_path)
    (folder / "0000_depth.tiff").unlink()
    with pytest.raises(InputError, match=r"cecum_t1_a/0000_depth\.tiff: no such file"):
        data[0]
    (folder / "pose.txt").write_text(STORED)
    with pytest.raises(InputError, match=r"pose\.txt: has 1 lines, none for frame 1"):
        data[1]
    (folder / "pose.txt").write_text("1,2,3\n")
    with pytest.raises(InputError, match=r"pose\.txt: holds 3 numbers, which are not \(-1, 4, 4\)"):
        C3vd(tmp_path)[1]
    with pytest.raises(InputError, match=r"is not 'cecum_t2_a 0001 l', nor cecum_t2_a/0001_color\.png"):
        data.parse("cecum_t2_a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no frame of c3vd, split pdc-test"):
        C3vd(tmp_path / "empty", "pdc-test")
