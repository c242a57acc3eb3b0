"""Cameras of images by the intrinsics that data sets store, also where images were resized since."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.errors import InputError

#: A principal point lies so far inside an image, as a part of its sides: else the image is not the matrix's.
INSIDE = 0.25

C = TypeVar("C", bound=Camera)


def fitted(camera: C, width: int, height: int, file: Path) -> C:
    """A camera for an image of another size but the same shape.

    Raises:
        InputError: the shapes differ; the message begins with ``file``.
    """
    try:
        return camera.fit(width, height)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def pinhole(matrix: np.ndarray, width: int, height: int, file: Path, size: tuple[int, int] | None = None) -> Pinhole:
    """The camera of an image by a matrix that is stored without the size of its images.

    Args:
        matrix: (3, 3) or (3, 4), pixels.
        width: of the image.
        height: of the image.
        file: which holds the matrix.
        size: (width, height) of the data set's images as they are downloaded, where all have one; the matrix is theirs
            or the image's, whichever of the two has the principal point nearer to its middle.

    Raises:
        InputError: the image has another shape than ``size``, or the principal point is not within the middle half of
            its sides: it was resized or cropped, and nobody knows how.
    """
    fx, fy, cx, cy = (float(matrix[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2)))

    def off(width: int, height: int) -> float:
        return max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))

    own = min(((width, height), size or (width, height)), key=lambda each: off(*each))
    if off(*own) > 0.5 - INSIDE:
        raise InputError(
            f"{file}: principal point {cx:g}, {cy:g} is not that of {width}x{height} images; use the images as they "
            "were downloaded, they are resized after loading"
        )
    return fitted(Pinhole(*own, fx, fy, cx, cy), width, height, file)
