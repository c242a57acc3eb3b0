"""What things of world ``street`` are made of, and the light they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leadline.worlds import textures
from leadline.worlds.noise import Noise
from leadline.worlds.shading import Material, Shading, Sun, Texture
from leadline.worlds.street.road import Plan
from leadline.worlds.textures import APART, Assorted, Mottled, Veined

#: Class of what is made of something.
CLASSES: Mapping[str, str] = {
    "road": "road", "marking": "marking", "kerb": "kerb", "sidewalk": "sidewalk", "terrain": "terrain",
    "brick": "building", "plaster": "building", "stone": "building", "trim": "vehicle", "ledge": "building",
    "roof": "building", "window": "building", "cloth": "building", "pole": "pole", "bark": "vegetation",
    "leaf": "vegetation", "sign": "sign", "object": "object", "lacquer": "vehicle", "glass": "vehicle",
    "fence": "object", "person": "person", "ego": "ego",
}  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """A colour for each thing of a mesh, by its number.

    Args:
        colours: (K, 3); numbers beyond start again.
        detail: multiplied with them; None for none.
    """

    colours: np.ndarray
    detail: Texture | None = None

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        number = np.floor(coords[:, 2] / np.float32(APART) + np.float32(1e-3)).astype(np.int64) % len(self.colours)
        chosen = self.colours.astype(np.float32)[number]
        return chosen if self.detail is None else np.clip(chosen * self.detail(coords, footprint), 0.01, 0.95)


@dataclass(frozen=True)
class Calmed:
    """A texture whose colours are nearer to their mean.

    Args:
        texture: the original.
        middle: (3,) its mean.
        part: how much of its contrast is left.
    """

    texture: Texture
    middle: np.ndarray
    part: float

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        middle = self.middle.astype(np.float32)
        return middle + (self.texture(coords, footprint) - middle) * np.float32(self.part)


def calmed(texture: Texture, part: float) -> Texture:
    """The texture with that part of its contrast."""
    return Calmed(texture, textures.mean(texture), part)


@dataclass(frozen=True)
class Pane:
    """Windows: a frame, a bar, and blinds or curtains behind the glass; coordinates run from -1 to 1 over each.

    Args:
        frame: (3,) colour.
        bar: half its width.
        blinds: (3,) colour.
    """

    frame: np.ndarray
    bar: float
    blinds: np.ndarray

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3), seen with pixels ``footprint`` (N,) m wide."""
        u, v = np.abs(coords[:, 0]), coords[:, 1]
        number = np.floor(coords[:, 2] / np.float32(APART) + np.float32(1e-3))
        one, two = (textures.hashed(number, np.float32(n)) for n in (1, 2))
        soft = np.maximum(footprint * np.float32(1.4), np.float32(1e-3))
        drawn = np.where(one < 0.35, 1 - 2.2 * two, 2)  # height that blinds end at
        curtain = np.where((one > 0.6) & (one < 0.85), 1 - 0.7 * two, 2)
        behind = np.maximum(np.clip((v - drawn) / soft, 0, 1), np.clip((u - curtain) / soft, 0, 1))[:, None]
        dark = (0.02 + 0.06 * textures.hashed(number, np.float32(3)))[:, None] * (1 + 0.4 * v[:, None])
        colour = dark * (1 - behind) + behind * self.blinds * (0.6 + 0.4 * two[:, None])
        bar = np.maximum(np.maximum(u, np.abs(v)) - (1 - 2 * self.bar), self.bar - np.minimum(u, np.abs(v - 0.35)))
        solid = np.clip(bar / soft + 0.5, 0, 1)[:, None]
        return (colour * (1 - solid) + self.frame * solid).astype(np.float32)


@dataclass(frozen=True)
class Driven:
    """A road with darker tracks along its lanes and patches of other ages.

    Args:
        base: the road without them.
        noise: of one channel.
        tracks: (K,) metres left of the middle.
        deep: how much darker tracks are.
    """

    base: Texture
    noise: Noise
    tracks: np.ndarray
    deep: float

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        off = np.full(len(coords), np.inf, np.float32)
        for track in self.tracks:
            off = np.minimum(off, np.abs(coords[:, 1] - np.float32(track)))
        patches = self.noise.fractal(coords, 6.0, 2, footprint)[:, 0]
        tone = 1 - self.deep * np.exp(-np.square(off / 0.35)) + 0.25 * np.clip(patches * 3, -0.5, 0.5)
        return self.base(coords, footprint) * tone[:, None].astype(np.float32)


@dataclass(frozen=True)
class Heaven:
    """A sky that is paler towards the horizon, with clouds.

    Args:
        noise: of one channel.
        zenith: (3,) light from above.
        horizon: (3,) light from there.
        cloud: (3,) light of clouds.
        cover: how much of the sky they take: -1 none, 1 all.
        sun: (3,) unit, towards the sun.
        glare: (3,) added around it.
    """

    noise: Noise
    zenith: np.ndarray
    horizon: np.ndarray
    cloud: np.ndarray
    cover: float
    sun: np.ndarray
    glare: np.ndarray

    def __call__(self, directions: np.ndarray) -> np.ndarray:
        """(N, 3) light from unit ``directions`` (N, 3)."""
        up = np.clip(directions[:, 2], 0, 1)
        pale = (np.float32(1) - up) ** 4
        light = self.zenith * (1 - pale[:, None]) + self.horizon * pale[:, None]
        plane = directions / (up + np.float32(0.12))[:, None]
        plane[:, 2] = 0
        size = (1 / (up + 0.12) ** 2 * 0.004).astype(np.float32)
        height = self.noise.fractal(plane, 1.6, 5, size, 0.55)[:, 0]
        share = np.clip((height + self.cover) * 2.0, 0, 1) * np.clip(up * 12, 0, 1)
        light = light * (1 - share[:, None]) + (self.cloud * (1 - 0.25 * share[:, None])) * share[:, None]
        towards = np.clip(directions @ self.sun.astype(np.float32), 0, 1)
        return (light + self.glare * (towards**64 * (1 - 0.7 * share))[:, None]).astype(np.float32)


#: Colours of a vehicle's parts, in the order of ``traffic``'s numbers.
TRIM = np.array([[0.025] * 3, [0.4, 0.4, 0.42], [0.35, 0.02, 0.02], [0.8, 0.8, 0.75], [0.75, 0.75, 0.6], [0.015] * 3])
#: Colours of lacquer; whites, blacks and greys are the most.
LACQUER = np.array([
    [0.75, 0.75, 0.73], [0.7, 0.7, 0.7], [0.02, 0.02, 0.022], [0.03, 0.03, 0.035], [0.35, 0.36, 0.37],
    [0.14, 0.145, 0.15], [0.25, 0.26, 0.28], [0.03, 0.06, 0.22], [0.4, 0.02, 0.02], [0.05, 0.18, 0.3],
    [0.05, 0.12, 0.06], [0.6, 0.42, 0.05],
])  # fmt: skip
#: Colours of signs: red, white, blue, yellow, and, from 4 on, lenses of traffic lights, dark and lit.
SIGNS = np.array([
    [0.6, 0.02, 0.03], [0.85, 0.85, 0.85], [0.02, 0.1, 0.5], [0.85, 0.6, 0.03],
    [0.01, 0.08, 0.03], [0.1, 0.95, 0.5], [0.1, 0.06, 0.01], [0.95, 0.6, 0.05], [0.1, 0.01, 0.01], [0.95, 0.1, 0.05],
])  # fmt: skip


def _people(rng: np.random.Generator) -> np.ndarray:
    """(24, 3) skins, hair, clothes and shoes, as ``traffic`` numbers them."""
    skins = np.array([[0.6, 0.4, 0.3], [0.45, 0.27, 0.18], [0.25, 0.13, 0.08], [0.1, 0.05, 0.035]])
    hair = np.array([[0.02, 0.015, 0.01], [0.1, 0.05, 0.03], [0.35, 0.25, 0.1], [0.4, 0.4, 0.4]])
    clothes = [textures.colour(rng, (0.03, 0.7), (0, 0.8)) for _ in range(14)]
    return np.concatenate([skins, hair, clothes, [[0.02] * 3, [0.5] * 3]])


def looks(rng: np.random.Generator, plan: Plan) -> dict[str, Material]:
    """What every kind of mesh is made of."""

    def tints(count: int, bright: tuple[float, float], vivid: tuple[float, float]) -> np.ndarray:
        return np.array([textures.colour(rng, bright, vivid) for _ in range(count)])

    even = textures.plain(rng, np.full(3, 1.0), 0.12)
    asphalt = calmed(textures.asphalt(rng), rng.uniform(0.4, 0.8))
    cracked = Veined(Noise(rng), asphalt, np.full(3, 0.03), rng.uniform(2, 5), rng.uniform(0.003, 0.01))
    centres = np.concatenate([side * (np.arange(plan.lanes) + 0.5) * plan.lane for side in (-1, 1)])
    tracks = np.concatenate([centres - 0.75, centres + 0.75])
    grass = np.array([0.13, 0.2, 0.05]) * rng.uniform(0.7, 1.3) * (1 + rng.uniform(-0.25, 0.25, 3))
    greens = np.array([[0.12, 0.22, 0.05]]) * rng.uniform(0.5, 1.5, (9, 1)) * rng.uniform(0.75, 1.25, (9, 3))
    trims = np.clip(tints(9, (0.4, 0.8), (0, 0.15)), 0, 0.9)
    dull: dict[str, Texture] = {
        "road": Driven(cracked, Noise(rng), tracks, rng.uniform(0.05, 0.3)),
        "marking": Mottled(Noise(rng), np.full(3, 0.25), np.full(3, 0.85), rng.uniform(0.3, 1), 5, gain=0.8, sharp=1.5),
        "kerb": textures.Tiled(calmed(textures.concrete(rng), 0.6), np.full(3, 0.1), (1.0, 0.6), 0.015, 0.0, 0.15),
        "sidewalk": textures.paving(rng) if rng.uniform() < 0.75 else calmed(textures.concrete(rng), 0.6),
        "terrain": Mottled(Noise(rng), 0.45 * grass, np.minimum(1.7 * grass + 0.04, 0.8), 7.0, 7, gain=0.8, sharp=1.1),
        "brick": Assorted(tints(9, (0.75, 1.5), (0, 0.25)), textures.bricks(rng)),
        "plaster": Assorted(tints(12, (0.4, 0.95), (0, 0.4)), textures.plaster(rng, np.full(3, 0.85))),
        "stone": Assorted(tints(9, (0.8, 1.4), (0, 0.2)), _ashlar(rng)),
        "ledge": Assorted(trims, even),
        "roof": Assorted(np.array([[0.3, 0.1, 0.06], [0.1, 0.1, 0.11], [0.2, 0.12, 0.08], [0.16, 0.16, 0.15]]) * 2,
                         textures.Tiled(textures.plain(rng, np.full(3, 0.5), 0.3), np.full(3, 0.12), (0.25, 0.3), 0.03,
                                        0.5, 0.4)),
        "cloth": Assorted(tints(24, (0.05, 0.7), (0.1, 0.9)), even),
        "fence": Assorted(tints(24, (0.1, 0.8), (0, 0.5)), textures.wood(rng, np.full(3, 0.8))),
        "pole": Assorted(np.array([[0.1, 0.1, 0.1], [0.3, 0.31, 0.32], [0.05, 0.09, 0.06], [0.2, 0.2, 0.2]]), even),
        "bark": textures.wood(rng, np.array([0.16, 0.12, 0.09])),
        "leaf": Assorted(greens, Mottled(Noise(rng), np.full(3, 0.35), np.full(3, 1.65), 0.35, 4, gain=0.9)),
        "sign": Palette(SIGNS),
        "object": Assorted(tints(24, (0.05, 0.5), (0, 0.8)), even),
        "person": Palette(_people(rng), Mottled(Noise(rng), np.full(3, 0.75), np.full(3, 1.25), 0.12, 2)),
    }  # fmt: skip
    made = {kind: Material(texture) for kind, texture in dull.items()}
    made["trim"] = Material(Palette(TRIM))
    frame = rng.choice([0.75, 0.6, 0.15, 0.05]) * np.ones(3)
    pane = Pane(frame, rng.uniform(0.03, 0.06), textures.colour(rng, (0.4, 0.7), (0, 0.25)))
    made["window"] = Material(pane, 0.07)
    made["glass"] = Material(Palette(np.full((1, 3), 0.015)), 0.07)
    made["lacquer"] = Material(Palette(LACQUER), 0.05)
    own = LACQUER[rng.integers(len(LACQUER))]
    made["ego"] = Material(Palette(np.array([own, [0.015] * 3, [0.02] * 3])), 0.05)
    return made


def _ashlar(rng: np.random.Generator) -> Texture:
    """Large blocks of stone, or panels of concrete."""
    cell = (rng.uniform(0.6, 1.6), rng.uniform(0.3, 0.9))
    return textures.Tiled(
        calmed(textures.concrete(rng), 0.55), np.full(3, 0.2), cell, rng.uniform(0.008, 0.02), 0.5, 0.12
    )


def light(rng: np.random.Generator, materials: Sequence[Material]) -> tuple[Shading, float]:
    """The sun and the sky, and how far one sees through the air, in metres."""
    turn, rise = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(14, 65))
    towards = np.array([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)])
    overcast = rng.uniform() < 0.25
    if overcast:
        grey = rng.uniform(0.85, 1.1) * np.array([0.97, 1.0, 1.04])
        sky = Heaven(Noise(rng), 0.75 * grey, grey, 1.1 * grey, rng.uniform(-0.3, 0.2), towards, 0 * grey)
        above = rng.uniform(0.95, 1.15) * grey
        return Shading(materials, above=above, below=0.3 * above, sky=sky), rng.uniform(250, 2000)
    low = np.exp(-np.sin(rise) / 0.25)  # how red the sun is
    power = rng.uniform(1.8, 3.0) * np.array([1.0, 0.95 - 0.2 * low, 0.88 - 0.45 * low])
    zenith = rng.uniform(0.7, 1.1) * np.array([0.28, 0.48, 0.88])
    horizon = rng.uniform(0.85, 1.1) * np.array([0.9 + 0.1 * low, 0.95, 1.02 - 0.25 * low])
    cloud = rng.uniform(1.0, 1.3) * np.array([1.0, 0.98, 0.97 - 0.1 * low])
    sky = Heaven(Noise(rng), zenith, horizon, cloud, rng.uniform(-0.8, 0.35), towards, 2.0 * power / power.max())
    above = rng.uniform(0.5, 0.8) * np.array([0.82, 0.95, 1.15])
    below = rng.uniform(0.22, 0.4) * np.array([1.0, 0.95, 0.85])
    return Shading(materials, sun=Sun(towards, power), above=above, below=below, sky=sky), rng.uniform(500, 4000)
