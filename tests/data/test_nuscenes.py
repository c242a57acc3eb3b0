"""The writer against an independent reading, along nuscenes-devkit's chain of transformations; the loader against
tables written by hand, the writer's files and a real instant."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from common.nuscenes_sample import as_dataset
from common.reprojection import seen_at
from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.lidar import project
from leadline.data.lists import FrameId
from leadline.data.nuscenes import NuScenes, NuScenesLayout
from leadline.errors import InputError
from leadline.geometry.poses import relative


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def shot():
    layout = NuScenesLayout()
    return rigs(layout.mounts(), count=8, scale=0.1, lidar=layout.lidar, rate=layout.rate, drives=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory, shot):
    folder = tmp_path_factory.mktemp("nuscenes")
    for number in range(2):
        written = NuScenesLayout().write_clip(folder, number, shot)
        assert len(written) == 7 * len(shot)
        assert all(path.is_file() for path in written)
    NuScenesLayout().finish(folder, 2)
    return folder


@pytest.fixture(scope="module")
def tables(root):
    """By name of the table and token."""
    found = {file.stem: json.loads(file.read_text()) for file in (root / "v1.0-mini").iterdir()}
    assert all(len({record["token"] for record in records}) == len(records) for records in found.values())
    return {name: {record["token"]: record for record in records} for name, records in found.items()}


def matrix(record):
    w, x, y, z = record["rotation"]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    made = np.eye(4)
    made[:3, :3] += 2 * w * cross + 2 * cross @ cross
    made[:3, 3] = record["translation"]
    return made


def chain(tables, scene):
    """Measurements of a scene by channel, in the order of time."""
    first = tables["sample"][scene["first_sample_token"]]
    channels = {}
    for record in tables["sample_data"].values():
        if record["sample_token"] == first["token"] and not record["prev"]:
            calibrated = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
            chained = channels.setdefault(tables["sensor"][calibrated["sensor_token"]]["channel"], [])
            while record:
                chained.append(record)
                record = tables["sample_data"][record["next"]] if record["next"] else None
    return channels


def test_lidar_points_land_on_the_frames_depth(root, tables, shot):
    scene = next(record for record in tables["scene"].values() if record["name"] == "scene-0103")
    channels = chain(tables, scene)
    for index, rig in enumerate(shot):
        lidar = channels["LIDAR_TOP"][index]
        values = np.fromfile(root / lidar["filename"], np.float32).reshape(-1, 5)
        assert 2 < values[:, 3].max() <= 255
        assert set(values[:, 4]) == set(range(32))
        lowest, highest = (np.median(values[values[:, 4] == ring, 2]) for ring in (0, 31))
        assert lowest < 0 < highest
        points = np.c_[values[:, :3], np.ones(len(values))].T
        ego = matrix(tables["ego_pose"][lidar["ego_pose_token"]])
        np.testing.assert_allclose(ego, rig.pose, atol=1e-9)
        calibrated = tables["calibrated_sensor"][lidar["calibrated_sensor_token"]]
        assert calibrated["camera_intrinsic"] == []
        world = ego @ matrix(calibrated) @ points
        assert set(channels) == {*rig, "LIDAR_TOP"}
        for name, frame in rig.items():
            record = channels[name][index]
            assert record["filename"].startswith(f"{'sweeps' if index % 6 else 'samples'}/{name}/")
            calibrated = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
            pose = matrix(tables["ego_pose"][record["ego_pose_token"]]) @ matrix(calibrated)
            np.testing.assert_allclose(pose, frame.pose, atol=1e-9)
            points, lens = (np.linalg.inv(pose) @ world)[:3].T, np.array(calibrated["camera_intrinsic"])
            own, depth = seen_at(points, frame.depth.values, lens)
            assert len(own) > 500
            assert np.mean(abs(own / depth - 1) < 0.02) > 0.95
            with Image.open(root / record["filename"]) as picture:
                assert picture.size == (record["width"], record["height"])
                assert np.mean(abs(np.asarray(picture) / 255 - frame.image)) < 0.05  # JPEG


def test_lidar_axes(tables):
    """Forward of the vehicle is y of the files, and of the axes that the calibration gives."""
    record = next(record for record in tables["calibrated_sensor"].values() if not record["camera_intrinsic"])
    np.testing.assert_allclose(matrix(record)[:3, :3] @ [0, 1, 0], [1, 0, 0], atol=0.03)
    np.testing.assert_allclose(matrix(record)[:3, :3] @ [1, 0, 0], [0, -1, 0], atol=0.03)


def test_tokens_link_up(tables):
    assert [len(tables[name]) for name in ("scene", "sample", "sample_data", "ego_pose", "log")] == [2, 4, 112, 112, 2]
    for name, records in tables.items():
        for record in records.values():
            assert len(record["token"]) == 32
            for key, token in record.items():
                if key in ("prev", "next") and token:
                    other = "next" if key == "prev" else "prev"
                    assert records[token][other] == record["token"]
                    assert (records[token]["timestamp"] > record["timestamp"]) == (key == "next")
                elif key.endswith("_token"):
                    table = (
                        "sample" if key in ("first_sample_token", "last_sample_token") else key.removesuffix("_token")
                    )
                    assert token in tables[table], (name, key)
    for scene in tables["scene"].values():
        samples = [tables["sample"][scene["first_sample_token"]]]
        while samples[-1]["next"]:
            samples.append(tables["sample"][samples[-1]["next"]])
        assert samples[-1]["token"] == scene["last_sample_token"]
        assert len(samples) == scene["nbr_samples"] == 2
        assert samples[1]["timestamp"] - samples[0]["timestamp"] == 500_000
    for record in tables["sample_data"].values():
        sample = tables["sample"][record["sample_token"]]
        assert record["is_key_frame"] == (sample["timestamp"] == record["timestamp"])
        assert sample["timestamp"] >= record["timestamp"] or not sample["next"]


def test_what_the_devkit_asks_for(root, tables):
    names = "category attribute visibility instance sensor calibrated_sensor ego_pose log scene sample sample_data"
    assert set(tables) == {*names.split(), "sample_annotation", "map"}
    mapped = [token for record in tables["map"].values() for token in record["log_tokens"]]
    assert sorted(mapped) == sorted(tables["log"])
    starts = [tables["sample"][scene["first_sample_token"]]["timestamp"] for scene in tables["scene"].values()]
    assert len(set(starts)) == 2  # it sorts scenes by them
    assert all((root / record["filename"]).is_file() for record in tables["map"].values())


def test_cameras_sit_where_the_real_ones_do(real_data):
    sample = json.loads((real_data / "nuscenes_sample" / "sample.json").read_text())
    layout = NuScenesLayout()
    for name, mount in layout.mounts().items():
        real = sample["images"][name]
        np.testing.assert_allclose(mount.pose, real["cam2ego"], atol=1e-3)
        np.testing.assert_allclose(mount.camera.K, real["cam2img"], atol=0.1)
    forward_is_y = layout.lidar.pose[:3, :3] @ [1, 0, 0]
    np.testing.assert_allclose(forward_is_y, np.array(sample["lidar_points"]["lidar2ego"])[:3, 1], atol=1e-3)


RING = ["CAM_FRONT", "CAM_FRONT_LEFT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT", "CAM_FRONT_RIGHT"]
#: Camera-to-ego of a camera that looks ahead, as a quaternion w x y z.
AHEAD = [0.5, -0.5, 0.5, -0.5]


def write(folder, **tables):
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(records, indent=0))


def image(path, size=(40, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(path)


@pytest.fixture
def by_hand(tmp_path):
    """Two scenes with two key frames each; one camera, whose chain has one image before the first key frame and two
    between them; the lidar measures 1 m before the camera does; a radar is in the way."""
    root = tmp_path / "nuscenes"
    scenes = {"scene-0103": "day", "scene-1077": "night"}
    samples, data, egos = [], [], []
    for name, token in scenes.items():
        for index, time in enumerate((1_500_000, 2_000_000)):
            samples.insert(0, {"token": f"{token}{index}", "timestamp": time, "scene_token": token})
        times = {1_450_000: (0, False), 1_500_000: (0, True), 1_583_000: (1, False), 1_667_000: (1, False),
                 2_000_000: (1, True), 2_083_000: (1, False)}  # fmt: skip
        for time, (sample, is_key) in times.items():
            for channel, x in (("CAM_FRONT", 11.0), ("LIDAR_TOP", 10.0), ("RADAR_FRONT", 0.0)):
                file = f"{'samples' if is_key else 'sweeps'}/{channel}/{name}__{time}." + (
                    "jpg" if channel == "CAM_FRONT" else "pcd.bin"
                )
                data.insert(0, {
                    "token": f"{token}{channel}{time}", "sample_token": f"{token}{sample}", "ego_pose_token": file,
                    "calibrated_sensor_token": f"calibrated {channel}", "timestamp": time, "is_key_frame": is_key,
                    "filename": file, "height": 20 * (channel == "CAM_FRONT"), "width": 40 * (channel == "CAM_FRONT"),
                })  # fmt: skip
                egos.append({"translation": [x, 0, 0], "rotation": [1, 0, 0, 0], "token": file, "timestamp": time})
                if channel == "CAM_FRONT":
                    image(root / file)
    for name in scenes:
        for time in (1_500_000, 2_000_000):
            file = root / f"samples/LIDAR_TOP/{name}__{time}.pcd.bin"
            file.parent.mkdir(parents=True, exist_ok=True)
            # in the lidar's axes, x right and y forward: ahead; ahead and right, farther behind it; behind the camera
            points = [[0, 9, 0, 51, 3], [0.0, 12, 0, 0, 3], [2, 9, 0, 255, 31], [0, -3, 0, 7, 0]]
            np.array(points, "<f4").tofile(file)
    turned = [0.5**0.5, 0, 0, -(0.5**0.5)]  # y of the lidar is x of the ego vehicle
    write(
        root / "v1.0-mini",
        scene=[{"token": token, "name": name} for name, token in scenes.items()],
        sample=samples,
        sample_data=data,
        ego_pose=egos,
        sensor=[{"token": channel, "channel": channel} for channel in ("CAM_FRONT", "LIDAR_TOP", "RADAR_FRONT")],
        calibrated_sensor=[
            {"token": "calibrated CAM_FRONT", "sensor_token": "CAM_FRONT", "translation": [1, 0, 1.5],
             "rotation": AHEAD, "camera_intrinsic": [[10, 0, 19.4], [0, 10, 9.5], [0, 0, 1]]},
            {"token": "calibrated LIDAR_TOP", "sensor_token": "LIDAR_TOP", "translation": [0, 0, 1.5],
             "rotation": turned, "camera_intrinsic": []},
            {"token": "calibrated RADAR_FRONT", "sensor_token": "RADAR_FRONT", "translation": [0, 0, 0],
             "rotation": turned, "camera_intrinsic": []},
        ],
    )  # fmt: skip
    return root


def test_tables_by_hand_are_read_exactly(by_hand):
    data = NuScenes(by_hand, "mini-val")
    assert data.ids == [FrameId("scene-0103", 0, "CAM_FRONT"), FrameId("scene-0103", 100, "CAM_FRONT")]
    frame = data[0]
    assert frame.camera == Pinhole(40, 20, 10.0, 10.0, 19.4, 9.5)
    assert frame.time == 1.5
    # points ahead are 2 m nearer: the camera drove 1 m on and sits 1 m further ahead
    expected = np.zeros((20, 40), np.float32)
    expected[10, 19] = 7  # 9.5 goes to the even row, and the point at 12 m lies behind
    expected[10, 22] = 7  # 19.4 + 10 * 2 / 7
    np.testing.assert_allclose(frame.depth.values, expected, atol=1e-5)
    assert (frame.depth.valid == (expected > 0)).all()
    assert (frame.depth.unit, str(frame.depth.kind)) == ("m", str(data.depth(data.ids[0]).kind))
    np.testing.assert_allclose(frame.pose, [[0, 0, 1, 12], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], atol=1e-9)
    assert data.files(data.ids[0]) == [
        by_hand / "samples/CAM_FRONT/scene-0103__1500000.jpg",
        by_hand / "samples/LIDAR_TOP/scene-0103__1500000.pcd.bin",
    ]


def test_neighbours_are_what_the_camera_saw_between_key_frames(by_hand):
    data = NuScenes(by_hand, "mini-val")
    last = data.ids[1]
    assert [data.neighbour(last, offset).number for offset in (-3, -2, -1, 0, 1)] == [0, 1, 2, 100, 101]
    assert data.neighbour(last, 2) is None
    assert data.neighbour(data.ids[0], -1) is None  # what comes before the first key frame is left out
    clip = data.clip(1)
    np.testing.assert_allclose([frame.time for frame in clip], [1.667, 2.0, 2.083])
    assert [frame.depth is None for frame in clip] == [True, False, True]
    data.image(data.neighbour(last, 1)).unlink()  # sweeps are a download of their own
    assert data.neighbour(last, 1) is None


def test_a_rig_has_the_cars_pose_and_the_points_with_x_forward(by_hand):
    data = NuScenes(by_hand, "mini-val")
    assert data.instants() == [[0], [1]]
    rig = data.rig([0])
    assert list(rig) == ["CAM_FRONT"]
    np.testing.assert_allclose(rig.pose[:3, 3], [10, 0, 0])
    np.testing.assert_allclose(rig.sweep.points[2], [9, -2, 0], atol=1e-5)
    np.testing.assert_allclose(rig.sweep.pose[:3, 3], [10, 0, 1.5])
    np.testing.assert_allclose(rig.sweep.pose[:3, :3], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(rig.sweep.intensity[:3], [0.2, 0, 1])
    assert rig.sweep.beam.tolist() == [3, 3, 31, 0]
    bare = NuScenes(by_hand, "mini-val", "none").rig([0])
    assert bare.sweep is None
    assert bare["CAM_FRONT"].depth is None


def test_splits(by_hand):
    assert {id.sequence for id in NuScenes(by_hand, "mini-train").ids} == {"scene-1077"}
    assert len(NuScenes(by_hand, "all")) == 4
    (by_hand / "samples/CAM_FRONT/scene-1077__1500000.jpg").unlink()
    assert len(NuScenes(by_hand, "all")) == 3
    assert len(NuScenes(by_hand, "mini-train")) == 2
    tables = by_hand / "v1.0-trainval"
    shutil.copytree(by_hand / "v1.0-mini", tables)
    assert {id.sequence for id in NuScenes(by_hand).ids} == {"scene-0103"}
    assert {id.sequence for id in NuScenes(by_hand, "train").ids} == {"scene-1077"}
    scenes = json.loads((tables / "scene.json").read_text())
    write(tables, scene=[scene | {"name": "scene-1059"} for scene in scenes[1:]] + scenes[:1])
    assert {id.sequence for id in NuScenes(by_hand).ids} == {"scene-0103", "scene-1059"}
    assert {id.sequence for id in NuScenes(by_hand, "val-vfdepth").ids} == {"scene-0103"}


def test_the_shipped_split_is_the_devkits(by_hand):
    scenes = [id.number for id in NuScenes(by_hand, "all")._shipped("val")]
    assert len(scenes) == len(set(scenes)) == 150
    assert scenes == sorted(scenes)
    assert (scenes[0], scenes[-1], 103 in scenes, 916 in scenes, 61 in scenes) == (3, 1073, True, True, False)


def test_lists_hold_tokens_of_samples(by_hand, tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("night1\nday0\n")
    assert NuScenes(by_hand, str(file)).ids == [
        FrameId("scene-1077", 100, "CAM_FRONT"),
        FrameId("scene-0103", 0, "CAM_FRONT"),
    ]
    file.write_text("day7\n")
    with pytest.raises(InputError, match=r"list.txt: line 1, 'day7': is not the token of a sample in v1.0-mini"):
        NuScenes(by_hand, str(file))


def test_errors_name_the_file(by_hand):
    with pytest.raises(
        InputError, match=r"v1.0-trainval: no such folder.*v1.0-mini has splits mini-val, mini-train, all"
    ):
        NuScenes(by_hand)
    data = NuScenes(by_hand, "mini-val")
    with pytest.raises(InputError, match="no frame scene-1077/CAM_FRONT/000000 in the scenes of split mini-val"):
        data.image(FrameId("scene-1077", 0, "CAM_FRONT"))
    lidar = by_hand / "samples/LIDAR_TOP/scene-0103__1500000.pcd.bin"
    lidar.write_bytes(lidar.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"scene-0103__1500000.pcd.bin: does not hold points of 5 float32"):
        data.depth(data.ids[0])
    lidar.unlink()
    with pytest.raises(InputError, match=r"scene-0103__1500000.pcd.bin: no such file"):
        data[0]
    tables = by_hand / "v1.0-mini"
    text = (tables / "ego_pose.json").read_text()
    (tables / "ego_pose.json").write_text(text[:-100])
    with pytest.raises(InputError, match=r"ego_pose.json: is cut off"):
        NuScenes(by_hand, "mini-val")
    (tables / "ego_pose.json").write_text("[]")
    with pytest.raises(InputError, match=r"v1.0-mini: sample_data.json does not fit ego_pose.json"):
        NuScenes(by_hand, "mini-val")
    (tables / "calibrated_sensor.json").unlink()
    with pytest.raises(InputError, match=r"calibrated_sensor.json: no such file"):
        NuScenes(by_hand, "mini-val")


def test_what_the_writer_wrote_is_read(root, shot):
    data = NuScenes(root, "all")
    assert len(data) == 2 * 2 * 6
    instants = data.instants()
    assert [data.ids[index].camera for index in instants[0]] == RING
    for indices, index in zip(instants, (0, 6, 0, 6), strict=True):
        rig, made = data.rig(indices), shot[index]
        np.testing.assert_allclose(rig.pose, made.pose, atol=1e-9)
        np.testing.assert_allclose(rig.sweep.points, made.sweep.points, atol=1e-5)
        np.testing.assert_allclose(rig.sweep.pose, made.sweep.pose, atol=1e-9)
        assert (rig.sweep.beam == made.sweep.beam).all()
        for name, frame in rig.items():
            true = made[name]
            np.testing.assert_allclose(frame.pose, true.pose, atol=1e-9)
            np.testing.assert_allclose(frame.camera.K, true.camera.K)
            assert np.mean(abs(frame.image - true.image)) < 0.05
            valid = frame.depth.valid
            assert valid.sum() > 300
            assert np.mean(abs(frame.depth.values / true.depth.values - 1)[valid] < 0.02) > 0.95
    assert data.neighbour(data.ids[6], -1).number == 5
    np.testing.assert_allclose(data.clip(6, (-1, 0, 1))[0].pose, shot[5]["CAM_FRONT"].pose, atol=1e-9)


def test_the_ring_can_be_read_from_the_mounts(root):
    mounts = NuScenes(root, "all").mounts("scene-0061")
    ahead = {name: mount.pose[:2, 2] for name, mount in mounts.items()}
    yaw = {name: np.degrees(np.arctan2(y, x)) % 360 for name, (x, y) in ahead.items()}
    yaw["CAM_FRONT"] %= 359
    assert sorted(yaw, key=yaw.get) == RING
    with pytest.raises(InputError, match="no scene scene-0001 in split all"):
        NuScenes(root, "all").mounts("scene-0001")


def test_real_lidar_goes_where_the_publishers_matrices_put_it(real_data, tmp_path):
    folder = real_data / "nuscenes_sample"
    sample = json.loads((folder / "sample.json").read_text())
    read = NuScenes(as_dataset(folder, tmp_path / "nuscenes"), "mini-train")
    points = np.fromfile(next(folder.glob("*.pcd.bin")), np.float32).reshape(-1, 5)[:, :3]
    for id in read.ids:
        depth, camera = read.depth(id), read.camera(id)
        expected = project(points, np.array(sample["images"][id.camera]["lidar2cam"]), camera)
        both = (expected > 0) & depth.valid
        assert both.sum() > 1500
        assert both.sum() > 0.98 * max(depth.valid.sum(), (expected > 0).sum())  # float32 moves few to another pixel
        np.testing.assert_allclose(depth.values[both], expected[both], rtol=0.01)
    rig = read.rig(read.instants()[0])
    front = relative(rig.sweep.pose, rig["CAM_FRONT"].pose)
    np.testing.assert_allclose(front[:3, 0], [0, 0, 1], atol=0.03)  # x of a sweep is forward


def test_neighbours_of_frames_of_other_scenes_are_refused(by_hand):
    data = NuScenes(by_hand, "mini-val")
    for id in (FrameId("scene-9999", 0, "CAM_FRONT"), replace(data.ids[0], number=7777)):
        with pytest.raises(InputError, match=f"no frame {id} in the scenes of split mini-val"):
            data.neighbour(id, 1)
