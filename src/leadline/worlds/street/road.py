"""The ground of world ``street``: a road that bends, side streets, kerbs, sidewalks, markings and the land around.

Places on it are (s, t): metres along the middle of the road, and metres to its left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from leadline.worlds.base import smooth
from leadline.worlds.noise import Noise
from leadline.worlds.raytracing import Mesh, smooth_normals
from leadline.worlds.shapes import join, moved, standing

#: Meshes by what they are made of; see ``outdoors.CLASSES``.
Parts = dict[str, list[Mesh]]

#: Metres of road before the way begins and after it ends, and of it that are built on.
BEFORE, AFTER = 600.0, 700.0
BUILT_BEFORE, BUILT_AFTER = 130.0, 200.0
#: Height of sidewalks, and of markings, over the road.
KERB, PAINT = 0.14, 0.003
#: How far blocks reach from the middle of the road, in metres.
DEEP = 62.0
#: Farthest ground, in metres.
HORIZON = 9000.0
#: Sharpest bend.
RADIUS = 180.0


def add(parts: Parts, kind: str, mesh: Mesh) -> None:
    """Put a mesh to those of its kind."""
    parts.setdefault(kind, []).append(mesh)


def merge(parts: Parts, more: Parts, pose: np.ndarray | None = None) -> None:
    """Put all of ``more`` to the meshes of its kind, moved by ``pose`` (4, 4)."""
    for kind, meshes in more.items():
        for mesh in meshes:
            add(parts, kind, mesh if pose is None else moved(mesh, pose))


def quads(corners: np.ndarray, paint: np.ndarray) -> Mesh:
    """Flat four-sided faces.

    Args:
        corners: (N, 4, 3) in turn; the first three are no line.
        paint: (N, 4, 3) of the corners.
    """
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    first = 4 * np.arange(len(corners))[:, None, None]
    faces = (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3), faces, np.repeat(across, 4, axis=0), paint.reshape(-1, 3))


class Line:
    """The middle of the road.

    Args:
        rng: decides its bends.
        start: first metre that may bend.
        end: last one.
    """

    def __init__(self, rng: np.random.Generator, start: float, end: float) -> None:
        self._along = np.arange(start, end + 1.0)
        heading = smooth(rng, self._along, 260.0) * rng.uniform(0.1, 0.7) * (rng.uniform() < 0.75)
        sharpest = np.abs(np.diff(heading)).max() * RADIUS
        self._heading = heading / max(1.0, sharpest)
        middle = (self._heading[1:] + self._heading[:-1]) / 2
        steps = np.stack([np.cos(middle), np.sin(middle)], axis=1)
        self._centre = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])

    def heading(self, along: np.ndarray | float) -> np.ndarray:
        """(N,) direction of the road, in radians from the world's x axis, at metres (N,) along."""
        return np.interp(along, self._along, self._heading)

    def place(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) world places of (s, t, z) (..., 3)."""
        flat = np.asarray(points, float).reshape(-1, 3)
        x, y = (np.interp(flat[:, 0], self._along, self._centre[:, axis]) for axis in (0, 1))
        turn = self.heading(flat[:, 0])
        world = [x - flat[:, 1] * np.sin(turn), y + flat[:, 1] * np.cos(turn), flat[:, 2]]
        return np.stack(world, axis=1).reshape(np.shape(points))

    def pose(self, s: float, t: float, z: float = 0.0, turn: float = 0.0) -> np.ndarray:
        """(4, 4) to the world of what stands at (s, t, z), turned from the road's direction."""
        return standing(self.place(np.array([s, t, z])), float(self.heading(s)) + turn)


@dataclass(frozen=True)
class Crossing:
    """A side street.

    Args:
        s: where its middle is.
        half: half its width in metres.
        sides: to the left (1), to the right (-1), or both.
        zebra: people may cross.
    """

    s: float
    half: float
    sides: tuple[int, ...]
    zebra: bool


@dataclass(frozen=True)
class Block:
    """What lies between two side streets, beside the road.

    Args:
        start: metre along where it begins.
        end: and where it ends.
        side: 1 left of the road, -1 right.
    """

    start: float
    end: float
    side: int


class Plan:
    """How the street is laid out.

    Args:
        rng: decides it.
        way: metres that are driven, from 0 on.
    """

    def __init__(self, rng: np.random.Generator, way: float) -> None:
        self.line = Line(rng, -BEFORE, way + AFTER)
        self.start, self.end = -BUILT_BEFORE, way + BUILT_AFTER
        #: Side that vehicles keep to: -1 the right.
        self.drive = -1 if rng.uniform() < 0.8 else 1
        self.lanes = int(rng.choice([1, 1, 1, 2]))
        self.lane = rng.uniform(3.0, 3.6)
        #: Width of the strip for parked vehicles left and right.
        self.parking = {side: 2.1 * (rng.uniform() < 0.65) for side in (1, -1)}
        self.sidewalk = rng.uniform(2.0, 4.2)
        self.crossings = self._crossings(rng)
        self.zebras = [at for c in self.crossings if c.zebra for at in (c.s - c.half - 3.0, c.s + c.half + 3.0)]
        free = [s for s in np.arange(self.start + 20, self.end, 37.0) if not self.near_crossing(s, 25)]
        self.zebras += [s for s in free if rng.uniform() < 0.15]

    def edge(self, side: int) -> float:
        """Metres from the middle to the kerb on a side."""
        return self.lanes * self.lane + self.parking[side]

    def near_crossing(self, s: float, margin: float, side: int = 0) -> bool:
        """Whether a side street, on that side or any, is nearer than ``margin`` metres."""
        return any(abs(s - c.s) < c.half + margin for c in self.crossings if side in (0, *c.sides))

    def near_zebra(self, s: float, margin: float) -> bool:
        """Whether a zebra crossing of the road is nearer than ``margin`` metres."""
        return any(abs(s - at) < 1.5 + margin for at in self.zebras)

    def blocks(self) -> list[Block]:
        """All, built on or not."""
        found = []
        for side in (1, -1):
            cuts = sorted((c.s - c.half, c.s + c.half) for c in self.crossings if side in c.sides)
            starts = [-BEFORE + 50, *[cut[1] for cut in cuts]]
            ends = [*[cut[0] for cut in cuts], self.end - BUILT_AFTER + AFTER - 50]
            found += [Block(a, b, side) for a, b in zip(starts, ends, strict=True)]
        return found

    def _crossings(self, rng: np.random.Generator) -> list[Crossing]:
        found, at, sparse = [], self.start + rng.uniform(10, 80), rng.uniform(60, 160)
        while at < self.end - 20:
            sides = ((1, -1), (1,), (-1,))[rng.choice(3, p=[0.5, 0.25, 0.25])]
            found.append(Crossing(at, rng.uniform(2.8, 5.0), sides, rng.uniform() < 0.6))
            at += sparse * rng.uniform(0.7, 1.6) + 25
        return found


def ground(rng: np.random.Generator, plan: Plan, green: bool) -> Parts:
    """The road, sidewalks, what is behind them and the land up to the horizon, without holes.

    Args:
        rng: decides details.
        plan: of the street.
        green: gardens, not pavement, are behind the sidewalks.
    """
    parts: Parts = {}
    line, reach = plan.line, DEEP + 12
    s = np.arange(-BEFORE, plan.end - BUILT_AFTER + AFTER + 1, 4.0)
    t = np.array([-reach, -40.0, -20.0, -8.0, 0.0, 8.0, 20.0, 40.0, reach])
    add(parts, "road", _lattice(line, s, t))
    for block in plan.blocks():
        near, deep = plan.edge(block.side), DEEP + rng.uniform(-8, 8)
        loops = [_outline(block, near, deep, inset) for inset in (0.0, 0.02, 0.15, plan.sidewalk)]
        heights = (-0.1, KERB - 0.015, KERB, KERB)
        for ring, kind in enumerate(("kerb", "kerb", "sidewalk")):
            add(parts, kind, _ring(line, loops[ring : ring + 2], heights[ring : ring + 2]))
        add(parts, "terrain" if green else "sidewalk", _filled(line, loops[-1], KERB))
    add(parts, "terrain", _land(rng, plan))
    add(parts, "marking", quads(*_flat(line, np.array(list(_markings(rng, plan))), PAINT)))
    return parts


def _lattice(line: Line, s: np.ndarray, t: np.ndarray) -> Mesh:
    """The plane z = 0 over a grid of places."""
    rows, columns = len(s), len(t)
    places = np.stack([np.repeat(s, columns), np.tile(t, rows), np.zeros(rows * columns)], axis=1)
    up = np.tile([0.0, 0.0, 1.0], (len(places), 1))
    return Mesh(line.place(places), _cells(rows, columns), up, places)


def _cells(rows: int, columns: int) -> np.ndarray:
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1, 1)
    return (first + np.array([[0, columns, columns + 1], [0, columns + 1, 1]])).reshape(-1, 3)


def _outline(block: Block, near: float, deep: float, inset: float, corner: float = 6.0) -> np.ndarray:
    """(2, M, 2) places along a block's edge towards the road and along the opposite one; corners are round."""
    start, end, low, high = block.start + inset, block.end - inset, near + inset, deep - inset
    radius = max(corner - inset, 0.3)
    turn = np.linspace(0, np.pi / 2, 7)
    count = int((block.end - block.start) / 3) + 2
    s = np.concatenate([
        start + radius * (1 - np.cos(turn)),
        np.linspace(start + radius, end - radius, count)[1:-1],
        end - radius * (1 - np.cos(turn[::-1])),
    ])  # fmt: skip
    gap = np.maximum(radius - np.minimum(s - start, end - s), 0)
    drop = radius - np.sqrt(np.maximum(radius**2 - gap**2, 0))
    return np.stack([np.stack([s, block.side * (low + drop)], 1), np.stack([s, block.side * (high - drop)], 1)])


def _ring(line: Line, loops: Sequence[np.ndarray], heights: Sequence[float]) -> Mesh:
    """The band between two outlines."""
    closed = [np.concatenate([loop[0], loop[1, ::-1], loop[0, :1]]) for loop in loops]
    rims = [np.column_stack([loop, np.full(len(loop), z)]) for loop, z in zip(closed, heights, strict=True)]
    corners = np.stack([rims[0][:-1], rims[0][1:], rims[1][1:], rims[1][:-1]], axis=1)
    paint = corners.copy()
    paint[..., 1] += corners[..., 2]  # upright faces have a height of their own
    paint[..., 2] = 0
    return quads(line.place(corners), paint)


def _filled(line: Line, loop: np.ndarray, height: float) -> Mesh:
    """What an outline encloses."""
    low, high = (np.column_stack([edge, np.full(len(edge), height)]) for edge in loop)
    corners = np.stack([high[:-1], low[:-1], low[1:], high[1:]], axis=1)
    return quads(line.place(corners), corners * [1, 1, 0])


def _land(rng: np.random.Generator, plan: Plan) -> Mesh:
    """Fields and hills, a little below the road where it runs."""
    line, cell = plan.line, 22.0
    track = line.place(_middle(plan))[:, :2]
    low, high = track.min(axis=0) - 500, track.max(axis=0) + 500
    x, y = (np.linspace(low[axis], high[axis], int((high[axis] - low[axis]) / cell)) for axis in (0, 1))
    x, y = (np.concatenate([[-HORIZON + one[0]], one, [one[-1] + HORIZON]]) for one in (x, y))
    places = np.stack([np.repeat(x, len(y)), np.tile(y, len(x)), np.zeros(len(x) * len(y))], axis=1)
    away = np.full(len(places), np.inf)
    for start in range(0, len(track), 16):
        off = places[:, None, :2] - track[start : start + 16]
        away = np.minimum(away, np.sqrt((off**2).sum(axis=2).min(axis=1)))
    rise = np.clip((away - 100) / 250, 0, 1)
    hills = Noise(rng).fractal(places, 260.0, 3)[:, 0] + 0.3
    places[:, 2] = -0.06 + rise**2 * (3 - 2 * rise) * hills * rng.uniform(4, 35) * (away < 2000)
    faces = _cells(len(x), len(y))
    return Mesh(places, faces, smooth_normals(places, faces), places * [1, 1, 0])


def _middle(plan: Plan) -> np.ndarray:
    s = np.arange(-BEFORE, plan.end - BUILT_AFTER + AFTER, 20.0)
    return np.stack([s, 0 * s, 0 * s], axis=1)


def _flat(line: Line, boxes: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners and paint (N, 4, 3) of rectangles (N, 4): first and last s, first and last t."""
    a, b, c, d = boxes.T
    s, t = np.stack([a, b, b, a], axis=1), np.stack([c, c, d, d], axis=1)
    corners = np.stack([s, t, np.full_like(s, height)], axis=2)
    return line.place(corners), corners * [1, 1, 0]


def _pieces(start: float, end: float, low: float, high: float, longest: float = 4.0) -> Iterable[tuple[float, ...]]:
    """A strip along the road in pieces that follow its bends."""
    cuts = np.linspace(start, end, max(2, int(np.ceil((end - start) / longest)) + 1))
    return [(a, b, low, high) for a, b in pairwise(cuts)]


def _free(plan: Plan, start: float, end: float) -> list[tuple[float, float]]:
    """Parts of the road without side streets and zebra crossings."""
    taken = [(c.s - c.half - 1, c.s + c.half + 1) for c in plan.crossings]
    taken += [(z - 3.5, z + 3.5) for z in plan.zebras]
    found, at = [], start
    for a, b in sorted(taken):
        if a - at > 2:
            found.append((at, a))
        at = max(at, b)
    return [*found, (at, end)] if end - at > 2 else found


def _markings(rng: np.random.Generator, plan: Plan) -> Iterable[tuple[float, ...]]:
    """Rectangles (first and last s, first and last t) of paint on the road; none overlaps another."""
    free = _free(plan, -BEFORE + 60, plan.end - BUILT_AFTER + AFTER - 60)
    wide = rng.uniform(0.10, 0.16)
    dash, gap = ((3.0, 6.0), (3.0, 3.0), (2.0, 4.0), (4.0, 8.0))[rng.integers(4)]
    middle = rng.choice(["dashed", "solid", "double"])
    edges = rng.uniform() < 0.6
    for start, end in free:
        if middle == "double":
            for t in (-1.3 * wide, 1.3 * wide):
                yield from _pieces(start, end, t - wide / 2, t + wide / 2)
        elif middle == "solid":
            yield from _pieces(start, end, -wide / 2, wide / 2)
        dashed = [0.0] if middle == "dashed" else []
        dashed += [side * plan.lane for side in (-1, 1) if plan.lanes > 1]
        for t in dashed:
            for s in np.arange(np.ceil(start / (dash + gap)) * (dash + gap), end - dash, dash + gap):
                yield from _pieces(s, s + dash, t - wide / 2, t + wide / 2)
        for side in (-1, 1):
            t = side * (plan.lanes * plan.lane - 0.05 if plan.parking[side] else plan.edge(side) - 0.4)
            if edges or plan.parking[side]:
                yield from _pieces(start, end, t - wide / 2, t + wide / 2)
            if plan.parking[side]:
                for s in np.arange(np.ceil(start / 6) * 6, end, 6.0):
                    yield s - 0.05, s + 0.05, *sorted((t + side * (wide / 2 + 0.01), side * (plan.edge(side) - 0.1)))
    for at in plan.zebras:
        for t in np.arange(-plan.edge(-1) + 0.3, plan.edge(1) - 0.6, 1.0):
            yield at - 1.5, at + 1.5, t, t + 0.5
    for crossing in plan.crossings:
        yield from _mouths(plan, crossing)


def _mouths(plan: Plan, crossing: Crossing) -> Iterable[tuple[float, ...]]:
    """Markings of side streets, and where vehicles stop for them."""
    for side in crossing.sides:
        kerb = plan.edge(side)
        if crossing.zebra:
            for s in np.arange(crossing.s - crossing.half + 0.3, crossing.s + crossing.half - 0.6, 1.0):
                yield s, s + 0.5, *sorted((side * (kerb + 2.0), side * (kerb + 5.0)))
        for t in np.arange(kerb + 9.0, DEEP, 6.0):
            yield crossing.s - 0.06, crossing.s + 0.06, *sorted((side * t, side * (t + 3.0)))
    if crossing.zebra:
        for way in (-1, 1):  # in front of the zebra crossings, on the lanes that come near
            s = crossing.s - way * (crossing.half + 5.2)
            t = sorted((way * plan.drive * 0.15, way * plan.drive * (plan.lanes * plan.lane - 0.3)))
            yield s - 0.2, s + 0.2, *t


def joined(parts: Parts) -> dict[str, Mesh]:
    """One mesh of each kind, kinds in the order of the alphabet."""
    return {kind: join(parts[kind]) for kind in sorted(parts)}
