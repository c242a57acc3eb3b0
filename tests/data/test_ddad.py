"""The writer against an independent reading of the DGP format, and against the keys of a real scene."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from common.reprojection import seen_at
from common.rigs import rigs
from leadline.data.ddad import DdadLayout


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
