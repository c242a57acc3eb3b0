"""Light on simple scenes, against what optics says."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.camera import Pinhole
from leadline.worlds.raytracing import Mesh, Scene, directions, look
from leadline.worlds.shading import Lamp, Material, Shading, Sun

CAMERA = Pinhole.from_fov(33, 33, 40)
NIGHT = {"above": np.zeros(3), "below": np.zeros(3)}
ONE = np.ones(3)


def plain(*colour: float):
    return lambda coords, footprint: np.tile(np.float32(colour), (len(coords), 1))


def square(centre, across, down, side: float, clear: bool = False) -> Mesh:
    """A square of 2 * side, spanned by two unit vectors."""
    centre, across, down = (np.array(v, float) for v in (centre, across, down))
    corners = np.array([centre + side * (a * across + b * down) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), paint=np.zeros((4, 3)), clear=clear)


def wall(z: float, side: float = 50, **options) -> Mesh:
    return square((0, 0, z), (1, 0, 0), (0, 1, 0), side, **options)


def lit(meshes, shading) -> tuple[np.ndarray, np.ndarray]:
    """(33, 33, 3) light of bodies and of reflections, seen from the origin along z."""
    scene = Scene(meshes)
    seen, rays = look(scene, CAMERA, np.eye(4)), directions(CAMERA, np.eye(4))
    body, gloss = shading.shade(scene, seen, rays, 1 / float(CAMERA.fx), np.random.default_rng(0))
    return body.reshape(33, 33, 3), gloss.reshape(33, 33, 3)


@pytest.mark.parametrize("distance", [1.0, 2.0, 4.0])
def test_a_lamps_light_falls_with_the_square_of_distance_and_the_cosine(distance):
    lamp = Lamp(np.array([[0, 0, 10 - distance]]), 3 * ONE)
    body, gloss = lit([wall(10)], Shading([Material(plain(0.5, 0.25, 1))], [lamp], **NIGHT))
    np.testing.assert_allclose(body[16, 16], 3 / distance**2 * np.array([0.5, 0.25, 1]), rtol=1e-4)
    at = directions(CAMERA, np.eye(4)).reshape(33, 33, 3)[16, 30] * 10
    away = np.hypot(at[0], distance)
    np.testing.assert_allclose(body[16, 30, 2], 3 * distance / away**3, rtol=1e-3)
    assert not gloss.any()


def test_a_panel_shines_forwards_only():
    lamp = Lamp(np.array([[0, 0, 5.0]]), ONE, facing=np.array([0, 0, -1.0]))
    body, _ = lit([wall(10)], Shading([Material(plain(1, 1, 1))], [lamp], **NIGHT))
    assert not body.any()


def test_what_stands_between_throws_a_shadow_and_glass_does_not():
    lamp = Lamp(np.array([[0, 5.0, 0]]), ONE)
    half = square((0, 2.5, 5), (1, 0, 0), (0, 0, 1), 0.5)
    materials = [Material(plain(1, 1, 1)), Material(plain(1, 1, 1))]
    free, _ = lit([wall(10)], Shading(materials, [lamp], **NIGHT))
    shaded, _ = lit([wall(10), half], Shading(materials, [lamp], **NIGHT))
    pane = Mesh(half.vertices, half.faces, paint=half.paint, clear=True)
    clear, _ = lit([wall(10), pane], Shading(materials, [lamp], **NIGHT))
    assert free[16, 16, 0] > 0
    assert shaded[16, 16, 0] == 0
    np.testing.assert_array_equal(clear[16, 16], free[16, 16])
    np.testing.assert_allclose(shaded[16, 0], free[16, 0])


def test_the_sun_is_as_strong_everywhere_and_the_sky_is_seen_where_nothing_stands():
    towards = np.array([0, 0.6, -0.8])
    small = wall(10, 1.5)
    sky = lambda ways: np.tile(np.float32([0.1, 0.2, 0.9]), (len(ways), 1))  # noqa: E731
    body, _ = lit([small], Shading([Material(plain(0.5, 0.5, 0.5))], sun=Sun(towards, 2 * ONE), sky=sky, **NIGHT))
    np.testing.assert_allclose(body[16, 14:19], 0.5 * 2 * 0.8, rtol=1e-5)
    np.testing.assert_allclose(body[0, 0], [0.1, 0.2, 0.9])


def test_a_mirror_shows_what_stands_before_it():
    turned = square((0, 0, 5), (0, 1, 0), np.array([1, 0, 1]) / 2**0.5, 3)
    beside = square((8, 0, 5), (0, 1, 0), (0, 0, 1), 20)
    shading = Shading(
        [Material(plain(0, 0, 0), reflectance=1.0), Material(plain(0.2, 0.4, 0.8))],
        above=ONE, below=ONE,
    )  # fmt: skip
    body, gloss = lit([turned, beside], shading)
    np.testing.assert_allclose(gloss[16, 16], [0.2, 0.4, 0.8], rtol=1e-4)
    assert not body[16, 16].any()


def test_a_lamp_is_seen_in_a_mirror_and_as_a_highlight_in_what_is_rough():
    lamp = Lamp(np.array([[0.0, 0, 0.5]]), ONE)
    bulb = square((0, 0, -0.6), (1, 0, 0), (0, 1, 0), 0.2)
    glowing = Material(plain(0, 0, 0), glow=(5, 5, 5))
    _, mirror = lit([wall(4), bulb], Shading([Material(plain(0, 0, 0), 1.0), glowing], [lamp], **NIGHT))
    np.testing.assert_allclose(mirror[16, 16], 5, rtol=1e-4)
    _, rough = lit([wall(4), bulb], Shading([Material(plain(0, 0, 0), 0.5, 0.1), glowing], [lamp], **NIGHT))
    assert rough[16, 16, 0] > 10 * rough[16, 0, 0]
    assert rough[16, 16, 0] > rough[16, 19, 0] > 0, "it fades around the middle"


def test_glass_lets_through_its_part_and_hides_the_same_part_of_its_body():
    pane = wall(3, 20, clear=True)
    glass = Material(plain(0.5, 0.5, 0.5), reflectance=0.04, transmittance=0.9)
    body, gloss = lit([pane, wall(10)], Shading([glass, Material(plain(1, 0, 0))], above=ONE, below=ONE))
    np.testing.assert_allclose(body[16, 16], 0.96 * 0.1 * 0.5, rtol=1e-4)
    np.testing.assert_allclose(gloss[16, 16], [0.96 * 0.9, 0, 0], rtol=1e-3)


def test_reflections_grow_towards_grazing_and_what_reflects_nothing_never_does():
    floor = square((0, 1, 30), (1, 0, 0), (0, 0, 1), 30)
    bright = lambda ways: np.ones((len(ways), 3), np.float32)  # noqa: E731
    _, gloss = lit([floor], Shading([Material(plain(0, 0, 0), 0.04)], sky=bright, **NIGHT))
    column = gloss[20:32, 16, 0]
    assert (np.diff(column) < 0).all()
    assert column[0] > 2 * column[-1] > 0.04
    _, gloss = lit([floor], Shading([Material(plain(0, 0, 0))], sky=bright, **NIGHT))
    assert not gloss.any()


def test_corners_are_darker_and_open_ground_is_not():
    everywhere = {"above": ONE, "below": ONE, "corners": 64, "reach": 2.0}
    matt = Material(plain(1, 1, 1))
    body, _ = lit([wall(10)], Shading([matt], **everywhere))
    np.testing.assert_allclose(body, 1, atol=1e-6)
    # A wall stands on the ground, to the left of the middle: beside it half of the light is kept off, a quarter of
    # which the wall throws back itself; beyond its reach nothing is.
    beside = square((-1.0, 0, 5), (0, 1, 0), (0, 0, 1), 50)
    body, _ = lit([wall(10), beside], Shading([matt, matt], **everywhere))
    x = directions(CAMERA, np.eye(4)).reshape(33, 33, 3)[16, :, 0] * 10
    ground = body[:, x > -1].mean(axis=(0, 2))
    away = x[x > -1] + 1
    assert 0.625 <= ground[0] < 0.75
    np.testing.assert_allclose(ground[away > 2], 1, atol=1e-6)
    assert (np.diff(ground[away < 2]) > 0).all()
