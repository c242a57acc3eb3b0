from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from leadline.errors import InputError
from leadline.io.rasters import write_raster

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a.png", RNG.integers(0, 256, (5, 7), np.uint8)),
        ("a.png", RNG.integers(0, 65536, (5, 7), np.uint16)),
        ("a.tif", RNG.integers(0, 65536, (5, 7), np.uint16)),
        ("a.tiff", RNG.normal(size=(5, 7)).astype(np.float32)),
    ],
)
def test_another_reader_finds_the_same_numbers(name, values, tmp_path):
    write_raster(tmp_path / name, values)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED), values)


COLOUR = RNG.integers(0, 65536, (5, 7, 3), np.uint16)


@pytest.mark.parametrize("values", [RNG.normal(size=(5, 7, 3)).astype(np.float32), COLOUR])
def test_three_numbers_a_pixel_are_found_in_opencvs_order(values, tmp_path):
    write_raster(tmp_path / "xyz.tiff", values)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "xyz.tiff"), cv2.IMREAD_UNCHANGED), values[..., ::-1])


def test_pillow_finds_the_upper_half_of_colours_of_16_bits(tmp_path):
    write_raster(tmp_path / "a.tiff", COLOUR)
    with Image.open(tmp_path / "a.tiff") as picture:
        np.testing.assert_array_equal(np.asarray(picture), COLOUR >> 8)


def test_two_numbers_a_pixel(tmp_path):
    values = RNG.normal(size=(5, 7, 2)).astype(np.float32)
    values[0] = np.nan
    write_raster(tmp_path / "flow.tiff", values)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "flow.tiff"), values)


@pytest.mark.parametrize(
    ("name", "values"),
    [("a.png", np.zeros((2, 2), np.float32)), ("a.jpg", np.zeros((2, 2), np.uint8)), ("a.tif", np.zeros((2, 2)))],
)
def test_what_a_file_cannot_hold_is_refused(name, values, tmp_path):
    with pytest.raises(InputError, match="cannot hold"):
        write_raster(tmp_path / name, values)
    assert not list(tmp_path.iterdir())
