"""World ``street``: a street that one drives along, as the cameras and the lidar of a vehicle see it.

A road that bends, side streets, markings, sidewalks; buildings with windows, gardens, trees, lamps and signs; parked
and moving vehicles; people. The sun stands anywhere, or clouds hide it. Units are m.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from leadline.camera import Pinhole
from leadline.geometry.poses import axis_angle_to_matrix
from leadline.rig import Mount
from leadline.worlds.base import Place, World, smooth
from leadline.worlds.raytracing import Hits, Mesh, Scene
from leadline.worlds.shapes import moved
from leadline.worlds.street import driving, outdoors
from leadline.worlds.street.road import Plan, ground, joined, merge
from leadline.worlds.street.roadside import line_blocks
from leadline.worlds.street.traffic import ego

#: Longest way in metres; a clip that would go farther is driven more slowly.
LONGEST = 900.0
#: Of the front camera, in a vehicle's axes: ahead of the rear axle, to the left, and above the ground.
SEAT = (2.15, 0.06, 1.65)


@dataclass(frozen=True)
class Street(World):
    """Streets with traffic, metric depth in m.

    Args:
        fov: range of the front camera's horizontal field of view, in degrees; each place has a lens of its own.
        speed: range of the vehicle's speed, in metres a second; a way longer than 900 m is driven more slowly.
        yaw: range of how far the camera is turned to the left of straight ahead, in degrees.
    """

    name: ClassVar[str] = "street"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "m"
    classes: ClassVar[tuple[str, ...]] = (
        "sky", "road", "marking", "kerb", "sidewalk", "building", "pole", "vegetation", "vehicle", "person", "sign",
        "terrain", "object", "ego",
    )  # fmt: skip
    nothing: ClassVar[str] = "sky"

    fov: tuple[float, float] = (60.0, 90.0)
    speed: tuple[float, float] = (4.0, 13.0)
    yaw: tuple[float, float] = (0.0, 0.0)

    def clip(self, seed: int, frames: int) -> StreetPlace:
        """The frames of one drive along one street."""
        return StreetPlace(self, seed, frames)


class StreetPlace(Place):
    """A street and a drive along it.

    ``mount`` is a camera 1.65 m above the ground, which looks ahead unless the world says otherwise. Cameras of one's
    own are hidden least by the vehicle that carries them if they sit 1.5 m high or more.
    """

    def __init__(self, world: Street, seed: int, frames: int) -> None:
        super().__init__(world, seed, frames)
        rng = np.random.default_rng([seed, 0x73747265])
        camera = Pinhole.from_fov(world.width, world.height, rng.uniform(*world.fov))
        # A generator of its own: the street is the same whichever way one looks.
        yaw = np.random.default_rng([seed, 0x796177]).uniform(*world.yaw)
        self.mount = Mount(camera, facing(yaw, SEAT))
        time = np.arange(frames) / world.rate
        driven = travelled(rng, time, world.speed)
        #: How the street is laid out.
        self.plan = Plan(rng, driven[-1])
        green = bool(rng.uniform() < 0.4)
        parts = ground(rng, self.plan, green)
        merge(parts, line_blocks(rng, self.plan, green))
        merge(parts, driving.parked(rng, self.plan))
        still = joined(parts)
        self.still = Scene(list(still.values()))
        lane, self.poses = _drive(rng, self.plan, time, driven)
        self._traffic = driving.Traffic(rng, self.plan, time, driven, lane)
        self._body = ego()
        kinds = [*still, *self._traffic.kinds, "ego"]
        looks = outdoors.looks(rng, self.plan)
        self.shading, self.haze = outdoors.light(rng, [looks[kind] for kind in kinds])
        #: (3,) colour of the air far away: that of the sky above the horizon.
        self.pale = self.shading.sky(np.array([[1.0, 0.0, 0.05]], np.float32))[0]
        names = [outdoors.CLASSES[kind] for kind in kinds]
        self.labels = np.array([world.classes.index(name) for name in [*names, "sky"]])
        self.carrier = world.classes.index("ego")

    def moving(self, index: int) -> Sequence[Mesh]:
        """Vehicles, people and the vehicle that carries the cameras."""
        return [*self._traffic.at(index), moved(self._body, self.poses[index])]

    def shade(
        self, scene: Scene, seen: Hits, rays: np.ndarray, spread: np.ndarray | float, index: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Light of the sun and the sky, paled by the air."""
        body, gloss = self.shading.shade(scene, seen, rays, spread, np.random.default_rng([self.seed, index, 4]))
        hit = np.flatnonzero(seen.mesh >= 0)
        far = seen.distance[hit] * np.sqrt(np.einsum("ij,ij->i", rays[hit], rays[hit]))
        clear = np.exp(-far / np.float32(self.haze))[:, None]
        body[hit] = body[hit] * clear + self.pale * (1 - clear)
        gloss[hit] *= clear
        return body, gloss

    def albedo(self, seen: Hits) -> np.ndarray:
        """(N,) part of a lidar's light that is thrown back: much by leaves and signs, little by glass and lacquer."""
        back = np.zeros(len(seen.mesh), np.float32)
        footprint = np.full(len(seen.mesh), 0.02, np.float32)
        for number in np.unique(seen.mesh[seen.mesh >= 0]):
            on = np.flatnonzero(seen.mesh == number)
            colour = self.shading.materials[number].texture(seen.paint[on], footprint[on])
            back[on] = colour.mean(axis=1) * _INFRARED.get(Street.classes[self.labels[number]], 1.0)
        return np.clip(back, 0.01, 1)


#: How much brighter things are to a lidar than to the eye.
_INFRARED: Mapping[str, float] = {"vegetation": 3.0, "sign": 2.5, "marking": 1.3, "terrain": 2.0, "vehicle": 0.8}


def facing(yaw: float, at: Sequence[float] = SEAT) -> np.ndarray:
    """(4, 4) camera-to-body of a level camera.

    Args:
        yaw: degrees to the left of straight ahead.
        at: (3,) where it sits.
    """
    turn = np.radians(yaw)
    ahead = np.array([np.cos(turn), np.sin(turn), 0])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = np.cross(ahead, [0, 0, 1]), [0, 0, -1], ahead
    pose[:3, 3] = at
    return pose


def ring(height: int, width: int, fov: float = 75.0) -> dict[str, Mount]:
    """Six cameras around a vehicle as DDAD and nuScenes have them, each overlapping its neighbours.

    Args:
        height: of the images, in pixels.
        width: of the images, in pixels.
        fov: horizontal field of view of each, in degrees; the one that looks back has 110 at most.
    """
    seats = {
        "front": (0.0, 1.9, 0.0), "front_left": (55.0, 1.5, 0.5), "back_left": (110.0, 1.0, 0.5),
        "back": (180.0, 0.0, 0.0), "back_right": (-110.0, 1.0, -0.5), "front_right": (-55.0, 1.5, -0.5),
    }  # fmt: skip
    mounts = {}
    for name, (yaw, x, y) in seats.items():
        wide = min(1.4 * fov, 110.0) if name == "back" else fov
        mounts[name] = Mount(Pinhole.from_fov(width, height, wide), facing(yaw, (x, y, 1.56)))
    return mounts


def travelled(rng: np.random.Generator, time: np.ndarray, speeds: tuple[float, float]) -> np.ndarray:
    """(frames,) metres driven, 900 at most, at times (frames,) in seconds and a speed in a range."""
    speed, varied = rng.uniform(*speeds), rng.uniform(0.02, 0.12)
    # The mean of smooth's slope is none; that it never turns back, its wavelength sees to.
    way = speed * (time + varied * 9.0 / (2 * np.pi) * smooth(rng, time, 9.0))
    way = way - way[0]
    return way * min(1.0, LONGEST / max(way[-1], 1e-9))


def _drive(rng: np.random.Generator, plan: Plan, time: np.ndarray, driven: np.ndarray) -> tuple[int, np.ndarray]:
    """The lane that is driven on, and (frames, 4, 4) body-to-world."""
    lane = int(rng.integers(plan.lanes))
    sway = rng.uniform(0.05, 0.3) * smooth(rng, driven, 45.0) + rng.uniform(-0.15, 0.15)
    aside = plan.drive * (lane + 0.5) * plan.lane + sway
    ahead = 0.5  # metres, over which the sway's direction is told
    later = np.interp(driven + ahead, driven, sway) if len(time) > 1 and driven[-1] > 1 else sway
    drift = np.clip((later - sway) / ahead, -0.05, 0.05)
    pitch, roll = np.radians(rng.uniform(0.1, 0.5, 2))[:, None] * [smooth(rng, time, 1.1), smooth(rng, time, 1.6)]
    bounce = 0.012 * smooth(rng, time, 0.9)
    poses = np.empty((len(time), 4, 4))
    for n in range(len(time)):
        tilt = np.eye(4)
        tilt[:3, :3] = axis_angle_to_matrix(np.array([roll[n], pitch[n], 0.0]))
        poses[n] = plan.line.pose(driven[n], aside[n], bounce[n], drift[n]) @ tilt
    return lane, poses
