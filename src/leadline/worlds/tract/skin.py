"""Colours of a wet wall, of what lies on it and of steel, and how they throw back the light of a lamp at the camera."""

from __future__ import annotations

import numpy as np

from leadline.worlds.noise import Noise
from leadline.worlds.raytracing import Hits

#: What the tube is of, in the order of ``Frame.semantics``.
CLASSES = ("wall", "polyp", "fluid", "bubble", "tool")
WALL, POLYP, FLUID, BUBBLE, TOOL = range(len(CLASSES))
#: Points shaded together; what they need then stays in the processor's cache.
CHUNK = 8192
#: Of each class: how much stronger than the wall's its highlights are, and how much of the wall's ripples it has.
FINISH = np.array([[1.0, 1.0], [1.0, 1.0], [2.5, 0.25], [4.0, 0.2], [2.0, 0.3]], np.float32)
#: Dull, or a thing so near to the lamp would blind the camera.
STEEL = np.array([0.085, 0.088, 0.095], np.float32)


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
        self.lamp = rng.uniform(0, 2.0) * np.array([np.cos(aside), np.sin(aside), 0])

    def patches(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) how much of each colour there is at points (N, 3), in patches that are larger than triangles."""
        return self._patches.fractal(points, self.patch, 3, gain=0.6)

    def albedo(self, points: np.ndarray, patches: np.ndarray, label: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) part of the light that is thrown back at points (N, 3), with patches (N, 3) there, by things of
        classes ``label`` (N,); details smaller than ``footprint`` (N,) fade."""
        mix, stained, mottled = (patches[:, [channel]] for channel in range(3))
        mottled = mottled + self._grain.fractal(points, 0.8, 1, footprint)
        mix = np.clip(0.5 + 0.7 * mix, 0, 1)
        colour = self.base * mix + self.other * (1 - mix)
        strength, size, width = self.vessels
        if strength:
            # Vessels run where a noise passes through zero; the patches bend them.
            winding = self._vessels.fractal(points + 3 * patches, size, 2, footprint)
            line = np.exp(-np.square(winding / width))
            colour = colour * (1 - strength * line * np.array([0.5, 0.9, 0.8], np.float32))
        threshold, stain = self.stain
        amount = np.clip((stained - threshold) * 4, 0, 0.8)
        colour = colour * (1 - amount) + stain * amount
        kind = label[:, None]
        colour = np.where(kind == POLYP, colour * self.polyp, colour)
        colour = np.where(kind == FLUID, 0.35 * colour + 0.5 * stain, colour)
        colour = np.where(kind == BUBBLE, 0.5 * colour + 0.3, colour)
        colour = np.where(kind == TOOL, STEEL, colour)
        return np.clip(colour * (1 + self.mottle * mottled), 0.02, 0.95).astype(np.float32)

    def shade(
        self,
        seen: Hits,
        label: np.ndarray,
        rays: np.ndarray,
        lamp: np.ndarray,
        spread: np.ndarray | float,
        solid: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Light that comes back from the body of things, and from their wet surface.

        Args:
            seen: what the rays hit.
            label: (N,) classes of what was hit.
            rays: (N, 3) of the length that ``seen.distance`` counts in.
            lamp: (3,) where the light is.
            spread: (N,) or one number, width of a pixel at distance 1.
            solid: (N, 3) where the points are when the wall is at rest, so that its colours move with it; by default
                where they are.

        Returns:
            Linear light, (N, 3) each: the body's colour, and white highlights. Nothing where nothing was hit.
        """
        light = np.zeros((2, len(seen.mesh), 3), np.float32)
        widths = np.broadcast_to(np.float32(spread), len(rays))
        solid = seen.points if solid is None else solid
        hit = np.flatnonzero(seen.mesh >= 0)
        for start in range(0, len(hit), CHUNK):
            part = hit[start : start + CHUNK]
            light[0, part], light[1, part] = self._shade(
                seen.take(part), label[part], rays[part], lamp.astype(np.float32), widths[part], solid[part]
            )
        return light[0], light[1]

    def _shade(
        self,
        seen: Hits,
        label: np.ndarray,
        rays: np.ndarray,
        lamp: np.ndarray,
        spread: np.ndarray,
        solid: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        to_eye, length = _unit(-rays)
        footprint = seen.distance * length[:, 0] * spread
        to_lamp, reach = _unit(lamp - seen.points)
        albedo = self.albedo(solid, seen.paint, label, 2 * footprint)
        facing = np.maximum(np.einsum("ij,ij->i", seen.normals, to_lamp), 0)[:, None]
        # Light that has been thrown about in the tube comes from everywhere, and has taken on its colour.
        body = albedo * (facing + self.bounce * albedo) / reach**2
        halfway, _ = _unit(to_eye + to_lamp)
        glare = np.zeros_like(reach)
        # Ripples turn the surface by 20 degrees at most, and nothing shines 30 degrees off: most of the wall cannot.
        near = np.flatnonzero(np.einsum("ij,ij->i", seen.normals, halfway) > np.cos(np.radians(50)))
        height, size = self.ripple
        shine, ripples = FINISH[label[near]].T
        turned = self._ripples.fractal(solid[near], size, 2, footprint[near])
        wet, _ = _unit(seen.normals[near] + (height * ripples)[:, None] * turned)
        alike = np.maximum(np.einsum("ij,ij->i", wet, halfway[near]), 0)[:, None]
        lobe = self.gloss * (self.sharpness + 2) / 8 * alike**self.sharpness
        glare[near] = shine[:, None] * lobe / reach[near] ** 2
        return body, glare


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (N, 3) and lengths (N, 1)."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors / np.maximum(length, np.float32(1e-9)), length
