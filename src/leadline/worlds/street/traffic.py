"""What moves in world ``street``: cars, vans, lorries, buses, people; and how it moves.

A vehicle's axes are x forward, y left, z up, from the ground below the middle of its rear axle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadline.worlds.raytracing import Mesh, ball, smooth_normals
from leadline.worlds.shapes import box, join, numbered, tube
from leadline.worlds.street.road import Parts, add, quads

#: Numbers of colours that parts of vehicles have, see ``outdoors.TRIM``.
TYRE, RIM, TAIL, HEAD, PLATE, BLACK = range(6)
#: Numbers of colours that parts of people have, see ``outdoors``: skins, hair, clothes, shoes.
SKINS, HAIRS, CLOTHES, SHOES = (0, 4), (4, 8), (8, 22), (22, 24)


@dataclass(frozen=True)
class Shape:
    """Measures of a vehicle, in metres.

    Args:
        length: from bumper to bumper.
        width: without mirrors.
        height: of the roof.
        belt: height of the lower edge of the windows.
        wheelbase: from axle to axle.
        front: from the front axle to the bumper.
        hood: height of the hood's middle, in parts of the belt.
        cabin: where its windows' lower edge ends and its roof ends, in front and then behind, as parts of the length
            from the rear bumper.
        roof: width of the roof, in parts of the width.
        wheel: radius.
        glazed: part of the cabin, from the front, that has side windows.
    """

    length: float
    width: float
    height: float
    belt: float
    wheelbase: float
    front: float
    hood: float
    cabin: tuple[float, float, float, float]
    roof: float = 0.7
    wheel: float = 0.32
    glazed: float = 1.0

    @property
    def rear(self) -> float:
        """From the rear bumper to the rear axle."""
        return self.length - self.wheelbase - self.front


def shape(rng: np.random.Generator, kind: str) -> Shape:
    """A random vehicle: a ``car``, ``van``, ``lorry`` or ``bus``."""
    if kind == "van":
        length, height = rng.uniform(4.9, 6.0), rng.uniform(1.95, 2.6)
        return Shape(length, rng.uniform(1.9, 2.05), height, 1.15, 0.6 * length, 0.9, 0.9,
                     (0.86, 0.72, 0.005, 0.02), 0.88, 0.34, rng.choice([0.25, 1.0]))  # fmt: skip
    if kind == "bus":
        length = rng.uniform(9.5, 12)
        return Shape(length, 2.5, rng.uniform(2.9, 3.2), 1.05, 0.5 * length, 2.6, 1.0,
                     (0.996, 0.98, 0.004, 0.01), 0.94, 0.48)  # fmt: skip
    if kind == "lorry":
        return Shape(rng.uniform(6.5, 8.5), 2.3, 2.5, 1.5, 4.2, 1.2, 1.0, (0.99, 0.96, 0.74, 0.75), 0.9, 0.45)
    kind = str(rng.choice(["saloon", "hatch", "estate", "suv"]))
    high = rng.uniform(1.62, 1.78) if kind == "suv" else rng.uniform(1.4, 1.55)
    length = rng.uniform(3.7, 4.3) if kind == "hatch" else rng.uniform(4.3, 4.8)
    cabin = {
        "saloon": (0.73, 0.56, 0.13, 0.27),
        "hatch": (0.75, 0.56, 0.02, 0.09),
        "estate": (0.73, 0.56, 0.015, 0.07),
        "suv": (0.75, 0.58, 0.015, 0.09),
    }[kind]
    return Shape(length, rng.uniform(1.7, 1.9), high, 0.62 * high, 0.6 * length, 0.2 * length, rng.uniform(0.84, 0.93),
                 cabin, rng.uniform(0.66, 0.74))  # fmt: skip


def vehicle(rng: np.random.Generator, form: Shape, number: int) -> Parts:
    """A vehicle of a form; its kinds are ``lacquer`` (colour ``number``), ``glass`` and ``trim``."""
    parts: Parts = {}
    lacquer = [_body(form), *_cabin(form, parts)]
    half = form.width / 2
    for side in (-1, 1):
        for x in (0.0, form.wheelbase):
            path = np.array([[x, side * 0.5, form.wheel], [x, side * (half + 0.012), form.wheel]])
            add(parts, "trim", tube(path, form.wheel, 12, TYRE))
            for colour, radius, out in ((BLACK, form.wheel + 0.06, 0.004), (RIM, 0.62 * form.wheel, 0.02)):
                add(parts, "trim", _disc(colour, radius, np.array([x, side * (half + out), form.wheel]), side))
        nose, tail = form.wheelbase + form.front, -form.rear
        low = 0.62 * form.belt
        for x, colour, z in ((nose - 0.13, HEAD, low), (tail - 0.015, TAIL, 0.78 * form.belt)):
            add(parts, "trim", box([0.16, 0.34, 0.15], (x + 0.03, side * (half - 0.28), z), number=colour))
        mirror = box(
            [0.12, 0.2, 0.14], (form.cabin[0] * form.length - form.rear - 0.35, side * (half + 0.07), 0.98 * form.belt)
        )
        lacquer.append(mirror)
    for x, z, wide, high, colour in (
        (nose - 0.02, 0.42, 0.52, 0.11, PLATE),
        (tail - 0.0, 0.5 * form.belt, 0.52, 0.11, PLATE),
        (nose - 0.06, 0.3, 0.8 * form.width, 0.1, BLACK),
        (tail + 0.03, 0.3, 0.8 * form.width, 0.1, BLACK),
    ):
        add(parts, "trim", box([0.1, wide, high], (x, 0, z), number=colour))
    parts["lacquer"] = [numbered(mesh, number) for mesh in lacquer]
    if form.hood == 1.0 and form.belt > 1.3:  # a lorry's box
        long = 0.72 * form.length
        load = box([long, 2.45, 2.5], (-form.rear + long / 2, 0, 0.95), number=int(rng.integers(12)))
        add(parts, "lacquer", load)
    return {kind: [join(meshes)] for kind, meshes in parts.items()}


def _disc(number: int, radius: float, middle: np.ndarray, side: int, corners: int = 12) -> Mesh:
    """A flat polygon that faces to the left (1) or the right (-1)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    ring = middle + radius * np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
    faces = np.array([[0, n, n + 1] for n in range(1, corners - 1)])
    return numbered(Mesh(ring, faces, np.tile([0.0, side, 0], (corners, 1)), _local(ring)), number)


def _body(form: Shape) -> Mesh:
    """Everything below the windows: cross sections one behind the other."""
    truck = form.hood == 1.0 and form.belt > 1.3
    # Part of the length from behind, of the half width, height of the lower and the upper edge.
    top, nose = form.belt, form.hood * form.belt
    tail = 0.95 * form.belt
    rows = [
        (0.0, 0.86, 0.42, 0.74 * top), (0.012, 0.94, 0.3, 0.9 * tail), (0.05, 0.985, 0.24, tail),
        (0.2, 1.0, 0.2, 0.99 * top), (0.5, 1.0, 0.19, top), (0.74, 1.0, 0.2, 0.98 * top),
        (0.8, 0.99, 0.2, nose), (0.92, 0.965, 0.23, 0.9 * nose), (0.975, 0.9, 0.28, 0.78 * nose),
        (1.0, 0.8, 0.38, 0.62 * nose),
    ]  # fmt: skip
    if form.hood == 1.0:
        rows = [(p, w, low, top * (0.35 if truck and p < 0.72 else 1.0) if 0 < p < 1 else 0.6)
                for p, w, low, _ in [*rows[:5], (0.71, 1.0, 0.2, 0), (0.73, 1.0, 0.2, 0), *rows[6:]]]  # fmt: skip
    around = np.array([
        [0.8, 0.0], [0.97, 0.14], [1.0, 0.45], [0.975, 0.8], [0.92, 0.96], [0.8, 1.0], [0.4, 1.02], [0, 1.03],
    ])  # fmt: skip
    ring = np.concatenate([around, (around * [-1, 1])[-2::-1]])
    rings = np.array([
        np.column_stack([
            np.full(len(ring), p * form.length - form.rear),
            ring[:, 0] * w * form.width / 2,
            low + ring[:, 1] * (high - low),
        ])
        for p, w, low, high in rows
    ])  # fmt: skip
    return _lofted(rings)


def _lofted(rings: np.ndarray) -> Mesh:
    """A smooth surface through closed rings (N, M, 3), with flat ends."""
    rows, columns = rings.shape[:2]
    first = np.arange(rows - 1)[:, None] * columns
    here, beside = first + np.arange(columns), first + (np.arange(columns) + 1) % columns
    faces = [np.stack(c, axis=2).reshape(-1, 3) for c in ((here, beside, beside + columns),
                                                          (here, beside + columns, here + columns))]  # fmt: skip
    vertices = rings.reshape(-1, 3)
    normals = smooth_normals(vertices, np.concatenate(faces))
    body = Mesh(vertices, np.concatenate(faces), normals, _local(vertices))
    ends = []
    for ring, way in ((rings[0], -1.0), (rings[-1], 1.0)):
        fan = np.stack([0 * np.arange(columns), 1 + np.arange(columns), 1 + (np.arange(columns) + 1) % columns], 1)
        cap = np.concatenate([[ring.mean(axis=0)], ring])
        ends.append(Mesh(cap, fan, np.tile([way, 0, 0], (len(cap), 1)), _local(cap)))
    return join([body, *ends])


def _local(vertices: np.ndarray) -> np.ndarray:
    """(N, 3) paint: the place along the vehicle and upwards."""
    return np.stack([vertices[:, 0], vertices[:, 2], np.full(len(vertices), 0.5)], axis=1)


def _cabin(form: Shape, parts: Parts) -> list[Mesh]:
    """Windows, roof and the posts between them: a block that narrows upwards."""
    front, roof_front, rear, roof_rear = (part * form.length - form.rear for part in form.cabin)
    belt, high, low_half, top_half = form.belt - 0.06, form.height, 0.47 * form.width, form.roof * form.width / 2
    base = np.array(
        [[rear, -low_half, belt], [front, -low_half, belt], [front, low_half, belt], [rear, low_half, belt]]
    )
    rim = np.array([[roof_rear, -top_half, high - 0.07], [roof_front, -top_half, high - 0.07],
                    [roof_front, top_half, high - 0.07], [roof_rear, top_half, high - 0.07]])  # fmt: skip
    sides = [(a, (a + 1) % 4) for a in range(4)]
    corners = np.array([[base[a], base[b], rim[b], rim[a]] for a, b in sides])
    add(parts, "glass", quads(corners, np.stack([corners[..., 0], corners[..., 2], 0 * corners[..., 0] + 0.5], axis=2)))
    thick = 0.05 if form.height < 1.9 else 0.07
    posts = [tube(np.array([base[n], rim[n]]), thick, 6) for n in range(4)]
    count = max(2, round((front - rear) / (1.1 if form.height < 2.8 else 1.6)))
    for part in np.linspace(0, 1, count + 1)[1:-1]:
        for a, b in ((0, 1), (3, 2)):
            low, up = base[a] * (1 - part) + base[b] * part, rim[a] * (1 - part) + rim[b] * part
            posts.append(tube(np.array([low, up]), 0.035, 5))
    if form.glazed < 1:  # a van without windows behind the driver
        out = np.array([0, 0.02, 0])
        for a, b, way in ((0, 1, -1), (3, 2, 1)):
            part = 1 - form.glazed
            plate = np.array([base[a], base[a] * (1 - part) + base[b] * part,
                              rim[a] * (1 - part) + rim[b] * part, rim[a]]) + way * out  # fmt: skip
            posts.append(quads(plate[None], _local(plate)[None]))
        back = np.array([base[0], base[3], rim[3], rim[0]]) - [0.02, 0, 0]
        posts.append(quads(back[None], _local(back)[None]))
    return [*posts, _roof(roof_rear, roof_front, top_half, high - 0.075)]


def _roof(rear: float, front: float, half: float, low: float) -> Mesh:
    """A plate, rounded towards its edges."""
    rows = ((0.0, 1.03, 0.0), (0.04, 1.0, 0.0), (0.07, 0.86, 0.08), (0.075, 0.4, 0.2))  # rise, width, shortened
    rings = []
    for rise, wide, part in rows:
        x, y = (rear + part * (front - rear), front - part * (front - rear)), wide * half
        rings.append([[x[0], -y, low + rise], [x[1], -y, low + rise], [x[1], y, low + rise], [x[0], y, low + rise]])
    roof = _lofted(np.array(rings))
    assert roof.normals is not None
    roof.normals[-10:] = [0, 0, 1]  # the ends of this loft are its underside and its top
    return roof


def ego() -> Mesh:
    """The vehicle that carries the cameras: low enough not to hide their view."""
    form = Shape(4.0, 1.66, 1.4, 0.9, 2.45, 0.72, 0.86, (0.72, 0.56, 0.04, 0.12), 0.68, 0.3)
    parts = vehicle(np.random.default_rng(0), form, EGO_LACQUER)
    glass, trim = parts["glass"][0], parts["trim"][0]
    return join([parts["lacquer"][0], numbered(trim, EGO_TRIM), numbered(glass, EGO_GLASS)])


#: Numbers of the ego vehicle's colours, see ``outdoors``.
EGO_LACQUER, EGO_GLASS, EGO_TRIM = 0, 1, 2


def person(rng: np.random.Generator) -> list[Mesh]:
    """Body, two legs and two arms of somebody who looks along x.

    Legs are given from their hip, arms from their shoulder, as they hang; see ``joints``. The owner of a part is in
    the order of the list.

    Args:
        rng: decides what they look like.
    """
    skin, hair, shirt, trousers, shoe = (int(rng.integers(*span)) for span in (SKINS, HAIRS, CLOTHES, CLOTHES, SHOES))
    stout = rng.uniform(0.85, 1.2)
    round_head, faces = ball(1)
    head = round_head * [0.095, 0.08, 0.12] + [0.01, 0, 1.62]
    crown = round_head * [0.1, 0.09, 0.11] + [-0.02, 0, 1.66]
    torso = tube(np.array([[0, 0, 0.82], [0, 0, 0.95], [0, 0, 1.2], [0, 0, 1.4], [0, 0, 1.48], [0.01, 0, 1.55]]),
                 stout * np.array([0.15, 0.165, 0.165, 0.19, 0.1, 0.055]), 10, shirt)  # fmt: skip
    slim = np.array([0.62, 1.0, 1.0])
    torso = Mesh(torso.vertices * slim, torso.faces, torso.normals, torso.paint)
    body = [torso]
    for lump, colour in ((head, skin), (crown, hair)):
        body.append(numbered(Mesh(lump, faces, smooth_normals(lump, faces), lump), colour))
    if rng.uniform() < 0.35:
        body.append(box([0.16, 0.3, 0.42], (-0.17, 0, 1.02), number=int(rng.integers(*CLOTHES))))
    leg = join([
        tube(np.array([[0, 0, 0.04], [0.02, 0, -0.4], [0, 0, -0.8]]), stout * np.array([0.085, 0.065, 0.05]), 7,
             trousers),
        box([0.26, 0.1, 0.08], (0.05, 0, -0.87), number=shoe),
    ])  # fmt: skip
    arm = join([
        tube(np.array([[0, 0, 0.02], [0, 0, -0.3], [0.05, 0, -0.52]]), stout * np.array([0.055, 0.045, 0.038]), 6,
             shirt),
        tube(np.array([[0.05, 0, -0.52], [0.07, 0, -0.62]]), 0.035, 5, skin),
    ])  # fmt: skip
    return [join(body), leg, leg, arm, arm]


def joints(swing: float, tall: float) -> np.ndarray:
    """(5, 4, 4) where the parts of somebody are in their own axes, legs turned forth and back by ``swing`` radians."""
    poses = np.tile(np.diag([tall, tall, tall, 1.0]), (5, 1, 1))
    for part, (y, z, turn) in enumerate(
        ((0.09, 0.87, swing), (-0.09, 0.87, -swing), (0.2, 1.42, -0.8 * swing), (-0.2, 1.42, 0.8 * swing)), 1
    ):
        poses[part, :3, 3] = [0, tall * y, tall * z]
        sin, cos = np.sin(turn), np.cos(turn)
        poses[part, :3, :3] = tall * np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    return poses


class Troupe:
    """Rigid parts that move, joined to one mesh.

    Args:
        parts: each in its own axes.
    """

    def __init__(self, parts: Sequence[Mesh]) -> None:
        self._mesh = join(parts)
        self._owner = np.repeat(np.arange(len(parts)), [len(mesh.vertices) for mesh in parts])

    def at(self, poses: np.ndarray) -> Mesh:
        """The mesh with each part at its pose (N, 4, 4), which may scale alike along all axes."""
        mesh = self._mesh
        assert mesh.normals is not None
        turn = poses[self._owner, :3, :3]
        vertices = np.einsum("nij,nj->ni", turn, mesh.vertices) + poses[self._owner, :3, 3]
        normals = np.einsum("nij,nj->ni", turn, mesh.normals)
        return Mesh(vertices, mesh.faces, normals, mesh.paint)
