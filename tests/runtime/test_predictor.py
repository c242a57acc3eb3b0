from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import leadline
from leadline.camera import Pinhole
from leadline.errors import InputError
from leadline.runtime.predictor import Lens, Predictor


@pytest.fixture(scope="module")
def bright(bright_teacher) -> Predictor:
    return leadline.load(str(bright_teacher))


def test_size_is_restored_and_values_are_the_models(bright):
    grey = np.full((96, 128, 3), 102, np.uint8)
    depth = bright.predict(grey)
    assert depth.shape == (96, 128)
    assert np.allclose(depth.values, 1 / (0.4 + 0.05), rtol=1e-4)
    assert bright.predict(np.full((37, 53, 3), 0.4)).shape == (37, 53)


def test_files_and_arrays_agree(bright, scenes):
    path = scenes / "images" / "004.png"
    from_file, from_array = bright.predict(path), bright.predict(np.asarray(Image.open(path)))
    assert np.array_equal(from_file.values, from_array.values)


def test_batches_change_nothing(student_file):
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(3)]
    images += [random.integers(0, 255, (50, 80, 3), np.uint8) for _ in range(2)]
    one = leadline.load(str(student_file))
    two = leadline.load(str(student_file))
    two.batch = 2
    for (a, first), (b, second) in zip(one.stream(images), two.stream(images), strict=True):
        assert a is b
        assert np.allclose(first.values, second.values, rtol=1e-4)


def test_the_camera_comes_from_intrinsics_then_fov_then_exif(bright, tmp_path):
    image = np.zeros((60, 80, 3), np.uint8)
    assert bright.predict(image).camera is None
    assert Lens(fov=90).of(60, 80).fx == pytest.approx(40)
    assert Lens(Pinhole.from_fov(160, 120, 90)).of(60, 80).fx == pytest.approx(40)
    with pytest.raises(InputError):
        Lens(Pinhole.from_fov(160, 160, 90)).of(60, 80)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 36
    Image.fromarray(image).save(tmp_path / "photo.jpg", exif=exif)
    assert bright.predict(tmp_path / "photo.jpg").camera.fx == pytest.approx(36 / 43.27 * 100, rel=1e-2)


@pytest.mark.parametrize("bad", [np.zeros((5, 5)), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), int)])
def test_arrays_that_are_no_image(bright, bad):
    with pytest.raises(InputError, match="an array must be"):
        bright.predict(bad)


def test_images_too_small_are_refused(bright):
    with pytest.raises(InputError, match="at least 8x8"):
        bright.predict(np.zeros((7, 90, 3), np.uint8))
