"""What stands, lies and hangs in a room: tables, shelves, plants, lamps and their like, each in its own axes.

A piece stands on the ground, or hangs on a wall, in the middle of its underside at the origin: x to its right, its
front towards -y, z up, in metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from leadline.worlds import shapes
from leadline.worlds.raytracing import Mesh


class Part(NamedTuple):
    """One mesh of a piece.

    Args:
        label: what it is: one of the world's classes.
        material: what it is made of, by name.
        mesh: its shape.
        image: (2,) width and height in metres of a picture that it shows, of its own; None for the material's texture.
    """

    label: str
    material: str
    mesh: Mesh
    image: tuple[float, float] | None = None


@dataclass(frozen=True)
class Piece:
    """A piece of furniture.

    Args:
        parts: what it consists of.
        size: (3,) of the space it takes along x, y and z.
    """

    parts: list[Part]
    size: tuple[float, float, float]

    def at(self, place: shapes.Vector, turn: float = 0.0) -> list[Part]:
        """Its parts, standing at a place (3,), turned about the vertical by radians."""
        return _moved(self.parts, shapes.standing(place, turn))


Builder = Callable[[np.random.Generator], Piece]


def _moved(parts: list[Part], pose: np.ndarray) -> list[Part]:
    return [part._replace(mesh=shapes.moved(part.mesh, pose)) for part in parts]


def _solid(rng: np.random.Generator) -> str:
    """What furniture is made of."""
    return str(rng.choice(["wood", "timber", "paint", "lacquer"], p=[0.35, 0.3, 0.2, 0.15]))


def _bar(start: shapes.Vector, end: shapes.Vector, radius: float, sides: int = 8) -> Mesh:
    return shapes.tube(np.array([start, end], float), radius, sides)


# Small things, which stand on others.


def _vessel(rng: np.random.Generator) -> Piece:
    """A vase, bottle, cup or bowl."""
    radius, height = rng.uniform(0.03, 0.07), rng.uniform(0.08, 0.32)
    kind = rng.integers(4)
    if kind == 0:  # a vase
        heights = np.linspace(0, 1, 9)
        wave = 0.75 + 0.35 * np.sin(rng.uniform(0, 6) + heights * rng.uniform(2.5, 6))
        outside = np.column_stack([radius * wave, heights * height])
        lip = [[outside[-1, 0] - 0.006, height], [outside[-1, 0] - 0.006, height * 0.8], [0, height * 0.8]]
        profile = np.concatenate([[[0, 0]], outside, lip])
    elif kind == 1:  # a bottle
        neck = radius * 0.35
        profile = np.array([[0, 0], [1, 0], [1, 0.55], [0.9, 0.65], [0.55, 0.72]]) * [radius * 0.8, height]
        profile = np.concatenate([profile, [[neck, height * 0.8], [neck, height], [0, height]]])
    elif kind == 2:  # a cup
        height = rng.uniform(0.07, 0.11)
        inner = radius * 0.7 - 0.004
        profile = np.array([[0, 0], [radius * 0.5, 0], [radius * 0.7, height], [inner, height], [0.4 * radius, 0.02]])
        profile = np.concatenate([profile, [[0, 0.02]]])
    else:  # a bowl
        radius, height = rng.uniform(0.07, 0.14), rng.uniform(0.05, 0.09)
        turn = np.linspace(0, np.pi / 2, 6)
        outside = np.column_stack([np.sin(turn), 1 - np.cos(turn)]) * [radius, height]
        profile = np.concatenate([outside, outside[::-1] * [0.93, 1] + [0, 0.006]])
    material = "bottle" if kind == 1 and rng.uniform() < 0.5 else "ceramic"
    mesh = shapes.lathe(profile, sides=20)
    if material == "bottle":
        mesh = Mesh(mesh.vertices, mesh.faces, mesh.normals, mesh.paint, clear=True)
    widest = 2 * float(profile[:, 0].max())
    return Piece([Part("glass" if mesh.clear else "object", material, mesh)], (widest, widest, height))


def _carton(rng: np.random.Generator) -> Piece:
    """A box, or some on each other."""
    parts, top = [], 0.0
    width, depth = rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.25)
    for _ in range(rng.integers(1, 4)):
        height = rng.uniform(0.04, 0.16)
        parts.append(Part("object", "carton", shapes.box((width, depth, height), (0, 0, top), rng.uniform(-0.2, 0.2))))
        width, depth, top = width * rng.uniform(0.6, 0.98), depth * rng.uniform(0.6, 0.98), top + height + 0.002
    return Piece(parts, (0.36, 0.3, top))


def _pile(rng: np.random.Generator) -> Piece:
    """Books lying on each other."""
    parts, top = [], 0.0
    for _ in range(rng.integers(2, 8)):
        size = rng.uniform(0.14, 0.22), rng.uniform(0.2, 0.28), rng.uniform(0.012, 0.04)
        parts.append(Part("object", "books", shapes.box(size, (0, 0, top), rng.uniform(-0.4, 0.4))))
        top += size[2] + 0.002
    return Piece(parts, (0.3, 0.32, top))


def _lump(rng: np.random.Generator) -> Piece:
    """Fruit, a stone, a ball."""
    side = rng.uniform(0.06, 0.16)
    rough = rng.choice([0.0, 0.15, 0.4])
    mesh = shapes.blob(rng, (side, side * rng.uniform(0.8, 1.2), side * rng.uniform(0.7, 1)), rough=rough)
    return Piece([Part("object", str(rng.choice(["ceramic", "lacquer", "carton", "cloth"])), mesh)], (side, side, side))


def _pot_plant(rng: np.random.Generator) -> Piece:
    return _plant(rng, rng.uniform(0.25, 0.45))


def _table_lamp(rng: np.random.Generator) -> Piece:
    height, radius = rng.uniform(0.3, 0.5), rng.uniform(0.09, 0.15)
    foot = shapes.lathe(np.array([[0, 0], [0.07, 0], [0.06, 0.02], [0.012, 0.03], [0.012, height], [0, height]]))
    return Piece(
        [Part("thin", "metal", foot), Part("lamp", "shade", _shade(radius, height - 0.06))], (0.3, 0.3, height + 0.15)
    )


def _shade(radius: float, height: float) -> Mesh:
    profile = np.array([[0, 0.14], [radius - 0.01, 0], [radius, 0], [radius * 0.7, 0.15], [0, 0.15]])
    return shapes.lathe(profile, (0, 0, height))


def _monitor(rng: np.random.Generator) -> Piece:
    width = rng.uniform(0.4, 0.65)
    height, foot = width * 0.58, 0.12
    parts = [
        Part("screen", "black", shapes.box((width, 0.03, height), (0, 0.03, foot))),
        _image("screen", "screen", (width - 0.03, height - 0.03), (0, 0.011, foot + height / 2)),
        Part("screen", "black", shapes.box((0.05, 0.02, 0.2), (0, 0.06, 0))),
        Part("screen", "black", shapes.box((0.22, 0.16, 0.012), (0, 0.03, 0))),
    ]
    return Piece(parts, (width, 0.2, foot + height))


def _image(label: str, material: str, size: tuple[float, float], middle: shapes.Vector) -> Part:
    """A picture that faces -y."""
    return Part(label, material, shapes.panel(size, middle), size)


SMALL: tuple[Builder, ...] = (_vessel, _vessel, _carton, _pile, _lump, _pot_plant, _table_lamp)


def cover(rng: np.random.Generator, width: float, depth: float, height: float, most: float = 0.6) -> list[Part]:
    """Small things, none higher than ``most``, on a top of ``width`` x ``depth`` metres at ``height``."""
    parts: list[Part] = []
    left = -width / 2 + 0.03
    while True:
        piece = SMALL[rng.integers(len(SMALL))](rng)
        wide = max(piece.size[0], piece.size[1]) + 0.02  # it may be turned
        if left + wide > width / 2 - 0.02:
            return parts
        slack = (depth - wide) / 2
        if slack >= 0 and piece.size[2] <= most:
            place = (left + wide / 2, rng.uniform(-slack, slack), height + 0.002)
            parts += piece.at(place, rng.choice([0, np.pi]) + rng.uniform(-0.3, 0.3))
        left += wide + rng.exponential(0.08)


# Furniture that stands along walls.


def shelf(rng: np.random.Generator) -> Piece:
    """Boards full of books and other things, sometimes behind glass."""
    width, depth, height = rng.uniform(0.6, 1.5), rng.uniform(0.28, 0.4), rng.uniform(0.9, 2.1)
    wood, thick = _solid(rng), 0.022
    boards = [shapes.box((thick, depth, height), (side * (width - thick) / 2, 0, 0), along=True) for side in (-1, 1)]
    inside = width - 2 * thick
    levels = np.linspace(0.06, height - thick, max(3, round(height / rng.uniform(0.28, 0.42))))
    for level in levels:
        boards.append(shapes.box((inside - 0.004, depth - 0.01, thick), (0, 0, level), along=True))
    back = shapes.box((inside - 0.004, 0.006, height - 0.08), (0, depth / 2 - 0.004, 0.07), along=True)
    parts = [Part("furniture", wood, mesh) for mesh in boards]
    if rng.uniform() < 0.7:
        parts.append(Part("furniture", wood, back))
    for level, above in pairwise(levels):
        room = above - level - thick
        if rng.uniform() < 0.6:
            parts += _books(rng, inside, depth, level + thick, room)
        else:
            parts += cover(rng, inside, depth - 0.04, level + thick, room - 0.03)
    parts += [
        part._replace(mesh=shapes.moved(part.mesh, shapes.standing((0, 0, height))))
        for part in cover(rng, width, depth, 0, 0.4)
        if rng.uniform() < 0.7
    ]
    if rng.uniform() < 0.35:
        parts += _doors(width, height, -depth / 2 - 0.012)
    return Piece(parts, (width, depth + 0.03, height))


def _doors(width: float, height: float, y: float) -> list[Part]:
    """Two glass doors in thin frames."""
    parts = []
    for side in (-1, 1):
        middle, wide = side * width / 4, width / 2 - 0.006
        pane = shapes.panel((wide - 0.03, height - 0.06), (middle, y, height / 2), clear=True)
        parts.append(Part("glass", "pane", pane))
        parts += [
            Part("thin", "metal", shapes.box(size, at))
            for size, at in (
                ((0.02, 0.016, height), (middle - wide / 2 + 0.01, y, 0)),
                ((0.02, 0.016, height), (middle + wide / 2 - 0.01, y, 0)),
                ((wide - 0.042, 0.016, 0.035), (middle, y, 0)),
                ((wide - 0.042, 0.016, 0.035), (middle, y, height - 0.035)),
            )
        ]
    return parts


def _books(rng: np.random.Generator, width: float, depth: float, height: float, room: float) -> list[Part]:
    """A row of books, some of them missing."""
    meshes, left = [], -width / 2 + 0.004
    tallest = min(room - 0.02, 0.32)
    while left < width / 2 - 0.06:
        thick = rng.uniform(0.012, 0.045)
        if rng.uniform() < 0.93:
            size = (thick, min(rng.uniform(0.14, 0.22), depth - 0.05), tallest * rng.uniform(0.6, 1))
            meshes.append(shapes.box(size, (left + thick / 2, depth / 2 - 0.02 - size[1] / 2, height + 0.002)))
        else:
            left += rng.uniform(0.03, 0.25)
        left += thick + 0.002
    return [Part("object", "books", mesh) for mesh in meshes]


def cabinet(rng: np.random.Generator) -> Piece:
    """A chest of drawers or doors on short legs."""
    width, depth, height = rng.uniform(0.6, 1.8), rng.uniform(0.38, 0.55), rng.uniform(0.45, 1.1)
    body, front, leg = _solid(rng), _solid(rng), rng.uniform(0.05, 0.16)
    parts = [Part("furniture", body, shapes.box((width, depth, height - leg), (0, 0, leg), along=True))]
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    wide, high = width / columns, (height - leg) / rows
    for column in range(columns):
        for row in range(rows):
            x, z = (column + 0.5) * wide - width / 2, leg + row * high
            door = shapes.box((wide - 0.012, 0.018, high - 0.012), (x, -depth / 2 - 0.011, z + 0.006), along=True)
            grip = _bar((x - 0.05, 0, 0), (x + 0.05, 0, 0), 0.008, 6)
            parts.append(Part("furniture", front, door))
            grip = shapes.moved(grip, shapes.standing((0, -depth / 2 - 0.032, z + high * 0.8)))
            parts.append(Part("thin", "metal", grip))
    parts += _legs(rng, width - 0.06, depth - 0.06, leg, "timber")
    parts += _lifted(cover(rng, width, depth, 0), height)
    return Piece(parts, (width, depth + 0.06, height))


def _lifted(parts: list[Part], height: float) -> list[Part]:
    return _moved(parts, shapes.standing((0, 0, height)))


def _legs(rng: np.random.Generator, width: float, depth: float, height: float, material: str) -> list[Part]:
    """Four thin legs under the corners of a rectangle."""
    radius, splay = rng.uniform(0.009, 0.024), rng.uniform(0, 0.06) * height
    feet = [(x * (width / 2), y * (depth / 2)) for x in (-1, 1) for y in (-1, 1)]
    return [
        Part(
            "thin", material, _bar((x + np.sign(x) * splay, y + np.sign(y) * splay, 0), (x, y, height - 0.001), radius)
        )
        for x, y in feet
    ]


def desk(rng: np.random.Generator) -> Piece:
    """A table with a screen, cables and clutter."""
    table, screen = _table(rng, rng.uniform(1.0, 1.7), rng.uniform(0.55, 0.75), bare=True), _monitor(rng)
    width, depth, height = table.size
    x = rng.uniform(-0.2, 0.2)
    parts = table.parts + screen.at((x, depth / 4, height + 0.002), rng.uniform(-0.25, 0.25))
    keys = shapes.box((0.42, 0.14, 0.015), (x, -depth / 4, height + 0.002), rng.uniform(-0.1, 0.1))
    parts.append(Part("object", "black", keys))
    for _ in range(rng.integers(1, 4)):
        start = np.array([x, depth / 2 - 0.03, height - 0.05])
        end = np.array([rng.uniform(-0.5, 0.5) * width, depth / 2 - 0.03, 0.02])
        cable = shapes.hanging(start, end, rng.uniform(0.05, 0.2))
        parts.append(Part("thin", "black", shapes.tube(np.maximum(cable, [-9, -9, 0.012]), 0.006, 6)))
    beside = (width - screen.size[0]) / 2 - abs(x) - 0.12
    for side in (-1, 1):
        small = cover(rng, beside, depth - 0.1, height)
        parts += _moved(small, shapes.standing((side * (width - beside) / 2, 0, 0)))
    return Piece(parts, table.size)


def sofa(rng: np.random.Generator) -> Piece:
    """Cushions between arms."""
    seats = int(rng.integers(1, 4))
    width, depth, height = 0.3 + 0.62 * seats, rng.uniform(0.75, 0.95), rng.uniform(0.36, 0.46)
    cloth = str(rng.choice(["fabric", "cloth", "leather"]))
    parts = [Part("furniture", cloth, shapes.cushion((width, depth, height - 0.2), (0, 0, 0.08), round=0.12))]
    for side in (-1, 1):
        arm = shapes.cushion((0.15, depth, height + 0.1), (side * (width / 2 - 0.076), 0, 0.09), round=0.25)
        parts.append(Part("furniture", cloth, arm))
    for seat in range(seats):
        x = (seat - (seats - 1) / 2) * 0.62
        soft = shapes.cushion((0.6, depth - 0.25, 0.16), (x, -0.1, height - 0.13), round=0.25)
        back = shapes.cushion((0.6, 0.22, 0.5), (x, depth / 2 - 0.13, height - 0.02), rng.uniform(-0.03, 0.03))
        parts += [Part("furniture", cloth, mesh) for mesh in (soft, back)]
        if rng.uniform() < 0.6:
            edge = rng.uniform(0.34, 0.46)
            pillow = shapes.cushion((edge, 0.14, edge), (x, 0.02 * depth, height + 0.03), rng.uniform(-0.5, 0.5), 0.6)
            parts.append(Part("object", str(rng.choice(["cloth", "fabric"])), pillow))
    parts += _legs(rng, width - 0.15, depth - 0.15, 0.1, "timber")
    return Piece(parts, (width, depth, height + 0.5))


def bed(rng: np.random.Generator) -> Piece:
    """Its head at the wall."""
    width, length = float(rng.choice([0.9, 1.4])), 2.0
    wood = _solid(rng)
    parts = [
        Part("furniture", wood, shapes.box((width, length, 0.18), (0, 0, 0.12), along=True)),
        Part("furniture", wood, shapes.box((width, 0.05, rng.uniform(0.7, 1.1)), (0, length / 2 - 0.027, 0.02))),
        Part("furniture", "sheet", shapes.cushion((width - 0.04, length - 0.1, 0.2), (0, -0.03, 0.3), round=0.12)),
        Part("furniture", "fabric", shapes.cushion((width + 0.06, length * 0.62, 0.16), (0, -0.37, 0.39), round=0.2)),
    ]
    for x in [0.0] if width < 1 else [-width / 4, width / 4]:
        pillow = shapes.cushion((0.6, 0.4, 0.16), (x, length / 2 - 0.33, 0.47), rng.uniform(-0.2, 0.2), 0.6)
        parts.append(Part("object", "cloth", pillow))
    parts += _legs(rng, width - 0.15, length - 0.15, 0.121, "timber")
    return Piece(parts, (width + 0.08, length, 0.8))


def floor_lamp(rng: np.random.Generator) -> Piece:
    """A shade on a thin stand, straight or bent."""
    height, radius = rng.uniform(1.3, 1.75), rng.uniform(0.14, 0.22)
    bend = rng.uniform(0, 0.3) * rng.integers(2)
    path = shapes.arc(
        np.array([[0, 0, 0.03], [0, 0, height * 0.7], [0, -bend * 0.4, height], [0, -bend, height + 0.03]])
    )
    shade = shapes.moved(_shade(radius, height - 0.12), shapes.standing((0, -bend, 0)))
    foot = shapes.cylinder(0.14, 0.028, sides=20)
    parts = [Part("thin", "metal", foot), Part("thin", "metal", shapes.tube(path, 0.011)), Part("lamp", "shade", shade)]
    return Piece(parts, (2 * radius, 2 * max(radius, bend), height))


def plant(rng: np.random.Generator) -> Piece:
    """A large plant in a pot."""
    return _plant(rng, rng.uniform(0.7, 1.7))


def _plant(rng: np.random.Generator, height: float) -> Piece:
    pot, spread = 0.2 * height**0.5 + 0.02, 0.32 * height
    radius = pot * rng.uniform(0.45, 0.6)
    profile = [[0, 0], [radius * 0.75, 0], [radius, pot], [radius * 0.88, pot], [radius * 0.85, pot * 0.88]]
    parts = [
        Part("object", str(rng.choice(["ceramic", "clay"])), shapes.lathe(np.array([*profile, [0, pot * 0.88]]))),
        Part("object", "soil", shapes.cylinder(radius * 0.84, 0.004, (0, 0, pot * 0.88 + 0.003))),
    ]
    places = []
    for _ in range(rng.integers(3, 8)):
        angle, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1) * spread
        tip = np.array([np.cos(angle) * out, np.sin(angle) * out, pot + (height - pot) * rng.uniform(0.55, 1)])
        bend = [tip[0] * 0.25, tip[1] * 0.25, pot + (tip[2] - pot) * 0.6]
        stem = shapes.arc(np.array([[0, 0, pot * 0.8], bend, tip]), 8)
        parts.append(Part("plant", "stem", shapes.tube(stem, np.linspace(0.004, 0.002, len(stem)) * (1 + height), 5)))
        picked = stem[rng.integers(len(stem) // 3, len(stem), rng.integers(8, 22))]
        places.append(picked + rng.normal(0, 0.01, picked.shape))
    leaf = rng.uniform(0.06, 0.12) * (0.5 + height)
    parts.append(Part("plant", "leaf", shapes.leaves(rng, np.concatenate(places), leaf, rng.uniform(0.15, 0.6))))
    wide = 2 * spread + leaf
    return Piece(parts, (wide, wide, height + leaf))


def standing_mirror(rng: np.random.Generator) -> Piece:
    """As tall as a person, leaning back a little."""
    width, height, lean = rng.uniform(0.45, 0.9), rng.uniform(1.5, 1.9), rng.uniform(0.05, 0.14)
    parts = _framed("mirror", "mirror", width, height, _solid(rng), 0.03)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]]
    tilt[:3, 3] = [0, -height * lean / 2 - 0.02, 0.002]
    return Piece(_moved(parts, tilt), (width, 0.12 + 2 * lean * height, height + 0.02))


def _framed(label: str, material: str, width: float, height: float, frame: str, bar: float) -> list[Part]:
    """A panel that faces -y in a frame, standing on z = 0, its back at y = 0."""
    front = shapes.panel((width - bar, height - bar), (0, -0.014, height / 2), clear=material == "pane")
    parts = [Part(label, material, front)]
    if material != "pane":
        parts.append(Part("furniture", "black", shapes.box((width - bar, 0.008, height - bar), (0, -0.004, bar / 2))))
    for side in (-1, 1):
        post = shapes.box((bar, 0.03, height), (side * (width - bar) / 2, -0.0155, 0), along=True)
        rail = shapes.box(
            (width - 2 * bar - 0.002, 0.028, bar), (0, -0.0155, max(0, side) * (height - bar)), along=True
        )
        parts += [Part("thin", frame, post), Part("thin", frame, rail)]
    return parts


def rack(rng: np.random.Generator) -> Piece:
    """Clothes on a rail of thin bars."""
    width, height, parts = rng.uniform(0.8, 1.4), rng.uniform(1.3, 1.6), []
    for side in (-1, 1):
        x = side * width / 2
        parts += [_bar((x, 0, 0.02), (x, 0, height), 0.013), _bar((x, -0.22, 0.02), (x, 0.22, 0.02), 0.013)]
    parts.append(_bar((-width / 2 - 0.05, 0, height), (width / 2 + 0.05, 0, height), 0.013))
    found = [Part("thin", "metal", mesh) for mesh in parts]
    for x in np.arange(-width / 2 + 0.1, width / 2 - 0.08, rng.uniform(0.07, 0.2)):
        along = np.linspace(-0.22, 0.22, 12)
        wave = x + rng.uniform(0.005, 0.02) * np.sin(along * rng.uniform(15, 40) + rng.uniform(0, 6))
        long = rng.uniform(0.5, 1.0)
        cloth = shapes.sheet(np.column_stack([wave, along * rng.uniform(0.7, 1)]), long, (0, 0, height - 0.08 - long))
        found.append(Part("object", str(rng.choice(["cloth", "fabric", "garment"])), cloth))
        found.append(Part("thin", "metal", _bar((x, 0, height - 0.085), (x, 0, height - 0.014), 0.003, 5)))
    return Piece(found, (width + 0.1, 0.5, height))


def ladder(rng: np.random.Generator) -> Piece:
    """Leaning on the wall behind it."""
    width, height, away = rng.uniform(0.35, 0.5), rng.uniform(1.6, 2.1), rng.uniform(0.3, 0.5)
    foot, top, parts = -away / 2, away / 2 - 0.03, []
    for side in (-1, 1):
        x = side * width / 2
        parts.append(_bar((x, foot, 0.02), (x * 0.9, top, height), 0.018))
    for share in np.arange(0.1, 0.98, 0.28 / height):
        y, x = foot + (top - foot) * share, width / 2 * (1 - 0.1 * share)
        parts.append(_bar((-x, y, height * share), (x, y, height * share), 0.012))
    return Piece(
        [Part("thin", str(rng.choice(["timber", "metal"])), mesh) for mesh in parts], (width + 0.05, away, height)
    )


def cartons(rng: np.random.Generator) -> Piece:
    """Large boxes on each other."""
    parts, top, side = [], 0.002, rng.uniform(0.4, 0.6)
    for _ in range(rng.integers(1, 5)):
        size = (side * rng.uniform(0.7, 1), side * rng.uniform(0.6, 0.9), rng.uniform(0.2, 0.4))
        parts.append(Part("object", "carton", shapes.box(size, (0, 0, top), rng.uniform(-0.3, 0.3))))
        top += size[2] + 0.002
    return Piece(parts, (side * 1.2, side * 1.1, top))


# Furniture that stands free.


def dining(rng: np.random.Generator) -> Piece:
    """A table with chairs around it."""
    table = _table(rng, rng.uniform(0.9, 1.8), rng.uniform(0.7, 0.95))
    width, depth, height = table.size
    parts = list(table.parts)
    for side, turn in ((-1, np.pi), (1, 0.0)):
        for x in [-width / 4, width / 4] if width > 1.3 else [0.0]:
            if rng.uniform() < 0.8:
                place = (x, side * (depth / 2 + rng.uniform(0.12, 0.3)), 0.003)
                parts += _chair(rng).at(place, turn + rng.uniform(-0.35, 0.35))
    return Piece(parts, (width, depth + 1.1, height))


def low_table(rng: np.random.Generator) -> Piece:
    """For the middle of a room."""
    return _table(rng, rng.uniform(0.6, 1.1), rng.uniform(0.45, 0.65), rng.uniform(0.35, 0.5))


def chair(rng: np.random.Generator) -> Piece:
    """Alone, turned anyhow."""
    return Piece(_chair(rng).at((0, 0, 0.003), rng.uniform(0, 2 * np.pi)), (0.65, 0.65, 0.9))


def partition(rng: np.random.Generator) -> Piece:
    """A pane in a thin frame, standing free."""
    width, height = rng.uniform(0.8, 1.5), rng.uniform(1.4, 2.0)
    parts = _framed("glass", "pane", width, height, "metal", 0.03)
    for side in (-1, 1):
        foot = shapes.box((0.05, 0.34, 0.02), (side * (width / 2 - 0.06), -0.015, 0))
        parts.append(Part("thin", "black", foot))
    return Piece([*_moved(parts[:-2], shapes.standing((0, 0, 0.022))), *parts[-2:]], (width, 0.36, height))


def _table(rng: np.random.Generator, width: float, depth: float, height: float = 0.74, bare: bool = False) -> Piece:
    top = str(rng.choice(["wood", "timber", "lacquer", "stone", "pane"], p=[0.3, 0.25, 0.15, 0.15, 0.15]))
    legs = str(rng.choice(["metal", "timber", "black"]))
    parts = _legs(rng, width - 0.12, depth - 0.12, height - 0.035, legs)
    if top == "pane":
        pane = shapes.panel((width, depth), (0, 0, height), (1, 0, 0), (0, 1, 0), clear=True)
        parts.append(Part("glass", "pane", pane))
        rim = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * [width / 2, depth / 2]
        for one, other in pairwise(rim):
            parts.append(Part("thin", legs, _bar((*one, height - 0.015), (*other, height - 0.015), 0.012)))
    else:
        parts.append(Part("furniture", top, shapes.box((width, depth, 0.034), (0, 0, height - 0.034), along=True)))
    if not bare:
        parts += cover(rng, width, depth, height)
    return Piece(parts, (width, depth, height))


def _chair(rng: np.random.Generator) -> Piece:
    """Its back at +y, with thin legs and rungs."""
    side, seat, top = rng.uniform(0.38, 0.44), 0.45, rng.uniform(0.78, 0.95)
    wood = str(rng.choice(["timber", "wood", "black", "metal"]))
    parts = [Part("furniture", wood, shapes.box((side, side, 0.025), (0, 0, seat), along=True))]
    if rng.uniform() < 0.5:
        parts.append(Part("furniture", "cloth", shapes.cushion((side - 0.03, side - 0.03, 0.05), (0, 0, seat + 0.022))))
    parts += _legs(rng, side - 0.05, side - 0.05, seat + 0.002, wood)
    half = side / 2 - 0.025
    posts = [_bar((x, half, seat + 0.02), (x * 1.02, half + 0.06, top), 0.012) for x in (-half, half)]
    if rng.uniform() < 0.5:
        for level in np.linspace(seat + 0.12, top - 0.03, rng.integers(2, 5)):
            y = half + 0.06 * (level - seat) / (top - seat)
            posts.append(_bar((-half, y, level), (half, y, level), 0.009))
    else:
        posts.append(_bar((-half, half + 0.057, top - 0.02), (half, half + 0.057, top - 0.02), 0.014))
        for x in np.linspace(-half, half, rng.integers(5, 9))[1:-1]:
            posts.append(_bar((x, half, seat + 0.02), (x, half + 0.055, top - 0.03), 0.006))
    return Piece(parts + [Part("thin", wood, mesh) for mesh in posts], (side, side, top))


# What hangs on walls: its back at y = 0, the middle of its lower edge at the origin.


def hung_picture(rng: np.random.Generator) -> Piece:
    """A picture in a frame."""
    width, height = rng.uniform(0.3, 1.0), rng.uniform(0.3, 0.8)
    parts = _framed("picture", "print", width, height, _solid(rng), 0.03)
    parts[0] = parts[0]._replace(image=(width - 0.03, height - 0.03))
    return Piece(_moved(parts, shapes.standing((0, -0.004, 0))), (width, 0.06, height))


def hung_mirror(rng: np.random.Generator) -> Piece:
    """A mirror in a frame."""
    width, height = rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.0)
    parts = _framed("mirror", "mirror", width, height, _solid(rng), rng.uniform(0.015, 0.05))
    return Piece(_moved(parts, shapes.standing((0, -0.004, 0))), (width, 0.06, height))


def hung_shelf(rng: np.random.Generator) -> Piece:
    """A board with things on it."""
    width, depth = rng.uniform(0.5, 1.2), rng.uniform(0.16, 0.26)
    board = shapes.box((width, depth, 0.025), (0, -depth / 2 - 0.002, 0), along=True)
    things = _moved(cover(rng, width, depth, 0.025, 0.4), shapes.standing((0, -depth / 2 - 0.002, 0)))
    return Piece([Part("furniture", _solid(rng), board), *things], (width, depth, 0.4))


def hung_screen(rng: np.random.Generator) -> Piece:
    """A television."""
    width = rng.uniform(0.8, 1.3)
    height = width * 0.57
    frame = shapes.box((width, 0.04, height), (0, -0.03, 0))
    image = _image("screen", "screen", (width - 0.03, height - 0.03), (0, -0.054, height / 2))
    return Piece([Part("screen", "black", frame), image], (width, 0.07, height))
