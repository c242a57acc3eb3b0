"""The shape of a tube: a centre line that winds, a radius that varies, folds, lumps, pools, bubbles. Units are mm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leadline.worlds.base import smooth
from leadline.worlds.noise import Noise
from leadline.worlds.raytracing import Mesh, ball, smooth_normals

#: Rings a mm along the tube, and vertices around it.
RINGS, AROUND = 1.3, 192
#: mm of tube behind the first camera, so that it never looks out of the open end.
BEHIND = 25.0
AHEAD = 30.0  #: mm of tube that the camera never enters
CLOSING = 12.0  #: mm within which the ends of the tube close
#: Nearest the wall comes to the centre line, in mm, but for the closed ends.
NARROWEST = 3.2
#: Length in mm of the waves that run along a tube that breathes.
BREATH = 120.0


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

    def pool(self, rng: np.random.Generator) -> Mesh:
        """Fluid that stands in a part of the tube: its surface, wider than the tube is."""
        length = rng.uniform(20, 90)
        start = rng.uniform(BEHIND, self.length - AHEAD - length)
        part = np.linspace(0, 1, 60)
        along = start + length * part
        axes, radius = self.axes(along), self.radius(along)
        turn = rng.uniform(0, 2 * np.pi)
        down = np.cos(turn) * axes[:, :, 0] + np.sin(turn) * axes[:, :, 1]
        side = np.cross(axes[:, :, 2], down)
        # Under the wall at both ends, so that no edge is seen.
        level = radius * (1.4 - (1.4 - rng.uniform(0.62, 0.9)) * np.sin(np.pi * part) ** 0.5)
        across = np.linspace(-1.6, 1.6, 12)
        points = (self.centre(along) + level[:, None] * down)[:, None] + (
            across[:, None] * radius[:, None, None]
        ) * side[:, None]
        here = (np.arange(59)[:, None] * 12 + np.arange(11)).reshape(-1)
        faces = np.concatenate(
            [np.stack([here, here + 1, here + 12], 1), np.stack([here + 1, here + 13, here + 12], 1)]
        )
        vertices = points.reshape(-1, 3)
        return Mesh(vertices, faces, smooth_normals(vertices, faces))

    def bubbles(self, rng: np.random.Generator) -> Mesh:
        """Small balls in patches on the wall."""
        directions, faces = ball(2)
        parts = []
        for _ in range(rng.integers(1, 6)):
            along, angle = rng.uniform(BEHIND, self.length - 20), rng.uniform(0, 2 * np.pi)
            for _ in range(rng.integers(4, 25)):
                size = rng.uniform(0.15, 0.9)
                spot = np.array([along + rng.normal() * 2.5]), np.array([angle + rng.normal() * 0.2])
                parts.append(directions * size + self.wall(*spot)[0, 0])
        return Mesh(
            np.concatenate(parts),
            np.concatenate([faces + number * len(directions) for number in range(len(parts))]),
            np.tile(directions, (len(parts), 1)),
        )

    def breathed(self, mesh: Mesh, phase: float, depth: float) -> Mesh:
        """A mesh of this tube as a wave that runs along it narrows and widens it.

        Args:
            mesh: at rest.
            phase: of the wave, in turns.
            depth: part of the distance from the centre line that it adds and takes.
        """
        wave = 1 + depth * np.sin(2 * np.pi * (phase - self._beside(mesh) / BREATH))[:, None]
        return self.scaled(mesh, wave)

    def _beside(self, mesh: Mesh) -> np.ndarray:
        """(V,) how far along the tube the vertices lie: it never turns back."""
        return np.interp(mesh.vertices[:, 2], self._centre[:, 2], self._along)

    def scaled(self, mesh: Mesh, factor: np.ndarray | float) -> Mesh:
        """A mesh of this tube drawn towards the centre line, by one factor or one for each vertex (V, 1)."""
        middle = self.centre(self._beside(mesh))
        vertices = middle + (mesh.vertices - middle) * factor
        return replace(mesh, vertices=vertices, normals=smooth_normals(vertices, mesh.faces))
