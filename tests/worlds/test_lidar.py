from __future__ import annotations

import numpy as np
import pytest

from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.geometry.poses import compose, invert, transform
from leadline.rig import Lidar, Mount
from leadline.worlds.lidar import sweep
from leadline.worlds.raytracing import Mesh, Scene

FRONT = np.array([[0, 0, 1, 1.0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
LIDAR = Lidar((-15.0, -10, -5, 0, 5), 360, compose(np.eye(3), np.array([0.5, 0, 1.8])), (0.5, 60), 0.0, 0.0)
GROUND = Mesh(
    np.array([[-500.0, -500, 0], [500, -500, 0], [500, 500, 0], [-500, 500, 0]]), np.array([[0, 1, 2], [0, 2, 3]])
)


def half(hits):
    return np.full(len(hits.distance), 0.5, np.float32)


def test_points_lie_on_the_depth_map():
    rig = rigs({"front": Mount(Pinhole.from_fov(800, 600, 90), FRONT)}, 2, lidar=LIDAR, drives=True)[1]
    frame, swept = rig["front"], rig.sweep
    points = transform(invert(frame.pose) @ swept.pose, swept.points.astype(float))
    uv, ahead = frame.camera.project(points)
    inside, z = frame.camera.contains(uv) & ahead, points[:, 2]
    assert inside.sum() > 100
    column, row = np.rint(uv[inside]).astype(int).T
    near = np.abs(frame.depth.values[row, column] - z[inside]) / z[inside]
    assert np.median(near) < 0.01


def test_every_beam_draws_the_ring_geometry_says():
    swept = sweep(Scene([GROUND]), LIDAR, np.eye(4), np.random.default_rng(0), half)
    assert set(swept.beam) == {0, 1, 2}, "those that look up or level meet nothing"
    for beam, angle in ((0, 15.0), (1, 10.0), (2, 5.0)):
        distance = np.linalg.norm(swept.points[swept.beam == beam], axis=1)
        np.testing.assert_allclose(distance, 1.8 / np.sin(np.radians(angle)), rtol=1e-3)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_noise_is_along_the_beam(noise):
    lidar = Lidar((-30.0,), 3600, LIDAR.pose, (0.5, 60), noise, 0.0)
    swept = sweep(Scene([GROUND]), lidar, np.eye(4), np.random.default_rng(0), half)
    distance = np.linalg.norm(swept.points, axis=1)
    np.testing.assert_allclose(distance.std(), noise, atol=2e-3)
    np.testing.assert_allclose(swept.points[:, 2] / distance, -0.5, atol=1e-4)


def test_some_returns_are_lost_and_more_of_what_is_dark_and_far():
    def count(dropout: float, albedo: float) -> int:
        lidar = Lidar((-3.0,), 3600, LIDAR.pose, (0.5, 60), 0.0, dropout)
        dark = lambda hits: np.full(len(hits.distance), albedo)  # noqa: E731
        return len(sweep(Scene([GROUND]), lidar, np.eye(4), np.random.default_rng(0), dark).points)

    assert count(0.0, 0.9) == 3600
    assert 0.8 < count(0.1, 0.9) / 3600 < 0.95
    assert count(0.0, 0.1) < 3000
