"""Several sensors on one body: where they sit, and what they see at one instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leadline.camera import Camera
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame

#: (3, 3) OpenCV camera axes, looking ahead, to a vehicle's: x forward, y left, z up.
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Mount:
    """A camera and where it sits on the body that carries it.

    A hand-held camera is its own body. A vehicle's axes are x forward, y left, z up, from the ground below the middle
    of the rear axle, as nuScenes has them.

    Args:
        camera: with its size in pixels.
        pose: (4, 4) camera-to-body, the camera in OpenCV axes.
    """

    camera: Camera
    pose: np.ndarray


@dataclass(frozen=True)
class Lidar:
    """A rotating lidar: every beam turns about its z axis at its own elevation.

    Args:
        elevations: of the beams, in degrees above the horizon, the first beam first.
        steps: measurements of each beam in a turn.
        pose: (4, 4) lidar-to-body, the lidar's axes x forward, y left, z up.
        reach: nearest and farthest distance measured, in the unit of the poses.
        noise: standard deviation of the distance, in the same unit.
        dropout: part of the returns lost at random; more is lost of what is far, dark, or met at a flat angle.

    Raises:
        ConfigError: there is no beam, no step, or the reach is empty.
    """

    elevations: tuple[float, ...]
    steps: int
    pose: np.ndarray
    reach: tuple[float, float] = (1.0, 100.0)
    noise: float = 0.015
    dropout: float = 0.08

    def __post_init__(self) -> None:
        if not self.elevations or self.steps < 1:
            raise ConfigError(f"lidar: {len(self.elevations)} beams of {self.steps} steps measure nothing")
        if not 0 <= self.reach[0] < self.reach[1]:
            raise ConfigError(f"lidar.reach: {self.reach} is empty")


@dataclass(frozen=True)
class Sweep:
    """What a lidar measured in one turn.

    Args:
        points: (N, 3) lidar axes, float32.
        intensity: (N,) in [0, 1].
        beam: (N,) index of the elevation each point was measured at.
        pose: (4, 4) lidar-to-world.

    Raises:
        InputError: the lengths disagree.
    """

    points: np.ndarray
    intensity: np.ndarray
    beam: np.ndarray
    pose: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.points)
        if self.points.shape != (count, 3) or self.intensity.shape != (count,) or self.beam.shape != (count,):
            raise InputError(
                f"sweep: points {self.points.shape}, intensity {self.intensity.shape} and beam {self.beam.shape} "
                "are not (N, 3), (N,) and (N,)"
            )


@dataclass(frozen=True)
class Rig(Mapping[str, Frame]):
    """Frames at one instant, by the names of their cameras, in a fixed order. Sizes and models may differ.

    Args:
        frames: by name.
        pose: (4, 4) body-to-world.
        sweep: of the lidar.

    Raises:
        InputError: there is no frame.
    """

    frames: Mapping[str, Frame]
    pose: np.ndarray | None = None
    sweep: Sweep | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", dict(self.frames))
        if not self.frames:
            raise InputError("rig: holds no frame")

    def __getitem__(self, name: str) -> Frame:
        return self.frames[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def time(self) -> float | None:
        """In seconds, of the first camera."""
        return next(iter(self.frames.values())).time


def yaw(pose: np.ndarray) -> float:
    """Where a camera looks, by its (4, 4) camera-to-body: radians from x forward, positive to the left, within pi."""
    return float(np.arctan2(pose[1, 2], pose[0, 2]))


def ring(poses: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Ordered pairs of neighbouring cameras of a rig, read from their mounts: by the yaw of their optical axes.

    Neighbours follow one another in yaw, all around. Across a gap of more than 180 degrees there are none, so a rig
    that looks only ahead is a row, not a ring. Six cameras around a vehicle give 12 ordered pairs, two cameras 2,
    one none.

    Args:
        poses: (4, 4) camera-to-body, the body's axes x forward, y left, z up.

    Returns:
        Pairs of indices into ``poses``, ascending; each pair in both orders.
    """
    yaws = np.array([yaw(pose) for pose in poses])
    order = np.argsort(yaws, kind="stable")
    pairs = set()
    for a, b in zip(order.tolist(), np.roll(order, -1).tolist(), strict=True):
        if a != b and (yaws[b] - yaws[a]) % (2 * np.pi) <= np.pi + 1e-6:
            pairs |= {(a, b), (b, a)}
    return sorted(pairs)
