from __future__ import annotations

import numpy as np
import torch

from leadline.worlds.noise import PERIOD, Noise

RNG = np.random.default_rng


def test_noise_is_smooth_bounded_and_the_same_again():
    points = RNG(0).uniform(-300, 300, (2000, 3)).astype(np.float32)
    noise = Noise(RNG(1), 2)
    values = noise(torch.from_numpy(points)).numpy()
    assert values.shape == (2000, 2)
    assert np.abs(values).max() <= 1
    assert values.std() > 0.2
    assert np.abs(np.corrcoef(values.T)[0, 1]) < 0.1
    np.testing.assert_array_equal(values, Noise(RNG(1), 2)(torch.from_numpy(points)).numpy())
    moved = noise(torch.from_numpy(points + np.float32(0.01))).numpy()
    assert np.abs(moved - values).max() < 0.15


def test_noise_has_the_lattice_values_and_no_seam_where_it_repeats():
    noise = Noise(RNG(1))
    lattice = torch.tensor([[3.0, 5.0, 7.0], [0.0, 0.0, 0.0]])
    expected = [noise.volume[0, 0, 7, 5, 3], noise.volume[0, 0, 0, 0, 0]]
    np.testing.assert_allclose(noise(lattice)[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(noise(lattice + PERIOD)[:, 0], expected, atol=1e-4)
    line = torch.zeros(400, 3)
    line[:, 0] = torch.linspace(PERIOD - 2, PERIOD + 2, 400)
    assert float(noise(line)[:, 0].diff().abs().max()) < 0.05


def test_details_finer_than_a_pixel_fade():
    points = RNG(0).uniform(0, 30, (5000, 3))
    noise = Noise(RNG(1))
    sharp = noise.fractal(points, 1.0, 4, np.zeros(5000))
    np.testing.assert_allclose(sharp, noise.fractal(points, 1.0, 4), atol=1e-6)
    blurred = noise.fractal(points, 1.0, 4, np.full(5000, 0.4))
    assert 0.05 < blurred.std() < sharp.std()
    assert not noise.fractal(points, 1.0, 4, np.full(5000, 2.0)).any()
