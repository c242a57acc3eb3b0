"""World ``room``: furnished rooms with mirrors, glass and polished things, seen by a hand-held camera.

Furniture stands along the walls and in the middle, small things stand on it and hide each other; legs, cables, stems
and rods are thin. Depth at a mirror or a pane is that of its surface. Units are metres, z is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from leadline.camera import Pinhole
from leadline.errors import ConfigError
from leadline.geometry.poses import axis_angle_to_matrix
from leadline.rig import Mount
from leadline.worlds import textures
from leadline.worlds.base import Place, World, smooth
from leadline.worlds.raytracing import Hits, Mesh, Scene
from leadline.worlds.room import interior
from leadline.worlds.shading import Shading, Sky, Sun

#: Side of the cells in which free space is looked for, in metres, and how many the camera's way stays off things.
CELL, AWAY = 0.1, 5
#: Heights that a camera is held at, in metres.
HELD = (0.9, 1.8)
#: How far the hand sways beside its way, in metres.
SWAY = 0.04
#: Shortest and longest way, in cells.
LENGTHS = (12, 32)
#: The same where the camera stays by one thing: how many cells off things, at what heights, how long a way.
CLOSE_AWAY, CLOSE_HELD, CLOSE_LENGTHS = 2, (0.5, 1.7), (3, 9)
#: Rays that look for what darkens corners, and how far away that is, in metres.
CORNERS, DARKENING = 12, 1.0
#: Ways that are compared for what is seen from them, and rays (across, down) of each look.
TRIES, GLANCE = 24, (24, 18)


@dataclass(frozen=True)
class Room(World):
    """Furnished rooms, metric depth in metres.

    Args:
        fov: range of the horizontal field of view, in degrees; each place has a lens of its own.
        speed: range of the camera's mean speed, in metres a second.
        photographs: folder whose images hang on the walls instead of invented ones.
        corners: corners and gaps are darker, as they are where light is thrown to and fro; frames take 1.6 times as
            long.
        close: range of metres in which the camera stays off one thing it looks at, on its table or in its shelf; None
            lets it go through the room, off all things.
        sober: chance that a room has few colours, many shades and paint without blotches, as most have; others are as
            varied as can be, so that nothing can be told by its colour.

    Raises:
        ConfigError: the folder holds no image, ``close`` is no range or ``sober`` no chance.
    """

    name: ClassVar[str] = "room"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "m"
    classes: ClassVar[tuple[str, ...]] = interior.CLASSES

    fov: tuple[float, float] = (55.0, 75.0)
    speed: tuple[float, float] = (0.2, 0.6)
    photographs: str | None = None
    corners: bool = False
    close: tuple[float, float] | None = None
    sober: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.close is not None and not 0.2 <= self.close[0] < self.close[1] < np.inf:
            raise ConfigError(f"close: from {self.close[0]:g} to {self.close[1]:g} m is no range from at least 0.2")
        if not 0 <= self.sober <= 1:
            raise ConfigError(f"sober: {self.sober:g} is not a chance between 0 and 1")
        if self.photographs is not None:
            textures.photographs(self.photographs)

    def clip(self, seed: int, frames: int) -> RoomPlace:
        """The frames of one way through one room."""
        return RoomPlace(self, seed, frames)


class RoomPlace(Place):
    """A room, its light and a way through it.

    Args:
        world: the kind of room.
        seed: of everything random.
        frames: how many instants.
    """

    def __init__(self, world: Room, seed: int, frames: int) -> None:
        super().__init__(world, seed, frames)
        rng = np.random.default_rng([seed, 0x726F6F6D])
        pictures = [] if world.photographs is None else textures.photographs(world.photographs)
        size = np.array([rng.uniform(3.2, 7.5), rng.uniform(3.2, 6), rng.uniform(2.4, 3.2)])
        taste = np.random.default_rng([seed, 0x736F6265])
        stock = interior.Stock(rng, pictures, taste if taste.uniform() < world.sober else None)
        walls = interior.shell(rng, stock, size)
        windows = interior.windows(rng, stock, walls, size)
        day = bool(rng.uniform() < 0.7)
        lamps = interior.lamps(rng, stock, windows, day, size)
        things = interior.furnish(rng, stock, walls, size)
        self.still, self.labels, materials = stock.built()
        tint = textures.colour(rng, (0.9, 1.0), (0, 0.12))
        around = rng.uniform(0.12, 0.3) * tint
        self.shading = Shading(
            materials,
            lamps,
            _sun(rng, windows) if day else None,
            around,
            around * rng.uniform(0.5, 0.8),
            sky=_sky(day),
            corners=CORNERS if world.corners else 0,
            reach=DARKENING,
        )
        self.mount = Mount(Pinhole.from_fov(world.width, world.height, rng.uniform(*world.fov)), np.eye(4))
        way = Way(rng, self.still, self.labels, size, things, rng.uniform(*world.speed), world.close)
        self.poses = way.poses(np.arange(frames) / world.rate)

    def shade(
        self, scene: Scene, seen: Hits, rays: np.ndarray, spread: np.ndarray | float, index: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Light of lamps, windows and the sun, and what mirrors, panes and polished things show."""
        return self.shading.shade(scene, seen, rays, spread, np.random.default_rng([self.seed, index, 4]))


def _sun(rng: np.random.Generator, windows: Sequence[np.ndarray]) -> Sun | None:
    """Sometimes it shines in by a window."""
    if not windows or rng.uniform() < 0.5:
        return None
    aside, up = rng.uniform(-0.7, 0.7), rng.uniform(0.35, 0.9)
    direction = windows[0][:3, :3] @ [np.sin(aside) * np.cos(up), np.cos(aside) * np.cos(up), np.sin(up)]
    return Sun(direction, np.array([1.0, 0.93, 0.8]) * rng.uniform(1.2, 2.5))


def _sky(day: bool) -> Sky:
    """Light where nothing stands, outside."""
    night = np.full(3, 0.02, np.float32)
    horizon = np.array([1.7, 1.75, 1.8], np.float32) if day else night
    zenith = np.array([0.6, 0.95, 1.6], np.float32) if day else night

    def sky(directions: np.ndarray) -> np.ndarray:
        up = np.clip(directions[:, 2:], 0, 1) ** 0.6
        return (horizon * (1 - up) + zenith * up).astype(np.float32)

    return sky


class Way:
    """How a hand carries the camera to and fro on a way through free space, looking at things.

    Args:
        rng: decides it.
        scene: what stands there.
        labels: of the meshes, classes.
        size: (3,) of the room, in metres.
        things: (3,) places worth looking at.
        speed: mean, in metres a second.
        close: range of metres it stays off what it looks at; None where it may stand anywhere.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        scene: Scene,
        labels: np.ndarray,
        size: np.ndarray,
        things: Sequence[np.ndarray],
        speed: float,
        close: tuple[float, float] | None = None,
    ) -> None:
        plain = np.isin(labels, [interior.CLASSES.index(name) for name in ("wall", "floor", "ceiling")])
        away, heights, lengths = (CLOSE_AWAY, CLOSE_HELD, CLOSE_LENGTHS) if close else (AWAY, HELD, LENGTHS)
        nearest = close[0] if close else 1.0
        free, best = _free(scene.still, size, away), -np.inf
        cells = np.argwhere(free)
        height = (cells[:, 2] + 0.5) * CELL
        held = cells[(height > heights[0]) & (height < heights[1])]
        cells = held if len(held) else cells  # a very full room is looked at from above
        for _ in range(TRIES):
            start = cells
            if close:
                focus = _one(rng, things, size)
                far = np.linalg.norm((cells + 0.5) * CELL - focus, axis=1)
                by = cells[(far > close[0]) & (far < close[1])]
                start = by if len(by) else cells
            cell = start[int(rng.integers(len(start)))]
            line = _route(rng, free[:, :, cell[2]], cell[:2], lengths)
            if not close:
                focus = _one(rng, things, size)
            line = np.column_stack([line, np.full(len(line), (cell[2] + 0.5) * CELL)])
            worth = sum(_worth(scene, plain, line[at], focus, nearest) for at in (0, len(line) // 2, -1)) / 3
            worth += 0.04 * min(len(line), 25)
            if worth > best:
                best, self.line, self.focus = worth, _smoothed(line), focus
        self.seed = int(rng.integers(2**31))
        self.tempo = speed / max(self._speed(), 1e-6)
        # On a short way the hand would have to shake.
        self.tempo = min(self.tempo, 0.4)

    def _along(self, rng: np.random.Generator, beats: np.ndarray) -> np.ndarray:
        """(N, 3) places on the way, there and back about once a beat."""
        part = 0.5 - 0.5 * np.cos(2 * np.pi * (beats + rng.uniform() + 0.12 * smooth(rng, beats, 1.0)))
        knots = np.linspace(0, 1, len(self.line))
        return np.stack([np.interp(part, knots, axis) for axis in self.line.T], axis=1)

    def _speed(self) -> float:
        """Metres a beat, on average."""
        beats = np.linspace(0, 60, 3000)
        places = self._along(np.random.default_rng(self.seed), beats)
        return float(np.linalg.norm(np.diff(places, axis=0), axis=1).mean() / (beats[1] - beats[0]))

    def poses(self, time: np.ndarray) -> np.ndarray:
        """(N, 4, 4) camera-to-world at times (N,) in seconds."""
        rng = np.random.default_rng(self.seed)
        places = self._along(rng, time * self.tempo)

        def wander(wavelength: float) -> np.ndarray:
            return np.stack([smooth(rng, time, wavelength) for _ in range(3)], axis=1)

        places = places + SWAY / 2 * np.clip(wander(1.6), -2, 2)
        ahead = self.focus + 0.3 * wander(5.0) * [1, 1, 0.6] - places
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right, axis=1, keepdims=True)
        tremor = 0.012 * wander(0.9) + [0, 0, 0.04] * wander(4.0)
        poses = np.tile(np.eye(4), (len(time), 1, 1))
        poses[:, :3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=2) @ axis_angle_to_matrix(tremor)
        poses[:, :3, 3] = places
        return poses


def _one(rng: np.random.Generator, things: Sequence[np.ndarray], size: np.ndarray) -> np.ndarray:
    """(3,) one of the things, or the middle of an empty room of a size (3,)."""
    return things[int(rng.integers(len(things)))] if things else size / 2


def _route(rng: np.random.Generator, free: np.ndarray, start: np.ndarray, lengths: tuple[int, int]) -> np.ndarray:
    """(N, 2) metres: the shortest way over free cells (X, Y) from one to a random one that is not too near."""
    steps = np.full(np.array(free.shape) + 2, -1)  # with a rim, so that every cell has neighbours
    inner, fringe = steps[1:-1, 1:-1], np.zeros(free.shape, bool)
    fringe[tuple(start)] = True
    for step in range(int(rng.integers(*lengths))):
        inner[fringe] = step
        fringe = _spread(_spread(fringe, 0), 1) & free & (inner < 0)
        if not fringe.any():
            break
    farthest = np.argwhere(steps == steps.max())
    cell = farthest[int(rng.integers(len(farthest)))]
    way = [cell]
    while steps[tuple(cell)] > 0:
        around = steps[cell[0] - 1 : cell[0] + 2, cell[1] - 1 : cell[1] + 2]
        found = np.argwhere(around == steps[tuple(cell)] - 1) - 1
        cell = cell + found[np.argmin(np.abs(found).sum(axis=1))]  # straight rather than askew
        way.append(cell)
    return (np.array(way) - 0.5) * CELL


def _smoothed(line: np.ndarray, parts: int = 8, window: int = 25) -> np.ndarray:
    """(M, 3) the way (N, 3) without corners."""
    fine = np.linspace(0, len(line) - 1, max(parts * (len(line) - 1), 1) + 1)
    dense = np.stack([np.interp(fine, np.arange(len(line)), axis) for axis in line.T], axis=1)
    kernel = np.hanning(window + 2)[1:-1]
    padded = np.pad(dense, ((window // 2, window // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(axis, kernel / kernel.sum(), mode="valid") for axis in padded.T], axis=1)


def _spread(filled: np.ndarray, axis: int) -> np.ndarray:
    """Flags, and those of the neighbours along an axis."""
    ahead, grown = np.moveaxis(filled, axis, 0), np.moveaxis(filled, axis, 0).copy()
    grown[1:] |= ahead[:-1]
    grown[:-1] |= ahead[1:]
    return np.moveaxis(grown, 0, axis)


def _worth(scene: Scene, plain: np.ndarray, place: np.ndarray, focus: np.ndarray, nearest: float) -> float:
    """How good a look from a place (3,) towards another is: many things, near ones and far ones, nothing in the way;
    ``nearest`` is how far off, in metres, that other should be."""
    ahead = focus - place
    away = np.linalg.norm(ahead)
    ahead = ahead / max(away, 1e-6)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 0.5:
        return -9.0
    right /= np.linalg.norm(right)
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-0.6, 0.6, GLANCE[0]), np.linspace(-0.45, 0.45, GLANCE[1])))
    seen = scene.cast(place, ahead + x[:, None] * right + y[:, None] * np.cross(ahead, right))
    near = 1 / seen.distance
    return float(
        (~plain[seen.mesh]).mean()
        + 0.04 * len(np.unique(seen.mesh))
        + near.std() / near.mean()
        - 0.5 * (away < nearest)
        - (near > 1 / (0.7 * nearest)).mean() * 3
    )


def _free(meshes: Sequence[Mesh], size: np.ndarray, away: int) -> np.ndarray:
    """(X, Y, Z) bool, which cells of the room are at least ``away`` cells from everything.

    If none is, those that are a cell less away, and so on.
    """
    shape = np.ceil(size / CELL).astype(int)
    cells = np.floor(np.concatenate([_sprinkled(mesh, 0.8 * CELL) for mesh in meshes]) / CELL).astype(int)
    cells = cells[((cells >= 0) & (cells < shape)).all(axis=1)]
    filled = np.zeros(shape, bool)
    filled[tuple(cells.T)] = True
    for side in (0, -1):  # walls, floor and ceiling
        for axis in range(3):
            np.moveaxis(filled, axis, 0)[side] = True
    before = ~filled
    for _ in range(away):
        for axis in range(3):
            filled = _spread(filled, axis)
        if filled.all():
            return before
        before = ~filled
    return before


def _sprinkled(mesh: Mesh, pitch: float) -> np.ndarray:
    """(N, 3) places on a mesh, no more than about ``pitch`` apart."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    longest = np.max([np.linalg.norm(side, axis=1) for side in (b - a, c - a, c - b)], axis=0)
    parts, places = np.ceil(longest / pitch).astype(int), [mesh.vertices]
    for count in np.unique(parts[parts > 1]):
        on = parts == count
        i, j = (grid.ravel() for grid in np.meshgrid(np.arange(count + 1), np.arange(count + 1)))
        s, t = (grid[i + j <= count, None, None] / count for grid in (i, j))
        places.append((a[on] * (1 - s - t) + b[on] * s + c[on] * t).reshape(-1, 3))
    return np.concatenate(places)
