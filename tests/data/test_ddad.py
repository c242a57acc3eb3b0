"""The writer against an independent reading of the DGP format, and against the keys of a real scene; the loader
against a scene written by hand, the writer's files and real scenes."""

from __future__ import annotations

import json
import shutil
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from common.reprojection import seen_at
from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.ddad import Ddad, DdadLayout
from leadline.data.lists import FrameId
from leadline.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))


def rigid(pose):
    w, x, y, z = (pose["rotation"][f"q{axis}"] for axis in "wxyz")
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    made = np.eye(4)
    made[:3, :3] += 2 * w * cross + 2 * cross @ cross
    made[:3, 3] = [pose["translation"][axis] for axis in "xyz"]
    return made


@pytest.fixture(scope="module")
def shot():
    layout = DdadLayout()
    return rigs(layout.mounts(), count=3, scale=0.1, lidar=layout.lidar, drives=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory, shot):
    folder = tmp_path_factory.mktemp("ddad")
    for number in range(2):
        assert DdadLayout().write_clip(folder, number, shot) == [folder / f"{number:06d}"]
    DdadLayout().finish(folder, 2)
    return folder


def read(root, split="1"):
    splits = json.loads((root / "ddad.json").read_text())["scene_splits"]
    (name,) = splits[split]["filenames"]
    return root / name, json.loads((root / name).read_text())


def test_lidar_points_land_on_the_frames_depth(root, shot):
    path, scene = read(root)
    data = {datum["key"]: datum for datum in scene["data"]}
    assert len(scene["samples"]) == 3
    for sample, rig in zip(scene["samples"], shot, strict=True):
        file = path.parent / "calibration" / f"{sample['calibration_key']}.json"
        calibration = json.loads(file.read_text())
        lidar, *cameras = (data[key] for key in sample["datum_keys"])
        cloud = lidar["datum"]["point_cloud"]
        vehicle = rigid(cloud["pose"])
        np.testing.assert_allclose(vehicle, rig.pose, atol=1e-9)
        points = np.load(path.parent / cloud["filename"])["data"]
        assert points.dtype == np.float64
        assert 0 <= points[:, 3].min() <= points[:, 3].max() <= 1
        assert -0.1 < np.percentile(points[:, 2] + 1.5, 1) < 0.1  # on the ground of the scene
        world = points[:, :3] @ vehicle[:3, :3].T + vehicle[:3, 3]
        assert {camera["id"]["name"] for camera in cameras} == set(rig)
        for camera in cameras:
            name, image = camera["id"]["name"], camera["datum"]["image"]
            at = calibration["names"].index(name)
            pose, lens = rigid(image["pose"]), calibration["intrinsics"][at]
            np.testing.assert_allclose(pose, vehicle @ rigid(calibration["extrinsics"][at]), atol=1e-9)
            matrix = np.array([[lens["fx"], 0, lens["cx"]], [0, lens["fy"], lens["cy"]], [0, 0, 1]])
            own, depth = seen_at((world - pose[:3, 3]) @ pose[:3, :3], rig[name].depth.values, matrix)
            assert len(own) > 500
            assert np.mean(abs(own / depth - 1) < 0.015) > 0.95
            with Image.open(path.parent / image["filename"]) as picture:
                assert picture.size == (image["width"], image["height"])
                np.testing.assert_allclose(np.asarray(picture) / 255, rig[name].image, atol=1e-6)


def test_chains_and_clocks(root):
    path, scene = read(root)
    data = {datum["key"]: datum for datum in scene["data"]}
    for sample, following in zip(scene["samples"], [*scene["samples"][1:], None], strict=True):
        assert [data[key]["next_key"] for key in sample["datum_keys"]] == (
            following["datum_keys"] if following else [""] * 7
        )
    for datum in data.values():
        assert not datum["prev_key"] or data[datum["prev_key"]]["next_key"] == datum["key"]
        (content,) = datum["datum"].values()
        ticks = int(content["filename"].split("/")[-1].split(".")[0])
        moment = datetime.fromisoformat(datum["id"]["timestamp"]).timestamp()
        assert round(moment * 1e6) == pytest.approx(ticks, abs=8)  # a double of that size is good to some us
    names = [{file.name for file in (folder / "rgb").glob("*/*")} for folder in (path.parent, root / "000000")]
    assert not names[0] & names[1]


@pytest.mark.parametrize(("clips", "training", "validating"), [(1, [0], [0]), (2, [0], [1]), (5, [0, 1, 2], [3, 4])])
def test_splits(tmp_path, clips, training, validating):
    DdadLayout().finish(tmp_path, clips)
    splits = json.loads((tmp_path / "ddad.json").read_text())["scene_splits"]
    numbers = {split: [int(name[:6]) for name in named["filenames"]] for split, named in splits.items()}
    assert numbers == {"0": training, "1": validating}


def keys(value):
    """The names in a tree of JSON; what differs from scene to scene is left out."""
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    if isinstance(value, dict):
        return {key: keys(below) if key not in ("annotations", "ontologies") else None for key, below in value.items()}
    return None


def test_keys_are_those_of_the_real_files(root, real_data):
    real = real_data / "ddad_dgp" / "scene_02"
    ours, theirs = (next(folder.glob("scene_*.json")) for folder in (root / "000000", real))
    ours, theirs = (json.loads(file.read_text()) for file in (ours, theirs))
    assert keys(ours) == keys(theirs)
    for kind in ("image", "point_cloud"):
        first = [next(datum for datum in scene["data"] if kind in datum["datum"]) for scene in (ours, theirs)]
        assert keys(first[0]) == keys(first[1])
    folders = root / "000000" / "calibration", real / "calibration"
    ours, theirs = (json.loads(next(folder.glob("*.json")).read_text()) for folder in folders)
    assert keys(ours) == keys(theirs)
    assert ours["names"] == theirs["names"]
    mine, yours = (np.array([rigid(pose) for pose in side["extrinsics"]]) for side in (ours, theirs))
    np.testing.assert_allclose(mine, yours, atol=1e-3)
    files = root / "ddad.json", real.parent / "scene_dataset_v1.0.json"
    assert keys(json.loads(files[0].read_text())["metadata"]) == keys(json.loads(files[1].read_text())["metadata"]) | {
        "available_annotation_types": []
    }


def at(x, y, z, turn=(1.0, 0.0, 0.0, 0.0)):
    return {"rotation": dict(zip(("qw", "qx", "qy", "qz"), turn, strict=True)), "translation": {"x": x, "y": y, "z": z}}


#: Camera-to-vehicle of a camera that looks ahead.
AHEAD = (0.5, -0.5, 0.5, -0.5)
#: JSON files tell tenths of microseconds as microseconds.
STAMPS = ("2464-11-12T01:04:10.027900Z", "2464-11-12T01:04:11.018358Z", "2464-11-12T01:04:12Z")


@pytest.fixture
def by_hand(tmp_path):
    """A scene of three instants, the last first; two cameras, of which the second misses the middle instant; the car
    drives 1 m on between lidar and cameras; names of files tell nothing."""
    root, data, samples = tmp_path / "ddad", [], []
    scene = root / "000150"
    for index, stamp in reversed(list(enumerate(STAMPS))):
        keys = []
        for name in ("CAMERA_09", "LIDAR", "CAMERA_01"):
            if name == "CAMERA_09" and index == 1:
                continue
            file = f"point_cloud/LIDAR/{index}.npz" if name == "LIDAR" else f"rgb/{name}/image{index}.png"
            (scene / file).parent.mkdir(parents=True, exist_ok=True)
            if name == "LIDAR":
                # at pixel borders, a farther one behind, behind the camera
                points = [[9, 0, 1.5, 0.25], [12, 0, 1.5, 0], [9, -2.17, 1.5, 1], [-5, 0, 1.5, 0]]
                np.savez(scene / file, data=np.array(points, np.float64))
                content = {"point_cloud": {"filename": file, "pose": at(100 * index, 0, 0)}}
            else:
                Image.new("RGB", (40, 20), (index, 0, 0)).save(scene / file)
                pose = at(100 * index + 2, 0, 1.5, AHEAD)
                content = {"image": {"filename": file, "pose": pose, "height": 20, "width": 40, "channels": 3}}
            keys.append(f"{name} {index}")
            data.append({"key": keys[-1], "id": {"name": name, "timestamp": stamp}, "datum": content})
        samples.append({"calibration_key": "c0ffee", "datum_keys": keys, "id": {"timestamp": stamp}})
    lens = {"fx": 10.0, "fy": 10.0, "cx": 19.6, "cy": 9.6, "skew": 0.0}
    calibration = {
        "names": ["LIDAR", "CAMERA_01", "CAMERA_09"],
        "intrinsics": [dict.fromkeys(lens, 0.0), lens, lens | {"fx": 5.0}],
        "extrinsics": [at(0, 0, 0), at(1, 0, 1.5, AHEAD), at(1, 0, 1.5, AHEAD)],
    }
    (scene / "calibration").mkdir()
    (scene / "calibration/c0ffee.json").write_text(json.dumps(calibration))
    (scene / "scene_0a1b2c.json").write_text(json.dumps({"data": data, "samples": samples}))
    splits = {"0": {"filenames": []}, "1": {"filenames": ["000150/scene_0a1b2c.json"]}}
    (root / "ddad.json").write_text(json.dumps({"scene_splits": splits}))
    return root


def test_a_scene_by_hand_is_read_exactly(by_hand):
    data = Ddad(by_hand)
    assert [(id.number, id.camera) for id in data.ids] == [
        (0, "CAMERA_01"),
        (0, "CAMERA_09"),
        (1, "CAMERA_01"),
        (2, "CAMERA_01"),
        (2, "CAMERA_09"),
    ]
    frame = data[2]
    assert frame.image[0, 0, 0] == pytest.approx(1 / 255)
    assert frame.camera == Pinhole(40, 20, 10.0, 10.0, 19.6, 9.6)
    assert data[1].camera.fx == 5.0
    assert frame.time == 1561645825.1018358
    assert data[3].time == 1561645825.2
    np.testing.assert_allclose(frame.pose, [[0, 0, 1, 102], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], atol=1e-12)
    expected = np.zeros((20, 40), np.float32)
    expected[9, 19] = expected[9, 22] = 7  # cut, not rounded: 9.6, 19.6 and 19.6 + 21.7 / 7 = 22.7
    np.testing.assert_allclose(frame.depth.values, expected, atol=1e-6)
    assert (frame.depth.valid == (expected > 0)).all()
    assert (frame.depth.unit, frame.mask) == ("m", None)
    assert data.files(data.ids[2]) == [
        by_hand / "000150" / file
        for file in ("rgb/CAMERA_01/image1.png", "calibration/c0ffee.json", "point_cloud/LIDAR/1.npz")
    ]


def test_a_rig_has_the_vehicles_pose_and_points(by_hand):
    data = Ddad(by_hand)
    assert data.instants() == [[0, 1], [2], [3, 4]]
    rig = data.rig([3, 4])
    assert list(rig) == ["CAMERA_01", "CAMERA_09"]
    np.testing.assert_allclose(rig.pose[:3, 3], [200, 0, 0])
    np.testing.assert_allclose(rig.sweep.points[2], [9, -2.17, 1.5], atol=1e-6)
    np.testing.assert_allclose(rig.sweep.intensity, [0.25, 0, 1, 0])
    np.testing.assert_allclose(rig.sweep.pose, rig.pose)
    bare = Ddad(by_hand, truth="none")
    assert bare.rig([3, 4]).sweep is None
    assert bare[0].depth is None
    assert len(bare.files(bare.ids[0])) == 2
    mounts = data.mounts("000150")
    assert [mount.camera.fx for mount in mounts.values()] == [10.0, 5.0]
    np.testing.assert_allclose(mounts["CAMERA_09"].pose[:3, 3], [1, 0, 1.5])
    np.testing.assert_allclose(mounts["CAMERA_09"].pose[:3, 2], [1, 0, 0], atol=1e-12)


def test_neighbours_stay_in_the_scene_and_the_camera(by_hand):
    data = Ddad(by_hand)
    front, rear = data.ids[0], data.ids[1]
    assert data.neighbour(front, 1) == FrameId("000150", 1, "CAMERA_01")
    assert data.neighbour(front, -1) is None
    assert data.neighbour(front, 3) is None
    assert data.neighbour(rear, 1) is None
    assert data.neighbour(rear, 2) == data.ids[4]
    np.testing.assert_allclose(np.diff([frame.time for frame in data.clip(2)]), [0.0990458, 0.0981642], atol=1e-6)


@pytest.mark.parametrize("name", ["000150/CAMERA_01.png", "CAMERA_01/000150/mask.png", "CAMERA_01_mask.png"])
def test_masks_hide_the_car(by_hand, name):
    file = by_hand / "masks" / name
    file.parent.mkdir(parents=True)
    mask = np.full((10, 20), 255, np.uint8)
    mask[8:] = 0
    Image.fromarray(mask).save(file)
    data = Ddad(by_hand)
    assert data[0].mask.tolist() == [[row < 16] * 40 for row in range(20)]
    assert data[1].mask is None


def test_roots_and_splits(by_hand, tmp_path):
    assert len(Ddad(by_hand, "all")) == 5
    with pytest.raises(InputError, match="holds no frame of ddad, split train"):
        Ddad(by_hand, "train")
    assert Ddad(tmp_path)[0].sequence == "000150/CAMERA_01"  # the list in a folder below
    assert Ddad(tmp_path, "all").digest == Ddad(by_hand, "all").digest
    scene = Ddad(by_hand / "000150", "all")
    assert scene[0].sequence == "000150/CAMERA_01"
    assert scene.depth(scene.ids[0]).valid.sum() == 2
    (by_hand / "ddad.json").write_text('{"scene_splits": {}}')
    with pytest.raises(InputError, match=r"ddad.json: has no list scene_splits, 1, filenames \(split val\)"):
        Ddad(by_hand)
    (by_hand / "ddad.json").unlink()
    with pytest.raises(InputError, match=r"ddad.json: no such file.*split all needs none"):
        Ddad(by_hand)


def test_lists_hold_names_of_images(by_hand, tmp_path):
    file = tmp_path / "val.txt"
    file.write_text("image2\nimage1\n")
    assert [(id.number, id.camera) for id in Ddad(by_hand, str(file)).ids] == [
        (2, "CAMERA_01"),
        (2, "CAMERA_09"),
        (1, "CAMERA_01"),
    ]
    file.write_text("image3\n")
    with pytest.raises(InputError, match=r"val.txt: line 1, 'image3': is not the name of an image"):
        Ddad(by_hand, str(file))


def test_errors_name_the_file(by_hand):
    data, scene = Ddad(by_hand), by_hand / "000150"
    with pytest.raises(InputError, match="no frame 000151/CAMERA_01/000000 in the scenes of split val"):
        data.camera(FrameId("000151", 0, "CAMERA_01"))
    with pytest.raises(InputError, match="000150/CAMERA_05/000000 is not there; cameras are CAMERA_01, CAMERA_09"):
        data.image(FrameId("000150", 0, "CAMERA_05"))
    lidar = scene / "point_cloud/LIDAR/0.npz"
    np.savez(lidar, data=np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"0.npz: holds points of shape \(4, 3\), not \(N, 4\)"):
        data.depth(data.ids[0])
    lidar.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"0.npz: is not an npz file of points"):
        data.depth(data.ids[0])
    lidar.unlink()
    with pytest.raises(InputError, match=r"0.npz: no such file"):
        data.depth(data.ids[0])
    calibration = scene / "calibration/c0ffee.json"
    content = json.loads(calibration.read_text())
    content["intrinsics"][1]["k1"] = 0.1
    calibration.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"c0ffee.json: CAMERA_01 with k1 is not a pinhole"):
        Ddad(by_hand).camera(data.ids[0])
    calibration.write_text('{"names": ["LIDAR"]}')
    with pytest.raises(InputError, match=r"c0ffee.json: is not a calibration"):
        Ddad(by_hand).camera(data.ids[0])
    calibration.unlink()
    with pytest.raises(InputError, match=r"c0ffee.json: no such file"):
        Ddad(by_hand)[0]
    (scene / "scene_0a1b2c.json").write_text('{"data": []}')
    with pytest.raises(InputError, match=r"scene_0a1b2c.json: is not a scene in DGP format"):
        Ddad(by_hand)


def test_what_the_writer_wrote_is_read(root, shot):
    data = Ddad(root)
    assert len(data) == 3 * 6
    assert len(Ddad(root, "train")) == 3 * 6
    for indices, made in zip(data.instants(), shot, strict=True):
        rig = data.rig(indices)
        assert list(rig) == list(made)
        np.testing.assert_allclose(rig.pose, made.pose, atol=1e-9)
        in_world = rig.sweep.points @ rig.sweep.pose[:3, :3].T + rig.sweep.pose[:3, 3]
        expected = made.sweep.points @ made.sweep.pose[:3, :3].T + made.sweep.pose[:3, 3]
        np.testing.assert_allclose(in_world, expected, atol=1e-4)
        for name, frame in rig.items():
            true = made[name]
            np.testing.assert_allclose(frame.pose, true.pose, atol=1e-9)
            np.testing.assert_allclose(frame.camera.K, true.camera.K)
            np.testing.assert_allclose(frame.image, true.image, atol=1e-6)
            assert frame.time - data[0].time == pytest.approx(true.time, abs=1e-6)
            valid = frame.depth.valid
            assert valid.sum() > 500
            assert np.mean(abs(frame.depth.values / true.depth.values - 1)[valid] < 0.02) > 0.95


def ring(mounts):
    """Names of the cameras around the car, from the first to the left."""
    yaw = {name: np.degrees(np.arctan2(mount.pose[1, 2], mount.pose[0, 2])) for name, mount in mounts.items()}
    return sorted(yaw, key=lambda name: (yaw[name] - yaw["CAMERA_01"]) % 360)


def test_real_scenes(real_data, tmp_path):
    folder = real_data / "ddad_dgp"
    data = Ddad(folder)
    assert len(data) == 3 * 3 + 3 * 6
    assert data.digest == Ddad(folder, "all").digest
    assert ring(data.mounts("scene_02")) == [f"CAMERA_0{number}" for number in (1, 5, 7, 9, 8, 6)]
    rig = data.rig(data.instants()[3])
    assert len(rig) == 6
    for name, frame in rig.items():
        assert frame.image.shape == (1216, 1936, 3)
        fx = frame.camera.fx
        assert 2100 < fx < 2200 if name == "CAMERA_01" else 1000 < fx < 1100
        depth = frame.depth.values[frame.depth.valid]
        assert 5_000 < len(depth) < 13_000
        assert 2 < depth.min() < 6
        assert 100 < depth.max() < 250
        rows = np.nonzero(frame.depth.valid)[0]
        assert np.corrcoef(rows, 1 / depth)[0, 1] > 0.7  # the lower the nearer: it is the ground that is seen most
    # the cameras saw 9 ms before the lidar's turn ended
    far = np.linalg.norm(rig["CAMERA_01"].pose[:3, 3] - (rig.pose @ data.mounts("scene_02")["CAMERA_01"].pose)[:3, 3])
    assert far < 0.5
    shutil.copytree(folder / "scene_01", tmp_path / "scene_01")
    assert Ddad(tmp_path / "scene_01", "all").instants() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
