"""Cameras: how a pixel becomes a ray and a point a pixel, through every resize, crop, pad and flip.

Pixels are (u, v) with the *centre* of the top-left pixel at (0, 0), as in OpenCV, so the image covers
[-0.5, width - 0.5] x [-0.5, height - 0.5]. Camera axes: x right, y down, z forward. Points, pixels and rays
may be numpy arrays or torch tensors. Parameters are floats, torch scalars (learned intrinsics: gradients
flow), or, from :meth:`Camera.stack`, tensors (B, 1, 1) that broadcast against a batch.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import yaml
from array_api_compat import array_namespace, device

from leadline.errors import ConfigError, InputError, suggest

Array = Any  #: a numpy array or a torch tensor
Scalar = Any  #: a float, a torch scalar, or a tensor (B, 1, 1)

#: Rays at a tangent of this or more (89.4 degrees off the axis) are not seen: their z-depth means nothing.
FARTHEST = 100.0
NEWTON_STEPS = 20
#: Where Newton's method stops further than this from the pixel, in focal lengths, there is no solution.
TOLERANCE = 1e-5


class Camera(ABC):
    """What all models share: projection, the image's changes, files. Models are frozen dataclasses.

    Raises:
        ConfigError: the image size or a parameter is impossible.
    """

    model: ClassVar[str]
    width: int  #: of the image in pixels
    height: int
    fx: Scalar  #: focal lengths on the axis, in pixels
    fy: Scalar
    cx: Scalar  #: principal point, in pixels
    cy: Scalar

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ConfigError(f"{self.model} camera: no image is {self.width}x{self.height} (width x height)")
        for name, value in self._parameters().items():
            wanted, least = ("positive", 0.0) if name in ("fx", "fy", "a0", "c") else ("finite", -math.inf)
            if isinstance(value, int | float) and not least < value < math.inf:
                raise ConfigError(f"{self.model} camera: {name} is {value}, not {wanted}")

    @abstractmethod
    def _to_pixels(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Pixel (u, v) of the ray (x, y, 1), and whether the model holds there."""

    @abstractmethod
    def _to_rays(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        """Ray (x, y, 1) of the pixel (u, v), and whether there is one."""

    @abstractmethod
    def _scaled(self, sx: float, sy: float) -> dict[str, Scalar]:
        """What changes, besides the principal point, when the image is stretched by (sx, sy)."""

    @abstractmethod
    def _mirrored(self) -> dict[str, Scalar]:
        """What changes, besides the principal point, when the image is mirrored left to right."""

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels of points.

        Args:
            points: (..., 3), camera axes, any unit.

        Returns:
            Pixels (..., 2) and valid (...) bool: False at or behind z = 0 and where the model does not hold;
            those pixels have no meaning. Valid pixels may lie outside the image: see :meth:`contains`.
        """
        xp = array_namespace(points)
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        with np.errstate(all="ignore"):
            front = (z > 0) & (abs(x) < FARTHEST * z) & (abs(y) < FARTHEST * z)
            # the axis stands in for what is not seen, so that no NaN enters a gradient
            z = xp.where(front, z, xp.ones_like(z))
            x, y = (xp.where(front, a, xp.zeros_like(a)) / z for a in (x, y))
            u, v, valid = self._to_pixels(x, y)
        return xp.stack(xp.broadcast_arrays(u, v), axis=-1), front & valid

    def unproject(self, uv: Array) -> Array:
        """Rays of pixels.

        Args:
            uv: (..., 2) pixels, floating point.

        Returns:
            (..., 3) with z = 1, so that ray * z-depth is the point; NaN where no point in front is seen.
        """
        xp = array_namespace(uv)
        with np.errstate(all="ignore"):
            x, y, valid = self._to_rays(uv[..., 0], uv[..., 1])
            valid = valid & (abs(x) < FARTHEST) & (abs(y) < FARTHEST)
        x, y, valid = xp.broadcast_arrays(x, y, valid)
        rays = xp.stack((x, y, xp.ones_like(x)), axis=-1)
        return xp.where(valid[..., None], rays, xp.full_like(rays, math.nan))

    def rays(self, like: Array | None = None) -> Array:
        """(H, W, 3) rays of all pixels, z = 1; float64 numpy, or of library, dtype, device of ``like``."""
        like = np.empty(0) if like is None else like
        xp, kind = array_namespace(like), {"dtype": like.dtype, "device": device(like)}
        v, u = xp.meshgrid(xp.arange(self.height, **kind), xp.arange(self.width, **kind), indexing="ij")
        return self.unproject(xp.stack((u, v), axis=-1))

    def contains(self, uv: Array) -> Array:
        """(...) bool: whether pixels (..., 2) lie inside the image."""
        u, v = uv[..., 0], uv[..., 1]
        return (u >= -0.5) & (u <= self.width - 0.5) & (v >= -0.5) & (v <= self.height - 0.5)

    @property
    def K(self) -> np.ndarray:
        """(3, 3) float64 matrix of focal lengths and principal point in pixels; distortion is not in it."""
        fx, fy, cx, cy = (float(getattr(self, name)) for name in ("fx", "fy", "cx", "cy"))
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    def resize(self, height: int, width: int) -> Self:
        """The camera of the image resized to ``height`` x ``width``: u' = (u + 0.5) s - 0.5."""
        sx, sy = width / self.width, height / self.height
        centre = {"cx": (self.cx + 0.5) * sx - 0.5, "cy": (self.cy + 0.5) * sy - 0.5}
        return self._replace(width=width, height=height, **centre, **self._scaled(sx, sy))

    def crop(self, top: int, left: int, height: int, width: int) -> Self:
        """The camera of a window of the image.

        Raises:
            ConfigError: the window does not lie inside the image.
        """
        if min(top, left) < 0 or top + height > self.height or left + width > self.width:
            raise ConfigError(
                f"crop: rows {top}:{top + height}, columns {left}:{left + width} do not lie inside an image "
                f"of {self.height} rows, {self.width} columns"
            )
        return self._replace(width=width, height=height, cx=self.cx - left, cy=self.cy - top)

    def pad(self, top: int, bottom: int, left: int, right: int) -> Self:
        """The camera of the image with borders added."""
        size = {"width": self.width + left + right, "height": self.height + top + bottom}
        return self._replace(**size, cx=self.cx + left, cy=self.cy + top)

    def flip(self) -> Self:
        """The camera of the image mirrored left to right; it sees the world mirrored in x."""
        return self._replace(cx=self.width - 1 - self.cx, **self._mirrored())

    def fit(self, width: int, height: int) -> Self:
        """This camera for an image of another size but the same shape.

        Raises:
            InputError: the aspect ratios differ by more than 1 %.
        """
        if abs(width * self.height / (height * self.width) - 1) > 0.01:
            raise InputError(
                f"the camera is of a {self.width}x{self.height} image and does not fit one of "
                f"{width}x{height} (width x height); give the intrinsics of the image as it is"
            )
        return self if (width, height) == (self.width, self.height) else self.resize(height, width)

    def _replace(self, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def _parameters(self) -> dict[str, Scalar]:
        names = (field.name for field in dataclasses.fields(self))  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names if name not in ("width", "height")}

    def to_dict(self) -> dict[str, str | int | float]:
        """Plain values: ``model``, ``width``, ``height`` and the parameters."""
        parameters = {name: float(value) for name, value in self._parameters().items()}
        return {"model": self.model, "width": self.width, "height": self.height, **parameters}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Camera:
        """The camera that :meth:`to_dict` or a person wrote; ``K`` (3x3) may stand for fx, fy, cx, cy.

        Raises:
            ConfigError: a key is unknown, missing or not a number.
            InputError: ``K`` is no camera matrix.
        """
        values = dict(values)
        model = values.pop("model", Pinhole.model)
        if model not in MODELS:
            hint = f"{suggest(str(model), MODELS)} ({', '.join(MODELS)})"
            raise ConfigError(f"model: no camera model {model!r}{hint}")
        fields = {field.name: field for field in dataclasses.fields(MODELS[model])}
        if "K" in values and "fx" in fields:
            matrix = _from_matrix(values.pop("K"))
            if matrix.keys() & values.keys():
                raise ConfigError("K: stands for fx, fy, cx, cy; give one or the other")
            values |= matrix
        for key in values:
            if key not in fields:
                hint = f"{suggest(str(key), fields)} ({', '.join(fields)})"
                raise ConfigError(f"{key}: not a key of a {model} camera{hint}")
        for key, field in fields.items():
            if key not in values and field.default is dataclasses.MISSING:
                raise ConfigError(f"{key}: missing; a {model} camera has {', '.join(fields)}")
        for key, value in values.items():
            try:
                number = float(value)  # YAML reads 1e-4 as text
                values[key] = int(number) if key in ("width", "height") else number
            except (TypeError, ValueError, OverflowError):
                raise ConfigError(f"{key}: {value!r} is not a number") from None
        return MODELS[model](**values)

    @staticmethod
    def load(path: str | os.PathLike[str], width: int | None = None, height: int | None = None) -> Camera:
        """A camera from a file.

        Args:
            path: ``.yaml``, ``.yml`` or ``.json`` with the keys of :meth:`from_dict`; any other file is the
                text of a 3x3 matrix in pixels.
            width: of the image the camera is for, with ``height``. A matrix needs them; a camera written for
                another size is fitted (:meth:`fit`).
            height: see ``width``.

        Raises:
            InputError: the file cannot be read, is no 3x3 matrix, or does not fit the image.
            ConfigError: a key is unknown, missing or not a number.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            if path.suffix.lower() in (".yaml", ".yml", ".json"):
                values = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
                if not isinstance(values, dict):
                    raise InputError("holds no keys; wanted model, width, height, fx, fy, cx, cy")
                camera = Camera.from_dict(values)
                return camera if width is None or height is None else camera.fit(width, height)
            size = {"width": width, "height": height}
            if None in size.values():
                raise InputError("a 3x3 matrix does not tell the image's size; give width and height")
            return Camera.from_dict(_from_matrix(text.replace(",", " ").split()) | size)
        except (InputError, ConfigError) as error:
            raise type(error)(f"{path}: {error}") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"{path}: cannot be read as a camera: {' '.join(str(error).split())}") from None

    @staticmethod
    def stack(cameras: Sequence[Camera], device: Any = None) -> Camera:
        """One camera for a batch: its parameters are float32 tensors (B, 1, 1), so its rays are (B, H, W, 3).

        Raises:
            ConfigError: the cameras differ in model or size.
        """
        import torch

        first = cameras[0]
        if any((type(c), c.width, c.height) != (type(first), first.width, first.height) for c in cameras):
            raise ConfigError("a batch needs cameras of one model and one image size")
        table = torch.tensor([[float(p) for p in c._parameters().values()] for c in cameras], device=device)
        return first._replace(**dict(zip(first._parameters(), table.T[..., None, None], strict=True)))

    def picked(self, indices: Any) -> Camera:
        """Of the stacked camera of a batch (see :meth:`stack`) those of (N,) indices, each as often as it is there."""
        return self._replace(**{name: parameter[indices] for name, parameter in self._parameters().items()})


@dataclass(frozen=True)
class _Focal(Camera):
    """Cameras that bend the ray first, then scale it by focal lengths to pixels."""

    width: int
    height: int
    fx: Scalar
    fy: Scalar
    cx: Scalar
    cy: Scalar

    @abstractmethod
    def _bend(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Image point, in focal lengths, of the ray (x, y, 1), and whether the model holds there."""

    @abstractmethod
    def _straighten(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """The inverse of :meth:`_bend`, and whether there is one."""

    def _to_pixels(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        x, y, valid = self._bend(x, y)
        return self.fx * x + self.cx, self.fy * y + self.cy, valid

    def _to_rays(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        return self._straighten((u - self.cx) / self.fx, (v - self.cy) / self.fy)

    def _scaled(self, sx: float, sy: float) -> dict[str, Scalar]:
        return {"fx": self.fx * sx, "fy": self.fy * sy}

    def _mirrored(self) -> dict[str, Scalar]:
        return {}


@dataclass(frozen=True)
class Pinhole(_Focal):
    """u = fx X/Z + cx, v = fy Y/Z + cy."""

    model = "pinhole"

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_fov_deg: float) -> Pinhole:
        """Square pixels, a central principal point, and a horizontal field of view, edge to edge, in degrees.

        Raises:
            ConfigError: the field of view is not between 0 and 180 degrees.
        """
        if not 0 < horizontal_fov_deg < 180:
            raise ConfigError(f"field of view: {horizontal_fov_deg} degrees is not between 0 and 180")
        return cls.from_focal(width, height, width / 2 / math.tan(math.radians(horizontal_fov_deg) / 2))

    @classmethod
    def from_focal(cls, width: int, height: int, focal: float) -> Pinhole:
        """Square pixels, a central principal point, and a focal length in pixels."""
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    def _bend(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        return x, y, array_namespace(x).isfinite(x + y)

    _straighten = _bend


@dataclass(frozen=True)
class RadialTangential(_Focal):
    """Brown-Conrady distortion, OpenCV's k1 k2 p1 p2 k3 (Brown, "Close-range camera calibration", 1971).

    With s = x^2 + y^2: x' = x (1 + k1 s + k2 s^2 + k3 s^3) + 2 p1 x y + p2 (s + 2 x^2), and y' likewise
    with p1 and p2 exchanged. It holds up to the radius where the radial part turns back.
    """

    model = "radial-tangential"
    k1: Scalar = 0.0
    k2: Scalar = 0.0
    p1: Scalar = 0.0
    p2: Scalar = 0.0
    k3: Scalar = 0.0

    def _holds(self, x: Array, y: Array) -> Array:
        turn = _first_root([[1.0, 3 * self.k1, 5 * self.k2, 7 * self.k3]], FARTHEST**2, like=x)
        return x * x + y * y < turn

    def _curve(self, x: Array, y: Array) -> tuple[Array, Array]:
        s = x * x + y * y
        radial = _polynomial([1.0, self.k1, self.k2, self.k3], s)
        return (
            x * radial + 2 * self.p1 * x * y + self.p2 * (s + 2 * x * x),
            y * radial + 2 * self.p2 * x * y + self.p1 * (s + 2 * y * y),
        )

    def _newton(self, x: Array, y: Array, to_x: Array, to_y: Array) -> tuple[Array, Array]:
        """One step from (x, y) towards the ray whose curved image is (to_x, to_y)."""
        s = x * x + y * y
        radial = _polynomial([1.0, self.k1, self.k2, self.k3], s)
        slope = 2 * _polynomial([self.k1, 2 * self.k2, 3 * self.k3], s)
        xx = radial + slope * x * x + 2 * self.p1 * y + 6 * self.p2 * x
        xy = slope * x * y + 2 * self.p1 * x + 2 * self.p2 * y
        yy = radial + slope * y * y + 2 * self.p2 * x + 6 * self.p1 * y
        curved_x, curved_y = self._curve(x, y)
        dx, dy, det = to_x - curved_x, to_y - curved_y, xx * yy - xy * xy
        return x + (yy * dx - xy * dy) / det, y + (xx * dy - xy * dx) / det

    def _bend(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        return *self._curve(x, y), self._holds(x, y)

    def _straighten(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        xp = array_namespace(x)
        with _without_gradient(xp):
            ray_x, ray_y = x, y
            for _ in range(NEWTON_STEPS):
                ray_x, ray_y = self._newton(ray_x, ray_y, x, y)
            curved_x, curved_y = self._curve(ray_x, ray_y)
            valid = (abs(curved_x - x) + abs(curved_y - y) < TOLERANCE) & self._holds(ray_x, ray_y)
            ray_x, ray_y = (xp.where(valid, a, xp.zeros_like(a)) for a in (ray_x, ray_y))
        return *self._newton(ray_x, ray_y, x, y), valid  # from a constant: this step has the exact gradient

    def _mirrored(self) -> dict[str, Scalar]:
        return {"p2": -self.p2}


@dataclass(frozen=True)
class Fisheye(_Focal):
    """Kannala-Brandt, OpenCV's ``fisheye`` ("A generic camera model and calibration...", PAMI 2006, eq. 6).

    A ray at angle t off the axis lands at radius t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8), in focal lengths.
    It holds up to the angle where that turns back and, as depth is along z, below 90 degrees.
    """

    model = "fisheye"
    k1: Scalar = 0.0
    k2: Scalar = 0.0
    k3: Scalar = 0.0
    k4: Scalar = 0.0

    def _curve(self, angle: Array) -> tuple[Array, Array]:
        """Radius in the image of an angle, and its derivative."""
        s, k = angle * angle, [1.0, self.k1, self.k2, self.k3, self.k4]
        return angle * _polynomial(k, s), _polynomial([(2 * n + 1) * c for n, c in enumerate(k)], s)

    def _limit(self, like: Array) -> Array:
        growth = [1.0, 3 * self.k1, 5 * self.k2, 7 * self.k3, 9 * self.k4]
        return _first_root([growth], math.atan(FARTHEST) ** 2, like) ** 0.5

    def _bend(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        r = _radius(x, y)
        angle = array_namespace(x).atan(r)
        scale = self._curve(angle)[0] / r
        return x * scale, y * scale, angle < self._limit(x)

    def _straighten(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        r = _radius(x, y)

        def miss(angle: Array) -> tuple[Array, Array]:
            radius, slope = self._curve(angle)
            return radius - r, slope

        angle, valid = _solve(miss, r, self._limit(x))
        scale = array_namespace(x).tan(angle) / r
        return x * scale, y * scale, valid


@dataclass(frozen=True)
class Omnidirectional(Camera):
    """Scaramuzza's polynomial (ICVS 2006), as the OCamCalib toolbox fits it; the lens of many endoscopes.

    The ray of (u, v) is (x, y, a0 + a2 r^2 + a3 r^3 + a4 r^4), in pixels, where (x, y) is [[c, d], [e, 1]]^-1
    (u - cx, v - cy) and r its length. It holds where rays point forward and their angle grows with r.
    """

    model = "omnidirectional"
    width: int
    height: int
    cx: Scalar
    cy: Scalar
    a0: Scalar
    a2: Scalar = 0.0
    a3: Scalar = 0.0
    a4: Scalar = 0.0
    c: Scalar = 1.0
    d: Scalar = 0.0
    e: Scalar = 0.0

    @property
    def fx(self) -> Scalar:
        """Horizontal focal length on the axis, in pixels."""
        return self.a0 * self.c

    @property
    def fy(self) -> Scalar:
        """Vertical focal length on the axis, in pixels."""
        return self.a0

    def _forward(self) -> list[Scalar]:
        """The polynomial with radius and value in focal lengths (a0): it does not depend on image size."""
        return [1.0, 0.0, self.a2 * self.a0, self.a3 * self.a0**2, self.a4 * self.a0**3]

    def _limit(self, like: Array) -> Array:
        forward = self._forward()
        growth = [(1 - power) * coefficient for power, coefficient in enumerate(forward)]  # of r / forward(r)
        return _first_root([forward, growth], FARTHEST, like)

    def _to_pixels(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        tangent, forward = _radius(x, y), self._forward()
        slope = [power * coefficient for power, coefficient in enumerate(forward)][1:]

        def miss(r: Array) -> tuple[Array, Array]:
            return r - tangent * _polynomial(forward, r), 1 - tangent * _polynomial(slope, r)

        r, valid = _solve(miss, tangent, self._limit(x))
        scale = self.a0 * r / tangent
        x, y = x * scale, y * scale
        return self.c * x + self.d * y + self.cx, self.e * x + y + self.cy, valid

    def _to_rays(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        xp = array_namespace(u)
        u, v, det = u - self.cx, v - self.cy, (self.c - self.d * self.e) * self.a0
        x, y = (u - self.d * v) / det, (self.c * v - self.e * u) / det
        r = _radius(x, y)
        valid = r < self._limit(r)
        z = _polynomial(self._forward(), xp.where(valid, r, xp.zeros_like(r)))
        return x / z, y / z, valid

    def _scaled(self, sx: float, sy: float) -> dict[str, Scalar]:
        # (x, y) and the polynomial grow by sy; what sx differs from sy goes into the stretch
        polynomial = {"a0": self.a0 * sy, "a2": self.a2 / sy, "a3": self.a3 / sy**2, "a4": self.a4 / sy**3}
        return polynomial | {"c": self.c * sx / sy, "d": self.d * sx / sy}

    def _mirrored(self) -> dict[str, Scalar]:
        return {"d": -self.d, "e": -self.e}


MODELS: dict[str, Any] = {cls.model: cls for cls in (Pinhole, RadialTangential, Fisheye, Omnidirectional)}


def _from_matrix(matrix: Any) -> dict[str, float]:
    try:
        values = np.array(matrix, np.float64).reshape(3, 3)
    except (TypeError, ValueError):
        raise InputError("K: not a 3x3 matrix of numbers") from None
    fx, skew, cx, shear, fy, cy, *last = values.ravel().tolist()
    if skew or shear or last != [0.0, 0.0, 1.0]:
        raise InputError(f"K: {values.tolist()} is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
    return {"fx": fx, "fy": fy, "cx": cx, "cy": cy}


def _polynomial(coefficients: Sequence[Scalar], x: Array) -> Array:
    """c0 + c1 x + c2 x^2 + ..."""
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def _radius(x: Array, y: Array) -> Array:
    """|(x, y)|, never less than 1e-6: on the axis the root has no gradient, and f(r) / r no value."""
    xp = array_namespace(x)
    s = x * x + y * y
    return xp.sqrt(xp.where(s > 1e-12, s, xp.full_like(s, 1e-12)))


def _first_root(polynomials: Sequence[Sequence[Scalar]], most: float, like: Array) -> Array:
    """The smallest root of any polynomial in (0, most), else most: a float, or of the parameters' shape."""

    def first(*coefficients: float) -> float:
        found = [most]
        for powers in np.reshape(coefficients, (len(polynomials), -1)):
            # terms too small to matter below `most` would only spoil the eigenvalues roots are found by
            kept = np.where(np.abs(powers) * most ** np.arange(len(powers)) < 1e-12, 0.0, powers)
            roots = np.roots(kept[::-1])
            found += roots.real[(abs(roots.imag) < 1e-9 * abs(roots)) & (roots.real > 0)].tolist()
        return min(found)

    flat = [c for polynomial in polynomials for c in polynomial]
    if all(isinstance(c, int | float) for c in flat):
        return first(*flat)
    arrays = np.broadcast_arrays(*(c.detach().cpu().numpy() if hasattr(c, "detach") else c for c in flat))
    limits = np.vectorize(first, otypes=[float])(*arrays)
    return array_namespace(like).asarray(limits, dtype=like.dtype, device=device(like))


def _without_gradient(xp: Any) -> Any:
    return xp.no_grad() if hasattr(xp, "no_grad") else nullcontext()


def _solve(miss: Callable[[Array], tuple[Array, Array]], start: Array, limit: Array) -> tuple[Array, Array]:
    """Root in [0, limit) of an increasing function, and whether there is one; 0 where there is none.

    Newton's method kept inside a shrinking bracket. ``miss`` gives the function and its derivative. The last
    step starts from a constant, so its gradient is exact (implicit function theorem) and finite.
    """
    xp = array_namespace(start)
    with _without_gradient(xp):
        low, high = xp.zeros_like(start), xp.zeros_like(start) + limit
        r = xp.minimum(start, high)
        for _ in range(NEWTON_STEPS):
            value, slope = miss(r)
            low, high = xp.where(value < 0, r, low), xp.where(value < 0, high, r)
            step = r - value / slope
            r = xp.where((step >= low) & (step <= high), step, (low + high) / 2)
        valid = (abs(miss(r)[0]) < TOLERANCE * (1 + start)) & (r < limit)
        r = xp.where(valid, r, xp.zeros_like(r))
    value, slope = miss(r)
    return xp.where(valid, r - value / slope, xp.zeros_like(r)), valid
