"""Light on surfaces: lamps, sun and sky with shadows; mirrors, glossy things and glass, which show other things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from leadline.worlds.raytracing import Hits, Scene

#: (N, 3) part of the light thrown back at texture coordinates (N, 3), which are ``Hits.paint``, with details finer than
#: a footprint (N,), the width of a pixel there, faded to their mean.
Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]
#: (N, 3) light that comes from unit directions (N, 3) where nothing stands.
Sky = Callable[[np.ndarray], np.ndarray]

#: Rays that show what a rough surface reflects, if it reflects a tenth or less, and if more.
GLOSSY_RAYS = 2, 4
#: Reflections weaker than this part of the light are not looked for.
FAINT = 0.02
#: What keeps off the light from everywhere throws back this part of it itself.
THROWN_BACK = 0.25
# Columns of the materials' properties.
REFLECTANCE, ROUGHNESS, TRANSMITTANCE, TINT, GLOWS = 0, 1, 2, slice(3, 6), 6


@dataclass(frozen=True)
class Material:
    """What a mesh is made of.

    Args:
        texture: its colours.
        reflectance: part of the light that is reflected at normal incidence; towards grazing more is, after Schlick
            ("An inexpensive BRDF model for physically-based rendering", 1994). 0 reflects nothing at any angle; 0.04 is
            polish, lacquer and glass, 0.5 and more are metals and mirrors.
        roughness: how far, as a tangent, reflections spread: 0 is a perfect mirror, 0.1 satin.
        transmittance: part of the light from behind that passes; its mesh must be ``clear``.
        glow: (3,) light that it sends out itself.
        tint: (3,) colour of what it reflects: that of a metal.
    """

    texture: Texture
    reflectance: float = 0.0
    roughness: float = 0.0
    transmittance: float = 0.0
    glow: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Lamp:
    """Light from points, falling with the square of distance.

    Args:
        points: (K, 3) that share its light; several soften the shadows.
        power: (3,) light on a surface facing it at distance 1.
        facing: (3,) unit direction it shines in, as a flat panel does; None shines everywhere.
    """

    points: np.ndarray
    power: np.ndarray
    facing: np.ndarray | None = None


@dataclass(frozen=True)
class Sun:
    """Parallel light.

    Args:
        direction: (3,) unit, towards the sun.
        power: (3,) light on a surface facing it.
    """

    direction: np.ndarray
    power: np.ndarray


def _night(directions: np.ndarray) -> np.ndarray:
    return np.zeros_like(directions)


@dataclass(frozen=True)
class Shading:
    """How the surfaces of a scene throw back light.

    Args:
        materials: of the meshes, by their index in the scene.
        lamps: with shadows.
        sun: with shadows; None for none.
        above: (3,) light from everywhere on surfaces that face ``up``.
        below: (3,) on those that face down.
        up: (3,) unit.
        sky: what is seen where nothing stands.
        corners: rays of each place that look for what keeps off the light from everywhere, so that corners and gaps are
            darker (ambient occlusion, Zhukov et al., "An ambient light illumination model", 1998); 0 lights all alike.
        reach: how far away such things are at most.
    """

    materials: Sequence[Material]
    lamps: Sequence[Lamp] = ()
    sun: Sun | None = None
    above: np.ndarray = field(default_factory=lambda: np.full(3, 0.1))
    below: np.ndarray = field(default_factory=lambda: np.full(3, 0.05))
    up: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    sky: Sky = _night
    corners: int = 0
    reach: float = 1.0

    def shade(
        self, scene: Scene, seen: Hits, rays: np.ndarray, spread: np.ndarray | float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Light that comes back along rays.

        Args:
            scene: what is lit.
            seen: what the rays hit.
            rays: (N, 3) their directions, of the length that ``seen.distance`` counts in.
            spread: (N,) or one number, width of a pixel at distance 1.
            rng: of the rays that glossy surfaces spread.

        Returns:
            Linear light, (N, 3) each: what surfaces throw back the same way to every side (their own glow and the sky
            included), and what they reflect or let through.
        """
        footprint = np.where(np.isfinite(seen.distance), seen.distance, 0).astype(np.float32) * spread
        ways = _unit(rays)
        body = self._body(scene, seen, ways, footprint, rng)
        gloss = np.zeros_like(body)
        properties = self._properties[self._kinds[seen.mesh]]
        shiny = np.flatnonzero((properties[:, REFLECTANCE] > 0) | (properties[:, TRANSMITTANCE] > 0))
        if len(shiny):
            wide = np.broadcast_to(np.float32(spread), len(seen.mesh))[shiny]
            gloss[shiny] = self._gloss(
                scene, seen.take(shiny), properties[shiny], ways[shiny], footprint[shiny], wide, rng
            )
        return body, gloss

    @cached_property
    def _different(self) -> list[Material]:
        """The materials, each once."""
        return list({id(material): material for material in self.materials}.values())

    @cached_property
    def _kinds(self) -> np.ndarray:
        """(M + 1,) index of each mesh's material in ``_different``, -1 where nothing is hit."""
        number = {id(material): kind for kind, material in enumerate(self._different)}
        return np.array([number[id(material)] for material in self.materials] + [-1])

    @cached_property
    def _properties(self) -> np.ndarray:
        """(K + 1, 7) reflectance, roughness, transmittance, tint, whether it glows; last those of nothing."""
        rows = [
            [one.reflectance, one.roughness, one.transmittance, *one.tint, any(one.glow)] for one in self._different
        ]
        return np.array([*rows, [0.0] * 7], np.float32)

    def _body(
        self,
        scene: Scene,
        seen: Hits,
        ways: np.ndarray,
        footprint: np.ndarray,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """(N, 3) light without reflections.

        In reflections (no ``rng``) hard shadows are enough, and mirrors and metals, whose own reflections are not
        looked for, show half of the light that falls on them.
        """
        body = np.zeros((len(seen.mesh), 3), np.float32)
        missed = seen.mesh < 0
        if missed.any():
            away = missed & np.isfinite(ways.sum(axis=1))
            body[away] = self.sky(ways[away])
        hit = np.flatnonzero(~missed)
        if not len(hit):
            return body
        one = seen.take(hit)
        light = self._falling(scene, one, _lifted(one, one.normals), rng)
        # A pixel is longer on a surface that is seen from aside; this is the mean of its two widths.
        lean = np.abs(np.einsum("ij,ij->i", ways[hit], one.normals))
        footprint = footprint[hit] / np.sqrt(np.maximum(lean, np.float32(0.05)))
        kinds = self._kinds[one.mesh]
        for kind in np.unique(kinds):
            material, on = self._different[kind], np.flatnonzero(kinds == kind)
            colour = material.texture(one.paint[on], footprint[on])
            # What is reflected or passes is not thrown back by the body.
            colour *= (1 - material.reflectance) * (1 - material.transmittance)
            if rng is None and material.reflectance > 0.1:
                colour += material.reflectance / 2 * np.array(material.tint, np.float32)
            body[hit[on]] = colour * light[on] + np.array(material.glow, np.float32)
        return body

    def _falling(self, scene: Scene, seen: Hits, places: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """(N, 3) light that falls on surfaces."""
        lean = (np.einsum("ij,j->i", seen.normals, self.up.astype(np.float32))[:, None] + 1) / 2
        light = self.below.astype(np.float32) * (1 - lean) + self.above.astype(np.float32) * lean
        if self.corners and rng is not None:
            light *= self._open(scene, seen.normals, places, rng)[:, None]
        if self.sun is not None:
            towards = self.sun.direction.astype(np.float32)
            facing = np.einsum("ij,j->i", seen.normals, towards)
            lit = np.flatnonzero(facing > 0)
            free = ~scene.blocked(places[lit], places[lit] + 1e3 * towards)
            light[lit] += (facing[lit] * free)[:, None] * self.sun.power.astype(np.float32)
        for lamp in self.lamps:
            points = lamp.points if rng is not None else lamp.points.mean(axis=0, keepdims=True)
            power = (lamp.power / len(points)).astype(np.float32)
            for point in points.astype(np.float32):
                to_lamp = point - seen.points
                square = np.einsum("ij,ij->i", to_lamp, to_lamp)
                strength = np.einsum("ij,ij->i", seen.normals, to_lamp) / (square * np.sqrt(square))
                if lamp.facing is not None:
                    strength *= np.maximum(-(to_lamp @ lamp.facing.astype(np.float32)) / np.sqrt(square), 0)
                lit = np.flatnonzero(strength > 0)
                free = ~scene.blocked(places[lit], np.broadcast_to(point, (len(lit), 3)))
                light[lit] += (strength[lit] * free)[:, None] * power
        return light

    def _open(self, scene: Scene, normals: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(N,) part of the light from everywhere that comes to surfaces."""
        part = np.zeros(len(places), np.float32)
        start = rng.random((3, len(places)), np.float32)
        for ray in range(self.corners):
            # Spread evenly (Roberts' sequence), from another start at each place: little noise. Around the normal by
            # the cosine; of any length, so that what stands farther off keeps off less.
            up, turn, length = (start + np.array([[0.8192], [0.671], [0.5498]], np.float32) * ray) % 1
            up, turn = 2 * up - 1, np.float32(2 * np.pi) * turn
            flat = np.sqrt(np.maximum(1 - up * up, 0))
            ways = _unit(normals + np.stack([flat * np.cos(turn), flat * np.sin(turn), up], axis=1))
            far = places + ways * (np.float32(self.reach) * length)[:, None]
            part += np.where(scene.blocked(places, far), np.float32(THROWN_BACK), np.float32(1))
        return part / self.corners

    def _gloss(
        self,
        scene: Scene,
        seen: Hits,
        properties: np.ndarray,
        ways: np.ndarray,
        footprint: np.ndarray,
        spread: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """(N, 3) light that is reflected and that passes, each looked for along rays of its own."""
        rough = properties[:, ROUGHNESS]
        lean = np.clip(-np.einsum("ij,ij->i", ways, seen.normals), 0, 1)
        share = properties[:, REFLECTANCE] + (1 - properties[:, REFLECTANCE]) * (1 - lean) ** 5
        # A rough surface hides its reflections at grazing angles, where facets shadow each other.
        share *= 1 - np.minimum(rough, 0.5) * (1 - lean)
        share[(properties[:, REFLECTANCE] <= 0) | (share < FAINT)] = 0
        count = np.where(share > 0, np.where(rough > 0, np.where(share > 0.1, GLOSSY_RAYS[1], GLOSSY_RAYS[0]), 1), 0)
        back = np.repeat(np.arange(len(ways)), count)
        mirrored = ways + 2 * lean[:, None] * seen.normals
        start, turned = _lifted(seen, seen.normals), mirrored[back]
        spreading = np.flatnonzero(rough[back] > 0)
        if len(spreading):
            of = back[spreading]
            off = rng.standard_normal((len(of), 3), np.float32)
            turned[spreading] = _unit(mirrored[of] + rough[of, None] / 2 * off)
            under = np.minimum(np.einsum("ij,ij->i", turned[spreading], seen.normals[of]), 0)
            turned[spreading] -= 2 * under[:, None] * seen.normals[of]  # none goes into the surface
        through = np.flatnonzero(properties[:, TRANSMITTANCE] > 0)
        passed = _lifted(seen.take(through), -seen.normals[through])
        # All that is looked for at once; what glass hides or shows besides is left out.
        index, onward = np.concatenate([back, through]), np.concatenate([turned, ways[through]])
        found = scene.cast(np.concatenate([start[back], passed]), onward, clear=False)
        further = np.where(np.isfinite(found.distance), found.distance, 0)
        width = footprint[index] + further * spread[index]
        width[: len(back)] += further[: len(back)] * rough[back] / 2
        light = self._body(scene, found, onward, width)
        # Few rays meet a small lamp by chance: rough surfaces get their lamps as highlights.
        lamp = self._properties[self._kinds[found.mesh[spreading]], GLOWS] > 0
        light[spreading[lamp]] = 0
        light[: len(back)] *= (share[back] / count[back])[:, None] * properties[back][:, TINT]
        light[len(back) :] *= ((1 - share[through]) * properties[through, TRANSMITTANCE])[:, None]
        gloss = np.stack([np.bincount(index, light[:, channel], len(ways)) for channel in range(3)], axis=1)
        satin = np.flatnonzero((rough > 0) & (share > 0))
        if len(satin):
            shine = self._highlights(scene, rough[satin], seen.take(satin), mirrored[satin], start[satin])
            gloss[satin] += share[satin, None] * properties[satin][:, TINT] * shine
        return gloss.astype(np.float32)

    def _highlights(
        self, scene: Scene, rough: np.ndarray, seen: Hits, mirrored: np.ndarray, start: np.ndarray
    ) -> np.ndarray:
        """(N, 3) light of the lamps and the sun around the mirrored direction of a rough surface (Phong's lobe)."""
        shine = np.zeros_like(mirrored)
        sharpness, widest = 2 / rough**2, np.cos(np.minimum(4 * rough, 1.5))
        sources = [(lamp.points.mean(axis=0), lamp.power, lamp.facing, False) for lamp in self.lamps]
        if self.sun is not None:
            sources.append((self.sun.direction, self.sun.power, None, True))
        for place, power, facing, far in sources:
            to_lamp = np.broadcast_to(place, mirrored.shape) if far else place - seen.points
            square = np.einsum("ij,ij->i", to_lamp, to_lamp)
            alike = np.einsum("ij,ij->i", _unit(to_lamp), mirrored)
            near = np.flatnonzero(alike > widest)
            if len(near):
                target = start[near] + 1e3 * to_lamp[near] if far else np.broadcast_to(place, (len(near), 3))
                lit = ~scene.blocked(start[near], target)
                lobe = (sharpness[near] + 1) / (2 * np.pi) * np.maximum(alike[near], 0) ** sharpness[near]
                if facing is not None:
                    lobe *= np.maximum(-(_unit(to_lamp[near]) @ facing.astype(np.float32)), 0)
                shine[near] += ((lobe * lit) if far else lobe * lit / square[near])[:, None] * power
        return shine


def _lifted(seen: Hits, normals: np.ndarray) -> np.ndarray:
    """(N, 3) points a little above their surface, so that a ray from there does not meet it at once."""
    with np.errstate(invalid="ignore"):
        x, y, z = np.abs(seen.points).T
        size = np.maximum(np.maximum(x, y), z)[:, None]
    return seen.points + normals * (np.float32(2e-4) + np.float32(2e-6) * size)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors / np.maximum(length, np.float32(1e-12))
