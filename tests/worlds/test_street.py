"""Streets: whole, repeatable, and true to each other in every camera, at every instant, and to the lidar."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from leadline import worlds
from leadline.camera import Pinhole
from leadline.errors import ConfigError
from leadline.geometry.lift import lift, reproject
from leadline.geometry.poses import relative, transform
from leadline.rig import Lidar, Mount
from leadline.worlds.raytracing import directions
from leadline.worlds.sensor import PERFECT
from leadline.worlds.street.place import LONGEST, Street, StreetPlace, facing, ring, travelled

SMALL = {"height": 64, "width": 80}


@cache
def place(seed: int, frames: int = 6) -> StreetPlace:
    return Street(**SMALL, sensor=PERFECT, rate=10).clip(seed, frames)


def label(name):
    return Street.classes.index(name)


@pytest.mark.parametrize("seed", range(6))
def test_every_frame_is_whole(seed):
    clip = place(seed)
    for frame in (clip[0], clip[5]):
        sky = frame.semantics == label("sky")
        own = frame.semantics == label("ego")
        np.testing.assert_array_equal(frame.depth.valid, ~sky & ~own, "only the sky and the vehicle have no depth")
        rays = directions(frame.camera, frame.pose)
        sinks = (rays[:, 2] / np.linalg.norm(rays, axis=1)).reshape(sky.shape) < -0.001
        assert not (sky & sinks).any(), "a hole in the ground"
        assert own.mean() < 0.02, "the vehicle hides its own view"
        assert sky.any()
        assert len(np.unique(frame.semantics)) >= 5
        assert frame.image.std() > 0.08
        np.testing.assert_allclose(np.linalg.norm(frame.normals[~sky], axis=1), 1, atol=1e-4)
        road = frame.semantics == label("road")
        ground = transform(frame.pose, lift(frame.depth.values.astype(float), frame.camera))[road]
        np.testing.assert_allclose(ground[:, 2], 0, atol=0.01)


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_street():
    world = worlds.create("street", **SMALL)
    one, again, other = world.clip(3, 4)[2], world.clip(3, 4)[2], world.clip(4, 4)[2]
    for field in ("image", "normals", "reflective", "semantics", "pose", "residual", "forward_flow"):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    np.testing.assert_array_equal(one.depth.values, again.depth.values)
    assert not np.array_equal(one.image, other.image)
    assert one.camera != other.camera


def test_image_is_diffuse_times_residual():
    for seed in (0, 1):
        frame = place(seed)[2]
        assert np.abs(frame.image - frame.diffuse * frame.residual).max() <= 0.5 / 255 + 1e-4


def test_neighbouring_cameras_agree_and_see_the_vehicle_that_carries_them():
    rig = place(1).rig(2, ring(64, 80), flow=False)
    names = list(rig)
    compared = 0
    for one, two in zip(names, names[1:] + names[:1], strict=True):
        a, b = rig[one], rig[two]
        uv, z, inside = reproject(a.depth.values.astype(float), a.camera, relative(a.pose, b.pose), b.camera)
        at = np.flatnonzero((inside & a.depth.valid).ravel())
        u, v = np.rint(uv.reshape(-1, 2)[at]).astype(int).T.clip(0, [[79], [63]])
        there, expected = b.depth.values[v, u], z.ravel()[at]
        apart = np.abs(there - expected) / expected
        compared += len(at)
        # What is nearer hides; what is seen in both lies at one depth, but for rounding to pixels.
        assert (apart < 0.05).mean() > 0.6
        assert (there > expected * 1.3).mean() < 0.06, "what one camera sees is missing in the other"
    assert compared > 1000
    own = [frame.semantics == label("ego") for frame in rig.values()]
    assert 0.02 < np.mean(own) < 0.3
    for frame, mine in zip(rig.values(), own, strict=True):
        assert not frame.depth.valid[mine].any()
        if mine.any():
            np.testing.assert_array_equal(frame.mask, ~mine)


def test_mounts_as_on_real_vehicles_see_the_street():
    # nuScenes: front and rear cameras with fields of view of 65 and 110 degrees, 16:9.
    mounts = {
        "front": Mount(Pinhole.from_fov(96, 54, 65), facing(0, (1.7, 0.0, 1.51))),
        "left": Mount(Pinhole.from_fov(96, 54, 70), facing(55, (1.55, 0.5, 1.5))),
        "back": Mount(Pinhole.from_fov(96, 54, 110), facing(180, (0.03, 0.0, 1.57))),
    }
    rig = place(2).rig(0, mounts, flow=False)
    assert [bool((frame.semantics == label("ego")).mean() < limit)
            for frame, limit in zip(rig.values(), (0.01, 0.01, 0.25), strict=True)] == [True] * 3  # fmt: skip


def test_flow_is_the_cameras_on_what_stands_still_and_differs_on_what_moves():
    moved = 0
    for seed in range(5):
        clip = place(seed)
        one, two = clip[2], clip[3]
        uv, _, _ = reproject(one.depth.values.astype(float), one.camera, relative(one.pose, two.pose), two.camera)
        v, u = np.mgrid[:64, :80]
        rigid = uv - np.stack([u, v], axis=-1)
        known = np.isfinite(one.forward_flow).all(axis=2) & one.depth.valid
        still = known & np.isin(
            one.semantics, [label(n) for n in ("road", "building", "pole", "sidewalk", "vegetation")]
        )
        assert still.sum() > 800
        np.testing.assert_allclose(one.forward_flow[still], rigid[still], atol=0.01)
        vehicles = known & (one.semantics == label("vehicle"))
        moved += (np.linalg.norm((one.forward_flow - rigid)[vehicles], axis=1) > 0.3).sum()
    assert moved > 60


def test_lidar_points_lie_on_the_depth_maps():
    clip = place(3)
    pose = np.eye(4)
    pose[:3, 3] = 1.0, 0.0, 1.75
    lidar = Lidar(tuple(np.linspace(-24, 3, 24)), 500, pose, noise=0.01)
    mounts = {"front": Mount(Pinhole.from_fov(320, 240, 80), facing(0, (1.0, 0.0, 1.7)))}
    rig = clip.rig(1, mounts, lidar, flow=False)
    frame, sweep = rig["front"], rig.sweep
    assert 2000 < len(sweep.points) < 24 * 500 * 0.95
    local = transform(np.linalg.inv(frame.pose) @ sweep.pose, sweep.points.astype(float))
    z = local[:, 2]
    uv, ahead = frame.camera.project(local)
    inside = frame.camera.contains(uv) & ahead
    u, v = np.rint(uv[inside]).astype(int).T.clip(0, [[319], [239]])
    valid = frame.depth.valid[v, u]
    apart = np.abs(frame.depth.values[v, u] - z[inside])[valid] / z[inside][valid]
    assert len(apart) > 500
    assert np.median(apart) < 0.01
    assert (apart < 0.05).mean() > 0.85


def test_it_drives_on_its_side_at_its_speed_and_keeps_its_distance():
    for seed in (0, 1):
        clip = Street(**SMALL, speed=(9.0, 9.0), rate=5).clip(seed, 15)
        way = np.linalg.norm(np.diff(clip.poses[:, :3, 3], axis=0), axis=1)
        assert 0.8 * 9 / 5 < way.mean() < 1.2 * 9 / 5
        assert np.ptp(way) < 1.0
        assert np.abs(clip.poses[:, 2, 3]).max() < 0.1
        frame = clip.shoot(10, flow=False)
        centre = frame.depth.values[34:44, 38:42]
        assert centre.min() > 3
    time = np.arange(500.0)
    assert travelled(np.random.default_rng(0), time, (15.0, 15.0))[-1] <= LONGEST


def test_a_camera_that_looks_aside_sees_the_same_street():
    ahead = Street(**SMALL, sensor=PERFECT, rate=10).clip(2, 2)
    aside = Street(**SMALL, sensor=PERFECT, rate=10, yaw=(70.0, 70.0)).clip(2, 2)
    np.testing.assert_array_equal(ahead.poses, aside.poses)
    mount = Mount(ahead.mount.camera, facing(70.0))
    np.testing.assert_array_equal(aside[1].depth.values, ahead.shoot(1, mount).depth.values)
    turns = {round(Street(**SMALL, yaw=(-180.0, 180.0)).clip(seed, 1)[0].pose[0, 2], 3) for seed in range(4)}
    assert len(turns) == 4
    with pytest.raises(ConfigError, match="yaw"):
        Street(yaw=(-200.0, 0.0))
