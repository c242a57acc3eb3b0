from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadline.camera import Pinhole
from leadline.data.cameras import fitted, pinhole
from leadline.errors import InputError

FILE = Path("scene/intrinsics.txt")
MATRIX = np.array([[2262.5, 0, 1097, 0], [0, 2265, 513, 0], [0, 0, 1, 0]])
SIZE = (2048, 1024)


def test_a_matrix_is_of_the_image_or_of_the_data_sets_size():
    own = Pinhole(2048, 1024, 2262.5, 2265.0, 1097.0, 513.0)
    assert pinhole(MATRIX, 2048, 1024, FILE, SIZE) == pinhole(MATRIX, 2048, 1024, FILE) == own
    for width, height in ((1024, 512), (512, 256), (1536, 768)):
        assert pinhole(MATRIX, width, height, FILE, SIZE) == own.resize(height, width)
        # the same images with a matrix that was made smaller with them
        smaller = own.resize(height, width)
        assert pinhole(smaller.K, width, height, FILE, SIZE) == smaller


@pytest.mark.parametrize("size", [None, (475, 475)])
def test_a_matrix_of_neither_is_refused(size):
    with pytest.raises(InputError, match=r"scene/intrinsics.txt: principal point 23.5, 23.5 is not that of 24x24"):
        pinhole(np.array([[50, 0, 23.5], [0, 50, 23.5], [0, 0, 1]]), 24, 24, FILE, size)


def test_an_image_of_another_shape_is_refused_by_name():
    with pytest.raises(InputError, match=r"scene/intrinsics.txt: the camera is of a 2048x1024 image .* 640x192"):
        pinhole(MATRIX, 640, 192, FILE, SIZE)
    camera = Pinhole(8, 4, 4.0, 4.0, 3.5, 1.5)
    assert fitted(camera, 4, 2, FILE) == camera.resize(2, 4)
    with pytest.raises(InputError, match=r"^scene/intrinsics.txt: the camera is of a 8x4 image"):
        fitted(camera, 4, 4, FILE)
