from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from leadline.errors import ConfigError, InputError
from leadline.worlds import textures

MADE = ("plain", "plaster", "concrete", "asphalt", "carpet", "fabric", "wood", "planks", "tiles", "bricks", "paving",
        "marble", "foliage", "wallpaper")  # fmt: skip


def spots(count=20000, side=6.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(0, side, (count, 2)), rng.uniform(0, 1, count)]).astype(np.float32)


def seen(texture, coords, footprint):
    return texture(coords, np.full(len(coords), footprint, np.float32))


@pytest.mark.parametrize("name", MADE)
def test_colours_are_albedo_and_have_structure(name):
    for seed in range(4):
        texture = getattr(textures, name)(np.random.default_rng(seed))
        values = seen(texture, spots(), 0.003)
        assert values.shape == (20000, 3)
        assert values.dtype == np.float32
        assert values.min() > 0.005
        assert values.max() < 0.97
        assert values.std(axis=0).max() > 0.005


@pytest.mark.parametrize("name", MADE)
def test_seen_from_afar_it_is_its_mean(name):
    for seed in range(4):
        texture = getattr(textures, name)(np.random.default_rng(seed))
        far = seen(texture, spots(500), 30.0)
        assert np.ptp(far, axis=0).max() < 1e-3, "shimmers"
        np.testing.assert_allclose(textures.mean(texture), far[0], atol=1e-3)
        near = seen(texture, spots(), 0.003).mean(axis=0)
        np.testing.assert_allclose(far[0], near, rtol=0.12, atol=0.01)


def test_the_same_seed_gives_the_same_texture():
    one, two = (textures.tiles(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(seen(one, spots(100), 0.01), seen(two, spots(100), 0.01))


@pytest.mark.parametrize("width", [0.001, 0.02, 0.1, 0.25])
def test_stripes_are_box_filtered(width):
    black, white = (lambda coords, footprint, v=v: np.full((len(coords), 3), v, np.float32) for v in (0.0, 1.0))
    striped = textures.Striped(white, black, 0.2, 0.3)
    coords = spots(300)
    window = np.linspace(-0.5, 0.5, 2001) * width
    expected = ((((coords[:, :1] + window) / 0.2) % 1) < 0.3).mean(axis=1)
    np.testing.assert_allclose(seen(striped, coords, width)[:, 0], expected, atol=0.01)
    checked = textures.Checked(white, black, 0.1)
    sides = [((((coords[:, axis, None] + window) / 0.2) % 1) < 0.5).mean(axis=1) for axis in (0, 1)]
    expected = sides[0] * sides[1] + (1 - sides[0]) * (1 - sides[1])
    np.testing.assert_allclose(seen(checked, coords, width)[:, 0], expected, atol=0.02)


def test_a_muted_texture_keeps_its_part_of_colour_contrast_and_light():
    loud = textures.tiles(np.random.default_rng(3))
    middle, before = textures.mean(loud), seen(loud, spots(), 0.003)
    np.testing.assert_allclose(seen(textures.Muted(loud, middle, 1, 1, 1), spots(), 0.003), before, atol=1e-6)
    grey = seen(textures.Muted(loud, middle, 0, 1, 1), spots(), 0.003)
    np.testing.assert_allclose(grey, np.repeat(before.mean(axis=1, keepdims=True), 3, axis=1), atol=1e-6)
    calm = seen(textures.Muted(loud, middle, 1, 0.25, 0.5), spots(), 0.003)
    np.testing.assert_allclose(calm, 0.5 * (middle + 0.25 * (before - middle)), atol=1e-6)


def test_bricks_have_joints_of_their_width():
    white = lambda coords, footprint: np.ones((len(coords), 3), np.float32)  # noqa: E731
    wall = textures.Tiled(white, np.zeros(3), (0.24, 0.08), 0.01, 0.5, 0.0)
    share = (1 - 0.01 / 0.24) * (1 - 0.01 / 0.08)
    assert seen(wall, spots(), 1e-3)[:, 0].mean() == pytest.approx(share * textures.BRIGHTEST, abs=0.01)
    along = np.array([[0.12, 0.04, 0], [0.005 - 0.005, 0.04, 0], [0.12, 0.0, 0]], np.float32)
    np.testing.assert_allclose(seen(wall, along, 1e-3)[:, 0], [0.95, 0, 0], atol=1e-5)


def test_things_of_one_mesh_have_colours_of_their_own():
    white = lambda coords, footprint: np.ones((len(coords), 3), np.float32)  # noqa: E731
    colours = np.random.default_rng(0).uniform(0.1, 0.9, (8, 3))
    many = textures.Assorted(colours, white)
    third = textures.APART * np.arange(50)
    values = seen(many, np.column_stack([np.zeros((50, 2)), third]).astype(np.float32), 0.01)
    assert len(np.unique(values, axis=0)) > 5
    same = np.column_stack([np.random.default_rng(1).uniform(0, 9, (50, 2)), np.full(50, third[7]) + 3])
    np.testing.assert_array_equal(seen(many, same.astype(np.float32), 0.01), np.tile(values[7], (50, 1)))


def test_hashes_are_even_and_repeatable():
    numbers = textures.hashed(np.arange(10000.0) - 5000, np.float32(3))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] - 1000).max() < 150
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.05
    np.testing.assert_array_equal(numbers[:5], textures.hashed(np.arange(5.0) - 5000, np.float32(3)))


def test_a_photograph_hangs_upright_in_its_metres(tmp_path):
    image = np.zeros((60, 120, 3), np.uint8)
    image[:30, 30:60] = [255, 0, 0]  # cut to a square, the upper left quarter
    Image.fromarray(image).save(tmp_path / "one.png")
    (tmp_path / "notes.txt").write_text("no image")
    assert [path.name for path in textures.photographs(tmp_path)] == ["one.png"]
    picture = textures.photograph(tmp_path / "one.png", (2.0, 2.0))
    corners = np.array([[0.5, 1.5, 0], [1.5, 1.5, 0], [0.5, 0.5, 0]], np.float32)
    values = seen(picture, corners, 0.01)
    assert values[0, 0] > 0.9
    assert values[1:, 0].max() < 0.05
    far = seen(picture, corners, 50.0)
    np.testing.assert_allclose(far, np.tile(far[0], (3, 1)))
    assert far[0, 0] == pytest.approx(0.25, abs=0.03)
    (tmp_path / "bad.jpg").write_bytes(b"no")
    with pytest.raises(InputError):
        textures.photograph(tmp_path / "bad.jpg", (1, 1))
    with pytest.raises(ConfigError, match="photographs: "):
        textures.photographs(tmp_path / "none")


def test_posters_differ():
    one, two = (textures.poster(np.random.default_rng(seed), (0.6, 0.4)) for seed in (0, 1))
    grid = np.stack(np.meshgrid(np.linspace(0, 0.6, 40), np.linspace(0, 0.4, 30)), axis=-1).reshape(-1, 2)
    coords = np.column_stack([grid, np.zeros(len(grid))]).astype(np.float32)
    assert np.abs(seen(one, coords, 0.002) - seen(two, coords, 0.002)).mean() > 0.05
    assert seen(one, coords, 0.002).std() > 0.03
