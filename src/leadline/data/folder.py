"""Any folder of images, with or without depth."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leadline.camera import Camera
from leadline.data.images import Images
from leadline.data.transforms import nearest_pixels
from leadline.depth import DepthMap, Kind, check_unit
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.io.atomic import write_numbers
from leadline.io.depth_files import CODES, DEPTH_SUFFIXES
from leadline.io.images import IMAGE_SUFFIXES, write_image
from leadline.io.inputs import natural_key
from leadline.io.rasters import write_raster

#: Largest step of a written depth map, as a part of its nearest depth.
COARSEST = 1e-3


@dataclass(frozen=True)
class DepthFormat:
    """What the numbers in depth files mean, where the files do not say so themselves.

    Args:
        kind: such as ``metric-depth`` or ``scale-invariant-disparity``.
        unit: of the values after ``scale``.
        scale: numbers in the file a unit, needed for integers: 1000 for millimetres read as m, 256 for KITTI.
        invalid: numbers that mean "unknown"; by default 0 in files of integers.
    """

    kind: str = "metric-depth"
    unit: str = "m"
    scale: float | None = None
    invalid: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_unit(Kind.parse(self.kind), self.unit)

    def read(self, path: Path) -> DepthMap:
        """The depth map of a file; one that leadline wrote says itself what it is.

        Raises:
            InputError: the file cannot be read as depth.
        """
        return DepthMap.load(path, kind=self.kind, unit=self.unit, scale=self.scale, invalid=self.invalid)


class Folder(Images):
    """Images with depth.

    Args:
        root: the folder.
        images: glob of the images in it.
        depths: glob of the depth files in it. An image and a depth file belong together when what stands for the ``*``
            (or, where the globs differ by more, the file name up to its first dot) is the same.
        depth: what the numbers in the files mean.
        intrinsics: a camera file for all images (see ``leadline.camera.Camera.load``); by default what the depth files
            say, where leadline wrote them.
        mask: which pixels carry picture, see ``leadline.data.images.open_mask``.
        drop_highlights: leave out wet highlights too.
        every: use one in so many images.

    Raises:
        InputError: no images, no depth, or an image without a partner; the message names it.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        images: str = "images/*",
        depths: str = "depths/*",
        depth: DepthFormat = DepthFormat(),
        intrinsics: str | os.PathLike[str] | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
    ) -> None:
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder")
        pictures = _matching(root, images, IMAGE_SUFFIXES)
        truths = _matching(root, depths, DEPTH_SUFFIXES)
        expected = f"{root} should hold images ({images}) and depth files ({depths}) of the same names"
        if not pictures:
            raise InputError(f"{root / images}: no images; {expected}")
        if not truths:
            raise InputError(f"{root / depths}: no depth files; {expected}")
        if missing := sorted(set(pictures) - set(truths)):
            raise InputError(
                f"{pictures[missing[0]]}: has no depth file beside it ({len(missing)} such images); {expected}"
            )
        names = sorted(pictures, key=natural_key)[:: max(1, every)]
        super().__init__([pictures[name] for name in names], mask, drop_highlights)
        self.depth_paths = [truths[name] for name in names]
        self.depth = depth
        self.intrinsics = Path(intrinsics) if intrinsics else None

    def __getitem__(self, index: int) -> Frame:
        """The frame of one image, its depth resized to it where sizes differ."""
        frame = super().__getitem__(index)
        height, width = frame.image.shape[:2]
        truth = self.depth.read(self.depth_paths[index])
        if self.intrinsics:
            camera: Camera | None = Camera.load(self.intrinsics, width, height)
        else:
            camera = _fitted(truth.camera, width, height, self.depth_paths[index])
        # Nearest, not interpolated: values between two surfaces exist on neither.
        pick = nearest_pixels(truth.shape, (height, width))
        truth = DepthMap(truth.values[pick], truth.kind, truth.unit, truth.valid[pick], camera)
        return frame.replace(depth=truth, camera=camera)


def _fitted(camera: Camera | None, width: int, height: int, path: Path) -> Camera | None:
    try:
        return camera.fit(width, height) if camera else None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_frames(root: Path, frames: Iterable[Frame], truth: bool = True) -> list[str]:
    """Write frames as :class:`Folder` reads them: ``images/NAME.png`` and ``depths/NAME.png``, NAME ``SEQUENCE-FRAME``.

    Depth has 16 bits up to the map's largest, and holds kind, unit and camera; where that is coarser than a thousandth
    of the nearest depth, as where the horizon is seen, it is ``depths/NAME.npz``, exact. With ``truth`` whatever else
    is known, see :class:`~leadline.frame.Frame` for what it means:

    - ``masks/NAME.png``: white may be used.
    - ``normals/NAME.png``: (n + 1) / 2, camera axes.
    - ``reflective/NAME.png``: white where a reflection hides the surface.
    - ``semantics/NAME.png``: the class of each pixel.
    - ``diffuse/NAME.tiff`` and ``residual/NAME.tiff``: (H, W, 3) float32.
    - ``forward_flow/NAME.tiff``, ``backward_flow/NAME.tiff``: (H, W, 2) float32, pixels right and down, NaN where what
      is seen here is not seen there.
    - ``poses/NAME.txt``: 4x4 camera-to-world.

    Returns:
        The names.

    Raises:
        InputError: a file cannot be written, or a class does not fit into 8 bits.
    """
    names = []
    for frame in frames:
        name = "-".join(part for part in (frame.sequence, frame.name) if part)
        write_image(root / "images" / f"{name}.png", frame.image)
        if frame.depth is not None:
            frame.depth.save(root / "depths" / f"{name}{_suffix(frame.depth)}")
        if truth:
            _write_truth(root, name, frame)
        names.append(name)
    return names


def _write_truth(root: Path, name: str, frame: Frame) -> None:
    if frame.semantics is not None and not 0 <= frame.semantics.min() <= frame.semantics.max() <= 255:
        raise InputError(f"{root / 'semantics' / name}.png: classes outside 0..255 do not fit into the file")
    pictures = {
        "masks": None if frame.mask is None else _grey(frame.mask * 255),
        "normals": None if frame.normals is None else frame.normals / 2 + 0.5,
        "reflective": None if frame.reflective is None else _grey(frame.reflective * 255),
        "semantics": None if frame.semantics is None else _grey(frame.semantics),
    }
    for kind, picture in pictures.items():
        if picture is not None:
            write_image(root / kind / f"{name}.png", picture)
    for kind in ("diffuse", "residual", "forward_flow", "backward_flow"):
        values = getattr(frame, kind)
        if values is not None:
            write_raster(root / kind / f"{name}.tiff", values)
    if frame.pose is not None:
        write_numbers(root / "poses" / f"{name}.txt", frame.pose)


def _suffix(depth: DepthMap) -> str:
    """Of the smallest file that holds the map well."""
    values = depth.values[depth.valid]
    return ".npz" if len(values) and values.max() / CODES > COARSEST * values.min() else ".png"


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def _matching(root: Path, pattern: str, suffixes: Collection[str]) -> dict[str, Path]:
    """Files of ``root`` by what stands for the ``*`` of the pattern."""
    before, _, after = Path(pattern).name.partition("*")
    found = {}
    for path in root.glob(pattern):
        if path.suffix.lower() in suffixes and path.is_file():
            name = path.name.removeprefix(before)
            exact = after and name.endswith(after) and "*" not in after
            found[name.removesuffix(after) if exact else name.split(".")[0]] = path
    return found
