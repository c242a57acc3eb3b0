"""Any folder of images, with or without depth."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera
from leadline.data.cameras import fitted
from leadline.data.dataset import NONE, DataSet
from leadline.data.images import Images, visible
from leadline.data.lists import FrameId, digest
from leadline.data.transforms import nearest_pixels
from leadline.depth import DepthMap, Kind, check_unit
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.io.atomic import write_numbers
from leadline.io.depth_files import CODES, DEPTH_SUFFIXES
from leadline.io.images import IMAGE_SUFFIXES, image_size, read_image, write_image
from leadline.io.inputs import natural_key
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_numbers

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


class Folder(DataSet):
    """Images with depth, and what :func:`write_frames` writes beside them.

    Where every file name is ``SEQUENCE-NUMBER`` or ``NUMBER``, that is which frame it is; else there is one sequence
    and frames are numbered in the order of their names. The neighbour of a frame is the next one that is there.
    ``masks/NAME.png`` and ``poses/NAME.txt`` are read where they are.

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
        split: ``all``, or a file with a name of an image a line.
        truth: ``depth``, or ``none``: then images need no depth file.
        extras: read normals, reflective, semantics, diffuse, residual and flows too, where they are.

    Raises:
        InputError: no images, no depth, or an image without a partner; the message names it.
    """

    name = "folder"
    source = "a folder of one's own"
    splits = {"all": "every image"}
    truths = {"depth": "the depth files, as they say or as the depth format says"}
    tree = {
        "images/*": "images",
        "depths/*": "depth of the same names: PNG, NPZ, EXR, NPY, PFM or TIFF (optional)",
        "masks/*": "white may be used (optional)",
        "poses/*.txt": "4x4 camera-to-world (optional)",
        "normals/*": "(n + 1) / 2, camera axes (optional)",
        "reflective/*": "white where a reflection hides the surface (optional)",
        "semantics/*": "the class of each pixel (optional)",
        "diffuse/*": "(H, W, 3) float32 (optional)",
        "residual/*": "(H, W, 3) float32 (optional)",
        "forward_flow/*": "(H, W, 2) float32, pixels (optional)",
        "backward_flow/*": "(H, W, 2) float32, pixels (optional)",
        "clips/*.json": "which clips of a world were rendered (optional)",
    }

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
        split: str | None = None,
        truth: str | None = None,
        extras: bool = False,
    ) -> None:
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder")
        pictures = _matching(root, images, IMAGE_SUFFIXES)
        truths = _matching(root, depths, DEPTH_SUFFIXES)
        expected = f"{root} should hold images ({images}) and depth files ({depths}) of the same names"
        if not pictures:
            raise InputError(f"{root / images}: no images; {expected}")
        if truth != NONE:
            if not truths:
                raise InputError(f"{root / depths}: no depth files; {expected}")
            if missing := sorted(set(pictures) - set(truths)):
                raise InputError(
                    f"{pictures[missing[0]]}: has no depth file beside it ({len(missing)} such images); {expected}"
                )
        names = sorted(pictures, key=natural_key)
        self._called = dict(zip(numbered(names), names, strict=True))
        self._order = sorted(self._called)
        self._pictures, self._truths = pictures, truths
        kinds = BESIDE if extras else ("masks", "poses")
        self._beside = {kind: _matching(root, f"{kind}/*", BESIDE[kind].suffixes) for kind in kinds}
        self.format = depth
        self.intrinsics = Path(intrinsics) if intrinsics else None
        super().__init__(root, split, truth, mask, drop_highlights, every)
        self.depth_paths = [] if self.truth == NONE else [truths[self._name(id)] for id in self.ids]

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        del split
        return list(self._called)

    def _name(self, id: FrameId) -> str:
        """What a frame's files are called."""
        if id not in self._called:
            raise InputError(
                f"{self.root}: has no frame {id}; there are {len(self._called)}, {self._order[0]} to {self._order[-1]}"
            )
        return self._called[id]

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self._pictures[self._name(id)]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._truths[self._name(id)]]

    def depth(self, id: FrameId) -> DepthMap:
        """See :meth:`DataSet.depth`; resized to the image where sizes differ."""
        return replace(self._resized(id, *image_size(self.image(id))), camera=None)

    def _resized(self, id: FrameId, height: int, width: int) -> DepthMap:
        """The depth of a frame, with its camera where one is known."""
        path = self._truths[self._name(id)]
        truth = self.format.read(path)
        camera = self._given(height, width)
        if camera is None and truth.camera is not None:
            camera = fitted(truth.camera, width, height, path)
        # Nearest, not interpolated: values between two surfaces exist on neither.
        pick = nearest_pixels(truth.shape, (height, width))
        return DepthMap(truth.values[pick], truth.kind, truth.unit, truth.valid[pick], camera)

    def _given(self, height: int, width: int) -> Camera | None:
        return Camera.load(self.intrinsics, width, height) if self.intrinsics else None

    def camera(self, id: FrameId) -> Camera | None:
        """See :meth:`DataSet.camera`: the one that was given, or the one in the depth file."""
        height, width = image_size(self.image(id))
        if self.intrinsics or self._name(id) not in self._truths:
            return self._given(height, width)
        return self._resized(id, height, width).camera

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`."""
        path = self._beside["poses"].get(self._name(id))
        return BESIDE["poses"].read(path) if path else None

    def more(self, id: FrameId) -> dict[str, Any]:
        """The mask, and with ``extras`` whatever else there is."""
        name = self._name(id)
        there = {kind: files[name] for kind, files in self._beside.items() if name in files and kind != "poses"}
        return {BESIDE[kind].field: BESIDE[kind].read(path) for kind, path in there.items()}

    def parse(self, line: str) -> FrameId:
        """The name of an image, with or without suffix and folder."""
        known = self._spellings
        if line not in known and Path(line).name not in known:
            raise InputError(f"{self.root} holds no image of this name")
        return known[line] if line in known else known[Path(line).name]

    @cached_property
    def _spellings(self) -> dict[str, FrameId]:
        spellings: dict[str, FrameId] = {}
        for id, name in self._called.items():
            path = self._pictures[name]
            spellings |= dict.fromkeys((name, path.stem, path.name), id)
        return spellings

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """See :meth:`DataSet.neighbour`."""
        return adjacent(self._order, id, offset)

    def load(self, id: FrameId) -> Frame:
        """See :meth:`DataSet.load`; the frame is called like its file."""
        path = self.image(id)
        frame = self._framed(path, sequence=id.sequence, name=path.stem, pose=self.pose(id), **self.more(id))
        size = frame.image.shape[:2]
        if self.truth == NONE:
            return frame.replace(camera=self.camera(id))
        truth = self._resized(id, *size)
        return frame.replace(depth=truth, camera=truth.camera)

    @cached_property
    def digest(self) -> str:
        """Of the images' names and their order: numbers alone may not tell folders apart."""
        return digest(FrameId(path.name, place) for place, path in enumerate(self.paths))

    def describe(self) -> str:
        """How many there are."""
        return Images.describe(self)

    def fingerprint(self) -> str:
        """Of the files' names."""
        return Images.fingerprint(self)


def numbered(names: Sequence[str]) -> list[FrameId]:
    """Which frames files are: ``SEQUENCE-NUMBER`` and ``NUMBER`` say it where all are called so and differ.

    Args:
        names: of the files without suffix, in the order of time; folders in them belong to the sequence.

    Returns:
        Theirs; else numbers by place, in one sequence for each folder.

    Example:
        >>> [str(id) for id in numbered(["street-3-7", "street-3-12"])], [str(id) for id in numbered(["b", "c"])]
        (['street-3/000007', 'street-3/000012'], ['000000', '000001'])
    """
    found = [re.fullmatch(r"((?:.*[^/])[-/]|)(\d+)", name) for name in names]
    ids = [FrameId(match[1][:-1], int(match[2])) for match in found if match]
    if len(set(ids)) == len(names):
        return ids
    count: Counter[str] = Counter()
    ids = []
    for name in names:
        folder = name.rpartition("/")[0]
        ids.append(FrameId(folder, count[folder]))
        count[folder] += 1
    return ids


def adjacent(order: Sequence[FrameId], id: FrameId, offset: int) -> FrameId | None:
    """The frame so many further in a sorted list; None where it is of another sequence, or there is none."""
    place = bisect_left(order, id)
    if order[place : place + 1] != [id] or not 0 <= place + offset < len(order):
        return None
    other = order[place + offset]
    return other if other.sequence == id.sequence else None


@dataclass(frozen=True)
class Beside:
    """What may be known of a frame beside image and depth, in files of its own.

    Args:
        field: of :class:`~leadline.frame.Frame`.
        suffixes: files that are read; the first is what is written.
        read: of a file.
        write: to a file.
    """

    field: str
    suffixes: Sequence[str]
    read: Callable[[Path], np.ndarray]
    write: Callable[[Path, np.ndarray], None]


def _read_white(path: Path) -> np.ndarray:
    return read_image(path).min(axis=2) > 127


def _write_white(path: Path, mask: np.ndarray) -> None:
    write_image(path, _grey(mask * 255))


def _read_normals(path: Path) -> np.ndarray:
    """Rounded to 8 bits they are no longer of unit length; 0 where there is none."""
    normals = read_image(path).astype(np.float32) / 127.5 - 1
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0.5)


def _write_normals(path: Path, normals: np.ndarray) -> None:
    write_image(path, normals / 2 + 0.5)


def _read_classes(path: Path) -> np.ndarray:
    return read_image(path)[..., 0]


def _write_classes(path: Path, classes: np.ndarray) -> None:
    if not 0 <= classes.min() <= classes.max() <= 255:
        raise InputError(f"{path}: classes outside 0..255 do not fit into the file")
    write_image(path, _grey(classes))


def _read_pose(path: Path) -> np.ndarray:
    return read_numbers(path, (4, 4))


_PICTURE = (".png", *sorted(IMAGE_SUFFIXES - {".png"}))
_RASTER = (".tiff", ".tif")
#: What may lie beside images and depth, in folders of these names.
BESIDE = {
    "masks": Beside("mask", _PICTURE, _read_white, _write_white),
    "normals": Beside("normals", _PICTURE, _read_normals, _write_normals),
    "reflective": Beside("reflective", _PICTURE, _read_white, _write_white),
    "semantics": Beside("semantics", _PICTURE, _read_classes, _write_classes),
    **{
        kind: Beside(kind, _RASTER, read_raster, write_raster)
        for kind in ("diffuse", "residual", "forward_flow", "backward_flow")
    },
    "poses": Beside("pose", (".txt",), _read_pose, write_numbers),
}


def write_frames(root: Path, frames: Iterable[Frame], beside: Collection[str] = tuple(BESIDE)) -> list[str]:
    """Write frames as :class:`Folder` reads them: ``images/NAME.png`` and ``depths/NAME.png``, NAME ``SEQUENCE-FRAME``.

    Depth has 16 bits up to the map's largest, and holds kind, unit and camera; where that is coarser than a thousandth
    of the nearest depth, as where the horizon is seen, it is ``depths/NAME.npz``, exact. ``beside`` names what else is
    written where a frame knows it, see :class:`~leadline.frame.Frame` for what it means:

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
        for kind in beside:
            known = BESIDE[kind]
            values = getattr(frame, known.field)
            if values is not None:
                known.write(root / kind / f"{name}{known.suffixes[0]}", values)
        names.append(name)
    return names


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
    for path in visible(root, pattern):
        if path.suffix.lower() in suffixes and path.is_file():
            name = path.name.removeprefix(before)
            exact = after and name.endswith(after) and "*" not in after
            found[name.removesuffix(after) if exact else name.split(".")[0]] = path
    return found
