"""From the bytes of an image to those of its depth: what the model is asked, and how the answer is written."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from leadline.camera import Camera, Pinhole
from leadline.depth import DepthMap
from leadline.errors import InputError, KindError
from leadline.foundation.base import DepthModel
from leadline.foundation.long_video import as_tensor
from leadline.io.images import decode_image, write_image
from leadline.io.ply import write_ply
from leadline.networks.base import resize
from leadline.runtime.predictor import SMALLEST, Lens
from leadline.runtime.writing import in_colour
from leadline.view import colourise, robust_range

Format = Literal["png16", "npz", "colour", "ply"]
FORMATS: tuple[Format, ...] = get_args(Format)

#: What is sent as what.
_BYTES = "application/octet-stream"
MEDIA = {"png16": "image/png", "npz": _BYTES, "colour": "image/png", "ply": _BYTES}
SUFFIXES = {"png16": "depth.png", "npz": "depth.npz", "colour": "colour.png", "ply": "ply"}


@dataclass(frozen=True)
class Intrinsics:
    """What a client says of its camera.

    Args:
        fov: horizontal field of view in degrees, or None.
        fx: focal length in pixels of the image as it is seen upright, or None.
        fy: by default ``fx``.
        cx: by default the middle of the image.
        cy: likewise.
    """

    fov: float | None = None
    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None

    def of(self, height: int, width: int) -> Camera | None:
        """The camera of an image, or None where nothing is said.

        Raises:
            ConfigError: there is no such camera.
        """
        if self.fx is not None:
            middle = (width - 1) / 2 if self.cx is None else self.cx, (height - 1) / 2 if self.cy is None else self.cy
            return Pinhole(width, height, self.fx, self.fx if self.fy is None else self.fy, *middle)
        return None if self.fov is None else Pinhole.from_fov(width, height, self.fov)


@dataclass(frozen=True, eq=False)
class Seen:
    """An image, ready for the network.

    Args:
        tensor: (1, 3, h, w) at the size the network sees, which images have in common that run together.
        size: (height, width) of the image.
        camera: of the image, where it is known.
        image: (H, W, 3) uint8, where the answer needs it.
    """

    tensor: Tensor
    size: tuple[int, int]
    camera: Camera | None
    image: np.ndarray | None

    @property
    def key(self) -> Hashable:
        """Equal for images that can run together."""
        return tuple(self.tensor.shape)


@dataclass(frozen=True)
class Answer:
    """The bytes of a depth map, and what they mean."""

    body: bytes
    format: Format
    depth: DepthMap


class Answerer:
    """The way of an image in three steps: the first and the last in any thread, the middle one in one thread at a time.

    Args:
        model: to ask.
        lens: where the camera of an image comes from that says nothing of it.
        most_pixels: of an image.
        folder: for files while they are written; it is left as it was.
    """

    def __init__(self, model: DepthModel, lens: Lens, most_pixels: int, folder: Path) -> None:
        self.model, self.lens, self.most_pixels, self.folder = model, lens, most_pixels, folder

    def see(self, data: bytes, format: Format, intrinsics: Intrinsics) -> Seen:
        """Decode an image and bring it to the network's size.

        Args:
            data: a whole image file.
            format: of the answer.
            intrinsics: of the camera, as the client says.

        Raises:
            TooManyPixels: see :func:`leadline.io.images.decode_image`.
            InputError: not a picture, too small, or the model needs a focal length that nothing tells.
            KindError: this model's maps have no points, or those of this image have no camera.
            ConfigError: there is no such camera.
        """
        if format == "ply" and self.model.kind.up_to == "affine":
            raise KindError(
                f"format: ply: this model's {self.model.kind} is known up to scale and shift, which gives no point "
                "cloud: an unknown shift distorts the shape; ask for png16 or npz"
            )
        image, focal = decode_image(data, self.most_pixels)
        height, width = image.shape[:2]
        if min(height, width) < SMALLEST:
            raise InputError(f"image: {width}x{height} pixels; at least {SMALLEST}x{SMALLEST} are needed")
        camera = intrinsics.of(height, width) or self.lens.of(height, width)
        if camera is None and focal is not None:
            camera = Pinhole.from_focal(width, height, focal)
        if camera is None and (format == "ply" or self.model.focal is not None):
            what = "a point cloud needs" if format == "ply" else f"this model's {self.model.unit} depend on"
            raise KindError(f"fov: {what} the camera: give fov=DEGREES or fx=PIXELS, or an image whose EXIF tells it")
        tensor = self.model.resize(as_tensor([image]), self.model.input_size(height, width))
        return Seen(tensor, (height, width), camera, image if format == "ply" else None)

    def run(self, batch: list[Seen]) -> list[Tensor]:
        """(h, w) of each, of the network's own size; all of one key."""
        return list(self.model.infer(torch.cat([seen.tensor for seen in batch])).cpu())

    def answer(self, seen: Seen, output: Tensor, format: Format) -> Answer:
        """What the network said, at the image's size, as a file.

        Args:
            seen: what it was asked.
            output: (h, w).
            format: of the file.
        """
        values = resize(output[None, None], seen.size)[0, 0].numpy()
        if seen.camera is not None:
            values = values * np.float32(self.model.at_focal(seen.camera))
        depth = DepthMap(values, self.model.kind, self.model.unit, camera=seen.camera)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            file = Path(folder) / f"answer.{SUFFIXES[format]}"
            if format == "colour":
                write_image(file, coloured(depth))
            elif format == "ply":
                assert seen.image is not None
                write_ply(file, depth.to_points(), seen.image[depth.liftable])
            else:
                depth.save(file)
            return Answer(file.read_bytes(), format, depth)

    def warm_up(self) -> None:
        """Run once on nothing, so that the first client does not wait for what is done only once."""
        size = self.model.input_size(480, 640)
        self.model.infer(torch.zeros(1, 3, *size))


def coloured(depth: DepthMap) -> np.ndarray:
    """A map in colours, (H, W, 3) uint8, near is bright and warm."""
    shown = in_colour(depth)
    low, high = robust_range(shown.values, shown.valid)
    return colourise(shown.values, shown.valid, low, high, quantity=shown.kind.quantity)


def meaning(model: DepthModel, note: str, depth: DepthMap) -> dict[str, str]:
    """What a map means, as headers of an answer: kind, unit, range of the valid values, model, licence, note."""
    known = depth.values[depth.valid]
    headers = {"Kind": str(depth.kind), "Unit": depth.unit, "Model": model.name, "Licence": model.licence}
    if note:
        headers["Note"] = note
    if known.size:
        headers["Range"] = f"{known.min():.6g} {known.max():.6g}"
    return {f"Depth-{name}": _plain(text) for name, text in headers.items()}


def _plain(text: str) -> str:
    """One line of ASCII, as headers have to be."""
    return " ".join(text.split()).encode("ascii", "replace").decode()
