"""What the rays find, against what geometry says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from leadline.camera import Fisheye, Omnidirectional, Pinhole, RadialTangential
from leadline.errors import ConfigError
from leadline.geometry.poses import axis_angle_to_matrix, compose
from leadline.worlds.raytracing import Mesh, Scene, ball, look, smooth_normals

CAMERAS = [
    Pinhole.from_fov(48, 36, 80),
    # C3VD's colonoscope (Scaramuzza's model), made small.
    Omnidirectional(1350, 1080, 678.544839, 542.975888, 769.2436, -8.127706e-4, 6.256742e-7, -1.196622e-9,
                    0.99998688, 0.00288274, -0.00296317).resize(36, 45),
    RadialTangential(48, 36, 30.0, 30.0, 23.5, 17.5, -0.1, 0.02, 0.003, -0.002, 0.0),
    Fisheye(48, 36, 20.0, 20.0, 23.5, 17.5, 0.01, 0.0, 0.0, 0.0),
]  # fmt: skip
RIGHT = np.eye(4)


def mesh(shape) -> Mesh:
    return Mesh(np.asarray(shape.vertices), np.asarray(shape.faces))


def rays(camera):
    return camera.rays().reshape(-1, 3)


def pose(rng) -> np.ndarray:
    return compose(axis_angle_to_matrix(rng.normal(size=3) * 0.3), rng.normal(size=3))


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.model)
def test_a_plane_has_the_depth_geometry_says(camera):
    side = 1e3
    wall = Mesh(np.array([[-side, -side, 7], [side, -side, 7], [side, side, 7], [-side, side, 7]]),
                np.array([[0, 1, 2], [0, 2, 3]]))  # fmt: skip
    where = pose(np.random.default_rng(0))
    seen = look(Scene([wall]), camera, where)
    along = rays(camera) @ where[:3, :3].T
    truth = (7 - where[2, 3]) / along[:, 2]
    hit = np.isfinite(seen.distance)
    assert hit.mean() > 0.8
    np.testing.assert_allclose(seen.distance[hit], truth[hit], rtol=1e-4)
    np.testing.assert_allclose(np.abs(seen.normals[hit]), np.tile([0, 0, 1], (hit.sum(), 1)), atol=1e-5)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.model)
def test_a_sphere_seen_from_inside_has_the_depth_geometry_says(camera):
    radius = 20.0
    sphere = trimesh.creation.icosphere(subdivisions=6, radius=radius)
    smooth = Mesh(sphere.vertices, sphere.faces, sphere.vertices / radius)
    where = pose(np.random.default_rng(1))
    seen = look(Scene([smooth]), camera, where)
    along, eye = rays(camera) @ where[:3, :3].T, where[:3, 3]
    # |eye + t along| = radius
    a, b, c = (along**2).sum(1), along @ eye, eye @ eye - radius**2
    truth = (-b + np.sqrt(b * b - a * c)) / a
    hit = np.isfinite(truth)
    assert (seen.mesh[hit] == 0).all()
    np.testing.assert_allclose(seen.distance[hit], truth[hit], rtol=1e-4)
    inward = -(eye + truth[hit, None] * along[hit]) / radius
    np.testing.assert_allclose(seen.normals[hit], inward, atol=1e-3)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.model)
def test_a_cylinder_seen_from_inside_has_the_depth_geometry_says(camera):
    radius = 12.0
    around = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    ring = np.stack([radius * np.cos(around), radius * np.sin(around)], axis=1)
    ends = [np.column_stack([ring, np.full(720, z)]) for z in (-5000.0, 5000.0)]
    here, beside = np.arange(720), (np.arange(720) + 1) % 720
    faces = np.concatenate([np.stack([here, beside, here + 720], 1), np.stack([beside, beside + 720, here + 720], 1)])
    where = pose(np.random.default_rng(2))
    seen = look(Scene([Mesh(np.concatenate(ends), faces)]), camera, where)
    along, eye = rays(camera) @ where[:3, :3].T, where[:3, 3]
    a = (along[:, :2] ** 2).sum(1)
    b, c = along[:, :2] @ eye[:2], eye[:2] @ eye[:2] - radius**2
    truth = (-b + np.sqrt(b * b - a * c)) / a
    hit = np.isfinite(truth) & (truth < 1000)
    assert hit.mean() > 0.8
    np.testing.assert_allclose(seen.distance[hit], truth[hit], rtol=1e-4)


def test_a_ray_that_meets_nothing_says_so():
    seen = Scene([mesh(trimesh.creation.icosphere())]).cast(
        np.array([0.0, 0, -5]), np.array([[0, 0, 1.0], [0, 0, -1.0], [np.nan, 0, 1]])
    )
    assert seen.mesh.tolist() == [0, -1, -1]
    assert seen.distance[0] == pytest.approx(4, rel=1e-4)
    assert np.isinf(seen.distance[1:]).all()


def test_the_nearest_of_several_things_is_seen_with_its_paint():
    near, far = trimesh.creation.icosphere(), trimesh.creation.icosphere()
    far.apply_translation([0, 0, 4])
    painted = [
        Mesh(shape.vertices, shape.faces, paint=np.full((len(shape.vertices), 2), value))
        for shape, value in ((far, 5.0), (near, 2.0))
    ]
    seen = Scene(painted).cast(np.array([0.1, 0, -5]), np.array([[0, 0, 1.0], [0, 0.9, 5]]))
    assert seen.mesh[0] == 1
    np.testing.assert_allclose(seen.paint[0], [2, 2], rtol=1e-5)


def test_smooth_normals_of_a_sphere_point_outwards():
    vertices, faces = ball(3)
    np.testing.assert_allclose(smooth_normals(vertices, faces), vertices, atol=0.02)


def test_blended_normals_stay_on_the_side_that_is_seen():
    # One triangle whose corners' normals lean far over, seen at a grazing angle from above.
    leaning = np.array([[0.0, 0.9, -0.436]] * 3)
    sheet = Mesh(np.array([[-50.0, 1, 1], [50, 1, 1], [0, 1, 400]]), np.array([[0, 1, 2]]), leaning)
    for normals in (leaning, -leaning):
        seen = Scene([replace(sheet, normals=normals)]).cast(np.zeros(3), np.array([[0.0, 0.05, 1.0]]))
        assert seen.mesh[0] == 0
        along = float(seen.normals[0] @ [0.0, 0.05, 1.0])
        assert along <= 1e-6
        assert seen.normals[0, 1] < 0, "the side that faces the eye, which lies above the sheet"


def test_a_missing_package_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    monkeypatch.setitem(sys.modules, "trimesh", None)
    for call in (lambda: Scene([]), lambda: ball(1)):
        with pytest.raises(ConfigError, match=r"leadline\[worlds\]"):
            call()
