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
from leadline.worlds.raytracing import Hits, directions, look
from leadline.worlds.sensor import PERFECT
from leadline.worlds.tract.place import CLEARANCE
from leadline.worlds.tract.skin import CLASSES, TOOL, Skin

SMALL = {"height": 64, "width": 80}
OFF = replace(PERFECT, adapt=1.0, gamma=False)


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
    for field in ("image", "normals", "reflective", "semantics", "pose"):
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
    clip = worlds.create("tract", height=128, width=160, sensor=OFF, tools=0).clip(seed, 12)
    one, two = clip[5], clip[7]
    # float64, so that what differs is the world's fault
    uv, z, inside = reproject(one.depth.values.astype(np.float64), one.camera, relative(one.pose, two.pose), two.camera)
    seen = warped(two.depth.values[..., None], uv)[..., 0]
    error = np.abs(seen - z) / z
    visible = inside & (error < 0.05)
    assert inside.mean() > 0.6
    assert visible[inside].mean() > 0.9, "much is hidden, or depth and pose disagree"
    assert np.median(error[inside]) < 2e-3
    clean = visible & ~one.reflective & (warped(two.reflective[..., None].astype(np.float32), uv)[..., 0] == 0)
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
    ahead, nought = np.tile(np.float32([0, 0, 1]), (count, 1)), np.zeros(count, int)
    seen = Hits(distances, points, -ahead, nought, np.zeros((count, 3), "f4"), nought, np.zeros((count, 3), "f4"))
    body, glare = skin.shade(seen, nought, ahead, skin.lamp, spread=10.0)  # pixels so wide that no texture is left
    np.testing.assert_allclose(body * distances[:, None] ** 2, np.tile(body[0] * 25, (count, 1)), rtol=1e-4)
    assert (glare > 0).all(), "a wet wall seen squarely shines"


def test_the_lamp_turns_with_the_camera():
    world = worlds.create("tract", **SMALL, sensor=OFF)
    clip = world.clip(3, 2)
    clip.skin.mottle, clip.skin.vessels = 0.0, (0.0, 1.0, 1.0)  # texture stays where it is in space
    camera, pose, scene = clip.mount.camera, clip.poses[0], clip.scene(0)
    seen, rays = look(scene, camera, pose), directions(camera, pose)
    turned = compose(axis_angle_to_matrix(np.array([0.3, -1.0, 2.0])), np.array([5.0, -2.0, 9.0]))
    moved = replace(
        seen, points=transform(turned, seen.points).astype("f4"), normals=(seen.normals @ turned[:3, :3].T).astype("f4")
    )
    body, _ = clip.shade(scene, seen, rays, 1e-3, 0)
    clip.poses = turned @ clip.poses
    there, _ = clip.shade(scene, moved, (rays @ turned[:3, :3].T).astype("f4"), 1e-3, 0)
    np.testing.assert_allclose(there, body, rtol=2e-3)


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


def test_a_tool_moves_with_the_camera_and_never_through_the_wall():
    place = worlds.create("tract", **SMALL, tools=1, pools=0, bubbles=0).clip(2, 60)
    sizes = []
    for index in (0, 20, 40):
        frame = place[index]
        tool = frame.semantics == TOOL
        sizes.append(tool.mean())
        assert frame.depth.values[tool].max() < 40
        alone = look(place.still, place.mount.camera, place.poses[index]).distance.reshape(tool.shape)
        np.testing.assert_array_equal(frame.depth.values[~tool], alone[~tool])
        assert (frame.depth.values[tool] <= alone[tool] + 1).all()
    assert 0.005 < min(sizes) < max(sizes) < 0.5
    assert len(set(sizes)) == 3, "it stands still"


def test_what_lies_on_the_wall_is_seen_and_named():
    world = worlds.create("tract", **SMALL, tools=1, pools=1, bubbles=1)
    found = set()
    for seed in range(8):
        for frame in world.clip(seed, 90)[::30]:
            found |= set(np.unique(frame.semantics))
            assert frame.depth.valid.all()
    assert found == set(range(len(CLASSES)))


def test_flow_takes_a_tube_that_breathes_to_the_next_frame():
    world = worlds.create("tract", height=96, width=120, breathing=0.1, tools=0, rate=2, sensor=OFF)
    place = world.clip(4, 6)
    place.poses[:] = place.poses[2]  # only the wall moves
    one, two = place[2], place[3]
    rows, columns = np.indices((96, 120))
    flow = one.forward_flow
    seen = np.isfinite(flow[..., 0])
    assert seen.mean() > 0.8
    assert np.median(np.abs(flow[seen]).max(axis=1)) > 0.5
    # Where the flow leads, the surface's own texture is found again.
    uv = np.stack([columns, rows], axis=2) + np.nan_to_num(flow)
    inside = seen & ~one.reflective & (uv > 1).all(axis=2) & (uv < [118, 94]).all(axis=2)
    led, stayed = warped(two.diffuse, uv), two.diffuse
    scale = one.diffuse[inside].mean() / led[inside].mean()
    assert np.abs(led * scale - one.diffuse)[inside].mean() < 0.7 * np.abs(stayed - one.diffuse)[inside].mean()
    back = warped(two.backward_flow, uv)
    both = inside & np.isfinite(back).all(axis=2)
    assert np.abs(back + flow)[both].mean() < 0.1, "there and back again"


def test_flow_is_what_depth_and_poses_say():
    place = worlds.create("tract", height=96, width=120, tools=0).clip(1, 8)
    one = place[3]
    for other, flow in ((place[4], one.forward_flow), (place[2], one.backward_flow)):
        uv, _, inside = reproject(
            one.depth.values.astype(np.float64), one.camera, relative(one.pose, other.pose), other.camera
        )
        seen = np.isfinite(flow).all(axis=2)
        assert seen[inside].mean() > 0.8
        assert not seen[~inside].any()
        rows, columns = np.indices(seen.shape)
        np.testing.assert_allclose(flow[seen], (uv - np.stack([columns, rows], axis=2))[seen], atol=5e-3)
    assert not np.isfinite(place[0].backward_flow).any()
    assert not np.isfinite(place[7].forward_flow).any()


def test_a_colonoscopes_lens_sees_the_same_tube():
    frame = worlds.create("tract", **SMALL, lens="omnidirectional").clip(3, 4)[1]
    assert frame.camera.model == "omnidirectional"
    seen = frame.depth.valid
    assert seen.mean() > 0.9
    np.testing.assert_array_equal(seen, True if frame.mask is None else frame.mask)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"lens": "fisheye"}, "lens"),
        ({"tools": 2}, "tools"),
        ({"breathing": 0.5}, "breathing"),
        ({"pools": -1}, "pools"),
    ],
)
def test_what_no_tube_has(options, problem):
    with pytest.raises(ConfigError, match=problem):
        worlds.create("tract", **options)
