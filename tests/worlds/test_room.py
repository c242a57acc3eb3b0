from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from leadline import worlds
from leadline.errors import ConfigError
from leadline.geometry.lift import lift, reproject
from leadline.geometry.poses import relative
from leadline.worlds.raytracing import look
from leadline.worlds.room.place import _sprinkled
from leadline.worlds.sensor import PERFECT
from leadline.worlds.shapes import box

SMALL = {"height": 64, "width": 80}
CLASSES = worlds.create("room").classes
MIRROR, GLASS = CLASSES.index("mirror"), CLASSES.index("glass")


def warped(values, uv):
    """Values (H, W, C) where pixels (H, W, 2) point, bilinear."""
    height, width = values.shape[:2]
    grid = (torch.from_numpy(uv).float() + 0.5) * torch.tensor([2 / width, 2 / height]) - 1
    source = torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)[None].float()
    return F.grid_sample(source, grid[None], align_corners=False)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("seed", range(6))
def test_every_frame_is_whole(seed):
    clip = worlds.create("room", **SMALL).clip(seed, 40)
    assert len(clip) == 40
    for frame in (clip[0], clip[-1]):
        assert frame.depth.valid.all(), "a hole in the room"
        assert frame.mask is None
        assert frame.depth.unit == "m"
        points = lift(frame.depth.values.astype(np.float64), frame.camera)
        assert 0.33 < np.linalg.norm(points, axis=2).min() < frame.depth.values.max() < 10
        np.testing.assert_allclose(np.linalg.norm(frame.normals, axis=2), 1, atol=1e-4)
        assert frame.image.std() > 0.08, "no contrast"
        assert (frame.image.min(axis=2) > 0.98).mean() < 0.15, "burnt out"
        assert 0.25 < np.median(frame.image) < 0.85
        assert len(np.unique(frame.semantics)) >= 3, "nothing to see"
        assert frame.semantics.max() < len(CLASSES)


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_place():
    world = worlds.create("room", **SMALL)
    one, again, other = world.clip(3, 5)[2], world.clip(3, 5)[2], world.clip(4, 5)[2]
    for field in ("image", "normals", "reflective", "semantics", "pose", "diffuse", "residual", "forward_flow"):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    np.testing.assert_array_equal(one.depth.values, again.depth.values)
    assert not np.array_equal(one.image, other.image)
    assert one.camera != other.camera


@pytest.mark.parametrize("seed", [11, 24])
def test_diffuse_times_residual_is_the_image(seed):
    frame = worlds.create("room", **SMALL, sensor=PERFECT).clip(seed, 60)[30]
    assert np.abs(frame.image - frame.diffuse * frame.residual).max() <= 0.5 / 255 + 1e-4
    assert frame.residual[frame.reflective].max() > 1.2
    plain = ~frame.reflective & (np.abs(frame.residual - 1).max(axis=2) < 1e-3)
    assert plain.mean() > 0.3, "where nothing shines the diffuse image is the image"


def test_mirrors_and_panes_are_reflective_and_as_far_as_their_surface():
    world, found = worlds.create("room", **SMALL), {MIRROR: 0, GLASS: 0}
    for seed in (3, 12, 22):
        clip = world.clip(seed, 20)
        frame, seen = clip[10], look(clip.still, clip.mount.camera, clip.poses[10])
        points = seen.points.reshape(64, 80, 3)
        for kind in found:
            on = frame.semantics == kind
            if on.sum() < 80:
                continue
            found[kind] += on.sum()
            normals = seen.normals.reshape(64, 80, 3)
            for normal in np.unique(normals[on].round(3), axis=0):  # each plane
                here = on & (np.abs(normals - normal).max(axis=2) < 1e-2)
                off = points[here] @ normals[here].mean(axis=0)
                # Panes may stand side by side, so the places in one plane are few values, not one.
                assert len(np.unique(off.round(2))) <= 6
            if kind == MIRROR:
                assert frame.reflective[on].mean() > 0.8
    assert found[MIRROR] > 200
    assert found[GLASS] > 200


@pytest.mark.parametrize("seed", range(4))
def test_the_camera_stays_away_from_things(seed):
    clip = worlds.create("room", **SMALL, rate=2).clip(seed, 120)
    things = np.concatenate([_sprinkled(mesh, 0.05) for mesh in clip.still.still])
    near = things[(np.abs(things - clip.poses[:, :3, 3].mean(axis=0)) < 3.5).all(axis=1)].astype(np.float32)
    places = clip.poses[::4, :3, 3].astype(np.float32)
    nearest = min(float(np.sqrt(((near - place) ** 2).sum(axis=1).min())) for place in places)
    assert nearest > 0.33
    # and within the room: whatever way it looks, it sees something
    turn = np.random.default_rng(0).standard_normal((64, 3))
    for place in places:
        assert np.isfinite(clip.still.cast(place, turn).distance).all()


@pytest.mark.parametrize("seed", [0, 1, 2, 5])
def test_depth_and_pose_take_one_frame_to_the_next(seed):
    clip = worlds.create("room", height=96, width=128, sensor=PERFECT, rate=8).clip(seed, 24)
    fastest = int(np.argmax(np.linalg.norm(np.diff(clip.poses[:, :3, 3], axis=0), axis=1)))
    one, two = clip[fastest], clip[fastest + 1]
    uv, z, inside = reproject(one.depth.values.astype(np.float64), one.camera, relative(one.pose, two.pose), two.camera)
    shown = np.isfinite(one.forward_flow[..., 0])
    assert (shown <= inside).all()
    assert shown.mean() > 0.7
    grid = np.stack(np.meshgrid(np.arange(128), np.arange(96)), axis=-1)
    assert np.abs(one.forward_flow - (uv - grid))[shown].max() < 0.02
    error = np.abs(warped(two.depth.values[..., None], uv)[..., 0] - z)[shown] / z[shown]
    assert np.median(error) < 2e-3
    assert (error < 0.03).mean() > 0.9, "much is hidden, or depth and pose disagree"
    matt = shown & (np.abs(one.residual - 1).max(axis=2) < 0.01)
    there = warped(two.diffuse, uv)
    right, still = np.abs(there - one.diffuse)[matt].mean(), np.abs(two.diffuse - one.diffuse)[matt].mean()
    assert right < 0.03
    assert right < 0.6 * still


def test_the_hand_is_steady_and_keeps_moving():
    world = worlds.create("room", **SMALL, speed=(0.4, 0.4))
    clip = world.clip(5, 900)
    np.testing.assert_allclose(world.clip(5, 4).poses, clip.poses[:4], err_msg="the way depends on how long it is")
    steps = np.linalg.norm(np.diff(clip.poses[:, :3, 3], axis=0), axis=1) * 30
    assert 0.2 < steps.mean() < 0.6
    assert steps.max() < 1.4
    assert np.abs(np.diff(steps)).max() < 0.1
    cosine = [(np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2 for a, b in zip(clip.poses, clip.poses[1:], strict=False)]
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 3
    assert (clip.poses[:, 2, 1] < -0.3).all(), "the camera's y axis points down"


def test_a_folder_of_photographs_hangs_on_the_walls(tmp_path):
    Image.fromarray(np.full((40, 60, 3), [255, 0, 0], np.uint8)).save(tmp_path / "red.png")
    plain, red = worlds.create("room", **SMALL), worlds.create("room", **SMALL, photographs=str(tmp_path))
    picture = CLASSES.index("picture")
    frame, invented = red.clip(4, 20)[10], plain.clip(4, 20)[10]
    on = frame.semantics == picture
    assert on.sum() > 60
    diffuse = frame.diffuse[on]
    assert (diffuse[:, 0] > 2 * diffuse[:, 1]).mean() > 0.6
    np.testing.assert_array_equal(frame.depth.values, invented.depth.values, "another room")
    assert np.abs(frame.diffuse - invented.diffuse)[on].mean() > 0.1
    with pytest.raises(ConfigError, match="photographs: "):
        worlds.create("room", photographs=str(tmp_path / "none"))


def test_sprinkled_places_lie_close_together_on_the_surface():
    places = _sprinkled(box((0.02, 0.02, 1.0)), 0.1)
    assert np.abs(places[:, :2]).max() <= 0.01 + 1e-9
    assert np.diff(np.unique(places[:, 2].round(6))).max() < 0.11


def test_a_sober_room_has_the_same_things_in_few_colours():
    def vivid(image):
        return float((image.max(axis=2) - image.min(axis=2)).mean())

    found = []
    for seed in range(1, 4):
        loud, sober = (worlds.create("room", **SMALL, sober=chance).clip(seed, 1)[0] for chance in (0.0, 1.0))
        np.testing.assert_array_equal(loud.depth.values, sober.depth.values)
        found.append([vivid(loud.image), vivid(sober.image)])
    loud, sober = np.mean(found, axis=0)
    assert sober < 0.8 * loud


def test_the_camera_may_stay_close_to_one_thing():
    depths = {}
    for close in (None, (0.4, 1.2)):
        frames = [worlds.create("room", **SMALL, close=close).clip(seed, 2)[0] for seed in range(5)]
        assert all(frame.depth.valid.all() for frame in frames)
        depths[close] = np.mean([np.median(frame.depth.values) for frame in frames])
        assert min(frame.depth.values.min() for frame in frames) > 0.1
    assert depths[0.4, 1.2] < 0.7 * depths[None]
    with pytest.raises(ConfigError, match=r"close: from 1 to 0\.5"):
        worlds.create("room", close=(1.0, 0.5))
    with pytest.raises(ConfigError, match="sober: 2 is not a chance"):
        worlds.create("room", sober=2.0)


def test_corners_of_a_room_are_darker_where_it_is_asked_for():
    flat, deep = (worlds.create("room", **SMALL, corners=corners).clip(0, 1) for corners in (False, True))
    np.testing.assert_array_equal(flat[0].depth.values, deep[0].depth.values)
    seen = look(flat.still, flat.mount.camera, flat.poses[0])
    rays = np.zeros((len(seen.mesh), 3), np.float32) + seen.points - flat.poses[0][:3, 3]
    light = [place.shade(place.still, seen, rays, 0.01, 0)[0].mean(axis=1) for place in (flat, deep)]
    assert (light[1] <= light[0] + 1e-5).all()
    assert 0.3 < np.quantile(light[1] / light[0], 0.05) < 0.85
