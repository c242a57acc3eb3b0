"""Depth maps in and out of files: arrays, validity and a small dictionary of text.

What the values mean (kind, unit, camera) is not known here; `leadline.depth.DepthMap` puts that into
``meta``.

| suffix | values | invalid pixels | metadata | read | write |
|---|---|---|---|---|---|
| .png | 16-bit codes, linear | code 0 | yes | yes | yes |
| .npz | exact | own array | yes | yes | yes |
| .exr | exact | NaN | yes | yes | yes |
| .npy | exact | NaN | no | yes | yes |
| .pfm | exact | infinity (as Middlebury does) | no | yes | yes |
| .tif, .tiff | 16-bit codes or float32 | codes, or not finite | no | yes | no |
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from leadline.errors import InputError, suggest
from leadline.io.atomic import writing
from leadline.io.images import PNG_LEVEL, opening

DEPTH_SUFFIXES = (".png", ".npz", ".exr", ".npy", ".pfm", ".tif", ".tiff")
"""Suffixes of depth files that can be read."""

WRITABLE_SUFFIXES = (".png", ".npz", ".exr", ".npy", ".pfm")

CODES = 65535
"""The largest 16-bit code."""

_KEY = "leadline"

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
_Raw = tuple[NDArray[np.generic], Mask | None, dict[str, str] | None]


def write_depth(
    path: str | os.PathLike[str],
    values: Values,
    valid: Mask,
    meta: Mapping[str, str] | None = None,
    *,
    scale: float | None = None,
    affine: bool = False,
) -> None:
    """Write a depth map in the format of the path's suffix.

    A PNG holds 16-bit codes, ``value = offset + step * code``, with 0 for invalid pixels. By default the
    codes 1..65535 span zero (or the smallest value, if negative) to the largest value, so that the error is
    at most half of 1/65534 of the span and other programs, which know nothing of our metadata, still see
    proportional depth.

    Args:
        path: the file; a suffix of the table above. One that exists is replaced, and only by a whole one.
        values: float32 (H, W); what stands in invalid pixels does not matter.
        valid: bool (H, W); pixels whose value is not finite are written as invalid too.
        meta: text by key; kept by .png, .npz and .exr.
        scale: PNG only: fixed codes per unit, ``code = value * scale``, as other programs expect them: 1000
            for metres in millimetres, 256 for KITTI. Values that round to code 0 are written as 1, to stay
            valid.
        affine: PNG only: values are known up to a shift too, so zero means nothing and the codes span the
            smallest to the largest value.

    Raises:
        InputError: the suffix is another one, shapes or types are wrong, values do not fit the fixed scale,
            or the file cannot be written.
    """
    suffix = _suffix(path, WRITABLE_SUFFIXES, "write")
    if values.ndim != 2 or values.shape != valid.shape or valid.dtype != np.bool_ or values.size == 0:
        raise InputError(
            f"{path}: a depth map is values (H, W) with valid bool (H, W), "
            f"these are {values.dtype} {values.shape} and {valid.dtype} {valid.shape}"
        )
    if scale is not None and suffix != ".png":
        raise InputError(f"{path}: a scale is for 16-bit PNG files, {suffix} holds the values themselves")
    values = values.astype(np.float32, copy=False)
    valid = valid & np.isfinite(values)
    meta = dict(meta or {})
    with writing(path) as temporary:
        try:
            if suffix == ".png":
                _write_png(temporary, path, values, valid, meta, scale, affine)
            elif suffix == ".npz":
                with temporary.open("wb") as file:
                    np.savez_compressed(
                        file, depth=np.where(valid, values, 0), valid=valid, meta=np.array(json.dumps(meta))
                    )
            elif suffix == ".npy":
                np.save(temporary, np.where(valid, values, np.nan))
            elif suffix == ".exr":
                _write_exr(temporary, np.where(valid, values, np.nan), meta)
            else:
                _write_pfm(temporary, np.where(valid, values, np.inf))
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path}: cannot write this depth map ({error})") from None


def read_depth(
    path: str | os.PathLike[str], *, scale: float | None = None, invalid: Collection[float] | None = None
) -> tuple[Values, Mask, dict[str, str]]:
    """Read a depth map, ours or another program's.

    ``scale`` and ``invalid`` say what a file cannot say itself and are ignored for files with our metadata.

    Args:
        path: the file; a suffix of the table above. Arrays in .npz files are looked for under ``depth``, then
            ``values``, then any name if there is only one; layers in .exr files under ``Z``, then any single
            one.
        scale: codes per unit, ``value = code / scale``: 1000 for millimetres read as metres, 256 for KITTI.
            Must be given for files of integers; 1 for floating point files by default.
        invalid: codes (before scaling) that mean "no value", for instance ``(0, 65535)``. By
            default 0 in files of integers, none in floating point files. NaN and infinity always are.

    Returns:
        values float32 (H, W) with 0 in invalid pixels, valid bool (H, W), and the metadata ({} without ours).

    Raises:
        InputError: the file is missing, damaged, of another format, not a single-channel map, or holds
            integers and no scale is known.
    """
    file = Path(path)
    reader = _READERS[_suffix(path, DEPTH_SUFFIXES, "read")]
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    if file.stat().st_size == 0:
        raise InputError(f"{file}: the file is empty")
    raw, valid, meta = reader(file)
    if raw.ndim == 3 and 1 in (raw.shape[0], raw.shape[2]):
        raw = raw[..., 0] if raw.shape[2] == 1 else raw[0]
    if raw.ndim != 2 or raw.size == 0 or raw.dtype.kind not in "uif":
        raise InputError(f"{file}: a depth map is numbers (H, W), this is {raw.dtype} {raw.shape}")
    with np.errstate(over="ignore"):
        if meta is not None:
            values = raw.astype(np.float32)
            valid = np.isfinite(values) if valid is None else valid
        else:
            integers = raw.dtype.kind in "ui"
            if integers and scale is None:
                raise InputError(
                    f"{file}: integers without leadline's metadata; give their scale in codes per unit "
                    "(1000 for millimetres as metres, 256 for KITTI)"
                )
            if scale is not None and not (np.isfinite(scale) and scale > 0):
                raise InputError(f"{file}: a scale is a number above 0, not {scale}")
            codes = invalid if invalid is not None else ((0,) if integers else ())
            values = (raw.astype(np.float64) / (scale or 1.0)).astype(np.float32)
            given = np.ones(raw.shape, np.bool_) if valid is None else valid
            valid = given & np.isfinite(values) & ~np.isin(raw, list(codes))
    if valid.shape != values.shape:
        raise InputError(f"{file}: values {values.shape} and validity {valid.shape} differ in size")
    return np.where(valid, values, np.float32(0)), valid, meta or {}


def _suffix(path: str | os.PathLike[str], known: tuple[str, ...], what: str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        raise InputError(
            f"{path}: cannot {what} a depth map as '{suffix}'; use one of {', '.join(known)}{suggest(suffix, known)}"
        )
    return suffix


def _write_png(
    temporary: Path,
    path: str | os.PathLike[str],
    values: Values,
    valid: Mask,
    meta: dict[str, str],
    scale: float | None,
    affine: bool,
) -> None:
    known = values[valid].astype(np.float64)
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    if scale is not None:
        if not (np.isfinite(scale) and scale > 0):
            raise InputError(f"{path}: a scale is a number above 0, not {scale}")
        if low < 0 or high * scale >= CODES + 0.5:
            raise InputError(
                f"{path}: values from {low:g} to {high:g} do not fit 16 bits at {scale:g} codes per unit "
                f"(0 to {CODES / scale:g}); use a smaller scale, or another format"
            )
        step, offset = 1.0 / scale, 0.0
        codes = np.maximum(np.rint(known * scale), 1)
    else:
        start = low if affine else min(low, 0.0)
        # A map of one single value still needs a step; one of its size loses nothing of it.
        step = float((high - start) / (CODES - 1)) or abs(float(start)) or 1.0
        offset = float(start - step)
        codes = 1 + np.rint((known - start) / step)
    picture = np.zeros(values.shape, np.uint16)
    picture[valid] = codes
    text = PngImagePlugin.PngInfo()
    text.add_text(_KEY, json.dumps({"step": step, "offset": offset, "meta": meta}))
    Image.fromarray(picture).save(temporary, pnginfo=text, compress_level=PNG_LEVEL)


def _read_picture(file: Path) -> _Raw:
    """PNG and TIFF: codes or floats as stored, unless the file says by our metadata what they stand for."""
    with opening(file) as image:
        image.load()
        if image.mode not in ("L", "I", "F") and not image.mode.startswith("I;16"):
            raise InputError(
                f"{file}: a colour picture ({image.mode}), not a depth map; those have one channel, mostly of 16 bits"
            )
        codes = np.array(image)
        stored = image.info.get(_KEY)
    if stored is None:
        return codes, None, None
    try:
        fields = json.loads(stored)
        step, offset, meta = float(fields["step"]), float(fields["offset"]), _checked(fields["meta"])
    except (ValueError, KeyError, TypeError):
        raise _bad_metadata(file) from None
    return (offset + step * codes.astype(np.float64)).astype(np.float32), codes > 0, meta


#: What numpy, zipfile and zlib raise at damaged archives, and at those that say they are larger than memory.
UNREADABLE = (
    ValueError, TypeError, OSError, EOFError, BadZipFile, zlib.error, NotImplementedError, MemoryError,
)  # fmt: skip


def _read_npz(file: Path) -> _Raw:
    try:
        # Opened here, since np.load leaves the file open when it is damaged.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            names = [name for name in ("depth", "values") if name in archive] or archive.files
            if not names or (len(archive.files) > 1 and names[0] not in ("depth", "values")):
                raise InputError(f"{file}: no array 'depth' in it, only {', '.join(archive.files) or 'nothing'}")
            valid = archive["valid"].astype(np.bool_) if "valid" in archive else None
            meta = _checked(json.loads(str(archive["meta"]))) if "meta" in archive else None
            return archive[names[0]], valid, meta
    except UNREADABLE as error:
        raise InputError(f"{file}: not a readable .npz file of plain arrays ({error})") from None


def _read_npy(file: Path) -> _Raw:
    try:
        with file.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise InputError(f"{file}: not a readable .npy file of a plain array ({error})") from None
    if not isinstance(loaded, np.ndarray):
        raise InputError(f"{file}: an .npz archive under the name of an .npy file")
    return loaded, None, None


def _write_exr(temporary: Path, values: Values, meta: dict[str, str]) -> None:
    import OpenEXR

    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION, _KEY: json.dumps(meta)}
    with OpenEXR.File(header, {"Z": np.ascontiguousarray(values)}) as exr:
        exr.write(str(temporary))


def _read_exr(file: Path) -> _Raw:
    import OpenEXR

    if file.read_bytes()[:4] != b"\x76\x2f\x31\x01":
        raise InputError(f"{file}: not an OpenEXR file")
    try:
        with OpenEXR.File(str(file), separate_channels=True) as exr:
            channels, stored = exr.channels(), exr.header().get(_KEY)
            name = "Z" if "Z" in channels else next(iter(channels), "")
            if name != "Z" and len(channels) != 1:
                raise InputError(f"{file}: no layer 'Z' in it, only {', '.join(channels) or 'nothing'}")
            values = np.array(channels[name].pixels)
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{file}: the OpenEXR file is damaged or cut off ({error})") from None
    try:
        return values, None, None if stored is None else _checked(json.loads(stored))
    except (ValueError, TypeError):
        raise _bad_metadata(file) from None


def _write_pfm(temporary: Path, values: Values) -> None:
    height, width = values.shape
    # A negative scale means little-endian; rows go from bottom to top.
    temporary.write_bytes(f"Pf\n{width} {height}\n-1.0\n".encode() + values[::-1].astype("<f4").tobytes())


def _read_pfm(file: Path) -> _Raw:
    data = file.read_bytes()
    header = re.match(rb"P([Ff])\s+(\d+)\s+(\d+)\s+([-+0-9.eE]+)[ \t\r]*\n", data)
    if header is None:
        raise InputError(f"{file}: not a PFM file (it does not begin with 'Pf', width, height and scale)")
    if header[1] == b"F":
        raise InputError(f"{file}: a PFM file of three channels, not a depth map")
    width, height = int(header[2]), int(header[3])
    body = data[header.end() :]
    if len(body) < 4 * width * height:
        raise InputError(f"{file}: the PFM file is cut off")
    kind = "<f4" if header[4].startswith(b"-") else ">f4"
    values = np.frombuffer(body, kind, width * height).reshape(height, width)[::-1]
    return values.astype(np.float32), None, None


def _checked(meta: object) -> dict[str, str]:
    if not isinstance(meta, dict) or not all(isinstance(value, str) for value in meta.values()):
        raise TypeError("metadata is a dictionary of text")
    return meta


def _bad_metadata(file: Path) -> InputError:
    return InputError(f"{file}: leadline's metadata in this file is damaged")


_READERS: dict[str, Callable[[Path], _Raw]] = {
    ".png": _read_picture,
    ".tif": _read_picture,
    ".tiff": _read_picture,
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".exr": _read_exr,
    ".pfm": _read_pfm,
}
