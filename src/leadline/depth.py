"""What a depth map means: its quantity, what it is known up to, its unit, and where it is valid.

Two pictures that look alike may hold metres, or a disparity whose scale and shift nobody knows. A
:class:`DepthMap` carries that knowledge to data sets, predictors, files and metrics, converts what can be
converted and refuses what would be wrong. Inside networks and losses plain tensors are used.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from leadline import align
from leadline.errors import ConfigError, InputError, KindError, suggest
from leadline.io.depth_files import read_depth, write_depth
from leadline.io.ply import write_ply

if TYPE_CHECKING:
    from leadline.camera import Camera

Quantity = Literal["depth", "disparity"]
UpTo = Literal["nothing", "scale", "affine"]
#: What a map is known up to, from most to least knowledge, and the field's word for it.
UP_TO: dict[UpTo, str] = {"nothing": "metric", "scale": "scale-invariant", "affine": "affine-invariant"}
#: Metres in one unit of length.
LENGTHS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
ARBITRARY = "arbitrary"


@dataclass(frozen=True)
class Kind:
    """Quantity, and what it is known up to.

    ``depth`` is the z coordinate along the optical axis; ``disparity`` its inverse, larger = nearer. A map is known
    up to ``nothing`` (metric), a positive ``scale``, or a scale and a shift (``affine``).

    Example:
        >>> str(Kind("disparity", "affine"))
        'affine-invariant-disparity'
        >>> Kind.parse("metric-depth")
        Kind(quantity='depth', up_to='nothing')
    """

    quantity: Quantity
    up_to: UpTo

    def __post_init__(self) -> None:
        if self.quantity not in get_args(Quantity) or self.up_to not in UP_TO:
            raise ConfigError(
                f"kind: no such kind as {self.quantity!r} known up to {self.up_to!r}; quantity is one of "
                f"{', '.join(get_args(Quantity))}, up_to one of {', '.join(UP_TO)}"
            )

    def __str__(self) -> str:
        return f"{UP_TO[self.up_to]}-{self.quantity}"

    @classmethod
    def parse(cls, text: str | Kind) -> Kind:
        """The kind a name such as ``scale-invariant-depth`` stands for.

        Raises:
            ConfigError: there is no such kind; the message lists them.
        """
        if isinstance(text, Kind):
            return text
        for kind in KINDS:
            if str(kind) == text:
                return kind
        names = [str(kind) for kind in KINDS]
        raise ConfigError(f"kind: unknown kind {text!r}{suggest(str(text), names)} (one of {', '.join(names)})")


KINDS = tuple(Kind(quantity, up_to) for quantity in get_args(Quantity) for up_to in UP_TO)


def unit_ratio(unit: str, other: str) -> float:
    """What a length in one metric unit is multiplied by to be in another; of units of disparity those of its inverse.

    Example:
        >>> unit_ratio("m", "mm"), unit_ratio("1/m", "cm")
        (1000.0, 100.0)
    """
    return LENGTHS[unit.removeprefix("1/")] / LENGTHS[other.removeprefix("1/")]


def check_unit(kind: Kind, unit: str) -> str:
    """``unit`` if it fits ``kind``: lengths for metric depth, 1/length for metric disparity, else ``arbitrary``.

    Raises:
        KindError: it does not.
    """
    fits = {
        ("depth", "nothing"): tuple(LENGTHS),
        ("disparity", "nothing"): tuple(f"1/{length}" for length in LENGTHS),
    }.get((kind.quantity, kind.up_to), (ARBITRARY,))
    if unit not in fits:
        raise KindError(f"unit: a {kind} map cannot be in {unit!r} (one of {', '.join(fits)})")
    return unit


@dataclass(frozen=True)
class DepthMap:
    """Depth or disparity of one image.

    Args:
        values: (H, W) float32; whatever stands at invalid pixels has no meaning.
        kind: quantity and what it is known up to, or its name.
        unit: of the values; ``arbitrary`` unless the kind is metric.
        valid: (H, W) bool; by default the finite (and, except for affine kinds, positive) pixels.
        camera: the camera the map was seen with; its size must be the map's.

    Raises:
        KindError: unit and kind do not fit, or the shapes do not.
    """

    values: np.ndarray
    kind: Kind
    unit: str = ARBITRARY
    valid: np.ndarray = field(default=None)  # type: ignore[arg-type]
    camera: Camera | None = None

    def __post_init__(self) -> None:
        kind = Kind.parse(self.kind)
        values = np.asarray(self.values, np.float32)
        if values.ndim != 2:
            raise KindError(f"depth map: values must be (H, W), not {values.shape}")
        sound = np.isfinite(values)
        if kind.up_to != "affine":
            sound &= values > 0
        if self.valid is not None:
            if np.shape(self.valid) != values.shape:
                raise KindError(f"depth map: valid is {np.shape(self.valid)} but values are {values.shape}")
            sound &= np.asarray(self.valid, bool)
        if self.camera is not None and (self.camera.height, self.camera.width) != values.shape:
            raise KindError(
                f"depth map: the camera's image is {self.camera.width}x{self.camera.height} but the map is "
                f"{values.shape[1]}x{values.shape[0]} (width x height); use camera.resize(height, width)"
            )
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "valid", sound)
        check_unit(kind, self.unit)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.values.shape[0], self.values.shape[1]

    def to_depth(self) -> DepthMap:
        """The same map as depth.

        Raises:
            KindError: an affine-invariant disparity has no depth until it is aligned to a reference.
        """
        return self._as("depth")

    def to_disparity(self) -> DepthMap:
        """The same map as disparity (inverse depth).

        Raises:
            KindError: an affine-invariant depth has no disparity until it is aligned to a reference.
        """
        return self._as("disparity")

    def _as(self, quantity: Quantity) -> DepthMap:
        if self.kind.quantity == quantity:
            return self
        if self.kind.up_to == "affine":
            raise KindError(
                f"an {self.kind} map is known only up to scale and shift, so it has no {quantity}; "
                "align it to a reference first: depth_map.align_to(reference)"
            )
        inverse = np.divide(1.0, self.values, out=np.zeros_like(self.values), where=self.valid)
        unit = self.unit
        if unit != ARBITRARY:
            unit = unit.removeprefix("1/") if quantity == "depth" else f"1/{unit}"
        return replace(self, values=inverse, kind=Kind(quantity, self.kind.up_to), unit=unit)

    def to_unit(self, unit: str) -> DepthMap:
        """The same metric map in another unit.

        Raises:
            KindError: the map is not metric, or ``unit`` does not fit its quantity.
        """
        check_unit(self.kind, unit)
        if unit == self.unit:
            return self
        factor = unit_ratio(self.unit, unit)
        if self.kind.quantity == "disparity":
            factor = 1.0 / factor
        return replace(self, values=self.values * np.float32(factor), unit=unit)

    def to_points(self) -> np.ndarray:
        """(N, 3) float32 points of the valid pixels, row by row, camera axes (x right, y down, z forward).

        In the depth's unit; for a map known up to scale right in shape, in unit ``arbitrary``.

        Raises:
            KindError: no camera is known, or the map is affine-invariant: lifting it would distort the shape.
        """
        if self.kind.up_to == "affine":
            raise KindError(
                f"an {self.kind} map gives no point cloud: an unknown shift distorts the shape; "
                "align it to a reference first: depth_map.align_to(reference)"
            )
        if self.camera is None:
            raise KindError(
                "a point cloud needs the camera: give intrinsics or a field of view (--intrinsics FILE or --fov DEG)"
            )
        keep = self.liftable
        return _rays(self.camera)[keep] * self.to_depth().values[keep][:, None]

    @property
    def liftable(self) -> np.ndarray:
        """(H, W) bool: the pixels :meth:`to_points` gives a point for, valid and within the camera's field."""
        if self.camera is None:
            return np.zeros(self.shape, bool)
        return self.valid & np.isfinite(_rays(self.camera)).all(-1)

    def align_to(self, reference: DepthMap, alignment: str | None = None) -> DepthMap:
        """This map as depth in the reference's unit, scale (and shift) fitted where both are valid.

        Args:
            reference: depth or disparity of the same size, not affine-invariant.
            alignment: a name of ``leadline.align.ALIGNMENTS``; by default what the kind calls for.

        Raises:
            KindError: sizes differ, or the alignment does not fit this kind.
        """
        truth = reference.to_depth()
        if truth.kind.up_to == "affine":
            raise KindError(f"cannot align to an {reference.kind} map: its own scale and shift are unknown")
        if truth.shape != self.shape:
            raise KindError(f"cannot align a map of {self.shape} to a reference of {truth.shape} (height, width)")
        rule = align.alignment(alignment or align.default_for(self.kind))
        fitted = rule.fit([self.values], [truth.values], [self.valid & truth.valid], self.kind)
        values = rule.apply(self.values, self.kind, *fitted[0])
        return DepthMap(values, truth.kind, truth.unit, self.valid, self.camera or truth.camera)

    def save(self, path: str | os.PathLike[str], *, scale: float | None = None) -> None:
        """Write the map with its kind, unit and camera: .png (16-bit), .npz, .exr, or its points as .ply.

        Without metadata, because the formats have no place for it: .npy and .pfm.

        Args:
            path: the suffix decides the format.
            scale: fixed codes a unit for .png, such as 1000 for metres as millimetres; by default the 16 bits span the
                values and the file says how.

        Raises:
            InputError: unknown suffix, values beyond the fixed scale, or the file cannot be written.
            KindError: .ply of a map that has no points.
        """
        if Path(path).suffix.lower() == ".ply":
            write_ply(path, self.to_points())
            return
        meta = {"kind": str(self.kind), "unit": self.unit}
        if self.camera is not None:
            meta["camera"] = json.dumps(self.camera.to_dict())
        write_depth(path, self.values, self.valid, meta, scale=scale, affine=self.kind.up_to == "affine")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        kind: str | None = None,
        unit: str = ARBITRARY,
        scale: float | None = None,
        invalid: Collection[float] | None = None,
    ) -> DepthMap:
        """The map in a file.

        Args:
            path: the file; one that :meth:`save` wrote with metadata says itself what it holds.
            kind: of the values, where the file does not say.
            unit: of the values, where the file does not say.
            scale: see ``leadline.io.depth_files.read_depth``.
            invalid: likewise.

        Raises:
            InputError: the file cannot be read, or neither it nor ``kind`` says what its values mean.
        """
        from leadline.camera import Camera

        values, valid, meta = read_depth(path, scale=scale, invalid=invalid)
        kind = meta.get("kind", kind)
        if kind is None:
            raise InputError(f"{path}: does not say what kind of depth it holds; give kind and unit")
        camera = Camera.from_dict(json.loads(meta["camera"])) if "camera" in meta else None
        return cls(values, Kind.parse(kind), meta.get("unit", unit), valid, camera)


@functools.lru_cache(maxsize=2)
def _rays(camera: Camera) -> np.ndarray:
    """(H, W, 3) float32; kept, because every frame of a video has the same camera and distorted ones are solved for."""
    return np.asarray(camera.rays(), np.float32)
