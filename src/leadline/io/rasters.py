"""Arrays of numbers as PNG or TIFF files, exactly as they are: what data sets keep depth and labels in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from leadline.errors import InputError
from leadline.io.atomic import writing
from leadline.io.images import PNG_LEVEL


def write_raster(path: str | os.PathLike[str], values: np.ndarray) -> None:
    """Write numbers without changing one.

    Args:
        path: ``.png`` takes (H, W) uint8 or uint16; ``.tif`` and ``.tiff`` take (H, W) or (H, W, C) of uint8, uint16 or
            float32; three numbers a pixel are stored as colours, for OpenCV finds no others. A file that exists is
            replaced, and only by a whole one.
        values: the numbers.

    Raises:
        InputError: the file cannot hold them, or cannot be written.
    """
    path = Path(path)
    suffix, kind = path.suffix.lower(), values.dtype.name
    if suffix == ".png" and values.ndim == 2 and kind in ("uint8", "uint16"):
        with writing(path) as temporary:
            Image.fromarray(values).save(temporary, format="PNG", compress_level=PNG_LEVEL)
    elif suffix in (".tif", ".tiff") and values.ndim in (2, 3) and kind in ("uint8", "uint16", "float32"):
        with writing(path) as temporary:
            meaning = "rgb" if values.shape[2:] == (3,) else "minisblack"
            tifffile.imwrite(temporary, values, photometric=meaning, planarconfig="contig")
    else:
        raise InputError(f"{path}: cannot hold {values.ndim} dimensions of {kind}")


def read_raster(path: str | os.PathLike[str]) -> np.ndarray:
    """The numbers of a PNG or TIFF file as they are stored, nothing scaled.

    Returns:
        (H, W) or (H, W, C) of the file's own type; colours of 16 bits in a PNG are cut to 8.

    Raises:
        InputError: the file is missing, cut off, or of another format.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return np.asarray(tifffile.imread(path))
        with Image.open(path) as picture:
            return np.asarray(picture)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # whatever the formats' libraries raise for damaged files
        raise InputError(f"{path}: is not a readable PNG or TIFF file ({error})") from None
