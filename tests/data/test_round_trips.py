"""Every world, written in every layout it suits by the command, read back by the loader of that data set."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from leadline import worlds
from leadline.cli.synth import synth
from leadline.data.check import check
from leadline.data.dataset import DataSet, open_dataset
from leadline.data.layout import layouts, open_layout
from leadline.depth import LENGTHS
from leadline.frame import Frame
from leadline.geometry.poses import relative

FRAMES = 3
SEED = 5
#: Images are made about so wide.
WIDTH = 96
#: Truths to be read, by layout; by default its first. Velodyne's own is not z-depth, see its loader.
TRUTHS = {"kitti": ("lidar", "annotated")}
#: Largest median error of depth as a part of it, where the format's steps are coarse (mm of a tract, 1/256 px of
#: disparity, 255 steps over 20 cm), truth is a grid, or a pixel of so small an image holds many points of the lidar.
TOLERANCE = {
    "make3d": 0.06, "cityscapes": 0.02, "kitti lidar": 0.03, "ddad": 0.03, "nuscenes": 0.03, "simcol3d": 0.02,
    "hamlyn": 0.02, "scannet": 0.005,
}  # fmt: skip
#: Of the loader: SCARED is read with everybody's mean intrinsics by default, not with its calibration.
OPTIONS = {"scared": {"intrinsics": "file"}}
#: Those of Booster and SERV-CT are of the two cameras of one still.
WITHOUT_POSES = {"hamlyn", "cityscapes", "make3d", "booster", "servct"}
CASES = [(name, world) for name, layout in layouts().items() for world in layout.worlds]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Root and true frames of a layout and world, made once."""
    made = {}

    def make(name: str, world: str):
        if (name, world) not in made:
            layout = open_layout(name, world)
            scale = min(1.0, WIDTH / next(iter(layout.mounts().values())).camera.width)
            root = tmp_path_factory.mktemp("data") / name
            synth(world, root, FRAMES, SEED, layout=name, scale=scale, processes=1)
            mounts = {
                key: replace(mount, camera=mount.camera.resize(
                    max(16, round(mount.camera.height * scale)), max(16, round(mount.camera.width * scale))
                ))
                for key, mount in layout.mounts().items()
            }  # fmt: skip
            place = worlds.create(world, rate=layout.rate).clip(SEED, FRAMES)
            rigs = [place.rig(index, mounts, flow=layout.flow) for index in range(FRAMES)]
            made[name, world] = root, [frame for rig in rigs for frame in rig.values()]
        return made[name, world]

    return make


def written_as(frame: Frame, true: list[Frame]) -> Frame:
    """The frame a loaded one was written from: the one that looks like it."""
    same = [each for each in true if each.image.shape == frame.image.shape]
    assert same, f"no frame of {frame.image.shape} was written"
    differences = [float(np.abs(each.image - frame.image).mean()) for each in same]
    best = int(np.argmin(differences))
    assert differences[best] < 0.03
    return same[best]


def opened(name: str, root, truth: str | None = None) -> DataSet:
    return open_dataset(name, root, split="all", truth=truth, **OPTIONS.get(name, {}))


@pytest.mark.parametrize(("name", "world"), CASES)
def test_depth_camera_and_pose_come_back(name, world, written):
    root, true = written(name, world)
    for truth in TRUTHS.get(name, (None,)):
        data = opened(name, root, truth)
        loaded = {id: frame for id, frame in zip(data.ids, data, strict=True) if frame.depth is not None}
        originals = {id: written_as(frame, true) for id, frame in loaded.items()}
        assert len({original.depth.values.tobytes() for original in originals.values()}) == len(loaded) > 0
        limit = TOLERANCE.get(f"{name} {data.truth}", TOLERANCE.get(name, 2e-3))
        for id, frame in loaded.items():
            known, exact = frame.depth.to_depth().to_unit(originals[id].depth.unit), originals[id].depth
            both = known.valid & exact.valid
            assert both.sum() >= min(20, exact.valid.sum()), id
            errors = np.abs(known.values - exact.values)[both] / exact.values[both]
            assert np.median(errors) < limit, id
            if frame.camera is not None:
                assert frame.camera.model == originals[id].camera.model
                rays, expected = (np.nan_to_num(camera.rays()) for camera in (frame.camera, originals[id].camera))
                np.testing.assert_allclose(rays, expected, atol=2e-3)
        unit = LENGTHS[frame.depth.unit] / LENGTHS[originals[id].depth.unit]
        compared = 0
        for a, b in itertools.pairwise(loaded):
            if a.sequence == b.sequence and loaded[a].pose is not None and loaded[b].pose is not None:
                moved = relative(loaded[a].pose, loaded[b].pose)
                expected = relative(originals[a].pose, originals[b].pose)
                np.testing.assert_allclose(moved[:3, :3], expected[:3, :3], atol=2e-4)
                far = 1 + np.abs(expected[:3, 3]).max()
                np.testing.assert_allclose(unit * moved[:3, 3], expected[:3, 3], atol=2e-3 * far)
                compared += 1
        assert compared > 0 or name in WITHOUT_POSES


@pytest.mark.parametrize(("name", "world"), CASES)
def test_nothing_is_missing_and_nothing_surprising(name, world, written):
    root, _ = written(name, world)
    report = check(name, root, "all")
    assert report.usable, report
    assert report.surprising == []
    assert report.splits["all"] > 0


def test_every_data_set_of_the_worlds_is_tried():
    assert {name for name, _ in CASES} == set(layouts())
    assert all(re.fullmatch("[a-z0-9]+", name) for name, _ in CASES)
    assert {world for _, world in CASES} == set(worlds.names())
