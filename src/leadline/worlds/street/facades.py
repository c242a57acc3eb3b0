"""Buildings of world ``street``: walls with windows let into them, doors, shops, balconies, cornices, roofs.

A building's own axes are x along its front from the left end as seen from the road, y away from the road, z up. Parts
of one wall are laid out in (u, v, w): to the right and up as seen from outside, and out of the wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from leadline.worlds.shapes import tube
from leadline.worlds.street.road import Parts, add, quads
from leadline.worlds.textures import APART

#: What walls may be made of.
WALLS = ("brick", "plaster", "stone")


@dataclass(frozen=True)
class Wall:
    """Where a wall stands: a plane's origin and directions to the right and outwards, in a building's axes."""

    origin: np.ndarray
    right: np.ndarray
    out: np.ndarray

    def place(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) of (u, v, w)."""
        up = np.array([0.0, 0.0, 1.0])
        return self.origin + points @ np.stack([self.right, up, self.out])


@dataclass(frozen=True)
class House:
    """How a building looks.

    Args:
        width: along the road, in metres.
        depth: away from it.
        floors: above the ground floor.
        wall: what it is made of, one of WALLS.
        number: of the building: its colours follow from it.
        shops: on the ground floor.
        gable: a steep roof; otherwise it is flat.
        open_sides: whether its left and right walls can be seen and have windows.
        ground_floor: its height.
        floor: of each above.
        pitch: from window to window.
        window: width and height of one.
        recess: how deep windows are let in.
        balconies: part of the upper windows that have one.
    """

    width: float
    depth: float
    floors: int
    wall: str
    number: int
    shops: bool
    gable: bool
    open_sides: tuple[bool, bool]
    ground_floor: float
    floor: float
    pitch: float
    window: tuple[float, float]
    recess: float
    balconies: float

    @property
    def height(self) -> float:
        """Of the walls."""
        return self.ground_floor + self.floors * self.floor + (0.3 if self.gable else 0.9)


def plan_house(
    rng: np.random.Generator, width: float, number: int, open_sides: tuple[bool, bool], green: bool
) -> House:
    """A random building of a width; ``green`` ones stand in gardens and are low."""
    floors = int(rng.integers(0, 3)) if green else int(rng.integers(1, 7))
    floor = rng.uniform(2.7, 3.4)
    pitch = rng.uniform(1.9, 3.4)
    modern = not green and rng.uniform() < 0.25
    window = (pitch * rng.uniform(0.75, 0.9), floor * 0.62) if modern else (
        rng.uniform(0.85, min(1.7, pitch - 0.7)), rng.uniform(1.2, 1.75))  # fmt: skip
    return House(
        width=width,
        depth=rng.uniform(9, 13),
        floors=floors,
        wall=str(rng.choice(WALLS)),
        number=number,
        shops=not green and rng.uniform() < 0.5,
        gable=green or (floors < 5 and rng.uniform() < 0.4),
        open_sides=open_sides,
        ground_floor=floor if green else rng.uniform(3.2, 4.3),
        floor=floor,
        pitch=pitch,
        window=window,
        recess=rng.uniform(0.08, 0.28),
        balconies=0.0 if green else rng.uniform(0.2, 0.8) * (rng.uniform() < 0.35),
    )


def build(rng: np.random.Generator, house: House) -> Parts:
    """The building in its own axes."""
    parts: Parts = {}
    wide, deep = house.width, house.depth
    x, y = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    front = Wall(np.zeros(3), x, -y)
    _facade(rng, parts, house, front, wide, 0, front=True)
    for index, wall in enumerate((Wall(deep * y, -y, -x), Wall(wide * x, y, x))):
        if house.open_sides[index]:
            _facade(rng, parts, house, wall, deep, index + 1)
        else:
            _blank(parts, house, wall, deep, index + 1)
    _blank(parts, house, Wall(wide * x + deep * y, -x, y), wide, 3)
    (_gable if house.gable else _flat_roof)(rng, parts, house)
    return parts


def _paint(house: House, corners: np.ndarray, face: int) -> np.ndarray:
    """(N, 4, 3) texture coordinates of corners in (u, v, w); what stands out is another part of the texture."""
    paint = corners.copy()
    paint[..., 0] += corners[..., 2]
    paint[..., 2] = house.number * APART + face * 2.3 + 1
    return paint


def _blank(parts: Parts, house: House, wall: Wall, wide: float, face: int) -> None:
    corners = np.array([[[0, 0, 0], [wide, 0, 0], [wide, house.height, 0], [0, house.height, 0]]], float)
    add(parts, house.wall, quads(wall.place(corners), _paint(house, corners, face)))


def _facade(
    rng: np.random.Generator, parts: Parts, house: House, wall: Wall, wide: float, face: int, front: bool = False
) -> None:
    """A wall with windows; the front has a door and perhaps shops."""
    ground, top = house.ground_floor, house.height
    window_wide, window_high = house.window
    columns = max(1, int((wide - 0.8) / house.pitch))
    middles = wide / 2 + (np.arange(columns) - (columns - 1) / 2) * house.pitch
    sill = min(0.95, house.floor - window_high - 0.35)
    # Upper floors.
    u = np.stack([middles - window_wide / 2, middles + window_wide / 2], axis=1)
    v = ground + np.arange(house.floors) * house.floor
    holes = _grid_of(u, np.stack([v + sill, v + sill + window_high], axis=1))
    _holed(parts, house, wall, (0, wide), (ground, top), u, np.stack([v + sill, v + sill + window_high], 1), face)
    # Ground floor: windows, or shop fronts, and a door.
    if front and house.shops:
        bays = max(1, int(wide / 4.2))
        middle = wide / bays * (np.arange(bays) + 0.5)
        half = np.full(bays, wide / bays / 2 - rng.uniform(0.25, 0.5))
        low, high = rng.uniform(0.3, 0.6), ground - rng.uniform(0.7, 1.1)
    else:
        middle, half = middles, np.full(columns, window_wide / 2)
        low, high = sill + KERB_UP, min(sill + KERB_UP + window_high, ground - 0.3)
    below = np.stack([middle - half, middle + half], axis=1)
    _holed(parts, house, wall, (0, wide), (0, ground), below, np.array([[low, high]]), face)
    shown = np.concatenate([holes, _grid_of(below, np.array([[low, high]]))])
    _panes(rng, parts, house, wall, shown)
    _sills(parts, house, wall, holes)
    if front:
        _front(rng, parts, house, wall, middle, half, high)
        if house.balconies and len(holes):
            _balconies(rng, parts, house, wall, holes)
    if not front or not house.shops:
        return
    cloth = rng.uniform() < 0.5
    if cloth:
        at = below[rng.uniform(size=len(below)) < 0.7]
        corners = np.array([
            [[a - 0.1, high + 0.4, 0.02], [b + 0.1, high + 0.4, 0.02], [b + 0.1, high - 0.1, 1.2],
             [a - 0.1, high - 0.1, 1.2]] for a, b in at]).reshape(-1, 4, 3)  # fmt: skip
        if len(corners):
            add(parts, "cloth", quads(wall.place(corners), _paint(house, corners, 4)))
    board = _blocks(np.array([[0.15, ground - 0.55, 0.0]]), np.array([[wide - 0.15, ground - 0.05, 0.14]]))
    paint = board.copy()
    paint[..., 2] = rng.integers(60) * APART
    add(parts, "sign", quads(wall.place(board), paint))


#: Buildings start below the pavement; what one sees of the ground floor starts on it.
KERB_UP = 0.14


def _grid_of(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(N, 4) first and last u and v of all openings of columns (C, 2) and rows (R, 2)."""
    return np.concatenate([np.repeat(u, len(v), axis=0), np.tile(v, (len(u), 1))], axis=1)


def _holed(
    parts: Parts,
    house: House,
    wall: Wall,
    across: tuple[float, float],
    upwards: tuple[float, float],
    columns: np.ndarray,
    rows: np.ndarray,
    face: int,
) -> None:
    """A wall with openings at all columns (C, 2) and rows (R, 2), and the openings' own sides."""
    u = np.concatenate([across[:1], columns.ravel(), across[1:]])
    v = np.concatenate([upwards[:1], rows.ravel(), upwards[1:]])
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(len(u) - 1), np.arange(len(v) - 1)))
    solid = (i % 2 == 0) | (j % 2 == 0)
    i, j = i[solid], j[solid]
    corners = np.stack([np.stack([u[i + a], v[j + b], 0 * u[i]], 1) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))], 1)
    holes = _grid_of(columns, rows)
    if len(holes):
        a, b, c, d = holes.T
        zero, deep = 0 * a, 0 * a - house.recess
        ring = [(a, c), (b, c), (b, d), (a, d), (a, c)]
        sides = [
            np.stack([np.stack([*one, zero], 1), np.stack([*two, zero], 1), np.stack([*two, deep], 1),
                      np.stack([*one, deep], 1)], axis=1)
            for one, two in pairwise(ring)
        ]  # fmt: skip
        corners = np.concatenate([corners, *sides])
    add(parts, house.wall, quads(wall.place(corners), _paint(house, corners, face)))


def _panes(rng: np.random.Generator, parts: Parts, house: House, wall: Wall, holes: np.ndarray) -> None:
    """Glass in openings (N, 4); its paint runs from -1 to 1 both ways (see ``outdoors.Pane``)."""
    a, b, c, d = holes.T
    w = 0 * a - house.recess
    corners = np.stack([np.stack([u, v, w], 1) for u, v in ((a, c), (b, c), (b, d), (a, d))], axis=1)
    paint = np.tile(np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]), (len(holes), 1, 1))
    paint[..., 2] = (rng.permutation(len(holes)) + 200.0 * house.number)[:, None] * APART
    add(parts, "window", quads(wall.place(corners), paint))


def _sills(parts: Parts, house: House, wall: Wall, holes: np.ndarray) -> None:
    """Ledges under windows, between floors and at the top."""
    a, b, c, _ = holes.T
    low = np.stack([a - 0.07, c - 0.09, 0 * a], axis=1)
    high = np.stack([b + 0.07, c - 0.01, 0 * a + 0.09], axis=1)
    long = house.width if wall.out[1] else house.depth
    bands = [house.ground_floor] + [house.height - 0.35] * (not house.gable)
    low = np.concatenate([low, [[0.0, v - 0.12, 0] for v in bands]])
    high = np.concatenate([high, [[long, v + 0.1, 0.12 + 0.1 * (v > house.ground_floor)] for v in bands]])
    _trim(parts, house, wall, _blocks(low, high))


def _trim(parts: Parts, house: House, wall: Wall, corners: np.ndarray) -> None:
    paint = corners.copy()
    paint[..., 2] = house.number * APART
    add(parts, "ledge", quads(wall.place(corners), paint))


def _front(
    rng: np.random.Generator,
    parts: Parts,
    house: House,
    wall: Wall,
    middle: np.ndarray,
    half: np.ndarray,
    high: float,
) -> None:
    """A door with a frame and a step, where the wall has no window."""
    gaps = (middle[1:] + middle[:-1]) / 2 if len(middle) > 1 else np.array([middle[0] + half[0] + 0.8])
    at, room = gaps[rng.integers(len(gaps))], 1.0
    if len(middle) > 1:
        room = max(middle[1] - middle[0] - 2 * half[0], 0.2)
    wide = min(room - 0.16, 1.05) / 2
    if wide < 0.3:
        return
    top = min(KERB_UP + 2.15, high + 0.3)
    frame = [[at - wide - 0.08, KERB_UP, 0], [at + wide, KERB_UP, 0], [at - wide, top, 0]]
    ends = [[at - wide, top + 0.08, 0.07], [at + wide + 0.08, top + 0.08, 0.07], [at + wide, top + 0.08, 0.07]]
    _trim(parts, house, wall, _blocks(np.array(frame), np.array(ends)))
    door = _blocks(np.array([[at - wide, 0.0, 0.0]]), np.array([[at + wide, top, 0.03]]))
    paint = door.copy()
    paint[..., 2] = rng.integers(60) * APART
    add(parts, "cloth", quads(wall.place(door), paint))


def _balconies(rng: np.random.Generator, parts: Parts, house: House, wall: Wall, holes: np.ndarray) -> None:
    """Slabs with railings."""
    chosen = holes[rng.uniform(size=len(holes)) < house.balconies]
    for a, b, c, _ in chosen[:24]:
        slab = _blocks(np.array([[a - 0.3, c - 0.35, 0.0]]), np.array([[b + 0.3, c - 0.2, 1.0]]))
        _trim(parts, house, wall, slab)
        rail = np.array([[a - 0.25, c + 0.75, 0.0], [a - 0.25, c + 0.75, 0.95], [b + 0.25, c + 0.75, 0.95],
                         [b + 0.25, c + 0.75, 0.0]])  # fmt: skip
        bars = [rail]
        for u in np.arange(a - 0.25, b + 0.3, 0.35):
            bars.append(np.array([[u, c - 0.2, 0.95], [u, c + 0.75, 0.95]]))
        for bar in bars:
            add(parts, "pole", tube(wall.place(bar), 0.02, 4, house.number))


def _flat_roof(rng: np.random.Generator, parts: Parts, house: House) -> None:
    z, wide, deep = house.height - 0.4, house.width, house.depth
    corners = np.array([[[0, 0, z], [wide, 0, z], [wide, deep, z], [0, deep, z]]], float)
    add(parts, "roof", quads(corners, corners + np.array([0, 0, house.number * APART])))
    if rng.uniform() < 0.5:  # stairs and lifts end above the roof
        low = np.array([[wide * rng.uniform(0.1, 0.5), deep * 0.4, z]])
        box = _blocks(low, low + np.array([3.0, 3.0, 2.6]), whole=True)
        add(parts, house.wall, quads(box, _paint(house, box[..., [0, 2, 1]], 5)))


def _gable(rng: np.random.Generator, parts: Parts, house: House) -> None:
    """A steep roof with its ridge along the road, and a chimney."""
    wide, deep, base = house.width, house.depth, house.height
    rise, over = deep / 2 * np.tan(np.radians(rng.uniform(28, 48))), 0.35
    slope = rise / (deep / 2)
    ends = np.array([[[x, 0, base], [x, deep, base], [x, deep / 2, base + rise], [x, deep / 2, base + rise]]
                     for x in (0.0, wide)])  # fmt: skip
    add(parts, house.wall, quads(ends, _paint(house, ends[..., [1, 2, 0]] * [1, 1, 0], 6)))
    thick, slabs, sloped = 0.14, [], []
    for side in (0, 1):
        eave, ridge = -over if side == 0 else deep + over, deep / 2
        low, high = base - over * slope, base + rise
        profile = np.array([[eave, low], [ridge, high], [ridge, high + thick], [eave, low + thick]])
        left, right = (np.column_stack([np.full(4, x), profile]) for x in (-0.2, wide + 0.2))
        slabs += [left[[0, 1, 2, 3]], right[[0, 1, 2, 3]], np.array([left[0], left[3], right[3], right[0]]),
                  np.array([left[3], left[2], right[2], right[3]]),
                  np.array([left[0], left[1], right[1], right[0]])]  # fmt: skip
        sloped += [1, 1, 1, np.hypot(1, slope), np.hypot(1, slope)]
    corners = np.array(slabs)
    paint = np.stack([corners[..., 0], corners[..., 1] * np.array(sloped)[:, None], 0 * corners[..., 0]], axis=2)
    paint[..., 2] += house.number * APART + 3
    add(parts, "roof", quads(corners, paint))
    low = np.array([[wide * rng.uniform(0.15, 0.8), deep * 0.42, base + rise * 0.4]])
    chimney = _blocks(low, low + np.array([0.8, 0.6, rise * 0.6 + rng.uniform(0.5, 1.2)]), whole=True)
    add(parts, "brick", quads(chimney, _paint(house, chimney[..., [0, 2, 1]], 5)))


def _blocks(low: np.ndarray, high: np.ndarray, whole: bool = False) -> np.ndarray:
    """(M, 4, 3) faces of blocks between corners (N, 3), but for the one in the wall, at the lowest w; or all."""
    both = np.stack([low, high], axis=1)

    def corner(*which: int) -> np.ndarray:
        return np.stack([both[:, side, axis] for axis, side in enumerate(which)], axis=1)

    around = [(0, 0), (1, 0), (1, 1), (0, 1)]
    faces = []
    for axis in range(3):
        for side in (0, 1):
            if axis == 2 and side == 0 and not whole:
                continue
            names = [tuple(np.insert(pair, axis, side)) for pair in around]
            faces.append(np.stack([corner(*name) for name in names], axis=1))
    return np.concatenate(faces)
