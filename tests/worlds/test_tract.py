from __future__ import annotations

from dataclasses import replace
from operator import itemgetter

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from leadline import worlds
from leadline.errors import ConfigError
from leadline.geometry.lift import lift, reproject
from leadline.geometry.poses import axis_angle_to_matrix, compose, relative, transform
from leadline.worlds.raytracing import Hits, look
from leadline.worlds.sensor import Sensor
from leadline.worlds.tract import CLEARANCE, Skin

SMALL = {"height": 64, "width": 80}
OFF = Sensor(blur=0, vignette=0, noise=0, gamma=False)


@pytest.mark.parametrize("seed", range(8))
def test_every_frame_is_whole(seed):
    clip = worlds.create("tract", **SMALL).clip(seed, 12)
    assert len(clip) == 12
    for frame in (clip[0], clip[-1]):
        assert frame.depth.valid.all(), "a hole in the wall"
        assert frame.depth.unit == "mm"
        points = lift(frame.depth.values.astype(np.float64), frame.camera)
        assert CLEARANCE * 0.8 < np.linalg.norm(points, axis=2).min() < frame.depth.values.max() < 400
        np.testing.assert_allclose(np.linalg.norm(frame.normals, axis=2), 1, atol=1e-4)
        across = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
        across /= np.linalg.norm(across, axis=2, keepdims=True)
        angle = np.degrees(np.arccos(np.clip(np.abs((across * frame.normals).sum(axis=2)), 0, 1)))
        assert np.median(angle) < 5, "normals are not those of the surface that depth describes"
        assert frame.image.std() > 0.05
        assert frame.depth.camera == frame.camera
    assert clip[1].time == pytest.approx(1 / 30)


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_place():
    world = worlds.create("tract", **SMALL)
    one, again, other = world.clip(3, 5)[2], world.clip(3, 5)[2], world.clip(4, 5)[2]
    for field in ("image", "normals", "glare", "semantics", "pose"):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    np.testing.assert_array_equal(one.depth.values, again.depth.values)
    assert not np.array_equal(one.image, other.image)
    assert one.camera != other.camera


def test_clips_from_several_processes_are_those_of_one():
    world = worlds.create("tract", **SMALL)
    second = itemgetter(1)  # other processes cannot import what a test module defines
    alone = list(worlds.each_clip(world, [5, 6, 7], 3, second, processes=1))
    together = list(worlds.each_clip(world, [5, 6, 7], 3, second, processes=2))
    np.testing.assert_array_equal([frame.image for frame in alone], [frame.image for frame in together])


def warped(values, uv):
    """Values (H, W, C) where pixels (H, W, 2) point, bilinear."""
    height, width = values.shape[:2]
    scale = torch.tensor([2 / width, 2 / height])
    grid = (torch.from_numpy(uv).float() + 0.5) * scale - 1
    source = torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)[None].float()
    return F.grid_sample(source, grid[None], align_corners=False)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_depth_and_pose_take_one_frame_to_the_next(seed):
    clip = worlds.create("tract", height=128, width=160, sensor=OFF).clip(seed, 12)
    one, two = clip[5], clip[7]
    # float64, so that what differs is the world's fault
    uv, z, inside = reproject(one.depth.values.astype(np.float64), one.camera, relative(one.pose, two.pose), two.camera)
    seen = warped(two.depth.values[..., None], uv)[..., 0]
    error = np.abs(seen - z) / z
    visible = inside & (error < 0.05)
    assert inside.mean() > 0.6
    assert visible[inside].mean() > 0.9, "much is hidden, or depth and pose disagree"
    assert np.median(error[inside]) < 2e-3
    clean = visible & ~one.glare & (warped(two.glare[..., None].astype(np.float32), uv)[..., 0] == 0)
    # Exposure and the lamp move too: compare after the ratio of brightness.
    there = warped(two.image, uv)
    there *= one.image[clean].mean() / there[clean].mean()
    right = np.abs(there - one.image)[clean].mean()
    still = np.abs(two.image - one.image)[clean].mean()
    assert right < 0.6 * still
    assert right < 0.02


def test_light_falls_with_the_square_of_distance():
    skin = Skin(np.random.default_rng(0))
    skin.lamp = np.zeros(3)
    skin.vessels = 0.0, 1.0, 1.0
    distances = np.array([5.0, 10.0, 20.0, 40.0], np.float32)
    count = len(distances)
    points = np.column_stack([np.zeros(count), np.zeros(count), distances]).astype(np.float32)
    seen = Hits(
        distances, points, np.tile(np.float32([0, 0, -1]), (count, 1)), np.zeros(count, int), np.zeros((count, 3), "f4")
    )
    body, glare = skin.shade(seen, np.eye(4), spread=10.0)  # pixels so wide that no texture is left
    np.testing.assert_allclose(body * distances[:, None] ** 2, np.tile(body[0] * 25, (count, 1)), rtol=1e-4)
    assert (glare > 0).all(), "a wet wall seen squarely shines"


def test_the_lamp_turns_with_the_camera():
    world = worlds.create("tract", **SMALL, sensor=OFF)
    clip = world.clip(3, 2)
    clip.skin.mottle, clip.skin.vessels = 0.0, (0.0, 1.0, 1.0)  # texture stays where it is in space
    seen = look(clip.scene, clip.camera, clip.poses[0])
    turned = compose(axis_angle_to_matrix(np.array([0.3, -1.0, 2.0])), np.array([5.0, -2.0, 9.0]))
    moved = replace(
        seen, points=transform(turned, seen.points).astype("f4"), normals=(seen.normals @ turned[:3, :3].T).astype("f4")
    )
    body, _ = clip.skin.shade(seen, clip.poses[0], 1e-3)
    np.testing.assert_allclose(clip.skin.shade(moved, turned @ clip.poses[0], 1e-3)[0], body, rtol=2e-3)


def test_a_long_way_goes_to_and_fro_and_never_stands_still():
    clip = worlds.create("tract", **SMALL, rate=2, speed=(30.0, 30.0)).clip(5, 80)
    steps = np.linalg.norm(np.diff(clip.poses[:, :3, 3], axis=0), axis=1)
    assert np.median(steps) > 8
    assert (steps < 1).mean() < 0.1
    assert clip.poses[:, 2, 3].min() > 15


def test_poses_are_smooth_and_the_rate_is_frames_a_second():
    clip = worlds.create("tract", **SMALL, rate=30).clip(11, 60)
    steps = np.linalg.norm(np.diff([frame[:3, 3] for frame in clip.poses], axis=0), axis=1)
    assert 0 < steps.max() < 4  # mm a frame
    assert np.abs(np.diff(steps)).max() < 0.5
    turned = [np.degrees(np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)))
              for a, b in zip(clip.poses[:-1], clip.poses[1:], strict=True)]  # fmt: skip
    assert max(turned) < 8
    assert worlds.create("tract", **SMALL, rate=2).clip(11, 4)[2].time == pytest.approx(1.0)


def test_what_cannot_be_asked_for():
    with pytest.raises(ConfigError, match="did you mean 'tract'"):
        worlds.create("trakt")
    with pytest.raises(ConfigError, match="too small"):
        worlds.create("tract", height=4)
    with pytest.raises(ConfigError, match="rate"):
        worlds.create("tract", rate=0)
    with pytest.raises(IndexError):
        worlds.create("tract", **SMALL).clip(0, 2)[2]
