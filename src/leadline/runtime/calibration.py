"""What turns a model's answers into metric depth: one line, found on known distances, in a file beside the model."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import yaml

from leadline.depth import LENGTHS, DepthMap, Kind, Quantity
from leadline.errors import ConfigError, InputError, KindError, suggest
from leadline.foundation.base import DepthModel
from leadline.io.atomic import write_text
from leadline.io.reading import read_text

METRIC = Kind("depth", "nothing")
SPACES = ("depth", "disparity")


@dataclass(frozen=True)
class Calibration:
    """Metric depth as a line of what a model says: ``scale * x + shift``.

    Args:
        model: name of the model it was found for.
        digest: of that model, see :class:`~leadline.foundation.base.DepthModel`; it holds for no other.
        kind: of what the model says, such as ``affine-invariant-disparity``.
        space: what x is, ``depth`` or ``disparity``, and so what the line gives: depth in ``unit``, or its inverse.
        scale: above 0.
        shift: 0 where only a scale was found.
        unit: of the depth: m, cm or mm.
        evidence: what it rests on, plain values: distances, their range, uncertainty, cross-validation.

    Raises:
        ConfigError: a value is impossible.
        KindError: x cannot be had from the kind: an affine map is not inverted before scale and shift are known.
    """

    model: str
    digest: str
    kind: str
    space: Quantity
    scale: float
    shift: float
    unit: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind = Kind.parse(self.kind)
        if self.space not in SPACES:
            raise ConfigError(f"space: {' or '.join(SPACES)}, not {self.space!r}")
        if kind.up_to == "affine" and kind.quantity != self.space:
            raise KindError(f"space: a line in {self.space} cannot be laid through {kind}")
        if self.unit not in LENGTHS:
            raise ConfigError(f"unit: one of {', '.join(LENGTHS)}, not {self.unit!r}")
        for name in ("scale", "shift"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"{name}: a number, not {value!r}")
        if self.scale <= 0:
            raise ConfigError(f"scale: above 0, not {self.scale!r}")

    def check(self, model: DepthModel) -> None:
        """See that it belongs to a model.

        Raises:
            ConfigError: it was found for another one.
        """
        if self.digest != model.digest:
            raise ConfigError(
                f"calibration: is of {self.model} ({self.digest[:12]}), not of {model.name} ({model.digest[:12]}); "
                "each model, and each changed copy of one, needs its own: leadline calibrate"
            )

    def apply(self, depth: DepthMap) -> DepthMap:
        """The map as metric depth in ``unit``; where the line gives no depth (behind the camera, or beyond infinity)
        the map is not valid.

        Raises:
            KindError: the map is of another kind.
        """
        if str(depth.kind) != self.kind:
            raise KindError(f"calibration: is for {self.kind}, not {depth.kind}")
        values = as_metric(self.scale * in_space(depth, self.space, self.unit) + self.shift, self.space)
        return DepthMap(values, METRIC, self.unit, depth.valid, depth.camera)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as YAML.

        Raises:
            InputError: the folder cannot be written to.
        """
        write_text(path, yaml.safe_dump(asdict(self), sort_keys=False, default_flow_style=None, width=120))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """The calibration in a file.

        Raises:
            InputError: no such file, or not a calibration; the message names the key.
        """
        try:
            entries = yaml.safe_load(read_text(path))
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not a YAML file ({str(error).splitlines()[0]})") from None
        names = [entry.name for entry in fields(cls)]
        if not isinstance(entries, dict):
            raise InputError(f"{path}: not a calibration, which has the keys {', '.join(names)}")
        for key in entries:
            if key not in names:
                raise InputError(f"{path}: unknown key {key!r}{suggest(str(key), names)} (keys: {', '.join(names)})")
        if missing := [name for name in names if name != "evidence" and name not in entries]:
            raise InputError(f"{path}: {', '.join(missing)} missing; leadline calibrate writes calibrations")
        try:
            return cls(**entries)
        except (ConfigError, KindError) as error:
            raise InputError(f"{path}: {error}") from None


def in_space(depth: DepthMap, space: Quantity, unit: str) -> np.ndarray:
    """(H, W) values of a map as depth or disparity; of a metric one in ``unit`` or its inverse."""
    depth = depth.to_depth() if space == "depth" else depth.to_disparity()
    if depth.kind.up_to == "nothing":
        depth = depth.to_unit(unit if space == "depth" else f"1/{unit}")
    return depth.values


def as_metric(values: np.ndarray, space: str) -> np.ndarray:
    """Depth of what a line gives: itself, or its inverse, infinite where a disparity is not above 0."""
    if space == "depth":
        return values
    out = np.where(np.isnan(values), np.nan, np.inf).astype(values.dtype)
    return np.divide(1, values, out=out, where=values > 0)
