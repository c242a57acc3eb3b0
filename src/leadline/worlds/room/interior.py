"""What a room is made of, and where things stand in it: walls with windows and a door, furniture, lamps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leadline.worlds import shapes, textures
from leadline.worlds.raytracing import Mesh, Scene
from leadline.worlds.room import furniture
from leadline.worlds.room.furniture import Builder, Part, Piece
from leadline.worlds.shading import Lamp, Material, Texture
from leadline.worlds.shapes import standing

CLASSES = (
    "wall", "floor", "ceiling", "furniture", "thin", "plant", "object", "mirror", "glass", "screen", "lamp", "picture",
    "nothing",
)  # fmt: skip
#: Furniture that stands along walls, and free, and how likely each is.
ALONG: dict[Builder, int] = {
    furniture.shelf: 5, furniture.cabinet: 4, furniture.desk: 3, furniture.sofa: 3, furniture.bed: 1,
    furniture.floor_lamp: 2, furniture.plant: 3, furniture.standing_mirror: 2, furniture.rack: 2,
    furniture.ladder: 1, furniture.cartons: 2,
}  # fmt: skip
FREE: dict[Builder, int] = {
    furniture.dining: 3, furniture.low_table: 3, furniture.chair: 3, furniture.plant: 2, furniture.cartons: 1,
    furniture.partition: 1, furniture.floor_lamp: 1,
}  # fmt: skip
HUNG: dict[Builder, int] = {
    furniture.hung_picture: 5,
    furniture.hung_mirror: 3,
    furniture.hung_shelf: 2,
    furniture.hung_screen: 1,
}
FLOORS: dict[str, Callable[[np.random.Generator], Texture]] = {
    "planks": textures.planks,
    "tiles": textures.tiles,
    "carpet": textures.carpet,
    "marble": textures.marble,
}

#: What is seen through windows only, and materials that are one even colour where people live.
OUTSIDE = ("hedge", "house", "ground")
PAINTED = ("wall", "accent", "ceiling", "skirting", "paint", "lacquer", "leather", "sheet", "curtain", "metal", "clay")


@dataclass
class Wall:
    """One of four walls.

    Args:
        corner: (3,) its lower left corner, seen from inside.
        turn: of furniture whose back is to it.
        length: in metres.
        taken: rectangles on it, from (along, up) to (along, up), before which something stands.
    """

    corner: np.ndarray
    turn: float
    length: float
    taken: list[tuple[float, float, float, float]]

    def pose(self, along: float, high: float = 0.0, off: float = 0.0) -> np.ndarray:
        """(4, 4) motion of what stands at a height and a distance off it, its middle so far along it."""
        pose = standing(self.corner, self.turn)
        pose[:3, 3] += pose[:3, :3] @ [along, -off, high]
        return pose

    def free(self, start: float, stop: float, low: float, high: float) -> bool:
        """Whether nothing stands before it between two places along it and two heights."""
        return all(stop <= a or start >= c or high <= b or low >= d for a, b, c, d in self.taken)


class Stock:
    """Everything in the room: one mesh for all that is the same thing of the same material.

    Args:
        rng: decides the materials.
        photographs: to hang on the walls.
        sober: decides, where it is given, how much quieter the materials are.
    """

    def __init__(
        self, rng: np.random.Generator, photographs: Sequence[Path], sober: np.random.Generator | None = None
    ) -> None:
        self.rng, self.photographs = rng, photographs
        self.materials = _materials(rng)
        if sober is not None:
            self.materials = {name: _muted(sober, name, one) for name, one in self.materials.items()}
        self._parts: dict[tuple[str, str], list[Mesh]] = {}
        self._count = 0

    def add(self, parts: Sequence[Part], pose: np.ndarray | None = None) -> None:
        """Put the parts of something into the room, moved by ``pose`` (4, 4)."""
        for part in parts:
            material, mesh = part.material, part.mesh
            if part.image is not None:
                material = self._picture(part.material, part.image)
            else:
                self._count += 1
                mesh = shapes.numbered(mesh, self._count % 199)
            mesh = mesh if pose is None else shapes.moved(mesh, pose)
            self._parts.setdefault((part.label, material), []).append(mesh)

    def _picture(self, kind: str, size: tuple[float, float]) -> str:
        """A material of its own for one picture."""
        # Of their own, so that the same room stands there whatever hangs on its walls.
        rng, name = np.random.default_rng(int(self.rng.integers(2**63))), f"{kind} {len(self.materials)}"
        if self.photographs and kind == "print":
            image = textures.photograph(self.photographs[int(rng.integers(len(self.photographs)))], size)
        else:
            image = textures.poster(rng, size)
        self.materials[name] = replace(self.materials[kind], texture=image)
        return name

    def built(self) -> tuple[Scene, np.ndarray, list[Material]]:
        """The scene, and of each of its meshes the class and the material."""
        scene = Scene([shapes.join(meshes) for meshes in self._parts.values()])
        labels = np.array([CLASSES.index(label) for label, _ in self._parts] + [CLASSES.index("nothing")])
        return scene, labels, [self.materials[material] for _, material in self._parts]


def _materials(rng: np.random.Generator) -> dict[str, Material]:
    """What things of this room are made of."""

    def colours(count: int, bright: tuple[float, float], vivid: tuple[float, float]) -> np.ndarray:
        return np.array([textures.colour(rng, bright, vivid) for _ in range(count)])

    white = textures.plain(rng, np.full(3, 0.9), 0.06)
    spine = textures.Striped(white, textures.plain(rng, np.full(3, 0.5), 0.2), 0.07, rng.uniform(0.5, 0.8), np.pi / 2)
    tape = textures.Striped(textures.plain(rng, np.array([0.75, 0.65, 0.5])), textures.carpet(rng), 0.3, 0.12)
    carton = textures.Mottled(
        textures.Noise(rng), np.array([0.7, 0.72, 0.75]), np.ones(3) * 0.95, 0.09, 4, sharp=1.5, gain=0.8
    )
    leaf = textures.Striped(white, textures.plain(rng, np.array([0.6, 0.75, 0.6])), 0.03, 0.75)
    greens = np.array([[0.12, 0.3, 0.06]]) * rng.uniform(0.5, 1.6, (6, 1)) * rng.uniform(0.7, 1.3, (6, 3))
    polish = float(rng.uniform(0.04, 0.1))
    floor = str(rng.choice(list(FLOORS), p=[0.4, 0.25, 0.2, 0.15]))
    polished = floor != "carpet" and rng.uniform() < 0.6
    steel = textures.plain(rng, np.full(3, rng.uniform(0.1, 0.25)), 0.3)
    matt: dict[str, Texture] = {
        "wall": _wall_texture(rng),
        "accent": _wall_texture(rng),
        "ceiling": textures.plaster(rng, textures.colour(rng, (0.7, 0.85), (0, 0.08))),
        "skirting": textures.plain(rng),
        "wood": textures.wood(rng),
        "timber": textures.wood(rng),
        "paint": textures.plain(rng, rough=0.15),
        "fabric": textures.fabric(rng),
        "cloth": textures.fabric(rng),
        "garment": textures.Assorted(colours(8, (0.1, 0.8), (0.1, 0.9)), carton),
        "curtain": textures.fabric(rng),
        "rug": textures.fabric(rng),
        "sheet": textures.plain(rng, textures.colour(rng, (0.5, 0.8), (0, 0.3)), 0.15),
        "books": textures.Assorted(colours(12, (0.15, 0.85), (0.1, 0.9)), spine),
        "carton": textures.Assorted(colours(4, (0.35, 0.7), (0.2, 0.6)), carton if rng.uniform() < 0.6 else tape),
        "leaf": textures.Assorted(greens, leaf),
        "stem": textures.plain(rng, np.array([0.2, 0.22, 0.07])),
        "soil": textures.concrete(rng),
        "clay": textures.plain(rng, np.array([0.5, 0.22, 0.12]), 0.25),
        "hedge": _Bright(textures.foliage(rng, 0.4), 2.0),
        "house": _Bright(textures.bricks(rng), 2.0),
        "ground": _Bright(textures.paving(rng), 2.0),
    }
    made = {name: Material(texture) for name, texture in matt.items()}
    dark = textures.plain(rng, np.full(3, rng.uniform(0.02, 0.06)))
    made |= {
        "floor": Material(FLOORS[floor](rng), polish if polished else 0, 0.03 if rng.uniform() < 0.1 else 0),
        "lacquer": Material(textures.plain(rng, rough=0.1), float(rng.uniform(0.04, 0.09))),
        "leather": Material(textures.marble(rng, textures.colour(rng, (0.06, 0.4), (0.2, 0.6)))),
        "stone": Material(textures.marble(rng), 0.05),
        "ceramic": Material(textures.Assorted(colours(7, (0.15, 0.9), (0, 0.9)), white), 0.06),
        "metal": Material(
            steel, float(rng.uniform(0.4, 0.7)), 0.1, tint=tuple(textures.colour(rng, (0.8, 1), (0, 0.3)))
        ),
        "black": Material(dark, 0.04),
        "mirror": Material(dark, 0.9),
        "pane": Material(dark, float(rng.uniform(0.04, 0.08)), transmittance=0.9),
        "bottle": Material(
            textures.plain(rng, np.array([0.2, 0.6, 0.25]) * rng.uniform(0.5, 1.2, 3)), 0.05, transmittance=0.6
        ),
        "print": Material(white, float(rng.choice([0.0, 0.0, 0.05]))),
        "screen": Material(white, 0.05),
        "shade": Material(textures.plain(rng), glow=(0.7, 0.6, 0.42)),
        "glow": Material(white, glow=(3.0, 2.9, 2.7)),
    }
    return made


def _muted(rng: np.random.Generator, name: str, material: Material) -> Material:
    """As most things at home and at work are: of few colours and many shades, paint without blotches."""
    if name in OUTSIDE or any(material.glow):
        return material
    contrast = rng.uniform(0.03, 0.3) if name in PAINTED else rng.uniform(0.3, 1)
    bright = rng.uniform(0.7, 1.1) if name in ("wall", "ceiling", "sheet") else 2 ** rng.uniform(-2.5, 0.2)
    vivid, texture = rng.uniform(0.1, 0.8), material.texture
    return replace(material, texture=textures.Muted(texture, textures.mean(texture), vivid, contrast, bright))


def _wall_texture(rng: np.random.Generator) -> Texture:
    makers = (textures.plaster, textures.wallpaper, textures.concrete, textures.bricks, textures.planks, textures.tiles)
    return makers[rng.choice(6, p=[0.35, 0.3, 0.1, 0.12, 0.06, 0.07])](rng)


@dataclass(frozen=True)
class _Bright:
    """What is out in daylight is so many times brighter than in here."""

    texture: Texture
    times: float

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        return self.texture(coords, footprint) * np.float32(self.times)


def shell(rng: np.random.Generator, stock: Stock, size: np.ndarray) -> list[Wall]:
    """Floor, ceiling, skirting, a door. Walls without windows are built here."""
    wide, deep, high = size
    walls = [
        Wall(np.array([0, deep, 0]), 0.0, wide, []),
        Wall(np.array([0, 0, 0]), np.pi / 2, deep, []),
        Wall(np.array([wide, 0, 0]), np.pi, wide, []),
        Wall(np.array([wide, deep, 0]), -np.pi / 2, deep, []),
    ]
    middle, slack = size / 2, np.array([0.1, 0.1])
    floor = shapes.panel(size[:2] + slack, (middle[0], middle[1], 0), (1, 0, 0), (0, 1, 0))
    ceiling = shapes.panel(size[:2] + slack, (middle[0], middle[1], high), (1, 0, 0), (0, -1, 0))
    stock.add([Part("floor", "floor", floor), Part("ceiling", "ceiling", ceiling)])
    for number, wall in enumerate(walls):
        ends = 0.0 if number % 2 else 0.03
        skirting = shapes.box((wall.length - 2 * ends, 0.012, 0.09), (0, -0.007, 0), along=True)
        stock.add([Part("wall", "skirting", skirting)], wall.pose(wall.length / 2))
    wall = walls[rng.integers(4)]
    along = rng.uniform(0.7, wall.length - 0.7)
    wall.taken.append((along - 0.6, 0.0, along + 0.6, 2.2))
    stock.add(_door(rng), wall.pose(along))
    if rng.uniform() < 0.6:
        _pipes(rng, stock, walls[rng.integers(4)], high)
    return walls


def _door(rng: np.random.Generator) -> list[Part]:
    wood = str(rng.choice(["wood", "timber", "paint"]))
    parts = [Part("wall", wood, shapes.box((0.86, 0.03, 2.03), (0, -0.017, 0.004), along=True))]
    for low, tall in ((0.15, 0.7), (1.0, 0.85)):
        parts.append(Part("wall", wood, shapes.box((0.6, 0.012, tall), (0, -0.037, low), along=True)))
    for x in (-0.48, 0.48):
        parts.append(Part("wall", "skirting", shapes.box((0.09, 0.045, 2.045), (x, -0.024, 0.002), along=True)))
    parts.append(Part("wall", "skirting", shapes.box((1.05, 0.047, 0.09), (0, -0.025, 2.05), along=True)))
    grip = shapes.arc(np.array([[0.36, -0.03, 1.02], [0.36, -0.08, 1.02], [0.25, -0.085, 1.02]]), 4)
    return [*parts, Part("thin", "metal", shapes.tube(grip, 0.009))]


def _pipes(rng: np.random.Generator, stock: Stock, wall: Wall, high: float) -> None:
    """Pipes and cables along a wall, from floor to ceiling and under the ceiling."""
    for _ in range(rng.integers(1, 4)):
        radius, x = rng.uniform(0.006, 0.03), rng.uniform(0.1, wall.length - 0.1)
        top, off = high - rng.uniform(0.1, 0.5), -0.02 - radius
        path = np.array([[x, off, -0.01], [x, off, top], [rng.uniform(0, wall.length), off, top]])
        kind = str(rng.choice(["metal", "black", "paint"]))
        stock.add([Part("thin", kind, shapes.tube(path, radius))], wall.pose(0, off=rng.uniform(0, 0.05)))


def windows(rng: np.random.Generator, stock: Stock, walls: list[Wall], size: np.ndarray) -> list[np.ndarray]:
    """Build the walls, some with a window; (4, 4) poses of the windows' middles."""
    high, found = float(size[2]), []
    several = int(rng.choice([0, 1, 2], p=[0.25, 0.55, 0.2]))
    chosen = rng.permutation(4)[:several]
    accent = rng.integers(4)
    for number, wall in enumerate(walls):
        kind = "accent" if number == accent else "wall"
        hole, left, wide = None, 0.0, float(min(rng.uniform(0.9, 2.2), wall.length - 1.0))
        low, tall = rng.uniform(0.75, 1.05), rng.uniform(0.9, 1.25)
        left = rng.uniform(0.4, wall.length - 0.4 - wide)
        if number in chosen and wall.free(left - 0.1, left + wide + 0.1, 0, 9):
            hole = (left + 0.05, low + 0.05, left + wide + 0.05, low + tall + 0.05)
            wall.taken.append((left - 0.15, low - 0.15, left + wide + 0.15, 9.0))
            found.append(wall.pose(left + wide / 2, low + tall / 2))
            stock.add(_window(rng, wide, tall), wall.pose(left + wide / 2, low))
            stock.add(_outside(rng), wall.pose(left + wide / 2))
            if rng.uniform() < 0.6:
                stock.add(_radiator(rng, wide * 0.8, low), wall.pose(left + wide / 2, off=0.02))
                wall.taken.append((left, 0, left + wide, 0.8))
        face = shapes.panel((wall.length + 0.1, high + 0.1), (wall.length / 2, 0, high / 2), hole=hole)
        stock.add([Part("wall", kind, face)], wall.pose(0))
    return found


def _window(rng: np.random.Generator, wide: float, tall: float) -> list[Part]:
    """Frame, bars, pane and curtains; the frame covers the rim of the hole."""
    pane = shapes.panel((wide, tall), (0, 0.06, tall / 2), clear=True)
    bars = [
        ((wide + 0.06, 0.17, 0.08), (0, 0.06, -0.04)),
        ((wide + 0.06, 0.17, 0.08), (0, 0.06, tall - 0.04)),
        ((0.08, 0.166, tall - 0.08), (-wide / 2, 0.06, 0.04)),
        ((0.08, 0.166, tall - 0.08), (wide / 2, 0.06, 0.04)),
        ((wide + 0.16, 0.14, 0.025), (0, -0.052, -0.068)),  # the sill
    ]
    bars += [
        ((0.035, 0.04, tall - 0.08), (x, 0.06, 0.04)) for x in np.linspace(-0.5, 0.5, rng.integers(2, 5))[1:-1] * wide
    ]
    if rng.uniform() < 0.5:
        bars.append(((wide - 0.08, 0.036, 0.03), (0, 0.06, tall * rng.uniform(0.4, 0.75))))
    parts = [Part("wall", "skirting", shapes.box(size, at, along=True)) for size, at in bars]
    parts.append(Part("glass", "pane", pane))
    if rng.uniform() < 0.5:
        for side in (-1, 1):
            across = np.linspace(0, rng.uniform(0.2, 0.35), 40)
            wave = -0.1 + 0.03 * np.sin(across * rng.uniform(50, 90))
            path = np.column_stack([side * (wide / 2 + 0.1) - side * across, wave])[::side]
            parts.append(Part("object", "curtain", shapes.sheet(path, tall + 0.6, (0, 0, -0.45))))
        rod = shapes.tube(np.array([[-wide / 2 - 0.2, -0.1, tall + 0.155], [wide / 2 + 0.2, -0.1, tall + 0.155]]), 0.01)
        parts.append(Part("thin", "metal", rod))
    return parts


def _outside(rng: np.random.Generator) -> list[Part]:
    """What is seen through a window: ground, a hedge, a house."""
    ground = shapes.panel((40, 30), (0, 15.3, -0.6), (1, 0, 0), (0, 1, 0))
    hedge = shapes.box((rng.uniform(4, 14), 0.8, rng.uniform(1.2, 2.2)), (rng.uniform(-3, 3), rng.uniform(3, 6), -0.6))
    house = shapes.box((rng.uniform(3, 9), 3, rng.uniform(3, 6)), (rng.uniform(-6, 6), rng.uniform(10, 14), -0.6))
    return [Part("wall", name, mesh) for name, mesh in (("ground", ground), ("hedge", hedge), ("house", house))]


def _radiator(rng: np.random.Generator, wide: float, under: float) -> list[Part]:
    tall, pitch = under - 0.25, rng.uniform(0.045, 0.08)
    parts = [
        Part("thin", "skirting", shapes.box((pitch * 0.55, 0.05, tall), (x, -0.06, 0.12)))
        for x in np.arange(-wide / 2, wide / 2, pitch)
    ]
    for level in (0.16, 0.07 + tall):
        rod = shapes.tube(np.array([[-wide / 2 - 0.03, -0.06, level], [wide / 2, -0.06, level]]), 0.016)
        parts.append(Part("thin", "skirting", rod))
    return parts


def furnish(rng: np.random.Generator, stock: Stock, walls: list[Wall], size: np.ndarray) -> list[np.ndarray]:
    """Put furniture into the room; (3,) where each piece is."""
    found: list[np.ndarray] = []
    taken: list[np.ndarray] = []

    def stands(piece: Piece, pose: np.ndarray) -> bool:
        """Puts a piece where there is room for it."""
        half = np.abs(pose[:2, :2]) @ np.array(piece.size[:2]) / 2
        rectangle = np.concatenate([pose[:2, 3] - half, pose[:2, 3] + half])
        inside = (rectangle[:2] > 0).all() and (rectangle[2:] < size[:2]).all() and piece.size[2] < size[2] - 0.1
        if not inside or any((rectangle[:2] < r[2:]).all() and (rectangle[2:] > r[:2]).all() for r in taken):
            return False
        taken.append(rectangle + np.array([-0.03, -0.03, 0.03, 0.03]))
        found.append(pose[:3, 3] + [0, 0, piece.size[2] * 0.7])
        stock.add(piece.parts, pose)
        return True

    for wall in walls:
        left = rng.uniform(0.02, 0.3)
        for _ in range(12):
            piece = _pick(rng, ALONG)
            wide, deep, high = piece.size
            if wall.free(left, left + wide, 0, high):
                pose = wall.pose(left + wide / 2, 0.002, deep / 2 + 0.035)
                if left + wide < wall.length and stands(piece, pose):
                    wall.taken.append((left, 0, left + wide, high))
                    left += wide + rng.exponential(0.25)
                    continue
            left += 0.2
        _hang(rng, stock, wall, found)
    if rng.uniform() < 0.6:
        wide, deep = size[:2] * rng.uniform(0.35, 0.6, 2)
        rug = shapes.panel((wide, deep), (*size[:2] / 2 + rng.uniform(-0.3, 0.3, 2), 0.006), (1, 0, 0), (0, 1, 0))
        own = (float(wide), float(deep)) if rng.uniform() < 0.5 else None
        stock.add([Part("floor", "rug", rug, own)])
    for _ in range(round(size[0] * size[1] * rng.uniform(0.08, 0.22))):
        for _ in range(3):
            place = (*(size[:2] * rng.uniform(0.15, 0.85, 2)), 0.008)
            if stands(_pick(rng, FREE), standing(place, rng.integers(4) * np.pi / 2)):
                break
    return found


def _pick(rng: np.random.Generator, makers: dict[Builder, int]) -> Piece:
    chances = np.array(list(makers.values()), float)
    return list(makers)[rng.choice(len(makers), p=chances / chances.sum())](rng)


def _hang(rng: np.random.Generator, stock: Stock, wall: Wall, found: list[np.ndarray]) -> None:
    """Pictures, mirrors and shelves on what is free of a wall."""
    left = rng.uniform(0.1, 0.5)
    while left < wall.length - 0.4:
        piece = _pick(rng, HUNG)
        low = rng.uniform(1.25, 1.5)
        wide = piece.size[0]
        if left + wide < wall.length - 0.05 and wall.free(left, left + wide, low - 0.02, low + piece.size[2]):
            stock.add(piece.parts, wall.pose(left + wide / 2, low))
            found.append(wall.pose(left + wide / 2, low + piece.size[2] / 2)[:3, 3])
            left += wide
        left += rng.uniform(0.1, 0.6)


def lamps(rng: np.random.Generator, stock: Stock, windows: list[np.ndarray], day: bool, size: np.ndarray) -> list[Lamp]:
    """Panels or shades under the ceiling, and the light of the sky that comes in by the windows."""
    wide, deep, high = size
    count = 1 if max(wide, deep) < 4.5 else 2
    found = []
    warm = np.array([1.0, rng.uniform(0.82, 1), rng.uniform(0.65, 1)])
    power = warm * rng.uniform(2.2, 3.2) * (wide * deep / 14) ** 0.5 / count**0.7
    for number in range(count):
        place = np.array([*(size[:2] / 2 + rng.uniform(-0.4, 0.4, 2)), high])
        longer = int(deep > wide)
        place[longer] += (number - (count - 1) / 2) * size[longer] / 2
        side = rng.uniform(0.25, 0.6)
        if rng.uniform() < 0.6:
            drop = 0.06
            stock.add([
                Part("lamp", "skirting", shapes.box((side + 0.03, side + 0.03, 0.045), place - [0, 0, 0.047])),
                Part("lamp", "glow", shapes.panel((side, side), place - [0, 0, 0.05], (1, 0, 0), (0, -1, 0))),
            ])  # fmt: skip
        else:
            drop, cable = rng.uniform(0.35, 0.75), np.stack([place + np.array([0, 0, 0.01]), place])
            cable[1, 2] = high - drop + 0.1
            bulb = shapes.cylinder(side * 0.25, 0.05, place - [0, 0, drop - 0.04])
            shade = shapes.cone(side * 0.6, side * 0.12, 0.13, place - [0, 0, drop])
            keep = shade.normals is None or shade.normals[shade.faces[:, 0], 2] > -0.9  # open below
            shade = replace(shade, faces=shade.faces[keep])
            stock.add([
                Part("thin", "black", shapes.tube(cable, 0.005)),
                Part("lamp", "glow", bulb),
                Part("lamp", "shade", shade),
            ])  # fmt: skip
        corners = np.array([[-1, -0.6, 0], [1, -0.6, 0], [0, 1, 0]] if count == 1 else [[-1, -1, 0], [1, 1, 0]])
        found.append(Lamp(place - [0, 0, drop + 0.012] + 0.35 * side * corners, power, np.array([0.0, 0.0, -1.0])))
    if day:
        for pose in windows:
            points = np.array([[0.0, -0.02, 0.1]]) @ pose[:3, :3].T + pose[:3, 3]
            found.append(Lamp(points, np.array([0.8, 0.95, 1.2]) * rng.uniform(0.7, 1.8), -pose[:3, 1]))
    return found
