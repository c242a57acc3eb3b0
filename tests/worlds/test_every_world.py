"""What holds in every world."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline import worlds
from leadline.errors import ConfigError
from leadline.geometry.poses import invert, transform
from leadline.geometry.warp import sample
from leadline.rig import Lidar
from leadline.worlds.sensor import PERFECT
from leadline.worlds.street import ring

SMALL = {"height": 64, "width": 80}
FIELDS = ("image", "normals", "reflective", "semantics", "diffuse", "residual", "forward_flow", "backward_flow")


def looked_up(values: np.ndarray, uv: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(np.ascontiguousarray(values, np.float32)).permute(2, 0, 1)[None]
    return sample(image, torch.from_numpy(uv.astype(np.float32))[None])[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", worlds.names())
def test_frames_do_not_depend_on_the_order_they_are_asked_for(name):
    world = worlds.create(name, **SMALL)
    ahead, back = world.clip(3, 8), world.clip(3, 8)
    last = ahead[6]
    first = ahead[1]
    assert np.array_equal(first.image, back[1].image)
    again = back[6]
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(last, field), getattr(again, field), err_msg=field)
    np.testing.assert_array_equal(ahead[-1].image, back.shoot(7).image)
    with pytest.raises(IndexError):
        back.shoot(8)


@pytest.mark.parametrize("name", worlds.names())
def test_the_picture_does_not_depend_on_what_truth_is_asked_for(name):
    place = worlds.create(name, **SMALL, rate=5).clip(2, 4)
    for index in (1, 3):
        plain = place.shoot(index, flow=False)
        np.testing.assert_array_equal(plain.image, place[index].image)
        assert plain.forward_flow is None


@pytest.mark.parametrize("name", worlds.names())
def test_flow_leads_to_the_same_surface_whatever_moved(name):
    place = worlds.create(name, height=128, width=160, rate=10, sensor=PERFECT).clip(7, 4)
    one, two = place[1], place[2]
    flow = one.forward_flow
    rows, columns = np.indices(flow.shape[:2])
    uv = np.stack([columns, rows], axis=2) + np.nan_to_num(flow)
    seen = np.isfinite(flow).all(axis=2)
    assert seen.mean() > 0.5
    back = looked_up(np.nan_to_num(two.backward_flow, nan=1e4), uv)
    there = seen & (np.abs(back) < 1e3).all(axis=2)
    assert there[seen].mean() > 0.75
    assert np.percentile(np.abs(back + flow)[there], 90) < 0.35, "there and back again"
    column, row = np.clip(np.rint(uv), 0, [159, 127]).astype(int).transpose(2, 0, 1)
    assert (two.semantics[row, column] == one.semantics)[seen].mean() > 0.9
    matte = seen & ~one.reflective & ~two.reflective[row, column]
    led, stayed = (np.abs(values - one.diffuse)[matte].mean() for values in (looked_up(two.diffuse, uv), two.diffuse))
    assert led < 0.7 * stayed


@pytest.mark.parametrize("name", worlds.names())
def test_normals_are_those_of_the_surface_and_face_the_camera(name):
    frame = worlds.create(name, **SMALL).clip(4, 2)[0]
    known = frame.depth.valid
    np.testing.assert_allclose(np.linalg.norm(frame.normals[known], axis=1), 1, atol=1e-3)
    rays = frame.camera.rays(np.empty(0, np.float32))
    assert ((frame.normals * rays).sum(axis=2)[known] < 1e-3).all()


def test_what_moves_is_where_the_flow_and_the_lidar_say():
    roof = np.array([[1, 0, 0, 1.0], [0, 1, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    lidar = Lidar(tuple(np.linspace(-20, 3, 40)), 900, roof, reach=(1, 80), noise=0)
    place = worlds.create("street", rate=10, sensor=PERFECT).clip(11, 3)
    vehicle = worlds.kind("street").classes.index("vehicle")
    met = 0
    rig = place.rig(1, ring(128, 160), lidar)
    for frame in rig.values():
        points = transform(invert(frame.pose) @ rig.sweep.pose, rig.sweep.points.astype(float))
        uv, ahead = frame.camera.project(points)
        inside = frame.camera.contains(uv) & ahead
        column, row = np.rint(uv[inside]).astype(int).T
        depth, z = frame.depth.values[row, column], points[inside, 2]
        agree = np.abs(depth - z) < 0.05 * z
        on = frame.semantics[row, column] == vehicle
        met += int(on.sum())
        assert agree.mean() > 0.8
        if on.sum() > 30:
            assert agree[on].mean() > 0.6
    assert met > 100, "no vehicle was measured"


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"fov": (90.0, 60.0)}, "fov"), ({"fov": (60.0, 190.0)}, "fov"), ({"speed": (-1.0, 2.0)}, "speed"),
     ({"rate": np.inf}, "rate"), ({"height": 4}, "size")],
)  # fmt: skip
@pytest.mark.parametrize("name", worlds.names())
def test_what_cannot_be_asked_of_any_world(name, options, problem):
    with pytest.raises(ConfigError, match=problem):
        worlds.create(name, **options)


@pytest.mark.parametrize("name", worlds.names())
def test_what_is_no_clip(name):
    with pytest.raises(ConfigError, match="seeds are 0 and above"):
        worlds.create(name).clip(-1, 3)
    with pytest.raises(ConfigError, match="frames 1 and above"):
        worlds.create(name).clip(1, 0)
