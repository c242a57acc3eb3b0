"""Meshes of simple things, with texture coordinates in metres.

Axes have z up. Every vertex has a normal, and every mesh a ``paint`` of three channels: (u, v) along the surface in
metres and w, which tells faces apart; ``number`` tells things of one mesh apart (see ``textures.APART``). ``at`` is
where the middle of a thing's underside stands, ``turn`` its turn about the vertical, in radians, counterclockwise seen
from above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from leadline.errors import ConfigError
from leadline.worlds.noise import Noise
from leadline.worlds.raytracing import Mesh, ball, smooth_normals
from leadline.worlds.textures import APART

#: Neighbouring parts of a lathe's profile that turn by more than this, as a cosine, meet in an edge.
EDGE = np.cos(np.radians(40))
Vector = Sequence[float] | np.ndarray
ORIGIN = (0.0, 0.0, 0.0)

# The six sides of a block, four vertices each: which axes u and v run along, where along them a vertex lies (24, 2),
# the normals (24, 3), the places (24, 3) and the triangles (12, 3).
_RIGHT = np.array([[0, -1, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0], [1, 0, 0], [1, 0, 0]])
_UP = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, -1, 0], [0, 1, 0]])
_U, _V = (np.repeat(np.argmax(np.abs(axes), axis=1), 4) for axes in (_RIGHT, _UP))
_CORNER = np.tile([[0, 0], [1, 0], [1, 1], [0, 1]], (6, 1))
_OUT = np.repeat(np.cross(_RIGHT, _UP), 4, axis=0).astype(float)
_UNIT = (
    _OUT / 2
    + np.repeat(_RIGHT, 4, axis=0) * (_CORNER[:, :1] - 0.5)
    + np.repeat(_UP, 4, axis=0) * (_CORNER[:, 1:] - 0.5)
)
_QUADS = (4 * np.arange(6)[:, None, None] + [[0, 1, 2], [0, 2, 3]]).reshape(-1, 3)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several.

    Raises:
        ConfigError: there is none, or some are clear and others not.
    """
    if len({mesh.clear for mesh in meshes}) != 1:
        raise ConfigError(f"join: {len(meshes)} meshes, of which all or none must be clear")
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.normals for mesh in meshes if mesh.normals is not None]),
        np.concatenate([mesh.paint for mesh in meshes if mesh.paint is not None]),
        meshes[0].clear,
    )


def moved(mesh: Mesh, pose: np.ndarray) -> Mesh:
    """A mesh carried along by a rigid motion (4, 4); its paint stays on it."""
    normals = None if mesh.normals is None else mesh.normals @ pose[:3, :3].T
    return replace(mesh, vertices=mesh.vertices @ pose[:3, :3].T + pose[:3, 3], normals=normals)


def standing(at: Vector = ORIGIN, turn: float = 0.0) -> np.ndarray:
    """(4, 4) rigid motion that puts what stands at the origin at ``at``, turned."""
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    pose[:3, 3] = at
    return pose


def numbered(mesh: Mesh, number: float) -> Mesh:
    """The same mesh as thing ``number`` of those that will be joined."""
    assert mesh.paint is not None
    return replace(mesh, paint=mesh.paint + np.array([0, 0, APART * number]))


def box(size: Vector, at: Vector = ORIGIN, turn: float = 0.0, number: int = 0, along: bool = False) -> Mesh:
    """A block.

    Args:
        size: (3,) along x, y, z.
        at: see above.
        turn: see above.
        number: see above.
        along: u runs along the longer side of each face, as the grain of wood does; otherwise u runs horizontally and
            v upwards (x and y on the top).
    """
    sides = np.asarray(size, float)
    wide, high = sides[_U], sides[_V]
    u, v = _CORNER[:, 0] * wide, _CORNER[:, 1] * high
    if along:
        turned = high > wide
        u, v = np.where(turned, v, u), np.where(turned, (1 - _CORNER[:, 0]) * wide, v)
    paint = np.column_stack([u, v, 1 + 2.3 * (np.arange(24) // 4)])
    block = Mesh(_UNIT * sides + np.array([0, 0, sides[2] / 2]), _QUADS, _OUT, paint)
    return numbered(moved(block, standing(at, turn)), number)


def panel(
    size: Vector,
    middle: Vector = ORIGIN,
    right: Vector = (1.0, 0.0, 0.0),
    up: Vector = (0.0, 0.0, 1.0),
    number: int = 0,
    hole: tuple[float, float, float, float] | None = None,
    clear: bool = False,
) -> Mesh:
    """A rectangle without thickness.

    Args:
        size: (2,) to the right and upwards, in metres.
        middle: (3,) its middle.
        right: (3,) unit, along u, which is 0 at the left edge.
        up: (3,) unit, along v, which is 0 at the lower edge; the rectangle faces ``right`` x ``up``.
        number: see above.
        hole: (u, v, u, v) lower left and upper right corner of a rectangle left out.
        clear: see Mesh.
    """
    lines = [np.array([0.0, side]) for side in size]
    if hole is not None:
        lines = [np.array([0.0, hole[axis], hole[axis + 2], size[axis]]) for axis in (0, 1)]
    u, v = (grid.ravel() for grid in np.meshgrid(*lines))
    columns, cells = len(lines[0]), []
    for row in range(len(lines[1]) - 1):
        for column in range(columns - 1):
            if hole is None or (row, column) != (1, 1):
                first = row * columns + column
                cells += [[first, first + 1, first + columns + 1], [first, first + columns + 1, first + columns]]
    across, upwards = np.asarray(right, float), np.asarray(up, float)
    places = np.asarray(middle) + np.outer(u - size[0] / 2, across) + np.outer(v - size[1] / 2, upwards)
    normals = np.tile(np.cross(across, upwards), (len(u), 1))
    paint = np.column_stack([u, v, np.full(len(u), APART * number)])
    return Mesh(places, np.array(cells), normals, paint, clear)


def tube(path: np.ndarray, radius: float | np.ndarray, sides: int = 8, number: int = 0) -> Mesh:
    """A round bar along a line, closed at both ends: pipes, cables, legs, poles, cones.

    Args:
        path: (N, 3) of its middle, N at least 2.
        radius: in metres, or (N,) one for each place.
        sides: around.
        number: see above. u runs along it, v around.
    """
    path = np.asarray(path, float)
    thick = np.broadcast_to(np.asarray(radius, float), len(path))
    steps = np.diff(path, axis=0)
    length = np.linalg.norm(steps, axis=1)
    ahead = steps / np.maximum(length, 1e-12)[:, None]
    tangents = np.concatenate([ahead[:1], ahead[:-1] + ahead[1:], ahead[-1:]])
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-12)
    across = np.empty_like(tangents)
    side = np.eye(3)[np.argmin(np.abs(tangents[0]))]
    for place, tangent in enumerate(tangents):  # turned as little as possible from one place to the next
        side = side - tangent * (side @ tangent)
        side = across[place] = side / np.sqrt(side @ side)
    frames = np.stack([across, np.cross(tangents, across)], axis=1)
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outward = np.einsum("sk,nkj->nsj", circle, frames)
    travelled = np.concatenate([[0], np.cumsum(length)])
    slope = np.gradient(thick, np.maximum(travelled, travelled + 1e-9 * np.arange(len(path))))
    normals = outward - slope[:, None, None] * tangents[:, None]
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    vertices = path[:, None] + thick[:, None, None] * outward
    v = np.broadcast_to(turn * thick.max(), (len(path), sides + 1))
    paint = np.stack([np.broadcast_to(travelled[:, None], v.shape), v, np.zeros_like(v)], axis=2)
    body = Mesh(vertices.reshape(-1, 3), _grid(len(path), sides + 1), normals.reshape(-1, 3), paint.reshape(-1, 3))
    ends = [_disc(vertices[0, ::-1], -tangents[0]), _disc(vertices[-1], tangents[-1])]
    return numbered(join([body, *ends]), number)


def cylinder(radius: float, height: float, at: Vector = ORIGIN, sides: int = 16, number: int = 0) -> Mesh:
    """An upright cylinder; u runs around it and v upwards."""
    return lathe(np.array([[0, 0], [radius, 0], [radius, height], [0, height]]), at, sides, number)


def cone(radius: float, top: float, height: float, at: Vector = ORIGIN, sides: int = 16, number: int = 0) -> Mesh:
    """An upright cone, cut off where its radius is ``top``: lamp shades, buckets, pots."""
    return lathe(np.array([[0, 0], [radius, 0], [top, height], [0, height]]), at, sides, number)


def lathe(profile: np.ndarray, at: Vector = ORIGIN, sides: int = 24, number: int = 0) -> Mesh:
    """What turns about an upright axis: vases, bottles, cups.

    Args:
        profile: (N, 2) radius and height in metres, from the lower end of the axis along the outside; it is closed if
            both ends have radius 0.
        at: see above.
        sides: around.
        number: see above. u runs around it, v along the profile; on a flat top they are x and y.
    """
    profile = np.asarray(profile, float)
    profile = profile[np.linalg.norm(np.diff(profile, axis=0, prepend=np.inf), axis=1) > 1e-9]
    steps = np.diff(profile, axis=0)
    length = np.linalg.norm(steps, axis=1)
    outward = np.stack([steps[:, 1], -steps[:, 0]], axis=1) / np.maximum(length, 1e-12)[:, None]
    ends = np.stack([outward, outward], axis=1)  # of each part, at its beginning and its end
    rounded = np.flatnonzero(np.einsum("ni,ni->n", outward[:-1], outward[1:]) > EDGE)
    blended = outward[rounded] + outward[rounded + 1]
    blended /= np.linalg.norm(blended, axis=1, keepdims=True)
    ends[rounded, 1], ends[rounded + 1, 0] = blended, blended
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    cos, sin = np.cos(turn), np.sin(turn)
    travelled, widest = np.concatenate([[0], np.cumsum(length)]), profile[:, 0].max()
    parts = []
    for part in range(len(steps)):
        pair, lean = profile[part : part + 2], ends[part]
        vertices = np.stack([np.outer(pair[:, 0], cos), np.outer(pair[:, 0], sin), np.outer(pair[:, 1], 0 * cos + 1)])
        normals = np.stack([np.outer(lean[:, 0], cos), np.outer(lean[:, 0], sin), np.outer(lean[:, 1], 0 * cos + 1)])
        along = np.outer(travelled[part : part + 2], 0 * turn + 1)
        flat = abs(outward[part, 1]) > 0.95  # as a table's top is
        round_it = [np.outer([1, 1], turn * widest), along, 0 * along]
        paint = np.stack([*vertices[:2], 0 * along + 2 + part] if flat else round_it)
        columns = (array.reshape(3, -1).T for array in (vertices, normals, paint))
        faces = _grid(2, sides + 1)
        keep = np.repeat([[pair[0, 0] > 0, pair[1, 0] > 0]], sides, axis=0).ravel()  # triangles that are no line
        places, directions, coordinates = columns
        parts.append(Mesh(places, faces[keep], directions, coordinates))
    return numbered(moved(join(parts), standing(at)), number)


def blob(
    rng: np.random.Generator,
    size: Vector,
    at: Vector = ORIGIN,
    rough: float = 0.2,
    subdivisions: int = 3,
    number: int = 0,
) -> Mesh:
    """A lump: stones, bushes, crowns of trees, cushions, fruit.

    Args:
        rng: decides its shape.
        size: (3,) along x, y, z.
        at: see above.
        rough: how far bumps stand out, in parts of its radius.
        subdivisions: each makes four triangles of one, from 20.
        number: see above. Paint is the place itself, for solid noise.
    """
    vertices, faces = ball(subdivisions)
    bumps = Noise(rng).fractal(vertices + rng.uniform(0, 9, 3), 0.9, 3)
    vertices = vertices * (1 + rough * bumps) * (np.asarray(size) / 2)
    vertices = vertices - [0, 0, vertices[:, 2].min()]
    mesh = Mesh(vertices, faces, smooth_normals(vertices, faces), vertices - vertices.min(axis=0))
    return numbered(moved(mesh, standing(at)), number)


def cushion(size: Vector, at: Vector = ORIGIN, turn: float = 0.0, round: float = 0.35, number: int = 0) -> Mesh:
    """A block with soft edges: seats, pillows, bags, cars' bodies.

    Args:
        size: (3,) along x, y, z.
        at: see above.
        turn: see above.
        round: 0 is a block, 1 an ellipsoid.
        number: see above. u and v run along the sides that it would have as a block.
    """
    vertices, faces = ball(4)
    # The ellipsoid |x|^p + |y|^p + |z|^p = 1 of a high power is nearly a block.
    power = 2 / max(round, 0.05)
    norm = (np.abs(vertices) ** power).sum(axis=1, keepdims=True) ** (1 / power)
    vertices = vertices / norm * (np.asarray(size, float) / 2)
    normals = smooth_normals(vertices, faces)
    middle = normals[faces].mean(axis=1)
    axis = np.argmax(np.abs(middle) * [1, 1, 1.0001], axis=1)
    u, v = np.array([1, 0, 0])[axis], np.array([2, 2, 1])[axis]
    flat = faces.ravel()
    corner = vertices + np.asarray(size, float) / 2
    whole = np.repeat(axis, 3)
    paint = np.stack([corner[flat, np.repeat(u, 3)], corner[flat, np.repeat(v, 3)], corner[flat, whole] + 4 * whole], 1)
    exploded = Mesh(
        vertices[flat] + [0, 0, np.asarray(size, float)[2] / 2],
        np.arange(len(flat)).reshape(-1, 3),
        normals[flat],
        paint,
    )
    return numbered(moved(exploded, standing(at, turn)), number)


def leaves(rng: np.random.Generator, places: np.ndarray, size: float, slim: float = 0.45, number: int = 0) -> Mesh:
    """Leaves, each two triangles folded along its middle, seen from both sides.

    Args:
        rng: decides how they lie.
        places: (N, 3) where their stems end.
        size: their length in metres, half of it to half more.
        slim: width over length.
        number: of the first; each is a thing of its own.
    """
    count = len(places)
    out = rng.standard_normal((count, 3)) * [1, 1, 0.6] + [0, 0, 0.2]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    across = np.cross(out, rng.standard_normal((count, 3)) * 0.5 + [0, 0, 1])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    over = np.cross(across, out)
    long = size * rng.uniform(0.5, 1.5, (count, 1))
    # Stem, left, tip, right; the sides are lifted.
    side, belly = long * slim / 2, long * 0.45
    lift = side * rng.uniform(0.1, 0.6, (count, 1))
    corners = np.stack(
        [
            places,
            places + belly * out - side * across + lift * over,
            places + long * out,
            places + belly * out + side * across + lift * over,
        ],
        axis=1,
    )
    first = 4 * np.arange(count)[:, None, None]
    faces = (first + np.array([[0, 2, 1], [0, 3, 2]])).reshape(-1, 3)
    vertices = corners.reshape(-1, 3)
    zero = np.zeros_like(long)
    flat = np.stack([np.hstack([zero, belly, long, belly]), np.hstack([zero, -side, zero, side])], axis=2)
    things = np.repeat(APART * (number + np.arange(count)) + 1, 4)
    paint = np.column_stack([flat.reshape(-1, 2), things])
    return Mesh(vertices, faces, smooth_normals(vertices, faces), paint)


def sheet(path: np.ndarray, height: float, at: Vector = ORIGIN, number: int = 0) -> Mesh:
    """Hanging cloth without thickness: curtains, clothes, flags.

    Args:
        path: (N, 2) of its lower edge, seen from above.
        height: in metres.
        at: see above.
        number: see above. u runs along it, v upwards.
    """
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    lower = np.column_stack([path, 0 * along])
    vertices = np.concatenate([lower, lower + np.array([0, 0, height])])
    faces = _grid(2, len(path))
    paint = np.column_stack([np.tile(along, 2), np.repeat([0, height], len(path)), np.zeros(len(vertices))])
    mesh = Mesh(vertices, faces, smooth_normals(vertices, faces), paint)
    return numbered(moved(mesh, standing(at)), number)


def hanging(start: Vector, end: Vector, sag: float, steps: int = 12) -> np.ndarray:
    """(steps + 1, 3) path of a cable between two places (3,), which hangs ``sag`` metres below its straight line."""
    part = np.linspace(0, 1, steps + 1)[:, None]
    path = np.asarray(start) * (1 - part) + np.asarray(end) * part
    return path - [0, 0, 1] * (4 * sag * part * (1 - part))


def arc(path: np.ndarray, steps: int = 6) -> np.ndarray:
    """(M, 3) smooth line through the places (N, 3) of a path, with ``steps`` parts between two (Catmull-Rom)."""
    path = np.asarray(path, float)
    padded = np.concatenate([2 * path[:1] - path[1:2], path, 2 * path[-1:] - path[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        pieces.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate([*pieces, path[-1:]])


def _grid(rows: int, columns: int) -> np.ndarray:
    """(F, 3) two triangles for each cell of a grid of vertices, numbered row by row."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([first, first + columns + 1, first + columns], axis=1)
    upper = np.stack([first, first + 1, first + columns + 1], axis=1)
    return np.stack([upper, lower], axis=1).reshape(-1, 3)


def _disc(ring: np.ndarray, normal: np.ndarray) -> Mesh:
    """The flat end of a tube: its last ring (S + 1, 3), the first vertex twice, facing along ``normal``."""
    middle = ring[:-1].mean(axis=0)
    vertices = np.concatenate([[middle], ring])
    around = np.arange(1, len(ring))
    faces = np.stack([0 * around, around, around + 1], axis=1)
    side = ring[0] - middle
    side = side / max(np.linalg.norm(side), 1e-12)
    local = vertices - middle
    paint = np.stack([local @ side, local @ np.cross(normal, side), np.full(len(vertices), 0.7)], axis=1)
    return Mesh(vertices, faces, np.tile(normal, (len(vertices), 1)), paint)
