"""What stands beside the road of world ``street``: buildings in rows, trees, hedges, lamps, signs, bins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from leadline.worlds.raytracing import Mesh
from leadline.worlds.shapes import arc, blob, box, cylinder, hanging, join, leaves, moved, numbered, standing, tube
from leadline.worlds.street import facades
from leadline.worlds.street.road import DEEP, KERB, Block, Parts, Plan, add, merge

#: Leaves of a tree near the road.
LEAVES = 650


def line_blocks(rng: np.random.Generator, plan: Plan, green: bool) -> Parts:
    """Everything on the blocks beside the road, as far as it is built on."""
    parts: Parts = {}
    trees = [tree(rng) for _ in range(3)]
    lean = [numbered(tree_far(rng), n) for n in range(3)]
    fence = int(rng.integers(3))
    numbers = iter(range(10_000))
    for block in plan.blocks():
        start, end = max(block.start, plan.start), min(block.end, plan.end)
        if end - start > 14:
            shown = Block(start, end, block.side)
            _row(rng, plan, shown, parts, green, numbers)
            _behind(rng, plan, shown, parts, lean, numbers)
            if green:
                _gardens(rng, plan, shown, parts, trees, fence)
            _planted(rng, plan, shown, parts, trees)
            _furnish(rng, plan, shown, parts)
    _woods(rng, plan, parts, lean)
    _wires(rng, plan, parts)
    return parts


def _row(rng: np.random.Generator, plan: Plan, block: Block, parts: Parts, green: bool, numbers: Iterator[int]) -> None:
    """Buildings along the road."""
    near = plan.edge(block.side) + plan.sidewalk
    setback = rng.uniform(4.0, 8.0) if green else rng.uniform(0.1, 0.8)
    at = block.start + plan.sidewalk + (rng.uniform(0, 4) if green else 0.3)
    last = block.end - plan.sidewalk - 0.3
    row = []  # first metre, width, gap before and after
    while last - at > 7.5:
        wide = rng.uniform(8, 13) if green else rng.uniform(8, 20)
        if last - at - wide < 8:
            wide = min(last - at, 24.0)
        gap = rng.uniform(2.5, 9) if green else (rng.uniform(2.5, 7) if rng.uniform() < 0.2 else 0.0)
        row.append((at, wide, gap))
        at += wide + gap
    for index, (s, wide, gap) in enumerate(row):
        free = index == 0 or row[index - 1][2] > 0, gap > 0 or index == len(row) - 1
        if block.side < 0:
            free = free[::-1]
        if rng.uniform() < 0.08 and not green:
            continue  # an empty plot
        number = next(numbers)
        house = facades.plan_house(rng, wide, number, (bool(free[0]), bool(free[1])), green)
        t = block.side * (near + setback + rng.uniform(0.0, 0.6 if not green else 2.0))
        # A building's own x runs along the road on its left side, against it on its right.
        middle = plan.line.pose(s + wide / 2, t, 0.0, 0.0 if block.side > 0 else np.pi)
        middle = middle @ standing((-wide / 2, 0, 0))
        merge(parts, facades.build(rng, house), middle)


def _behind(
    rng: np.random.Generator, plan: Plan, block: Block, parts: Parts, far: list[Mesh], numbers: Iterator[int]
) -> None:
    """Buildings along side streets, and trees in the yards."""
    near = plan.edge(block.side) + plan.sidewalk
    for s, towards in ((block.start, -1), (block.end, 1)):
        if not plan.near_crossing(s, 1.0, block.side):
            continue
        t = near + 24.0
        while t < DEEP - 22:
            wide = rng.uniform(9, 14)
            house = facades.plan_house(rng, wide, next(numbers), (True, True), rng.uniform() < 0.5)
            inset = plan.sidewalk + rng.uniform(0.3, 2.0)
            pose = plan.line.pose(s - towards * inset, block.side * (t + wide / 2), 0.0, towards * np.pi / 2)
            merge(parts, facades.build(rng, house), pose @ standing((-wide / 2, 0, 0)))
            t += wide + rng.uniform(0.5, 6)
    for _ in range(int((block.end - block.start) / 16)):
        s, t = rng.uniform(block.start + 22, max(block.end - 22, block.start + 23)), rng.uniform(near + 25, DEEP - 10)
        _copy(rng, parts, "leaf", far[rng.integers(len(far))], plan.line.pose(s, block.side * t, KERB))


def _gardens(rng: np.random.Generator, plan: Plan, block: Block, parts: Parts, trees: list[Parts], style: int) -> None:
    """Hedges, fences or walls in front of gardens, with gaps; trees and bushes behind them."""
    near = plan.edge(block.side) + plan.sidewalk + 0.35
    s = block.start + plan.sidewalk + 1
    while s < block.end - plan.sidewalk - 5:
        long = min(rng.uniform(4, 9), block.end - plan.sidewalk - 1 - s)
        pose = plan.line.pose(s + long / 2, block.side * near, KERB)
        merge(parts, (_hedge, _fence, _wall)[style if rng.uniform() < 0.7 else rng.integers(3)](rng, long), pose)
        if rng.uniform() < 0.5:
            at = plan.line.pose(s + rng.uniform(0, long), block.side * (near + rng.uniform(1.2, 3)), KERB)
            if rng.uniform() < 0.5:
                bush = blob(rng, rng.uniform(0.8, 2.0, 3), rough=0.35, subdivisions=3)
                _copy(rng, parts, "leaf", bush, at)
            else:
                _plant(rng, parts, trees, at, 0.55)
        s += long + rng.uniform(1.2, 3.5)


def _hedge(rng: np.random.Generator, long: float) -> Parts:
    thick, high = rng.uniform(0.5, 0.8), rng.uniform(0.8, 1.7)
    body = box([long, thick, high], number=int(rng.integers(100)))
    count = int(long * 45)
    places = rng.uniform([-0.5, -0.5, 0.05], [0.5, 0.5, 1.0], (count, 3)) * [long, thick, high]
    side = rng.integers(3, size=count)  # on the front, the back or the top
    places[side == 0, 1], places[side == 1, 1], places[side == 2, 2] = -thick / 2, thick / 2, high
    return {"leaf": [body, leaves(rng, places, 0.16, 0.7, int(rng.integers(100)))]}


def _fence(rng: np.random.Generator, long: float) -> Parts:
    high, number = rng.uniform(0.8, 1.3), int(rng.integers(60))
    parts = [box([long, 0.03, 0.08], (0, 0.025, z), number=number) for z in (0.2, high - 0.2)]
    slats = np.arange(-long / 2 + 0.08, long / 2 - 0.05, 0.17)
    parts += [box([0.09, 0.02, high], (x, -0.01, 0), number=number) for x in slats]
    return {"fence": [join(parts)]}


def _wall(rng: np.random.Generator, long: float) -> Parts:
    high, number = rng.uniform(0.5, 1.1), int(rng.integers(60))
    return {"brick": [box([long, 0.24, high], number=number)], "ledge": [box([long + 0.06, 0.3, 0.06], (0, 0, high))]}


def tree(rng: np.random.Generator) -> Parts:
    """A tree about 7 m high, with leaves."""
    clear, wide = rng.uniform(2.3, 3.0), rng.uniform(1.5, 2.3)
    trunk = np.array([[0, 0, -0.2], [rng.uniform(-0.1, 0.1), 0, clear / 2], [0, rng.uniform(-0.2, 0.2), clear + 1]])
    parts: Parts = {"bark": [tube(arc(trunk, 3), np.linspace(0.15, 0.09, 7), 8)]}
    lumps, around = [], rng.uniform(0, 6)
    for n in range(5):
        turn = around + n * 2.4
        out = wide * (0.55 if n else 0.0)
        middle = np.array([out * np.cos(turn), out * np.sin(turn), clear + 1.2 + 0.55 * n + rng.uniform(0, 0.6)])
        size = wide * rng.uniform(0.55, 0.8)
        parts["bark"].append(tube(np.array([trunk[-1] - [0, 0, 0.8], middle]), np.array([0.07, 0.03]), 5))
        core = blob(rng, [1.5 * size, 1.5 * size, 1.3 * size], middle - [0, 0, 0.65 * size], 0.35, 2)
        add(parts, "leaf", numbered(core, 3 * n))
        lumps.append((middle, size))
    places = []
    for middle, size in lumps:
        way = rng.standard_normal((LEAVES // 5, 3))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        places.append(middle + way * size * rng.uniform(0.65, 1.0, (len(way), 1)) * [1, 1, 0.85])
    add(parts, "leaf", leaves(rng, np.concatenate(places), rng.uniform(0.3, 0.45), 0.6))
    return {kind: [join(meshes)] for kind, meshes in parts.items()}


def tree_far(rng: np.random.Generator) -> Mesh:
    """A tree about 8 m high that is seen from afar only: its crown down to the ground, as of a conifer or a shrub."""
    lumps = []
    for n in range(4):
        wide = rng.uniform(2.5, 4.5)
        at = [rng.uniform(-1.2, 1.2), rng.uniform(-1.2, 1.2), 1.6 * n - 0.6]
        lumps.append(blob(rng, [wide, wide, rng.uniform(2.5, 4)], at, 0.4, 2, n))
    return join(lumps)


def _copy(rng: np.random.Generator, parts: Parts, kind: str, mesh: Mesh, pose: np.ndarray, size: float = 1.0) -> None:
    """Another thing like a mesh, turned and scaled at random."""
    scaled = replace(mesh, vertices=mesh.vertices * size * rng.uniform(0.8, 1.25))
    turned = moved(scaled, pose @ standing(turn=rng.uniform(0, 2 * np.pi)))
    add(parts, kind, numbered(turned, int(rng.integers(1000))))


def _plant(rng: np.random.Generator, parts: Parts, trees: list[Parts], pose: np.ndarray, size: float) -> None:
    which, turn, scale = trees[rng.integers(len(trees))], rng.uniform(0, 2 * np.pi), size * rng.uniform(0.85, 1.25)
    grown = pose @ standing(turn=turn)
    for kind, meshes in which.items():
        for mesh in meshes:
            other = numbered(mesh, int(rng.integers(1000)))
            add(parts, kind, moved(replace(other, vertices=other.vertices * scale), grown))


def _planted(rng: np.random.Generator, plan: Plan, block: Block, parts: Parts, trees: list[Parts]) -> None:
    """Trees along the kerb."""
    if plan.sidewalk < 2.4 or rng.uniform() < 0.35:
        return
    spacing = rng.uniform(9, 17)
    t = block.side * (plan.edge(block.side) + 0.8)
    for s in np.arange(block.start + 9, block.end - 8, spacing):
        if rng.uniform() < 0.85 and not plan.near_zebra(s, 3):
            _plant(rng, parts, trees, plan.line.pose(s, t, KERB), 1.0)


def _woods(rng: np.random.Generator, plan: Plan, parts: Parts, far: list[Mesh]) -> None:
    """Trees in the land around, and where the built part ends."""
    count = int((plan.end - plan.start) / 6)
    for _ in range(count):
        s, side = rng.uniform(plan.start - 60, plan.end + 80), rng.choice([-1, 1])
        t = side * rng.uniform(DEEP + 22, DEEP + 60)
        _copy(rng, parts, "leaf", far[rng.integers(len(far))], plan.line.pose(s, t, -0.3), 1.4)
    for side in (-1, 1):
        for first, way in ((plan.end + 5, 1), (plan.start - 5, -1)):
            for _ in range(8):
                s, t = first + way * rng.uniform(0, 160), side * (plan.edge(side) + plan.sidewalk + rng.uniform(4, 40))
                _copy(rng, parts, "leaf", far[rng.integers(len(far))], plan.line.pose(s, t, 0.0), 1.2)


def _furnish(rng: np.random.Generator, plan: Plan, block: Block, parts: Parts) -> None:
    """Lamps, signs, bins and traffic lights along the kerb."""
    t = plan.edge(block.side) + 0.45
    lamp = _lamp(rng, 5.0 + 3.0 * rng.uniform(), -block.side)
    for s in np.arange(block.start + 6 + 8 * (block.side > 0), block.end - 5, 24.0):
        merge(parts, lamp, plan.line.pose(s, block.side * t, KERB))
    for s in np.arange(block.start + 12, block.end - 6, 11.0):
        chance, pose = rng.uniform(), plan.line.pose(s + rng.uniform(-2, 2), block.side * t, KERB)
        facing = np.pi if block.side == plan.drive else 0.0  # to those who drive towards it
        if chance < 0.3:
            merge(parts, _sign(rng), pose @ standing(turn=facing + rng.uniform(-0.15, 0.15)))
        elif chance < 0.5:
            merge(parts, _bin(rng), pose @ standing(turn=rng.uniform(0, 6)))
        elif chance < 0.7:
            for n in range(3):
                post = plan.line.pose(s + 1.6 * n, block.side * (t - 0.1), KERB)
                add(parts, "pole", moved(cylinder(0.06, 0.95, sides=8), post))
    for crossing in plan.crossings:
        at = crossing.s + (crossing.half + 5.5) * (-1 if block.side == plan.drive else 1)
        if crossing.zebra and block.start < at < block.end:
            facing = np.pi if block.side == plan.drive else 0.0
            merge(parts, _signals(rng), plan.line.pose(at, block.side * t, KERB, facing))


def _lamp(rng: np.random.Generator, high: float, towards: int) -> Parts:
    """A street lamp whose arm reaches to the side ``towards``."""
    reach = rng.uniform(0.8, 2.0) * towards
    path = arc(np.array([[0, 0, 0], [0, 0, high - 0.8], [0, 0.35 * reach, high - 0.05], [0, reach, high]]), 4)
    head = box([0.22, 0.6, 0.12], (0, reach, high - 0.06), number=1)
    return {"pole": [tube(path, np.linspace(0.09, 0.045, len(path)), 8), cylinder(0.14, 0.9, sides=8), head]}


def _sign(rng: np.random.Generator) -> Parts:
    """A traffic sign that faces along x: round, square or a triangle."""
    high, size = rng.uniform(2.1, 2.6), rng.uniform(0.28, 0.4)
    sides = int(rng.choice([3, 4, 8, 20, 20]))
    turn = np.pi / 2 if sides == 3 else np.pi / sides
    parts: Parts = {
        "pole": [
            cylinder(0.035, high + size, sides=6),
        ]
    }
    inner, outer = (rng.choice([0, 1, 2, 3], 2, replace=False)).tolist()
    for scale, x, colour in ((1.0, 0.05, outer), (0.78, 0.058, inner)):
        disc = numbered(_plate(sides, size * scale, turn), 100 + colour)
        add(parts, "sign", moved(disc, standing((x, 0, high))))
    add(parts, "pole", moved(_plate(sides, size, turn), standing((0.04, 0, high))))
    return parts


def _plate(sides: int, radius: float, turn: float) -> Mesh:
    """A flat polygon that faces along x."""
    angle = turn + np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.stack([0 * angle, np.cos(angle), np.sin(angle)], axis=1) * radius
    faces = np.array([[0, n, n + 1] for n in range(1, sides - 1)])
    return Mesh(ring, faces, np.tile([1.0, 0, 0], (sides, 1)), ring[:, [1, 2, 0]] + 1)


def _signals(rng: np.random.Generator) -> Parts:
    """Traffic lights that face along x."""
    parts: Parts = {"pole": [cylinder(0.06, 3.4, sides=8), box([0.22, 0.3, 0.95], (0.1, 0, 2.4), number=2)]}
    lit = rng.integers(3)
    for n in range(3):
        lens = numbered(_plate(10, 0.1, 0.0), 104 + 2 * n + (n == lit))
        add(parts, "sign", moved(lens, standing((0.215, 0, 2.4 + 0.17 + 0.3 * n))))
    return parts


def _bin(rng: np.random.Generator) -> Parts:
    number = int(rng.integers(60))
    if rng.uniform() < 0.5:
        return {"object": [cylinder(0.24, 0.85, sides=12, number=number), cylinder(0.27, 0.08, (0, 0, 0.85), 12)]}
    wide = rng.uniform(0.5, 1.1)
    return {"object": [box([wide, 0.6, 0.95], number=number), box([wide + 0.06, 0.66, 0.07], (0, 0, 0.95))]}


def _wires(rng: np.random.Generator, plan: Plan, parts: Parts) -> None:
    """Wooden poles with cables on one side."""
    if rng.uniform() < 0.6:
        return
    side = int(rng.choice([-1, 1]))
    t, tops = side * (plan.edge(side) + 0.7), []
    for s in np.arange(plan.start, plan.end, 31.0):
        if plan.near_crossing(s, 7.0, side):
            continue
        pose = plan.line.pose(s, t, KERB)
        add(parts, "bark", moved(tube(np.array([[0, 0, -0.2], [0, 0, 7.6]]), np.array([0.15, 0.11]), 8), pose))
        add(parts, "bark", moved(box([0.1, 1.6, 0.1], (0.15, 0, 7.0)), pose))
        tops.append([pose @ np.array([0, y, 7.15, 1]) for y in (-0.7, 0.0, 0.7)])
    for one, two in pairwise(tops):
        for a, b in zip(one, two, strict=True):
            add(parts, "pole", tube(hanging(a[:3], b[:3], 0.4, 8), 0.012, 4, 2))
