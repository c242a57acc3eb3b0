"""Known distances in images: measured by hand, by a depth sensor, by a stereo pair, on objects of known size."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray

from leadline.camera import Camera, Pinhole
from leadline.data.folder import Folder
from leadline.depth import LENGTHS, DepthMap, Quantity, unit_ratio
from leadline.errors import ConfigError, InputError, KindError, suggest
from leadline.geometry.stereo import match
from leadline.io.images import image_size, read_image
from leadline.io.reading import read_text
from leadline.runtime.calibration import in_space
from leadline.runtime.fitting import Points, grouped

Values = NDArray[np.float64]

#: Pixels used of an image, spread evenly: more say little that is new, as neighbours err together.
MOST = 1000
#: Smallest disparity of a stereo pair that is trusted, in pixels: half a pixel is a tenth of it.
SMALLEST_DISPARITY = 5.0
#: Entries of a file of measurements, beside ``image``.
KEYS = ("image", "u", "v", "depth", "range", "u2", "v2", "length", "facing")


class Measurement(Protocol):
    """Something known in one image."""

    def pairs(self, seen: DepthMap) -> tuple[Values, Values, Values]:
        """What the model says and what is true.

        Args:
            seen: the model's answer to the image.

        Returns:
            (N, 2) pixels u, v; (N,) what the model says, in its own quantity, NaN where it says nothing; (N,) depth.

        Raises:
            InputError: a pixel lies outside, or the camera is needed and not known.
        """
        ...


@dataclass(frozen=True)
class Distances:
    """Distances of pixels.

    Args:
        uv: (N, 2) pixels, right and down.
        values: (N,) lengths above 0.
        along_ray: they are from the camera's centre, not z-depth; this needs the camera.
    """

    uv: Values
    values: Values
    along_ray: bool = False

    def pairs(self, seen: DepthMap) -> tuple[Values, Values, Values]:
        """See :class:`Measurement`."""
        depth = self.values
        if self.along_ray:
            depth = depth / np.linalg.norm(_camera(seen).unproject(self.uv), axis=-1)
        return self.uv, _looked_up(seen, self.uv), depth


@dataclass(frozen=True)
class Length:
    """An object of known length between two pixels; this needs the camera.

    Args:
        ends: (2, 2) pixels u, v.
        length: between them, above 0.
        facing: both ends are equally far, as of an object that faces the camera. If not, the model's own depths of the
            ends say how it lies, which needs a model that is metric or known up to scale.
    """

    ends: Values
    length: float
    facing: bool = True

    def pairs(self, seen: DepthMap) -> tuple[Values, Values, Values]:
        """See :class:`Measurement`; one pair, in the middle."""
        rays = _camera(seen).unproject(self.ends)
        middle = self.ends.mean(axis=0, keepdims=True)
        if self.facing:  # the object lies between its ends; what the model says at them may be of what is beside it
            along = self.ends[0] + np.linspace(0, 1, 33)[:, None] * (self.ends[1] - self.ends[0])
            said = np.nanmedian(_looked_up(seen, along), keepdims=True)
            return middle, said, np.array([self.length / np.linalg.norm(rays[0] - rays[1])])
        if seen.kind.up_to == "affine":
            raise ConfigError(
                f"facing: of {seen.kind} only objects that face the camera can be used: how one lies between its ends "
                "hangs on a shift that is not known"
            )
        depth = seen.to_depth()
        ends = _looked_up(depth, self.ends)
        own = float(np.linalg.norm(ends[0] * rays[0] - ends[1] * rays[1]))
        said = ends.mean(keepdims=True)
        with np.errstate(divide="ignore"):
            return middle, (said if seen.kind.quantity == "depth" else 1 / said), said * (self.length / own)


@dataclass(frozen=True)
class Known:
    """An image and what is known in it.

    Args:
        image: (H, W, 3) or its file.
        measurements: in it, in the unit all are given in.
        source: what they are of, in a word.
        camera: of the image, where it is known.
        name: for messages.
    """

    image: NDArray[Any] | Path
    measurements: Sequence[Measurement]
    source: str
    camera: Camera | None = None
    name: str = ""


@dataclass(frozen=True)
class Gathered:
    """Points to fit to, the number of images they are in, and how many come from which source."""

    points: Points
    images: int
    sources: Mapping[str, int]


def gather(
    predict: Callable[[NDArray[Any] | Path, Camera | None], DepthMap], known: Iterable[Known], unit: str
) -> Gathered:
    """What a model says where distances are known.

    Args:
        predict: an image and its camera to the model's answer, such as ``Predictor.predict``.
        known: images, asked for one at a time.
        unit: of the known distances.

    Raises:
        InputError: there is no point at which both are known; or a measurement is wrong: the message names the image.
    """
    pixels, sizes, depths, disparities, truths = [], [], [], [], []
    sources: dict[str, int] = {}
    for item in known:
        seen = predict(item.image, item.camera)
        found = [_pairs(measurement, seen, item) for measurement in item.measurements]
        uv, said, truth = (np.concatenate(parts) for parts in zip(*found, strict=True))
        keep = np.isfinite(said) & np.isfinite(truth) & (truth > 0)
        if seen.kind.up_to != "affine":
            keep &= said > 0
        if not keep.any():
            continue
        pick = np.flatnonzero(keep)[_spread(int(keep.sum()), MOST)]
        depth, disparity = _both(said[pick], seen, unit)
        pixels.append(uv[pick])
        sizes.append(seen.shape)
        depths.append(depth)
        disparities.append(disparity)
        truths.append(truth[pick])
        sources[item.source] = sources.get(item.source, 0) + len(pick)
    if not pixels:
        raise InputError("no known distance lies where the model says something; see leadline calibrate --help")
    whole = [np.concatenate(values) for values in (depths, disparities, truths)]
    points = Points(whole[0], whole[1], whole[2], grouped(pixels, sizes))
    return Gathered(points, len(pixels), sources)


def sensor_frames(data: Folder, unit: str) -> Iterator[Known]:
    """Distances that a depth sensor measured, of a folder of images with depth; the camera where the folder knows it.

    Raises:
        InputError: a file cannot be read, or its depth is not metric.
    """
    for number in range(len(data)):
        frame = data[number]
        assert frame.depth is not None
        try:
            depth = frame.depth.to_depth().to_unit(unit)
        except KindError as error:
            raise InputError(f"{data.depth_paths[number]}: {error}") from None
        # Evenly spread over the pixels that are valid; the model's validity thins them further.
        v, u = np.nonzero(depth.valid)
        pick = _spread(len(u), 2 * MOST)
        uv = np.stack([u[pick], v[pick]], axis=-1).astype(np.float64)
        values = depth.values[v[pick], u[pick]].astype(np.float64)
        path = data.paths[number]
        yield Known(path, [Distances(uv, values)], "depth sensor", frame.camera, str(path))


def stereo_pairs(
    lefts: Sequence[Path], rights: Sequence[Path], baseline: float, camera: Callable[[int, int, Path], Camera | None],
    offset: float = 0.0,
) -> Iterator[Known]:  # fmt: skip
    """Distances from rectified stereo pairs, where the two images match clearly: f b / (disparity + offset).

    Args:
        lefts: left images, which the model sees.
        rights: right images, in the same order.
        baseline: between the cameras, in the unit that is wanted.
        camera: of a left image by its height, width and file.
        offset: how much farther right the right camera's principal point is, in pixels (Middlebury's ``doffs``).

    Raises:
        ConfigError: the images do not pair, or the baseline is not above 0.
        InputError: an image cannot be read, two differ in size, or the camera is not known.
    """
    if len(lefts) != len(rights):
        raise ConfigError(f"right: {len(lefts)} left images and {len(rights)} right ones do not make pairs")
    if not baseline > 0:
        raise ConfigError(f"baseline: a length above 0, not {baseline}")
    for left, right in zip(lefts, rights, strict=True):
        one, other = read_image(left), read_image(right)
        if one.shape != other.shape:
            raise InputError(f"{right}: is {other.shape[1]}x{other.shape[0]}, but {left} {one.shape[1]}x{one.shape[0]}")
        seen_by = camera(one.shape[0], one.shape[1], left)
        if not isinstance(seen_by, Pinhole):
            raise InputError(f"{left}: a rectified pair needs its pinhole camera: --intrinsics FILE or --fov DEGREES")
        lowest = min(0, math.ceil(-offset))
        found = match(one, other, lowest)
        disparity = found[:, 2] + offset
        near = disparity >= SMALLEST_DISPARITY
        depth = float(seen_by.fx) * baseline / disparity[near]
        yield Known(one, [Distances(found[near, :2], depth)], "stereo", seen_by, str(left))


def measured_points(path: Path, unit: str) -> Iterator[Known]:
    """Distances and lengths that a person measured.

    A YAML file has ``points``, a list of mappings, and maybe ``unit`` (by default the one wanted) and ``intrinsics`` (a
    camera file) or ``fov``; a .csv has a line of names, then a point a line. A point has ``image`` (a file, relative to
    this one), ``u`` and ``v`` (pixels right and down, the first one 0), and one of ``depth`` (along the optical axis),
    ``range`` (from the camera) and ``length``. A length is of an object from u, v to ``u2``, ``v2``, which faces the
    camera unless ``facing`` is false.

    Args:
        path: the file.
        unit: the distances are wanted in.

    Raises:
        InputError: the file is missing or an entry is wrong; the message names it.
    """
    head, points = _table(path) if path.suffix.lower() == ".csv" else _listing(path)
    factor = unit_ratio(str(head.get("unit", unit)), unit)
    by_image: dict[Path, list[Measurement]] = {}
    for number, point in enumerate(points, start=1):
        try:
            name, measurement = _measurement(point, factor)
        except ConfigError as error:
            raise InputError(f"{path}: point {number}: {error}") from None
        by_image.setdefault(path.parent / name, []).append(measurement)
    for image, measurements in by_image.items():
        yield Known(image, measurements, "measured", _camera_said(path, head, image), f"{path}: {image.name}")


def _listing(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """The head and the points of a YAML file."""
    try:
        entries = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not a YAML file ({str(error).splitlines()[0]})") from None
    names = ("unit", "intrinsics", "fov", "points")
    if not isinstance(entries, dict) or not isinstance(entries.get("points"), list):
        raise InputError(f"{path}: has no list 'points' of lines like '- {{image: a.jpg, u: 320, v: 200, depth: 2.1}}'")
    for key in entries:
        if key not in names:
            raise InputError(f"{path}: unknown key {key!r}{suggest(str(key), names)} (keys: {', '.join(names)})")
    if entries.get("unit", "m") not in LENGTHS:
        raise InputError(f"{path}: unit: one of {', '.join(LENGTHS)}, not {entries['unit']!r}")
    return entries, entries["points"]


def _table(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """The points of a .csv file, without entries that are empty."""
    rows = csv.DictReader(read_text(path).splitlines(), skipinitialspace=True)
    return {}, [{key: value for key, value in row.items() if value not in (None, "")} for row in rows]


def _measurement(point: Any, factor: float) -> tuple[str, Measurement]:
    """Image and measurement of an entry."""
    if not isinstance(point, dict) or "image" not in point:
        raise ConfigError(f"image missing; a point has some of {', '.join(KEYS)}")
    for key in point:
        if key not in KEYS:
            raise ConfigError(f"unknown key {key!r}{suggest(str(key), KEYS)} (keys: {', '.join(KEYS)})")
    said = [key for key in ("depth", "range", "length") if key in point]
    if len(said) != 1:
        raise ConfigError(f"one of depth, range and length, not {' and '.join(said) or 'none'}")
    (what,) = said
    value = factor * _number(point, what)
    if value <= 0:
        raise ConfigError(f"{what}: above 0, not {point[what]!r}")
    start = [_number(point, "u"), _number(point, "v")]
    if what != "length":
        return str(point["image"]), Distances(np.array([start]), np.array([value]), what == "range")
    facing = str(point.get("facing", True)).lower()
    if facing not in ("true", "false"):
        raise ConfigError(f"facing: true or false, not {point['facing']!r}")
    ends = np.array([start, [_number(point, "u2"), _number(point, "v2")]])
    if np.array_equal(*ends):
        raise ConfigError("length: the two pixels are the same")
    return str(point["image"]), Length(ends, value, facing == "true")


def _number(point: Mapping[str, Any], key: str) -> float:
    try:
        number = float(point[key])
    except KeyError:
        raise ConfigError(f"{key} missing") from None
    except (TypeError, ValueError):
        raise ConfigError(f"{key}: a number, not {point[key]!r}") from None
    if not math.isfinite(number):
        raise ConfigError(f"{key}: a number, not {point[key]!r}")
    return number


def _camera_said(path: Path, head: Mapping[str, Any], image: Path) -> Camera | None:
    """The camera of an image, where the file of measurements says it."""
    if "intrinsics" not in head and "fov" not in head:
        return None
    height, width = image_size(image)
    if "intrinsics" in head:
        return Camera.load(path.parent / str(head["intrinsics"]), width, height)
    try:
        return Pinhole.from_fov(width, height, _number(head, "fov"))
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from None


def _pairs(measurement: Measurement, seen: DepthMap, item: Known) -> tuple[Values, Values, Values]:
    try:
        return measurement.pairs(seen)
    except (ConfigError, InputError) as error:
        raise type(error)(f"{item.name}: {error}") from None


def _camera(seen: DepthMap) -> Camera:
    if seen.camera is None:
        raise InputError(
            "ranges and lengths need the camera; give --intrinsics FILE or --fov DEGREES, or intrinsics in the file"
        )
    return seen.camera


def _looked_up(seen: DepthMap, uv: Values) -> Values:
    """(N,) the values of the pixels nearest to (N, 2) places; NaN where not valid.

    Raises:
        InputError: a place lies outside the image.
    """
    height, width = seen.shape
    u, v = np.rint(uv).astype(np.int64).T
    outside = (u < 0) | (u >= width) | (v < 0) | (v >= height)
    if outside.any():
        wrong = uv[outside][0]
        raise InputError(f"pixel u {wrong[0]:g}, v {wrong[1]:g} lies outside the image of {width}x{height}")
    return np.where(seen.valid[v, u], seen.values[v, u], np.nan).astype(np.float64)


def _both(said: Values, seen: DepthMap, unit: str) -> tuple[Values, Values]:
    """(N,) values of a map as depth and as disparity, NaN where its kind has none; of metric kinds in ``unit``."""
    values = DepthMap(said[None], seen.kind, seen.unit)
    spaces: tuple[Quantity, ...] = (seen.kind.quantity,) if seen.kind.up_to == "affine" else ("depth", "disparity")
    found = {space: in_space(values, space, unit)[0].astype(np.float64) for space in spaces}
    nothing = np.full(len(said), np.nan)
    return found.get("depth", nothing), found.get("disparity", nothing)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most so many of ``count``, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64)) if count else np.empty(0, np.int64)
