from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import leadline
from leadline.camera import Pinhole
from leadline.depth import Kind
from leadline.errors import InputError
from leadline.foundation.base import DepthModel
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


class Windowed(DepthModel):
    """Sees four frames together, and answers brightness times a factor of the window."""

    name, licence, digest = "windowed", "mit", "windowed"
    window, remembers = 32, True

    def __init__(self, kind: str) -> None:
        self.kind = Kind.parse(kind)
        self.unit = "mm" if kind.startswith("metric") else "arbitrary"
        self.windows = 0

    def input_size(self, height, width):
        return height, width

    def infer(self, images):
        return 1 + images.mean(1)

    def infer_clip(self, images):
        self.windows += 1
        disparity = (1 + images.mean(1)) * self.windows
        return disparity if self.kind.quantity == "disparity" else 1 / disparity

    def infer_next(self, image, memory=None):
        return self.infer(image), None


@pytest.mark.parametrize("kind", ["affine-invariant-disparity", "scale-invariant-depth"])
def test_windows_of_a_video_are_aligned_and_every_image_comes_back(kind):
    rng = np.random.default_rng(0)
    images = [rng.random((16, 20, 3), dtype=np.float32) for _ in range(60)]
    model = Windowed(kind)
    answers = list(Predictor(model).stream(iter(images)))
    assert model.windows == 3
    assert len(answers) == 60
    for (shown, depth), image in zip(answers, images, strict=True):
        assert np.array_equal(shown, image)
        expected = 1 + image.mean(2)
        if kind == "scale-invariant-depth":
            expected = 1 / expected
        np.testing.assert_allclose(depth.values, expected, rtol=1e-3)
        assert depth.kind == Kind.parse(kind)


def test_live_video_is_answered_before_the_next_image_is_read():
    read = []

    def images():
        for number in range(4):
            read.append(number)
            yield np.full((16, 20, 3), number / 4, np.float32)

    stream = Predictor(Windowed("metric-depth")).stream(images(), live=True)
    for number in range(4):
        next(stream)
        assert read == list(range(number + 1))


def test_images_of_one_video_have_one_size():
    images = [np.zeros((16, 20, 3), np.float32), np.zeros((16, 24, 3), np.float32)]
    with pytest.raises(InputError, match="an image is 24x16, those before 20x16"):
        list(Predictor(Windowed("metric-depth")).stream(images))
    assert len(list(Predictor(Windowed("metric-depth")).stream(images, live=True))) == 2
