from __future__ import annotations

import numpy as np
import pytest
import trimesh

from leadline.errors import ConfigError
from leadline.worlds import shapes
from leadline.worlds.textures import APART

RNG = np.random.default_rng
BEND = np.array([[0, 0, 0], [0, 0, 1], [0.5, 0.2, 1.4], [1.5, 0.2, 1.4]])
CLOSED = {
    "box": lambda: shapes.box((0.4, 0.6, 1.2), (1, 2, 0.5), 0.3),
    "wooden box": lambda: shapes.box((0.4, 0.6, 1.2), along=True),
    "tube": lambda: shapes.tube(BEND, 0.03),
    "thinning tube": lambda: shapes.tube(shapes.arc(BEND), np.linspace(0.1, 0.02, 19), 12),
    "cylinder": lambda: shapes.cylinder(0.2, 1.0, (1, 0, 0)),
    "cone": lambda: shapes.cone(0.3, 0.1, 0.4),
    "pointed cone": lambda: shapes.cone(0.3, 0.0, 0.4),
    "lathe": lambda: shapes.lathe(np.array([[0, 0], [0.1, 0], [0.12, 0.1], [0.05, 0.3], [0, 0.3]])),
    "blob": lambda: shapes.blob(RNG(0), (1, 2, 0.5)),
    "cushion": lambda: shapes.cushion((1, 0.8, 0.3), turn=1.0),
}


def solid(mesh):
    """As trimesh sees it, with vertices that lie in one place made one."""
    body = trimesh.Trimesh(mesh.vertices.round(9), mesh.faces, process=True)
    body.merge_vertices(merge_tex=True, merge_norm=True)
    return body


@pytest.mark.parametrize("name", CLOSED)
def test_bodies_are_closed_and_their_normals_point_outwards(name):
    mesh = CLOSED[name]()
    body = solid(mesh)
    assert body.is_watertight
    assert body.volume > 0, "faces wind the wrong way"
    corners = mesh.vertices[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.linalg.norm(across, axis=1) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)
    assert (np.einsum("fj,fkj->fk", across, mesh.normals[mesh.faces]) > 0).all(), "normals of the wrong side"


@pytest.mark.parametrize("name", ["box", "wooden box", "tube", "cylinder", "cushion"])
def test_paint_is_in_metres(name):
    mesh = CLOSED[name]()
    assert mesh.paint.shape == (len(mesh.vertices), 3)
    corners, paint = mesh.vertices[mesh.faces], mesh.paint[mesh.faces]
    for one, other in ((0, 1), (1, 2), (2, 0)):
        true = np.linalg.norm(corners[:, one] - corners[:, other], axis=1)
        painted = np.linalg.norm(paint[:, one] - paint[:, other], axis=1)
        worst = 0.4 if name == "tube" else 0.05  # a tube's paint is stretched where it bends
        assert np.quantile(np.abs(painted / true - 1), 0.9) < worst


def test_a_box_stands_where_it_is_put_and_closes_its_sides():
    mesh = shapes.box((2, 4, 1), (10, 20, 0.5), np.pi / 2)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [8, 19, 0.5], atol=1e-9)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [12, 21, 1.5], atol=1e-9)
    assert solid(mesh).volume == pytest.approx(8)


def test_u_runs_along_wood_and_v_up_a_wall():
    wooden, wall = (shapes.box((0.05, 0.05, 1.0), along=along) for along in (True, False))
    for mesh, channel in ((wooden, 0), (wall, 1)):
        sides = np.abs(mesh.normals[:, 2]) < 0.5
        assert np.ptp(mesh.paint[sides, channel]) == pytest.approx(1)
        assert np.ptp(mesh.paint[sides, 1 - channel]) == pytest.approx(0.05)


def test_a_panel_faces_right_times_up_and_may_have_a_hole():
    mesh = shapes.panel((3, 2), (0, 5, 1), hole=(1, 0.5, 2, 1.5))
    np.testing.assert_allclose(mesh.normals, np.tile([0, -1, 0], (len(mesh.normals), 1)))
    assert solid(mesh).area == pytest.approx(5)
    lower_left = np.argmin(mesh.paint[:, 0] + mesh.paint[:, 1])
    np.testing.assert_allclose(mesh.vertices[lower_left], [-1.5, 5, 0])
    np.testing.assert_allclose(mesh.paint[lower_left], 0)


def test_a_tube_has_its_radius_all_along():
    path = np.array([[0, 0, 0], [0, 0, 2.0]])
    mesh = shapes.tube(path, 0.1, 32)
    assert solid(mesh).volume == pytest.approx(np.pi * 0.01 * 2, rel=0.01)
    bent = shapes.tube(shapes.arc(BEND, 12), 0.02, 6)
    away = np.min(np.linalg.norm(bent.vertices[:, None] - shapes.arc(BEND, 60)[None], axis=2), axis=1)
    assert away.max() < 0.03


def test_leaves_start_where_they_are_told():
    places = RNG(1).uniform(-1, 1, (50, 3))
    mesh = shapes.leaves(RNG(0), places, 0.1)
    assert mesh.faces.shape == (100, 3)
    np.testing.assert_allclose(mesh.vertices[::4], places)
    assert np.abs(mesh.vertices.reshape(50, 4, 3) - places[:, None]).max() < 0.16
    assert len(np.unique(np.floor(mesh.paint[:, 2] / APART))) == 50
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


def test_things_are_moved_and_joined():
    one, two = shapes.box((1, 1, 1)), shapes.cylinder(0.3, 1, number=3)
    away = shapes.moved(two, shapes.standing((4, 0, 0), 0.5))
    np.testing.assert_array_equal(away.paint, two.paint)
    both = shapes.join([one, away])
    assert len(both.faces) == len(one.faces) + len(two.faces)
    assert solid(both).volume == pytest.approx(solid(one).volume + solid(two).volume)
    assert both.paint[:, 2].max() >= 3 * APART
    with pytest.raises(ConfigError, match="clear"):
        shapes.join([one, shapes.panel((1, 1), clear=True)])
    with pytest.raises(ConfigError, match="0 meshes"):
        shapes.join([])


def test_a_cable_hangs():
    path = shapes.hanging((0, 0, 1), (2, 0, 1), 0.25)
    assert path[:, 2].min() == pytest.approx(0.75)
    np.testing.assert_allclose(path[[0, -1]], [[0, 0, 1], [2, 0, 1]])
