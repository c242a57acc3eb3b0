"""World ``tract``: the inside of a tube, as an endoscope sees it.

A centre line that winds, a radius that varies, folds that stand into the tube, polyps, pools and bubbles on its wall,
now and then a tool that reaches past the camera. The light sits at the camera and falls with the inverse square of
distance; the wall is wet and throws highlights; its colours, patches and vessels come from solid noise. Units are mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from leadline.camera import Camera, Omnidirectional, Pinhole
from leadline.errors import ConfigError, suggest
from leadline.geometry.poses import axis_angle_to_matrix, compose, transform
from leadline.rig import Mount
from leadline.worlds.base import Place, World, smooth
from leadline.worlds.raytracing import Hits, Mesh, Scene, smooth_normals
from leadline.worlds.tract.skin import BUBBLE, CLASSES, FLUID, POLYP, TOOL, WALL, Skin
from leadline.worlds.tract.tube import AHEAD, BEHIND, Tube

#: Nearest the camera comes to anything, in mm.
CLEARANCE = 2.5
LENSES = ("pinhole", "omnidirectional")
#: Breaths a second.
BREATHS = 0.25


@dataclass(frozen=True)
class Tract(World):
    """Tubes with folds and polyps, metric depth in mm.

    Args:
        fov: range of the horizontal field of view, in degrees; each place has a lens of its own.
        speed: range of the camera's speed along the tube, in mm a second.
        lens: pinhole, or omnidirectional: the wide lens of a colonoscope (that of C3VD), whatever ``fov`` says.
        pools: part of the places in which fluid stands.
        bubbles: part of the places in which bubbles cling to the wall.
        tools: part of the places in which a tool is seen.
        breathing: how far the tube narrows and widens, as a part of its radius, at most 0.2; 0 stands still.

    Raises:
        ConfigError: there is no such lens, or a part is outside its range.
    """

    name: ClassVar[str] = "tract"
    version: ClassVar[int] = 3
    unit: ClassVar[str] = "mm"
    classes: ClassVar[tuple[str, ...]] = (*CLASSES, "nothing")

    fov: tuple[float, float] = (60.0, 110.0)
    speed: tuple[float, float] = (8.0, 40.0)
    lens: str = "pinhole"
    pools: float = 0.25
    bubbles: float = 0.15
    tools: float = 0.1
    breathing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lens not in LENSES:
            raise ConfigError(
                f"lens: '{self.lens}' is not known{suggest(self.lens, LENSES)}; there is {', '.join(LENSES)}"
            )
        for name, most in (("pools", 1), ("bubbles", 1), ("tools", 1), ("breathing", 0.2)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"{name}: {getattr(self, name):g} is not between 0 and {most}")

    def clip(self, seed: int, frames: int) -> TractPlace:
        """The frames of one way through one tube."""
        return TractPlace(self, seed, frames)


class TractPlace(Place):
    """A tube, a way through it, and what is seen there."""

    def __init__(self, world: Tract, seed: int, frames: int) -> None:
        super().__init__(world, seed, frames)
        rng = np.random.default_rng([seed, 0x74726163])
        self.tube = Tube(rng)
        self.skin = Skin(rng)
        polyps = self.tube.polyps(rng)
        things = [(WALL, self.tube.mesh()), *((POLYP, polyp) for polyp in polyps)]
        self.mount = Mount(self._lens(world, rng), np.eye(4))
        rest = np.random.default_rng([seed, 0x72657374])  # apart, so that the tube is the same with and without
        if rest.uniform() < world.pools:
            things.append((FLUID, self.tube.pool(rest)))
        if rest.uniform() < world.bubbles:
            things.append((BUBBLE, self.tube.bubbles(rest)))
        meshes = [replace(mesh, paint=self.skin.patches(mesh.vertices)) for _, mesh in things]
        self.still = Scene(meshes)
        # The camera keeps clear of a tube that breathes where it is narrowest.
        narrow = (
            Scene([self.tube.scaled(mesh, 1 - world.breathing) for mesh in meshes]) if world.breathing else self.still
        )
        self.poses = self._way(world, rng, narrow)
        self.breathing = world.breathing
        self.tool = Tool(rest, frames / world.rate) if rest.uniform() < world.tools else None
        self.labels = np.array([kind for kind, _ in things] + [TOOL] * (self.tool is not None) + [len(CLASSES)])
        self._resting = meshes if self.breathing else []
        if self.breathing:
            self.still = Scene([])
        tool = [] if self.tool is None else [self.tool.mesh(np.eye(4), 0, np.inf)]
        #: What moves, where its colours are told: they move along.
        self._at_rest = self.still.with_moving([*self._resting, *tool])

    @staticmethod
    def _lens(world: Tract, rng: np.random.Generator) -> Camera:
        pinhole = Pinhole.from_fov(world.width, world.height, rng.uniform(*world.fov))
        if world.lens == "pinhole":
            return pinhole
        colonoscope = Omnidirectional(
            1350, 1080, 678.544839, 542.975888, 769.2436, -8.127706e-4, 6.256742e-7, -1.196622e-9,
            0.99998688, 0.00288274, -0.00296317,
        )  # fmt: skip
        return colonoscope.resize(world.height, world.width)

    def moving(self, index: int) -> Sequence[Mesh]:
        """A tube that breathes, and the tool."""
        time, meshes = index / self.world.rate, []
        if self.breathing:
            meshes = [self.tube.breathed(mesh, BREATHS * time, self.breathing) for mesh in self._resting]
        if self.tool is not None:
            pose = self.poses[index]
            direction = self.tool.direction @ pose[:3, :3].T
            around = Scene(meshes) if meshes else self.still
            free = around.cast(transform(pose, self.tool.start), direction[None]).distance[0]
            meshes.append(self.tool.mesh(pose, time, 0.97 * float(free)))
        return meshes

    def shade(
        self, scene: Scene, seen: Hits, rays: np.ndarray, spread: np.ndarray | float, index: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Light of the lamp beside the camera that comes back."""
        lamp = transform(self.poses[index], self.skin.lamp)
        solid = scene.carried(seen, self._at_rest)
        # Without shadows: a lamp so near throws hardly any that is seen.
        return self.skin.shade(seen, self.labels[seen.mesh], rays, lamp, spread, solid)

    def _way(self, world: Tract, rng: np.random.Generator, scene: Scene) -> np.ndarray:
        """(frames, 4, 4) camera-to-world: along the centre line, beside it, looking ahead or at the wall."""
        speed = rng.uniform(*world.speed) * (1 if rng.uniform() < 0.7 else -1)  # in, or out again
        time = np.arange(self.frames) / world.rate
        travelled = speed * (time + 0.4 * smooth(rng, time, 2.0))
        travelled -= travelled.min()
        span = self.tube.length - BEHIND - AHEAD
        # From anywhere, as far as there is tube; on a longer way to and fro.
        start = BEHIND + rng.uniform() * max(0, span - travelled.max())
        along = start + span - np.abs(np.remainder(travelled, 2 * span) - span)
        centre, axes = self.tube.centre(along), self.tube.axes(along)
        aside = np.stack([smooth(rng, time, 2.5), smooth(rng, time, 2.5)], axis=1) + rng.uniform(-1, 1, 2)
        aside *= 0.3 * self.tube.radius(along)[:, None]
        # Mostly ahead, sometimes nearly square onto the wall.
        tilt = np.radians(rng.uniform(5, 70) * smooth(rng, time, 3.0))
        towards = rng.uniform(0, 2 * np.pi) + smooth(rng, time, 4.0)
        roll = rng.uniform(0, 2 * np.pi) + 0.5 * smooth(rng, time, 4.0)
        still = np.zeros_like(time)
        tilted = axis_angle_to_matrix(np.stack([-tilt * np.sin(towards), tilt * np.cos(towards), still], axis=1))
        rolled = axis_angle_to_matrix(np.stack([still, still, roll], axis=1))
        offset = np.einsum("nij,nj->ni", axes[:, :, :2], aside)
        for _ in range(8):  # nearer to the middle until nothing is touched
            if _clearance(scene, centre + offset) >= CLEARANCE:
                break
            offset *= 0.6
        else:
            offset *= 0
        poses = np.tile(np.eye(4), (self.frames, 1, 1))
        poses[:, :3, :3], poses[:, :3, 3] = axes @ tilted @ rolled, centre + offset
        return poses


class Tool:
    """An instrument that comes from beside the camera: a shaft with two jaws, which moves to and fro.

    Args:
        rng: decides it.
        duration: of the clip, in seconds.
    """

    SIDES = 24

    def __init__(self, rng: np.random.Generator, duration: float) -> None:
        angle = rng.uniform(0, 2 * np.pi)
        aside = np.array([np.cos(angle), np.sin(angle), 0.0])
        self.radius = rng.uniform(0.7, 1.3)
        #: (3,) where it leaves the endoscope, and (3,) its unit direction, in camera axes.
        self.start = aside * rng.uniform(3.0, 4.5) + np.array([0, 0, -2.0])
        target = aside * rng.uniform(-2.0, 1.5) + np.array([0, 0, rng.uniform(12, 30)])
        self.direction = (target - self.start) / np.linalg.norm(target - self.start)
        self._span = np.linspace(0, max(duration, 1e-3), 256)
        self._reach = rng.uniform(12, 22) * (1 + 0.3 * smooth(rng, self._span, 2.0))
        self._opening = np.radians(rng.uniform(8, 35))

    def mesh(self, pose: np.ndarray, time: float, free: float) -> Mesh:
        """The tool as it is at a time.

        Args:
            pose: (4, 4) camera-to-world.
            time: in seconds.
            free: mm to the wall along its direction; it does not go through.
        """
        reach = min(float(np.interp(time, self._span, self._reach)), free)
        jaw = min(4.0 * self.radius, 0.6 * reach)
        shaft = reach - jaw
        across = np.cross(self.direction, np.eye(3)[np.argmin(np.abs(self.direction))])
        across /= np.linalg.norm(across)
        frame = compose(np.stack([across, np.cross(self.direction, across), self.direction], axis=1), self.start)
        parts = [self._cone(np.eye(4), shaft, self.radius, self.radius)]
        for sign in (-1, 1):
            turn = axis_angle_to_matrix(np.array([0.0, sign * self._opening, 0.0]))
            hinge = np.array([sign * 0.35 * self.radius, 0, shaft])
            parts.append(self._cone(compose(turn, hinge), jaw, 0.6 * self.radius, 0.3 * self.radius))
        vertices = transform(pose @ frame, np.concatenate([points for points, _ in parts]))
        counts = np.cumsum([0] + [len(points) for points, _ in parts])
        faces = np.concatenate([triangles + start for (_, triangles), start in zip(parts, counts, strict=False)])
        return Mesh(vertices, faces, smooth_normals(vertices, faces), np.zeros_like(vertices))

    def _cone(self, pose: np.ndarray, length: float, near: float, far: float) -> tuple[np.ndarray, np.ndarray]:
        """Points (V, 3) and faces (F, 3) of a closed cone along z, whose tip is round."""
        angle = np.linspace(0, 2 * np.pi, self.SIDES, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)
        tip = np.linspace(0, np.pi / 2, 5)[:-1]
        rings = [ring * near, *(ring * far * np.cos(t) + [0, 0, length - far + far * np.sin(t)] for t in tip)]
        points = np.concatenate([*rings, [[0, 0, 0], [0, 0, length]]])
        here = (np.arange(len(rings) - 1)[:, None] * self.SIDES + np.arange(self.SIDES)).reshape(-1)
        beside = (np.arange(len(rings) - 1)[:, None] * self.SIDES + np.roll(np.arange(self.SIDES), -1)).reshape(-1)
        around, last = np.arange(self.SIDES), (len(rings) - 1) * self.SIDES
        following = np.roll(around, -1)
        faces = np.concatenate([
            np.stack([here, beside, here + self.SIDES], 1),
            np.stack([beside, beside + self.SIDES, here + self.SIDES], 1),
            np.stack([following, around, np.full(self.SIDES, len(points) - 2)], 1),
            np.stack([last + around, last + following, np.full(self.SIDES, len(points) - 1)], 1),
        ])  # fmt: skip
        return transform(pose, points), faces


def _clearance(scene: Scene, places: np.ndarray, directions: int = 64) -> float:
    """Distance in mm to the nearest thing from any of the places (N, 3)."""
    k = np.arange(directions) + 0.5
    height, turn = 1 - 2 * k / directions, np.pi * (1 + 5**0.5) * k  # evenly over the sphere
    ring = np.sqrt(1 - height**2)
    rays = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    hits = scene.cast(np.repeat(places, directions, axis=0), np.tile(rays, (len(places), 1)))
    return float(hits.distance.min())
