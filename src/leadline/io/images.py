"""Pictures in and out: whatever a user's file holds becomes uint8 RGB, upright."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from leadline.errors import InputError, suggest
from leadline.io.atomic import writing

IMAGE_SUFFIXES = frozenset((
    ".apng", ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
))  # fmt: skip
"""Suffixes (lower case, with the dot) of files that are taken for pictures."""

WRITABLE_SUFFIXES = (".png", ".jpg", ".jpeg")

#: How hard zlib tries on PNG files, of 9. Its usual 6 takes three to five times as long and saves a twentieth of a
#: depth map, a tenth of a photograph, a fifth of a depth map in colours.
PNG_LEVEL = 2

#: Floating point pictures may be so much beyond [0, 1].
ROUNDING = 1e-3

#: Formats, by Pillow's names, of pictures that strangers may send: those of cameras, phones and browsers. Pillow reads
#: many more, some by starting other programs.
SENT_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

FULL_FRAME_DIAGONAL = math.hypot(36.0, 24.0)
"""Diagonal of the 35 mm film frame in mm, 43.27."""


class AnimatedImageWarning(UserWarning):
    """A file holds several pictures and only the first one was read."""


class TooManyPixels(InputError):
    """A picture's header announces more pixels than may be decoded."""


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture as RGB, turned upright by its EXIF orientation.

    Grey, palette, one-bit, CMYK and 16-bit pictures are converted. 16-bit grey is scaled so that 65535
    becomes 255, whatever the brightest pixel. Transparent pictures are laid over black, so that nothing
    hidden under a transparent pixel reaches a network. Colour profiles are not applied.

    Args:
        path: a file of any format Pillow reads.

    Returns:
        uint8 array (H, W, 3), RGB.

    Raises:
        InputError: the file is missing, empty, cut off, not a picture, too large to be one, or holds
            floating point values, which have no brightness range.

    Warns:
        AnimatedImageWarning: the file is an animation or has several pages; the first picture is returned.
    """
    with opening(path) as image:
        # A phone's MPO file is one photograph with a preview or second view behind it.
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            message = f"{path}: holds {image.n_frames} pictures, only the first is read"  # type: ignore[attr-defined]
            warnings.warn(message, AnimatedImageWarning, stacklevel=2)
        image.load()
        return _rgb(ImageOps.exif_transpose(image), path)


def decode_image(data: bytes, most: int) -> tuple[NDArray[np.uint8], float | None]:
    """Decode a picture that somebody sent, as `read_image` reads a file; of several in it the first.

    Args:
        data: a whole file of one of ``SENT_FORMATS``.
        most: pixels it may have; the header is asked before anything is decoded.

    Returns:
        uint8 array (H, W, 3), RGB, and the focal length in pixels as `exif_focal` gives it.

    Raises:
        TooManyPixels: it has more.
        InputError: it is not a picture, damaged or cut off.
    """
    Image.init()
    formats = [name for name in SENT_FORMATS if name in Image.OPEN]  # a build of Pillow may lack some
    with _explained("image"), Image.open(io.BytesIO(data), formats=formats) as image:
        width, height = image.size
        if width * height > most:
            raise TooManyPixels(f"image: {width}x{height} pixels are more than {most / 1e6:g} million")
        image.load()
        return _rgb(ImageOps.exif_transpose(image), "image"), _focal(image)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width in pixels that `read_image` would return, from the file's header alone.

    Raises:
        InputError: the file is missing, empty or not a picture.
    """
    with opening(path) as image:
        width, height = image.size
        # The base's, because that of PNG decodes the picture to look for EXIF data behind it, where nobody writes it.
        turned = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a picture as PNG or JPEG (quality 95), by the path's suffix.

    Args:
        path: ends in .png, .jpg or .jpeg; a file that exists is replaced, and only by a whole one.
        image: (H, W, 3) RGB, uint8, or floating point in [0, 1], which is rounded to the nearest of 256 steps.

    Raises:
        InputError: the suffix is another one, the array is not such an array, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise InputError(
            f"{path}: cannot write a picture as '{suffix}'; use one of {', '.join(WRITABLE_SUFFIXES)}"
            f"{suggest(suffix, WRITABLE_SUFFIXES)}"
        )
    if not (image.dtype == np.uint8 or image.dtype.kind == "f") or image.shape[2:] != (3,) or image.size == 0:
        raise InputError(
            f"{path}: a picture is uint8 (H, W, 3), or floating point in [0, 1]; this array is {image.dtype} "
            f"{image.shape}"
        )
    if image.dtype.kind == "f":
        low, high = image.min(), image.max()
        if not -ROUNDING <= low <= high <= 1 + ROUNDING:  # not a number either
            raise InputError(f"{path}: a floating point picture is in [0, 1], this one goes from {low:g} to {high:g}")
        image = np.rint(image * 255).astype(np.uint8)
    with writing(path) as temporary:
        try:
            Image.fromarray(image).save(temporary, quality=95, compress_level=PNG_LEVEL)
        except OSError as error:
            raise InputError(f"{path}: cannot write this picture ({error})") from None


def exif_focal(path: str | os.PathLike[str]) -> float | None:
    """Focal length in pixels from what the camera wrote into the file, or None where it wrote too little.

    From ``FocalLengthIn35mmFilm`` by the diagonal rule of CIPA DCG-001: ``f35 / 43.27 mm * image diagonal in
    pixels``, which agrees with the 36 mm width rule for 3:2 pictures and stays right for 4:3. Otherwise from
    ``FocalLength`` and ``FocalPlaneXResolution``, scaled from the recorded to the present size. Right for
    whole pictures, also when resized; wrong for cropped ones. Typically good to a few per cent.

    Raises:
        InputError: the file is missing, empty or not a picture.
    """
    with opening(path) as image:
        return _focal(image)


def _focal(image: Image.Image) -> float | None:
    tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    width, height = image.size

    def number(tag: ExifTags.Base) -> float:
        try:
            value = float(tags.get(tag, 0.0))
        except (TypeError, ValueError, ZeroDivisionError):
            return 0.0
        return value if math.isfinite(value) and value > 0 else 0.0

    equivalent = number(ExifTags.Base.FocalLengthIn35mmFilm)
    if equivalent:
        return equivalent / FULL_FRAME_DIAGONAL * math.hypot(width, height)
    focal = number(ExifTags.Base.FocalLength)
    resolution = number(ExifTags.Base.FocalPlaneXResolution)
    # Units of the EXIF standard: 2 inch (the default), 3 cm; 4 mm and 5 micrometre are TIFF/EP's.
    unit = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}.get(int(number(ExifTags.Base.FocalPlaneResolutionUnit)) or 2)
    if not (focal and resolution and unit):
        return None
    recorded = max(number(ExifTags.Base.ExifImageWidth), number(ExifTags.Base.ExifImageHeight))
    return focal * resolution / unit * (max(width, height) / recorded if recorded else 1.0)


@contextmanager
def opening(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open a picture with Pillow; whatever fails inside the block becomes one line that names the file.

    Raises:
        InputError: the file is missing, empty, unreadable, not a picture, or damaged where the block reads
            it.
    """
    file = Path(path)
    if not file.exists():
        raise InputError(f"{file}: no such file")
    if file.is_dir():
        raise InputError(f"{file}: a folder, not a picture")
    if file.stat().st_size == 0:
        raise InputError(f"{file}: the file is empty")
    with _explained(file), Image.open(file) as image:
        yield image


@contextmanager
def _explained(file: Path | str) -> Iterator[None]:
    """What goes wrong with a picture becomes one line that names it."""
    try:
        yield
    except (InputError, AnimatedImageWarning):
        raise
    except UnidentifiedImageError:
        raise InputError(f"{file}: not a picture that can be read{_heic_hint(Path(file))}") from None
    except Image.DecompressionBombError as error:
        raise TooManyPixels(f"{file}: too large to be a picture ({error})") from None
    except PermissionError:
        raise InputError(f"{file}: no permission to read it") from None
    except Exception as error:  # Pillow's decoders raise nearly every built-in exception on damaged data
        raise InputError(f"{file}: the picture is damaged or cut off ({error})") from None


def _heic_hint(file: Path) -> str:
    return "; convert HEIC to JPEG first" if file.suffix.lower() in (".heic", ".heif") else ""


def _rgb(image: Image.Image, path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise InputError(f"{path}: holds floating point values (a depth map?), not a picture")
    if image.mode == "I" or image.mode.startswith("I;16"):
        codes = np.asarray(image).astype(np.int64)
        if codes.min() < 0 or codes.max() > 65535:
            raise InputError(f"{path}: holds 32-bit integers, not a picture of 8 or 16 bits")
        grey = ((codes * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.array(image.convert("RGB"))
