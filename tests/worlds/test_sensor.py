from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leadline.errors import ConfigError
from leadline.worlds.sensor import PERFECT, Sensor

RNG = np.random.default_rng
LINEAR = replace(PERFECT, gamma=False)


def flat(value: float, shape: tuple[int, int] = (64, 80)) -> np.ndarray:
    return np.full((*shape, 3), value, np.float32)


def test_a_perfect_sensor_keeps_light_in_proportion():
    light = np.linspace(0, 0.7, 256 * 3).reshape(16, 16, 3).astype(np.float32)
    seen = LINEAR.develop(light, 0 * light, RNG(0))
    np.testing.assert_allclose(seen.image, light, atol=0.5 / 255 + 1e-4)
    np.testing.assert_allclose(seen.residual[light > 0.01], 1, atol=1e-5)


@pytest.mark.parametrize("sensor", [LINEAR, PERFECT, replace(Sensor(), noise=0, jpeg=0)], ids=["linear", "off", "on"])
def test_diffuse_times_residual_is_the_image(sensor):
    body, gloss = RNG(0).uniform(0, 0.3, (32, 40, 3)), RNG(1).uniform(0, 0.3, (32, 40, 1)) * np.ones(3)
    flow = np.full((32, 40, 2), 3.0, np.float32)
    seen = sensor.develop(body, gloss, RNG(0), flow)
    np.testing.assert_allclose(seen.diffuse * seen.residual, seen.image, atol=0.5 / 255 + 1e-5)
    assert seen.diffuse.min() > 0
    assert (seen.residual > 0.999).all(), "reflections only add"
    np.testing.assert_array_equal(seen.diffuse, sensor.develop(body, 0 * gloss, RNG(1), flow).diffuse)


def test_exposure_brings_the_bright_parts_to_the_same_level():
    light = RNG(0).uniform(0, 1, (64, 64, 3)).astype(np.float32)
    for strength in (1e-4, 1.0, 50.0):
        gain = Sensor().gain(light * strength, light)
        assert abs(np.percentile((light * strength * gain).mean(axis=2), 92) - Sensor().exposure) < 0.05
    assert replace(Sensor(), adapt=0).gain(light * 50, light) == pytest.approx(Sensor().gain(light, light))


def test_bright_colours_keep_their_hue_and_never_leave_the_range():
    red = np.tile(np.array([4.0, 1.0, 0.5], np.float32), (8, 8, 1))
    seen = LINEAR.develop(red, 0 * red, RNG(0)).image
    assert seen.max() <= 1
    np.testing.assert_allclose(seen[0, 0] / seen[0, 0, 0], [1, 0.25, 0.125], atol=0.01)


def test_the_default_sensor_is_in_grey_levels_noisy_and_darker_in_the_corners():
    light = flat(0.4)
    seen = Sensor().develop(light, 0 * light, RNG(0)).image
    np.testing.assert_allclose(seen * 255, np.rint(seen * 255), atol=1e-4)
    assert 0.001 < seen[28:36, 36:44].std() < 0.03
    assert seen[:6, :6].mean() < seen[28:36, 36:44].mean() - 0.02
    assert not np.array_equal(seen, Sensor().develop(light, 0 * light, RNG(1)).image)


def test_what_moves_is_smeared_along_its_way_and_what_does_not_is_sharp():
    light = flat(0.2)
    light[:, 40] = 0.7
    flow = np.zeros((64, 80, 2), np.float32)
    flow[32:, :, 0] = 6
    flow[:4] = np.nan
    seen = LINEAR.develop(light, 0 * light, RNG(0), flow).image[..., 0]
    np.testing.assert_allclose(seen[:30], light[:30, :, 0], atol=0.5 / 255 + 1e-4)
    smeared = seen[50] - 0.2 > 0.02
    assert 5 <= smeared.sum() <= 8
    assert smeared[40]
    np.testing.assert_allclose((seen[50] - 0.2).sum(), 0.5, atol=0.08)


def test_compression_leaves_its_marks():
    light = RNG(0).uniform(0, 0.7, (32, 32, 3))
    sharp, squeezed = (replace(PERFECT, jpeg=quality).develop(light, 0 * light, RNG(0)).image for quality in (0, 30))
    assert 0.01 < np.abs(sharp - squeezed).mean() < 0.3


@pytest.mark.parametrize(
    "change", [{"adapt": 2}, {"shutter": -1}, {"vignette": 1.5}, {"jpeg": 100}, {"exposure": 0}, {"noise": -1}]
)
def test_what_no_sensor_does(change):
    with pytest.raises(ConfigError, match=f"sensor.{next(iter(change))}"):
        replace(PERFECT, **change)
