"""Traffic of world ``street``: what is parked, what drives, who walks, at every instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadline.worlds.base import smooth
from leadline.worlds.raytracing import Mesh
from leadline.worlds.shapes import join, numbered, standing
from leadline.worlds.street.road import KERB, Parts, Plan, merge
from leadline.worlds.street.traffic import Troupe, joints, person, shape, vehicle

#: How far from the way things still move, in metres.
SEEN = 150.0
#: About as many vehicles come towards one at most: every one has to be built again for every instant.
MOST = 14
#: Most people in one place.
CROWD = 24
#: What vehicles are made of, in this order.
VEHICLE_KINDS = ("lacquer", "glass", "trim")


def parked(rng: np.random.Generator, plan: Plan) -> Parts:
    """Vehicles in the strips beside the lanes."""
    parts: Parts = {}
    forms = [shape(rng, kind) for kind in ("car",) * 6 + ("van",)]
    models = [(form, vehicle(rng, form, 0)) for form in forms]
    full = rng.uniform(0.2, 0.9)
    for side in (1, -1):
        if not plan.parking[side]:
            continue
        for s in np.arange(np.ceil(plan.start / 6) * 6, plan.end, 6.0):
            taken = plan.near_crossing(s + 3, 7.0, side) or plan.near_zebra(s + 3, 4.0)
            if taken or rng.uniform() > full:
                continue
            form, model = models[rng.integers(len(models))]
            turn = 0.0 if (side == plan.drive) != (rng.uniform() < 0.05) else np.pi
            middle = form.length / 2 - form.rear  # of the vehicle, ahead of its rear axle
            t = side * (plan.lanes * plan.lane + 1.06) + rng.uniform(-0.08, 0.08)
            pose = plan.line.pose(s + 3 + rng.uniform(-0.2, 0.2), t, 0.0, turn + rng.uniform(-0.03, 0.03))
            colour = int(rng.integers(12))
            painted = {kind: [numbered(mesh, colour * (kind == "lacquer")) for mesh in meshes]
                       for kind, meshes in model.items()}  # fmt: skip
            merge(parts, painted, pose @ standing((-middle, 0, 0)))
    return parts


@dataclass(frozen=True)
class Track:
    """Where something is at every instant.

    Args:
        s: (frames,) metres along the road.
        t: (frames,) metres to its left.
        z: (frames,) height.
        turn: (frames,) from the road's direction, in radians.
    """

    s: np.ndarray
    t: np.ndarray
    z: np.ndarray
    turn: np.ndarray


class Traffic:
    """What moves, but for the vehicle that carries the cameras.

    Args:
        rng: decides it.
        plan: of the street.
        time: (frames,) in seconds.
        travelled: (frames,) metres of the vehicle that carries the cameras.
        lane: its lane, 0 the one in the middle.
    """

    def __init__(
        self, rng: np.random.Generator, plan: Plan, time: np.ndarray, travelled: np.ndarray, lane: int
    ) -> None:
        self._plan, self._time = plan, time
        parts: dict[str, list[Mesh]] = {kind: [] for kind in VEHICLE_KINDS}
        self._vehicles: list[Track] = []
        for track in [*_alongside(rng, plan, time, travelled, lane), *_oncoming(rng, plan, time, travelled)]:
            kind = str(rng.choice(["car", "van", "lorry", "bus"], p=[0.76, 0.12, 0.07, 0.05]))
            model = vehicle(rng, shape(rng, kind), int(rng.integers(12)))
            self._vehicles.append(track)
            for name in VEHICLE_KINDS:
                parts[name].append(join(model[name]))
        self._people = [*_walkers(rng, plan, time, travelled), *_crossers(rng, plan, time, travelled, self._vehicles)]
        self._steps = [(rng.uniform(0, 6), rng.uniform(0.88, 1.08)) for _ in self._people]
        bodies = [mesh for _ in self._people for mesh in person(rng)]
        self._fleet = [Troupe(parts[name]) for name in VEHICLE_KINDS] if self._vehicles else []
        self._crowd = Troupe(bodies) if bodies else None
        #: What each mesh is made of.
        self.kinds = [*(VEHICLE_KINDS if self._vehicles else ()), *(["person"] if bodies else [])]

    def at(self, index: int) -> list[Mesh]:
        """The meshes at an instant, in the order of ``kinds``."""
        meshes = []
        if self._fleet:
            poses = np.array([self._pose(track, index) for track in self._vehicles])
            meshes += [troupe.at(poses) for troupe in self._fleet]
        if self._crowd is not None:
            meshes.append(self._crowd.at(np.concatenate([self._limbs(n, index) for n in range(len(self._people))])))
        return meshes

    def _pose(self, track: Track, index: int) -> np.ndarray:
        return self._plan.line.pose(track.s[index], track.t[index], track.z[index], track.turn[index])

    def _limbs(self, number: int, index: int) -> np.ndarray:
        """(5, 4, 4) of somebody's parts."""
        track, (phase, tall) = self._people[number], self._steps[number]
        # A step of 0.7 m is half a swing forth and back.
        walked = np.hypot(track.s[index] - track.s[0], track.t[index] - track.t[0])
        still = np.ptp(track.s) + np.ptp(track.t) == 0
        swing = 0.05 if still else 0.45 * np.sin(phase + walked / 0.7 * np.pi)
        return self._pose(track, index) @ joints(swing, tall)


def _alongside(rng: np.random.Generator, plan: Plan, time: np.ndarray, travelled: np.ndarray, lane: int) -> list[Track]:
    """Vehicles that drive the same way, on every lane, ahead and behind."""
    tracks = []
    for other in range(plan.lanes):
        drift = np.zeros(len(time)) if other == lane else 6.0 * smooth(rng, time, 12.0)
        for way in (1, -1):
            gap = rng.uniform(12, 50) if other == lane else rng.uniform(13, 40)
            while gap < SEEN * 0.8:
                s = travelled + way * gap + drift + min(1.5, gap / 10) * smooth(rng, time, 8.0)
                aside = plan.drive * (other + 0.5) * plan.lane + 0.2 * smooth(rng, time, 6.0)
                tracks.append(Track(s, aside, 0 * s, 0 * s))
                gap += rng.uniform(22, 90)
    return tracks


def _oncoming(rng: np.random.Generator, plan: Plan, time: np.ndarray, travelled: np.ndarray) -> list[Track]:
    """Vehicles that drive the other way."""
    tracks = []
    for lane in range(plan.lanes):
        speed = rng.uniform(5, 14)
        driven = speed * (time + 0.1 * smooth(rng, time, 9.0))
        at, dense = rng.uniform(-60, 30), rng.uniform(30, 90)
        last = travelled[-1] + driven[-1] + SEEN
        dense = max(dense, last * plan.lanes / MOST - 14)
        while at < last:
            s = at - driven
            aside = -plan.drive * (lane + 0.5) * plan.lane + 0.2 * smooth(rng, time, 6.0)
            tracks.append(Track(s, aside, 0 * s, np.full(len(s), np.pi)))
            at += dense * rng.uniform(0.6, 1.6) + 14
    return tracks


def _walkers(rng: np.random.Generator, plan: Plan, time: np.ndarray, travelled: np.ndarray) -> list[Track]:
    """People on the sidewalks; they step down to the road where side streets cross."""
    tracks = []
    length = travelled[-1] + 120
    for _ in range(min(CROWD, int(rng.uniform(0.04, 0.25) * length))):
        side, way = int(rng.choice([1, -1])), int(rng.choice([1, -1]))
        speed = 0.0 if rng.uniform() < 0.15 else rng.uniform(0.9, 1.6)
        s = rng.uniform(-20, length - 20) + way * speed * time
        t = plan.edge(side) + rng.uniform(1.2, max(1.3, plan.sidewalk - 0.35)) + 0 * time
        turn = np.full(len(time), 0.0 if way > 0 else np.pi) + (rng.uniform(-3, 3) if speed == 0 else 0.0)
        tracks.append(Track(s, side * t, _pavement(plan, s, side), turn))
    return tracks


def _pavement(plan: Plan, s: np.ndarray, side: int) -> np.ndarray:
    """(N,) height of the sidewalk, none where side streets cross it."""
    height = np.full(len(s), KERB)
    for crossing in plan.crossings:
        if side in crossing.sides:
            height = np.minimum(height, KERB * np.clip((np.abs(s - crossing.s) - crossing.half) / 0.4, 0, 1))
    return height


def _crossers(
    rng: np.random.Generator, plan: Plan, time: np.ndarray, travelled: np.ndarray, vehicles: list[Track]
) -> list[Track]:
    """People on zebra crossings, when no vehicle is near."""
    tracks = []
    near = [at for at in plan.zebras if -10 < at < travelled[-1] + 70]
    for at in near:
        for _ in range(4):
            way, speed = int(rng.choice([1, -1])), rng.uniform(1.0, 1.6)
            start = -rng.uniform(0, 1) * (plan.edge(1) + plan.edge(-1)) / speed + rng.uniform(0, time[-1] + 1e-3)
            t = -way * (plan.edge(-way) + 1.0) + way * speed * (time - start)
            t = np.clip(t, -plan.edge(-1) - 1.0, plan.edge(1) + 1.0)
            on_road = (t > -plan.edge(-1)) & (t < plan.edge(1))
            others = [travelled, *(track.s for track in vehicles)]
            if on_road.any() and all((np.abs(s - at)[on_road] > 14).all() for s in others):
                edge = np.minimum(plan.edge(1) - t, t + plan.edge(-1))
                z = KERB * np.clip(-edge / 0.3, 0, 1)
                tracks.append(Track(np.full(len(time), at + rng.uniform(-1.2, 1.2)), t, z,
                                    np.full(len(time), way * np.pi / 2)))  # fmt: skip
    return tracks
