"""World ``tract``: the inside of a tube, as an endoscope sees it.

A centre line that winds, a radius that varies, folds that stand into the tube, polyps on its wall. The light sits at
the camera and falls with the inverse square of distance; the wall is wet and throws highlights; its colours, patches
and vessels come from solid noise. Units are mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, overload

import numpy as np

from leadline.camera import Pinhole
from leadline.depth import DepthMap, Kind
from leadline.frame import Frame
from leadline.geometry.poses import axis_angle_to_matrix
from leadline.worlds.base import World, smooth
from leadline.worlds.noise import Noise
from leadline.worlds.raytracing import Hits, Mesh, Scene, ball, look, smooth_normals

#: Rings a mm along the tube, and vertices around it.
RINGS, AROUND = 1.3, 192
#: mm of tube behind the first camera, so that it never looks out of the open end.
BEHIND = 25.0
AHEAD = 30.0  #: mm of tube that the camera never enters
CLOSING = 12.0  #: mm within which the ends of the tube close
#: Nearest the camera comes to anything, in mm.
CLEARANCE = 2.5
#: Nearest the wall comes to the centre line, in mm, but for the closed ends.
NARROWEST = 3.2
#: Points shaded together; what they need then stays in the processor's cache.
CHUNK = 8192


@dataclass(frozen=True)
class Tract(World):
    """Tubes with folds and polyps, metric depth in mm.

    Args:
        fov: range of the horizontal field of view, in degrees; each place has a lens of its own.
        speed: range of the camera's speed along the tube, in mm a second.
    """

    name: ClassVar[str] = "tract"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "mm"
    classes: ClassVar[tuple[str, ...]] = ("wall", "polyp")

    fov: tuple[float, float] = (60.0, 110.0)
    speed: tuple[float, float] = (8.0, 40.0)

    def clip(self, seed: int, frames: int) -> Sequence[Frame]:
        """The frames of one way through one tube."""
        return TractClip(self, seed, frames)


class TractClip(Sequence[Frame]):
    """A tube, a way through it, and what is seen there."""

    def __init__(self, world: Tract, seed: int, frames: int) -> None:
        self.world, self.seed, self.frames = world, seed, frames
        rng = np.random.default_rng([seed, 0x74726163])
        self.tube = Tube(rng)
        self.skin = Skin(rng)
        shapes = [self.tube.mesh(), *self.tube.polyps(rng)]
        self.scene = Scene([replace(shape, paint=self.skin.patches(shape.vertices)) for shape in shapes])
        self.camera = Pinhole.from_fov(world.width, world.height, rng.uniform(*world.fov))
        self.poses = self._way(rng)

    def __len__(self) -> int:
        return self.frames

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.frames))]
        index = range(self.frames)[index]  # refuses what lies outside
        pose, shape = self.poses[index], (self.world.height, self.world.width)
        seen = look(self.scene, self.camera, pose)
        body, gloss = self.skin.shade(seen, pose, 1 / self.camera.fx)
        light = (body + gloss).reshape(*shape, 3)
        gain = self.world.sensor.gain(light)
        image = self.world.sensor.expose(light * gain, np.random.default_rng([self.seed, index, 1]))
        normals = (seen.normals @ pose[:3, :3]).astype(np.float32)
        # Where glare adds a tenth of full white, the colour is no longer the wall's.
        glare = (gloss[:, 0] * gain > 0.1).reshape(shape)
        depth = DepthMap(seen.distance.reshape(shape), Kind("depth", "nothing"), self.world.unit, camera=self.camera)
        return Frame(
            image,
            depth,
            self.camera,
            pose,
            time=index / self.world.rate,
            sequence=f"tract-{self.seed:06d}",
            name=f"{index:06d}",
            normals=normals.reshape(*shape, 3),
            glare=glare,
            semantics=(seen.mesh > 0).reshape(shape).astype(np.uint8),
        )

    def _way(self, rng: np.random.Generator) -> np.ndarray:
        """(frames, 4, 4) camera-to-world: along the centre line, beside it, looking ahead or at the wall."""
        speed = rng.uniform(*self.world.speed) * (1 if rng.uniform() < 0.7 else -1)  # in, or out again
        time = np.arange(self.frames) / self.world.rate
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
            if self._clearance(centre + offset) >= CLEARANCE:
                break
            offset *= 0.6
        poses = np.tile(np.eye(4), (self.frames, 1, 1))
        poses[:, :3, :3], poses[:, :3, 3] = axes @ tilted @ rolled, centre + offset
        return poses

    def _clearance(self, places: np.ndarray, directions: int = 64) -> float:
        """Distance in mm to the nearest thing from any of the places (N, 3)."""
        k = np.arange(directions) + 0.5
        height, turn = 1 - 2 * k / directions, np.pi * (1 + 5**0.5) * k  # evenly over the sphere
        ring = np.sqrt(1 - height**2)
        rays = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
        hits = self.scene.cast(np.repeat(places, directions, axis=0), np.tile(rays, (len(places), 1)))
        return float(hits.distance.min())


class Tube:
    """The shape of the wall.

    Args:
        rng: decides it.
        length: of the centre line in mm.
    """

    def __init__(self, rng: np.random.Generator, length: float = 330.0) -> None:
        self.length = length
        self._along = np.linspace(0, length, 1025)
        base = rng.uniform(9, 26)
        narrow = 1 + rng.uniform(0.05, 0.25) * smooth(rng, self._along, 90)
        # Both ends close smoothly within some twelve mm.
        to_end = np.minimum(self._along, length - self._along) / CLOSING
        self._radius = base * narrow * np.sqrt(1 - (1 - np.clip(to_end, 0.02, 1)) ** 2)
        # The direction wanders about the z axis and never turns back, so that the tube does not meet itself; it bends
        # gently for its radius.
        heading = rng.uniform(0.15, 0.55) * np.stack([smooth(rng, self._along, 7 * base) for _ in range(2)], axis=1)
        ahead = np.stack([np.tan(np.clip(heading[:, 0], -1, 1)), np.tan(np.clip(heading[:, 1], -1, 1)),
                          np.ones(len(heading))], axis=1)  # fmt: skip
        self._ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
        steps = (self._ahead[1:] + self._ahead[:-1]) / 2 * np.diff(self._along)[:, None]
        self._centre = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
        self._folds = self._make_folds(rng, base)
        self._waves = Noise(rng)
        self._bumps = rng.uniform(0.0, 0.07), base * rng.uniform(0.25, 0.7)
        # The section is no circle: three bands pull it towards a rounded triangle.
        self._section = rng.uniform(0, 0.12), rng.uniform(0, 2 * np.pi)

    def _make_folds(self, rng: np.random.Generator, base: float) -> np.ndarray:
        """(N, 6) folds: where along, thickness, height, middle angle, half the angle spanned, slant."""
        spacing = base * rng.uniform(0.5, 1.8)
        full_rings = rng.uniform() < 0.35
        folds, at = [], rng.uniform(0, spacing)
        tallest = rng.uniform(0.1, 0.45)
        while at < self.length:
            span = np.pi * 2 if full_rings else rng.uniform(0.7, 1.7)
            thickness = max(1.6, spacing * rng.uniform(0.08, 0.2))  # no finer than the rings can show
            folds.append((at, thickness, tallest * rng.uniform(0.4, 1), rng.uniform(0, 2 * np.pi), span,
                          rng.uniform(-0.3, 0.3) * base))  # fmt: skip
            at += spacing * rng.uniform(0.6, 1.4) * (1 if full_rings else 0.55)
        return np.array(folds)

    def _interpolated(self, table: np.ndarray, along: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(along, self._along, column) for column in table.T], axis=1)

    def radius(self, along: np.ndarray) -> np.ndarray:
        """(N,) mean radius in mm."""
        return np.interp(along, self._along, self._radius)

    def centre(self, along: np.ndarray) -> np.ndarray:
        """(N, 3) points of the centre line."""
        return self._interpolated(self._centre, along)

    def axes(self, along: np.ndarray) -> np.ndarray:
        """(N, 3, 3) across, across and along the tube, as columns."""
        ahead = self._interpolated(self._ahead, along)
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        x = np.array([1.0, 0, 0]) - ahead[:, :1] * ahead  # the direction never comes near the x axis
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return np.stack([x, np.cross(ahead, x), ahead], axis=2)

    def wall(self, along: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """(N, M, 3) points of the wall at N places along and M angles around."""
        radius = np.ones((len(along), len(angle)))
        amount, turn = self._section
        radius += amount * np.cos(3 * angle + turn)
        for at, thickness, height, middle, span, slant in self._folds:
            near = np.flatnonzero(np.abs(along - at) < 4 * thickness + abs(slant))
            if not len(near):
                continue
            off = np.remainder(angle - middle + np.pi, 2 * np.pi) - np.pi
            across = along[near, None] - at - slant * np.cos(angle - middle)
            crest = height / (1 + (across / thickness) ** 4)  # round on top, so that rings do not cut it into teeth
            radius[near] -= crest * 0.5 * (1 + np.tanh((span - np.abs(off)) / 0.25))
        mean = self.radius(along)[:, None]
        radius = np.maximum(radius, np.minimum(np.maximum(0.35, NARROWEST / mean), 1)) * mean
        axes, centre = self.axes(along), self.centre(along)
        outward = (
            np.cos(angle)[None, :, None] * axes[:, None, :, 0] + np.sin(angle)[None, :, None] * axes[:, None, :, 1]
        )
        points = centre[:, None] + radius[..., None] * outward
        height, size = self._bumps
        waves = self._waves.fractal(points.reshape(-1, 3), size, 3, gain=0.4)[:, 0].reshape(radius.shape)
        return points + (height * radius * waves)[..., None] * outward

    def mesh(self) -> Mesh:
        """The wall as triangles, closed at both ends."""
        along = np.linspace(0, self.length, int(self.length * RINGS))
        angle = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
        points = self.wall(along, angle)
        lengthwise = np.gradient(points, axis=0)
        around = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
        normals = np.cross(lengthwise, around)
        normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
        rings = len(along)
        here = np.arange(rings - 1)[:, None] * AROUND + np.arange(AROUND)
        beside = np.arange(rings - 1)[:, None] * AROUND + (np.arange(AROUND) + 1) % AROUND
        faces = [np.stack(corners, axis=-1).reshape(-1, 3)
                 for corners in ((here, beside, here + AROUND), (beside, beside + AROUND, here + AROUND))]  # fmt: skip
        ends = self.centre(np.array([0, self.length]))
        for end, ring in ((0, 0), (1, rings - 1)):
            rim = ring * AROUND + np.arange(AROUND)
            faces.append(np.stack([rim, np.roll(rim, -1), np.full(AROUND, rings * AROUND + end)], axis=1))
        vertices = np.concatenate([points.reshape(-1, 3), ends])
        inward = self.axes(np.array([0, self.length]))[:, :, 2] * [[1], [-1]]
        return Mesh(vertices, np.concatenate(faces), np.concatenate([normals.reshape(-1, 3), inward]))

    def polyps(self, rng: np.random.Generator) -> list[Mesh]:
        """Lumps on the wall: flat, round, or hanging from it."""
        directions, faces = ball(4)
        meshes = []
        for _ in range(rng.poisson(rng.uniform(0, 10))):
            along, angle = rng.uniform(BEHIND, self.length - 20), rng.uniform(0, 2 * np.pi)
            radius = self.radius(np.array([along]))[0]
            at = self.wall(np.array([along]), np.array([angle]))[0, 0]
            axes = self.axes(np.array([along]))[0]
            outward = at - self.centre(np.array([along]))[0]
            free = np.linalg.norm(outward)
            outward /= free
            # The middle stays free, for the camera to pass.
            size = min(radius * rng.uniform(0.1, 0.3), (free - NARROWEST) / 1.5)
            if size < 0.5:
                continue
            stretch = size * np.array([rng.uniform(0.7, 1.3), rng.uniform(0.7, 1.3), rng.uniform(0.4, 1.2)])
            frame = np.stack([np.cross(outward, axes[:, 2]), axes[:, 2], outward], axis=1)
            height, place, width = rng.uniform(0, 0.15), rng.uniform(0, 50, 3), rng.uniform(0.4, 1)
            lumps = 1 + height * self._waves.fractal(directions + place, width, 1)
            points = directions * lumps * stretch @ frame.T + at - outward * size * rng.uniform(0.0, 0.4)
            meshes.append(Mesh(points, faces, smooth_normals(points, faces)))
        return meshes


class Skin:
    """Colours of a wet wall, and how it throws light back.

    Args:
        rng: decides them.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._patches, self._ripples = Noise(rng, 3), Noise(rng, 3)
        self._vessels, self._grain = Noise(rng), Noise(rng)
        red = rng.uniform(0.5, 0.8)
        green = red * rng.uniform(0.16, 0.55)
        self.base = np.array([red, green, green * rng.uniform(0.6, 1.05)], np.float32)
        self.other = self.base * rng.uniform(0.7, 1.3, 3).astype(np.float32)
        self.patch = rng.uniform(6, 25)
        self.mottle = rng.uniform(0.05, 0.35)
        self.vessels = rng.uniform(0, 0.6) * (rng.uniform() < 0.7), rng.uniform(4, 12), rng.uniform(0.03, 0.08)
        self.stain = rng.uniform(0.4, 1.6), np.array([0.75, 0.6, 0.2], np.float32) * rng.uniform(0.5, 1)
        self.polyp = (rng.uniform(0.8, 1.2, 3) * [1.05, 0.95, 0.95]).astype(np.float32)
        self.gloss = rng.uniform(0.03, 0.2)
        self.sharpness = rng.uniform(60, 400)
        self.ripple = rng.uniform(0.04, 0.22), rng.uniform(0.8, 3)
        self.bounce = rng.uniform(0.08, 0.35)
        aside = rng.uniform(0, 2 * np.pi)  # in camera axes, nearer than any wall
        self.lamp = rng.uniform(0, 0.8 * CLEARANCE) * np.array([np.cos(aside), np.sin(aside), 0])

    def patches(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) how much of each colour there is at points (N, 3), in patches that are larger than triangles."""
        return self._patches.fractal(points, self.patch, 3, gain=0.6)

    def albedo(self, seen: Hits, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) part of the light that is thrown back; details smaller than ``footprint`` (N,) fade."""
        mix, stained, mottled = (seen.paint[:, [channel]] for channel in range(3))
        mottled = mottled + self._grain.fractal(seen.points, 0.8, 1, footprint)
        mix = np.clip(0.5 + 0.7 * mix, 0, 1)
        colour = self.base * mix + self.other * (1 - mix)
        strength, size, width = self.vessels
        if strength:
            # Vessels run where a noise passes through zero; the patches bend them.
            winding = self._vessels.fractal(seen.points + 3 * seen.paint, size, 2, footprint)
            line = np.exp(-np.square(winding / width))
            colour = colour * (1 - strength * line * np.array([0.5, 0.9, 0.8], np.float32))
        threshold, stain = self.stain
        amount = np.clip((stained - threshold) * 4, 0, 0.8)
        colour = colour * (1 - amount) + stain * amount
        colour = np.where(seen.mesh[:, None] > 0, colour * self.polyp, colour)
        return np.clip(colour * (1 + self.mottle * mottled), 0.02, 0.95).astype(np.float32)

    def shade(self, seen: Hits, pose: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray]:
        """Light that comes back from the wall's body, and from its wet surface.

        Args:
            seen: what the camera's rays hit.
            pose: (4, 4) camera-to-world; the lamp is beside the camera.
            spread: width of a pixel at distance 1.

        Returns:
            Linear light, (N, 3) each: the body's colour, and white glare. Nothing where nothing was hit.
        """
        light = np.zeros((2, len(seen.mesh), 3), np.float32)
        eye = pose[:3, 3].astype(np.float32)
        lamp = eye + (pose[:3, :3] @ self.lamp).astype(np.float32)
        hit = np.flatnonzero(seen.mesh >= 0)
        for start in range(0, len(hit), CHUNK):
            part = hit[start : start + CHUNK]
            one = Hits(*(getattr(seen, field.name)[part] for field in fields(Hits)))
            light[0, part], light[1, part] = self._shade(one, eye, lamp, spread)
        return light[0], light[1]

    def _shade(self, seen: Hits, eye: np.ndarray, lamp: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray]:
        to_eye, distance = _unit(eye - seen.points)
        to_lamp, reach = _unit(lamp - seen.points)
        footprint = distance[:, 0] * np.float32(spread)
        albedo = self.albedo(seen, 2 * footprint)
        facing = np.maximum(np.einsum("ij,ij->i", seen.normals, to_lamp), 0)[:, None]
        # Light that has been thrown about in the tube comes from everywhere, and has taken on its colour.
        body = albedo * (facing + self.bounce * albedo) / reach**2
        halfway, _ = _unit(to_eye + to_lamp)
        glare = np.zeros_like(reach)
        # Ripples turn the surface by 20 degrees at most, and nothing shines 30 degrees off: most of the wall cannot.
        near = np.flatnonzero(np.einsum("ij,ij->i", seen.normals, halfway) > np.cos(np.radians(50)))
        height, size = self.ripple
        wet, _ = _unit(seen.normals[near] + height * self._ripples.fractal(seen.points[near], size, 2, footprint[near]))
        alike = np.maximum(np.einsum("ij,ij->i", wet, halfway[near]), 0)[:, None]
        glare[near] = self.gloss * (self.sharpness + 2) / 8 * alike**self.sharpness / reach[near] ** 2
        return body, glare


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (N, 3) and lengths (N, 1)."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors / np.maximum(length, np.float32(1e-9)), length
