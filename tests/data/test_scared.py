from __future__ import annotations

import json
import os
import pickle
import tarfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.reprojection import seen_at
from common.rigs import rigs
from leadline.data.lists import FrameId
from leadline.data.scared import Scared, ScaredLayout
from leadline.errors import ConfigError, InputError
from leadline.geometry.poses import relative
from leadline.io.video import VideoReader, write_video
from leadline.rig import Rig


@pytest.fixture(scope="module")
def shot() -> list[Rig]:
    return rigs(ScaredLayout().mounts(), count=3, scale=0.1, unit="mm")


@pytest.fixture(scope="module")
def keyframe(shot: list[Rig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scared")
    written = ScaredLayout().write_clip(root, 6, shot)
    assert written == [root / "dataset_2" / "keyframe_2"]
    return written[0]


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path, "r:gz") as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}


def scenes(keyframe: Path) -> list[np.ndarray]:
    files = members(keyframe / "data" / "scene_points.tar.gz")
    assert list(files) == [f"scene_points{index:06d}.tiff" for index in range(3)]
    return [tifffile.imread(BytesIO(data)) for data in files.values()]


def records(keyframe: Path) -> list[dict]:
    files = members(keyframe / "data" / "frame_data.tar.gz")
    assert list(files) == [f"frame_data{index:06d}.json" for index in range(3)]
    return [json.loads(data) for data in files.values()]


def test_scene_points_are_left_over_right(keyframe: Path, shot: list[Rig]) -> None:
    for points, rig in zip(scenes(keyframe), shot, strict=True):
        height = rig["left"].height
        assert (points.dtype, points.shape) == (np.float32, (2 * height, rig["left"].width, 3))
        np.testing.assert_array_equal(points[:height, :, 2], rig["left"].depth.values)
        np.testing.assert_array_equal(points[height:, :, 2], rig["right"].depth.values)


def test_points_project_to_their_pixels_by_the_calibration(keyframe: Path, shot: list[Rig]) -> None:
    storage = cv2.FileStorage(str(keyframe / "endoscope_calibration.yaml"), cv2.FILE_STORAGE_READ)
    matrices = {name: storage.getNode(name).mat() for name in ("M1", "D1", "M2", "D2", "R", "T")}
    described = records(keyframe)[1]["camera-calibration"]
    for name, same in zip(("KL", "DL", "KR", "DR", "R", "T"), matrices.values(), strict=True):
        np.testing.assert_allclose(described[name], same, atol=1e-12)
    for side, number in (("left", "1"), ("right", "2")):
        points = tifffile.imread(keyframe / f"{side}_depth_map.tiff")
        none, lens = np.zeros(3), (matrices["M" + number], matrices["D" + number])
        pixels = cv2.projectPoints(points.reshape(-1, 3).astype(float), none, none, *lens)[0]
        v, u = np.mgrid[: points.shape[0], : points.shape[1]]
        np.testing.assert_allclose(pixels.reshape(*u.shape, 2), np.stack((u, v), axis=-1), atol=1e-3)
    # R, T bring a point from left to right axes
    moved = matrices["R"] @ [0, 0, 50] + matrices["T"][:, 0]
    np.testing.assert_allclose(moved, [-4.14339, 0, 50], atol=1e-6)


def test_unknown_is_nan_in_keyframes_and_0_in_sequences(shot: list[Rig], tmp_path: Path) -> None:
    left = shot[0]["left"]
    valid = left.depth.valid.copy()
    valid[3:7] = False
    depth = type(left.depth)(left.depth.values, left.depth.kind, "mm", valid, left.camera)
    rig = Rig({"left": left.replace(depth=depth), "right": shot[0]["right"]}, shot[0].pose)
    (folder,) = ScaredLayout().write_clip(tmp_path, 0, [rig])
    assert np.isnan(tifffile.imread(folder / "left_depth_map.tiff")[3:7]).all()
    points = tifffile.imread(BytesIO(members(folder / "data" / "scene_points.tar.gz")["scene_points000000.tiff"]))
    assert (points[3:7] == 0).all()
    assert (points[7:, :, 2] > 0).all()


def test_poses_are_world_to_camera_and_start_at_the_keyframe(keyframe: Path, shot: list[Rig]) -> None:
    poses = [np.array(record["camera-pose"]) for record in records(keyframe)]
    np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(poses[2], relative(shot[0]["left"].pose, shot[2]["left"].pose), atol=1e-9)


def test_points_move_onto_the_next_frame_by_the_poses(keyframe: Path) -> None:
    height = tifffile.imread(keyframe / "left_depth_map.tiff").shape[0]
    first, second = (points[:height].astype(float) for points in scenes(keyframe)[:2])
    record = records(keyframe)[1]
    pose, matrix = np.array(record["camera-pose"]), np.array(record["camera-calibration"]["KL"])
    moved = first.reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3]
    own, there = seen_at(moved, second[..., 2], matrix)
    assert len(own) > 0.8 * len(moved)
    assert np.mean(abs(there / own - 1) < 0.02) > 0.95


def test_pictures(keyframe: Path, shot: list[Rig]) -> None:
    for side in ("left", "right"):
        picture = cv2.imread(str(keyframe / f"{side.title()}_Image.png"))[..., ::-1]
        np.testing.assert_array_equal(picture, np.rint(shot[0][side].image * 255))
    video = cv2.VideoCapture(str(keyframe / "data" / "rgb.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    for rig in shot:
        # of colours a video keeps a quarter of the pixels
        picture = cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY) / 255
        expected = cv2.cvtColor(np.concatenate((rig["left"].image, rig["right"].image)), cv2.COLOR_RGB2GRAY)
        assert abs(picture - expected).mean() < 0.02
    assert not video.read()[0]


def test_the_fifth_keyframe_is_one_frame(shot: list[Rig], tmp_path: Path) -> None:
    (folder,) = ScaredLayout().write_clip(tmp_path, 4, shot)
    assert folder == tmp_path / "dataset_1" / "keyframe_5"
    assert list(members(folder / "data" / "frame_data.tar.gz")) == ["frame_data000000.json"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def points(number: int, rows: int = 24, columns: int = 32) -> np.ndarray:
    """Left over right, z = 10 * number + column on the left and 100 more on the right; x and y are something else."""
    z = 10 * number + np.tile(np.arange(columns, dtype=np.float32), (2 * rows, 1))
    z[rows:] += 100
    z[0, 0] = 0
    return np.stack((z + 1000, z + 2000, z), axis=-1)


def turned(number: int) -> np.ndarray:
    """World-to-camera."""
    pose = np.eye(4)
    pose[:3] = [[0, -1, 0, number], [1, 0, 0, 2], [0, 0, 1, 3]]
    return pose


def described(number: int) -> dict:
    calibration = {"KL": [[50, 0, 15], [0, 51, 11], [0, 0, 1]], "DL": [[0.1, 0, 0, 0, 0.2]], "R": np.eye(3).tolist(),
                   "KR": [[52, 0, 14], [0, 53, 10], [0, 0, 1]], "DR": [[0.0] * 5], "T": [-4, 0, 0]}  # fmt: skip
    return {"camera-calibration": calibration, "camera-pose": turned(number).tolist(), "timestamp": 1.5}


def pack(archive: Path, files: dict[str, bytes]) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as stream:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            stream.addfile(info, BytesIO(data))


def tiff(values: np.ndarray) -> bytes:
    stream = BytesIO()
    tifffile.imwrite(stream, values, photometric="rgb")
    return stream.getvalue()


def download(folder: Path, count: int = 3) -> Path:
    """A keyframe as it is downloaded: frame n is grey 20 n on the left, 20 n + 100 on the right."""
    pictures = [np.repeat(np.array([20 * n, 20 * n + 100], np.uint8), 24)[:, None, None] for n in range(1, count + 1)]
    write_video(folder / "data/rgb.mp4", 25, [np.tile(picture, (1, 32, 3)) for picture in pictures])
    pack(folder / "data/scene_points.tar.gz",
         {f"./scene_points{i:06d}.tiff": tiff(points(i + 1)) for i in range(count)})  # fmt: skip
    pack(folder / "data/frame_data.tar.gz",
         {f"frame_data{i:06d}.json": json.dumps(described(i + 1)).encode() for i in range(count)})  # fmt: skip
    Image.new("RGB", (32, 24), (10, 20, 30)).save(folder / "Left_Image.png")
    keyframe = points(7)[:24]
    keyframe[5] = np.nan
    tifffile.imwrite(folder / "left_depth_map.tiff", keyframe, photometric="rgb")
    return folder


def test_a_download_is_read(tmp_path: Path, cache: Path) -> None:
    download(tmp_path / "dataset_3/keyframe_4")
    data = Scared(tmp_path, "all")
    assert [str(id) for id in data.ids] == [
        f"dataset3/keyframe4/{camera}/00000{number}" for camera in ("left", "right") for number in (1, 2, 3)
    ]
    left, right = data[1], data[4]
    assert left.image == pytest.approx(40 / 255, abs=0.02)
    assert right.image == pytest.approx(140 / 255, abs=0.02)
    for frame, rows, camera in ((left, slice(24), "left"), (right, slice(24, None), "right")):
        np.testing.assert_array_equal(frame.depth.values, points(2)[rows, :, 2])
        assert (frame.depth.unit, frame.sequence, frame.time) == ("mm", f"dataset3/keyframe4/{camera}", 1 / 25)
    assert not left.depth.valid[0, 0]
    assert left.depth.valid.mean() > 0.99
    assert (left.camera.fx, left.camera.fy, left.camera.cx, left.camera.cy) == (0.82 * 32, 1.02 * 24, 16, 12)
    np.testing.assert_allclose(left.pose, np.linalg.inv(turned(2)), atol=1e-12)
    np.testing.assert_allclose(left.pose[:3, :3] @ [4, 0, 0] + left.pose[:3, 3], right.pose[:3, 3], atol=1e-12)
    assert [frame.name for frame in data.clip(1)] == ["000001", "000002", "000003"]
    assert data.neighbour(data.ids[2], 1) is None
    assert set(data.rig([1, 4])) == {"left", "right"}


def test_only_frames_of_the_split_are_unpacked_and_only_once(tmp_path: Path, cache: Path) -> None:
    folder = download(tmp_path / "dataset_3/keyframe_4")
    (tmp_path / "two.txt").write_text("dataset3/keyframe4\t1 l\ndataset3/keyframe4 3 l\n")
    data = Scared(tmp_path, str(tmp_path / "two.txt"))
    assert not list(cache.rglob("*.*"))  # nothing is unpacked before a frame is asked for
    data[0]
    assert sorted(path.name for path in cache.rglob("left/*")) == [
        "000001.png",
        "000001.tiff",
        "000003.png",
        "000003.tiff",
    ]
    for name in ("rgb.mp4", "scene_points.tar.gz"):
        state = (folder / "data" / name).stat()
        (folder / "data" / name).write_bytes(b"0" * state.st_size)
        os.utime(folder / "data" / name, ns=(state.st_atime_ns, state.st_mtime_ns))
    np.testing.assert_array_equal(data[1].depth.values, points(3)[:24, :, 2])  # the sources are not touched again


def test_a_frame_outside_the_split_unpacks_all(tmp_path: Path, cache: Path) -> None:
    download(tmp_path / "dataset_3/keyframe_4")
    (tmp_path / "one.txt").write_text("dataset3/keyframe4 2 l\n")
    data = Scared(tmp_path, str(tmp_path / "one.txt"))
    assert len(data.clip(0)) == 3
    assert sorted(path.name for path in cache.rglob("left/*.tiff")) == ["000001.tiff", "000002.tiff", "000003.tiff"]


def test_an_entry_of_paths_is_a_file_that_exists(tmp_path: Path, cache: Path) -> None:
    download(tmp_path / "dataset_3/keyframe_4")
    data = Scared(tmp_path, "all")
    assert data.paths[2].is_file()
    assert data.paths[-1].is_file()
    assert data.size(4) == (24, 32)
    copied = pickle.loads(pickle.dumps(Scared(tmp_path, "all", every=2)))
    assert copied.paths[1].is_file()
    assert copied[1].name == "000003"
    assert all(path.is_file() for path in Scared(tmp_path, "all").paths[1:3])
    assert Scared(tmp_path, "all", mask="auto").mask is None  # grey to the border


def test_what_has_to_be_there_are_the_sources(tmp_path: Path, cache: Path) -> None:
    folder = download(tmp_path / "dataset_3/keyframe_4")
    data = Scared(tmp_path, "all")
    assert data.files(data.ids[0]) == [folder / "data/rgb.mp4", folder / "data/scene_points.tar.gz"]
    assert Scared(tmp_path, "all", truth="none").files(data.ids[0]) == [folder / "data/rgb.mp4"]


def test_an_export_is_read_with_numbers_one_more_than_those_of_the_points(tmp_path: Path) -> None:
    place = tmp_path / "dataset1/keyframe3/image_02/data"
    for name in ("groundtruth", "frame_data"):
        (place / name).mkdir(parents=True)
    for number in (2, 3, 10):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(place / f"{number:010d}.png")
        tifffile.imwrite(place / f"groundtruth/scene_points{number - 1:06d}.tiff", points(number), photometric="rgb")
        (place / f"frame_data/frame_data{number - 1:06d}.json").write_text(json.dumps(described(number)))
    data = Scared(tmp_path, "all")
    assert [id.number for id in data.ids] == [2, 3, 10]
    frame = data[2]
    assert frame.image[0, 0, 0] == pytest.approx(10 / 255)
    np.testing.assert_array_equal(frame.depth.values, points(10)[:24, :, 2])
    np.testing.assert_allclose(frame.pose, np.linalg.inv(turned(10)), atol=1e-12)
    assert data.neighbour(data.ids[0], 1) == data.ids[1]
    assert data.neighbour(data.ids[1], 1) is None
    camera = Scared(tmp_path, "all", intrinsics="file")[0].camera
    assert camera.to_dict() | {"model": 0} == {"model": 0, "width": 32, "height": 24, "fx": 50, "fy": 51, "cx": 15,
        "cy": 11, "k1": 0.1, "k2": 0, "p1": 0, "p2": 0, "k3": 0.2}  # fmt: skip
    (place / "frame_data/frame_data000001.json").unlink()
    (place / "frame_data/frame_data000002.json").unlink()
    (place / "frame_data/frame_data000009.json").unlink()
    (place / "frame_data").rmdir()
    assert data[0].pose is None


def test_keyframes_have_their_own_image_and_depth(tmp_path: Path, cache: Path) -> None:
    download(tmp_path / "train/dataset_3/keyframe_4")
    data = Scared(tmp_path, "keyframes")
    assert [(id.sequence, id.number) for id in data.ids] == [("dataset3/keyframe4", 0)]
    np.testing.assert_allclose(data[0].image[0, 0] * 255, [10, 20, 30], atol=1e-4)
    np.testing.assert_array_equal(data[0].depth.valid[:, 1], np.arange(24) != 5)
    assert data[0].depth.values[4, 3] == 73
    assert (data[0].pose, data[0].time, data.neighbour(data.ids[0], 1)) == (None, None, None)
    assert not cache.exists()


def test_test_videos_count_from_0_and_lists_from_1(tmp_path: Path, cache: Path) -> None:
    for dataset in (8, 9):
        for keyframe in range(5):
            download(tmp_path / f"test_dataset_{dataset}/keyframe_{keyframe}", 2)
    data = Scared(tmp_path, "video")
    assert len(data) == 16
    assert list(dict.fromkeys(id.sequence for id in data.ids))[3:5] == ["dataset8/keyframe3", "dataset9/keyframe0"]
    assert str(data.parse("dataset9/keyframe1 2 r")) == "dataset9/keyframe0/right/000002"
    assert str(data.parse("dataset3/keyframe1 2 l")) == "dataset3/keyframe1/left/000002"


def test_the_test_list_has_the_fields_counts(tmp_path: Path) -> None:
    (tmp_path / "dataset_1/keyframe_3").mkdir(parents=True)
    data, validation = Scared(tmp_path), Scared(tmp_path, "af-val")
    counts = Counter(id.sequence for id in data.ids)
    assert counts.pop("dataset1/keyframe3") == 78
    assert counts == {f"dataset{2 + i}/keyframe4": count for i, count in enumerate((71, 79, 76, 87, 83, 77))}
    assert len(set(data.ids)) == 551
    # as they are in the public file, whose 13,684 characters have six blanks in place of a tab
    assert data.parse("dataset3/keyframe4\t390\tl") == data.ids[0]
    assert data.parse("dataset6/keyframe4\t770\tl") == data.ids[1]
    assert data.parse("dataset7/keyframe4      1446\tl") == data.ids[205]
    assert data.parse("dataset3/keyframe4\t278\tl") == data.ids[-1]
    assert len("\n".join(f"{id.sequence}\t{id.number}\tl" for id in data.ids)) + 5 == 13684
    assert (len(validation), len({id.sequence for id in validation.ids})) == (1705, 6)


def test_what_the_writer_writes_is_read(tmp_path: Path, shot: list[Rig], cache: Path) -> None:
    ScaredLayout().write_clip(tmp_path, 6, shot)
    data = Scared(tmp_path, "all", intrinsics="file")
    start = np.linalg.inv(shot[0]["left"].pose)
    for index, (number, side) in enumerate((number, side) for side in ("left", "right") for number in range(3)):
        frame, truth = data[index], shot[number][side]
        np.testing.assert_array_equal(frame.depth.values, truth.depth.values)
        np.testing.assert_array_equal(frame.depth.valid, truth.depth.valid)
        np.testing.assert_allclose(frame.camera.K, truth.camera.K, atol=1e-9)
        np.testing.assert_allclose(frame.pose, start @ truth.pose, atol=1e-9)
        # of colours a video keeps a quarter of the pixels
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (frame.image, truth.image)]
        assert abs(grey[0] - grey[1]).mean() < 0.02


def test_what_is_missing_or_damaged_is_named(tmp_path: Path, cache: Path) -> None:
    folder = download(tmp_path / "dataset_3/keyframe_4")
    with pytest.raises(InputError, match=r"holds no frame of scared, split all; expected are .*rgb\.mp4"):
        Scared(folder / "data", "all")
    with pytest.raises(InputError, match=r"af-train\.txt: split af-train needs this list; .*train_files\.txt"):
        Scared(tmp_path, "af-train")
    with pytest.raises(ConfigError, match=r"intrinsics: scared has no intrinsics 'files'; did you mean 'file'"):
        Scared(tmp_path, "all", intrinsics="files")
    data = Scared(tmp_path)
    with pytest.raises(InputError, match=r"dataset_3/keyframe_4/data/rgb\.mp4: has no frame 16 of"):
        data.load(FrameId("dataset3/keyframe4", 16, "left"))
    with pytest.raises(InputError, match=r"dataset_1/keyframe_3/data/rgb\.mp4: no such file, nor exported images in"):
        data.load(FrameId("dataset1/keyframe3", 2, "left"))
    archive = folder / "data/scene_points.tar.gz"
    noise = np.random.default_rng(0).random((48, 32, 3), np.float32)  # does not shrink: the cut is in a member
    pack(archive, {f"scene_points{i:06d}.tiff": tiff(noise) for i in range(3)})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(InputError, match=r"scene_points\.tar\.gz: cannot be unpacked, download it again"):
        Scared(tmp_path, "all").depth(FrameId("dataset3/keyframe4", 3, "left"))
    pack(archive, {"scene_points000000.tiff": b"no TIFF"})
    with pytest.raises(InputError, match=r"scene_points\.tar\.gz: scene_points000000\.tiff is no readable TIFF"):
        Scared(tmp_path, "all").depth(FrameId("dataset3/keyframe4", 1, "left"))
    pack(archive, {"scene_points000000.tiff": tiff(points(1))})
    with pytest.raises(InputError, match=r"scene_points\.tar\.gz: has no frame 3 of dataset3/keyframe4, it is cut off"):
        Scared(tmp_path, "all").depth(FrameId("dataset3/keyframe4", 3, "left"))
    archive.unlink()
    with pytest.raises(InputError, match=r"scene_points\.tar\.gz: no such file, nor scene_points000002\.tiff in"):
        Scared(tmp_path, "all").depth(FrameId("dataset3/keyframe4", 3, "left"))
    (folder / "data/frame_data.tar.gz").unlink()
    with pytest.raises(InputError, match=r"endoscope_calibration\.yaml: no such file, nor frame_data"):
        Scared(tmp_path, "all", intrinsics="file").camera(FrameId("dataset3/keyframe4", 3, "left"))
    (tmp_path / "bad.txt").write_text("dataset3/keyframe4 l\n")
    with pytest.raises(InputError, match=r"bad\.txt: line 1, .*is not 'dataset3/keyframe4 390 l'"):
        Scared(tmp_path, str(tmp_path / "bad.txt"))


def test_points_of_the_left_alone_are_no_depth_of_the_right(tmp_path: Path) -> None:
    for camera in ("image_02", "image_03"):
        (tmp_path / "dataset1/keyframe3" / camera / "data").mkdir(parents=True)
        Image.new("RGB", (32, 24)).save(tmp_path / "dataset1/keyframe3" / camera / "data/0000000002.png")
    place = tmp_path / "dataset1/keyframe3/data/scene_points"
    place.mkdir(parents=True)
    tifffile.imwrite(place / "scene_points000001.tiff", points(2)[:24], photometric="rgb")
    left, right = Scared(tmp_path, "all")
    np.testing.assert_array_equal(left.depth.values, points(2)[:24, :, 2])
    assert right.depth is None
    tifffile.imwrite(place / "scene_points000001.tiff", points(2), photometric="rgb")
    np.testing.assert_array_equal(Scared(tmp_path, "all")[1].depth.values, points(2)[24:, :, 2])


def test_a_frame_is_its_own_neighbour(tmp_path: Path, cache: Path) -> None:
    download(tmp_path / "dataset_3/keyframe_4")
    for split in ("keyframes", "all"):
        data = Scared(tmp_path, split)
        assert data.neighbour(data.ids[0], 0) == data.ids[0]
    assert len(Scared(tmp_path, "keyframes").clip(0, (0,))) == 1


def test_frames_are_counted_where_the_video_does_not_tell(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(tmp_path / "dataset_3/keyframe_4")

    class Silent(VideoReader):
        def __init__(self, source: Path) -> None:
            super().__init__(source)
            self.frame_count = None

    monkeypatch.setattr("leadline.data.scared.VideoReader", Silent)
    assert [id.number for id in Scared(tmp_path, "all").ids] == [1, 2, 3, 1, 2, 3]


def test_calibration_of_the_file_follows_images_made_smaller(tmp_path: Path) -> None:
    place = tmp_path / "dataset1/keyframe3/image_02/data"
    (place / "frame_data").mkdir(parents=True)
    Image.new("RGB", (320, 256)).save(place / "0000000001.png")
    record = described(1)
    record["camera-calibration"]["KL"] = [[1035.5, 0, 597], [0, 1035, 520.5], [0, 0, 1]]
    (place / "frame_data/frame_data000000.json").write_text(json.dumps(record))
    camera = Scared(tmp_path, "all", intrinsics="file").camera(FrameId("dataset1/keyframe3", 1, "left"))
    assert (camera.width, camera.height) == (320, 256)
    assert (camera.fx, camera.fy, camera.cx) == pytest.approx((1035.5 / 4, 1035 / 4, (597 + 0.5) / 4 - 0.5))
    assert (camera.k1, camera.k3) == (0.1, 0.2)
