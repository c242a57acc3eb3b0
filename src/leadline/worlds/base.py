"""What every world has in common: a seed becomes a place, a camera goes through it, and sees what there is to see."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Generic, TypeVar, overload

import numpy as np

from leadline.camera import Camera
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError
from leadline.frame import Frame
from leadline.rig import Lidar, Mount, Rig
from leadline.worlds.lidar import sweep
from leadline.worlds.raytracing import Hits, Mesh, Scene, directions, look
from leadline.worlds.sensor import Sensor

T = TypeVar("T")

#: Most processes of a pool; Windows allows no more.
MOST = 61
#: What is seen where nothing stands is this many units away, for optical flow.
FAR = 1e5
#: Where within a pixel edges are looked at again, in pixels from its centre.
OFFSETS = ((-0.3, -0.12), (0.12, -0.3), (0.3, 0.12), (-0.12, 0.3))
#: Longer side of the picture that exposure is measured on.
GLIMPSE = 48
#: Reflections that add this part of full white hide a surface's own colour, and those this much brighter than it.
HIDING, OUTSHINING = 0.1, 0.5
#: Rays shaded together: large pictures need no more memory for it than small ones.
BAND = 1 << 19


@dataclass(frozen=True)
class World(ABC):
    """A kind of place, of which every seed is another one.

    The same seed gives the same bytes on one type of CPU; elsewhere images may differ by one grey level and depth by
    1e-4 of itself.

    Args:
        height: of the images, in pixels.
        width: of the images, in pixels.
        rate: frames a second.
        sensor: the video camera.

    Raises:
        ConfigError: the image is too small to show anything, or the rate is not positive.
    """

    #: What the command line calls it.
    name: ClassVar[str]
    #: Raised whenever the same seed gives another picture than before, so that old and new are not mixed.
    version: ClassVar[int]
    #: Unit of depth and of the poses' translation.
    unit: ClassVar[str]
    #: Names of the values of ``Frame.semantics``.
    classes: ClassVar[tuple[str, ...]]
    #: The one of them that is where nothing stands.
    nothing: ClassVar[str] = "nothing"

    height: int = 256
    width: int = 320
    rate: float = 30.0
    sensor: Sensor = Sensor()

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise ConfigError(f"size: {self.height}x{self.width} (height x width) is too small, at least 16x16")
        if not 0 < self.rate < np.inf:
            raise ConfigError(f"rate: {self.rate:g} frames a second is not possible")
        # Ranges that places draw from: every world has some of these.
        for name, least, most in (("fov", 5.0, 170.0), ("speed", 0.0, np.inf), ("yaw", -180.0, 180.0)):
            low, high = getattr(self, name, (least, least))
            if not least <= low <= high <= most or high == np.inf:
                raise ConfigError(f"{name}: from {low:g} to {high:g} is no range between {least:g} and {most:g}")

    @abstractmethod
    def clip(self, seed: int, frames: int) -> Place:
        """The frames a camera sees on its way through the place of that seed, each rendered when it is asked for.

        Args:
            seed: of everything random.
            frames: how many.
        """


class Place(Sequence[Frame], ABC):
    """One place and a way through it: a sequence of the frames its own camera sees, and what other sensors would.

    A subclass builds the place and sets the fields, then says what moves and how it is lit.

    Args:
        world: the kind of place.
        seed: of everything random.
        frames: how many instants.

    Raises:
        ConfigError: the seed is negative, or there is no frame.
    """

    #: The place's own camera and where it sits.
    mount: Mount
    #: (frames, 4, 4) body-to-world.
    poses: np.ndarray
    #: What stands still.
    still: Scene
    #: Class of each mesh, by its index in the scene, and, last, of where nothing stands.
    labels: np.ndarray
    #: Class of the body that carries the camera; it has no depth, and its pixels may not be used.
    carrier: int = -1

    def __init__(self, world: World, seed: int, frames: int) -> None:
        if seed < 0 or frames < 1:
            raise ConfigError(f"clip: seed {seed} and {frames} frames; seeds are 0 and above, frames 1 and above")
        self.world, self.seed, self.frames = world, seed, frames
        self._scenes: dict[int, Scene] = {}
        self._first: dict[tuple[Camera, bytes], np.ndarray] = {}

    def moving(self, index: int) -> Sequence[Mesh]:
        """Where what moves is at an instant: the same meshes in the same order, of the same triangles; by default
        nothing does."""
        del index
        return ()

    def scene(self, index: int) -> Scene:
        """Everything, as it stands at an instant."""
        if index not in self._scenes:
            while len(self._scenes) > 2:  # this instant and its neighbours are asked for again and again
                del self._scenes[max(self._scenes, key=lambda known: abs(known - index))]
            self._scenes[index] = self.still.with_moving(self.moving(index))
        return self._scenes[index]

    @abstractmethod
    def shade(
        self, scene: Scene, seen: Hits, rays: np.ndarray, spread: np.ndarray | float, index: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Light that comes back along rays.

        Args:
            scene: the things as they stand.
            seen: what the rays hit.
            rays: (N, 3) of the length that ``seen.distance`` counts in.
            spread: (N,) or one number, width of a pixel at distance 1.
            index: the instant.

        Returns:
            Linear light, (N, 3) each: what surfaces throw back the same way to every side, and what they reflect.
        """

    def albedo(self, seen: Hits) -> np.ndarray:
        """(N,) part of a lidar's light that is thrown back; by default a third."""
        return np.full(len(seen.distance), 1 / 3, np.float32)

    def __len__(self) -> int:
        return self.frames

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.frames))]
        return self.shoot(index)

    def rig(self, index: int, mounts: Mapping[str, Mount], lidar: Lidar | None = None, flow: bool = True) -> Rig:
        """What cameras and a lidar on the same body see at an instant.

        Args:
            index: the instant.
            mounts: the cameras.
            lidar: measures, too.
            flow: with optical flow, which takes a fifth of the time.
        """
        index = range(self.frames)[index]
        frames = {name: self.shoot(index, mount, number, flow) for number, (name, mount) in enumerate(mounts.items())}
        pose = self.poses[index]
        rng = np.random.default_rng([self.seed, index, 2])
        swept = sweep(self.scene(index), lidar, pose, rng, self.albedo) if lidar else None
        return Rig(frames, pose, swept)

    def shoot(self, index: int, mount: Mount | None = None, number: int = 0, flow: bool = True) -> Frame:
        """What a camera sees at an instant.

        Args:
            index: the instant.
            mount: the camera and where it sits on the body; by default the place's own.
            number: of the camera: each has noise of its own.
            flow: with optical flow.
        """
        index, mount = range(self.frames)[index], mount or self.mount  # refuses what lies outside
        camera, scene, sensor = mount.camera, self.scene(index), self.world.sensor
        pose, shape = self.poses[index] @ mount.pose, (camera.height, camera.width)
        rays = directions(camera, pose)
        seen = scene.cast(pose[:3, 3], rays)
        body, gloss = self._light(scene, seen, rays, camera, pose, index)
        onward, back = (self._led(scene, seen, rays, mount, index, index + step) for step in (1, -1))
        gain = self._gain(mount, index)
        rng = np.random.default_rng([self.seed, index, 1, number])
        moved = onward[0] if index + 1 < self.frames else -back[0]
        smear = moved.reshape(*shape, 2) * (sensor.shutter * self.world.rate) if sensor.shutter else None
        picture = sensor.develop(body.reshape(*shape, 3) * gain, gloss.reshape(*shape, 3) * gain, rng, smear)
        label = self.labels[seen.mesh].reshape(shape)
        stands = np.isfinite(seen.distance).reshape(shape)
        usable = (label != self.carrier) & np.isfinite(rays[:, 2]).reshape(shape)
        depth = np.where(stands & usable, seen.distance.reshape(shape), 0).astype(np.float32)
        kind = Kind("depth", "nothing")
        return Frame(
            picture.image,
            DepthMap(depth, kind, self.world.unit, depth > 0, camera),
            camera,
            pose,
            time=index / self.world.rate,
            sequence=f"{self.world.name}-{self.seed:06d}",
            name=f"{index:06d}",
            mask=None if usable.all() else usable,
            normals=np.einsum("ni,ij->nj", seen.normals, pose[:3, :3]).astype(np.float32).reshape(*shape, 3),
            reflective=_hides(body * gain, gloss * gain).reshape(shape),
            semantics=label.astype(np.uint8),
            diffuse=picture.diffuse,
            residual=picture.residual,
            forward_flow=self._flow(onward, mount, index + 1) if flow else None,
            backward_flow=self._flow(back, mount, index - 1) if flow else None,
        )

    def _light(
        self, scene: Scene, seen: Hits, rays: np.ndarray, camera: Camera, pose: np.ndarray, index: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) light of every pixel, twice: of bodies and of reflections; edges are looked at more often."""
        edge = np.flatnonzero(_edges(seen, (camera.height, camera.width)))
        middle = np.stack([edge % camera.width, edge // camera.width], axis=1)
        more = directions(camera, pose, (middle + np.array(OFFSETS)[:, None]).reshape(-1, 2))
        spread = np.repeat(np.array([1, 0.5], np.float32) / float(camera.fx), [len(rays), len(more)])
        # One call for both: what each kind of surface costs alone is paid once.
        all_seen = seen.join(scene.cast(pose[:3, 3], more)) if len(edge) else seen
        all_rays = np.concatenate([rays, more])
        lights = np.empty((2, len(all_rays), 3), np.float32)
        for start in range(0, len(all_rays), BAND):
            band = slice(start, start + BAND)
            lights[:, band] = self.shade(scene, all_seen.take(band), all_rays[band], spread[band], index)
        for light in lights:
            again = light[len(rays) :].reshape(len(OFFSETS), -1, 3)
            light[edge] = (light[edge] + again.sum(axis=0)) / (len(OFFSETS) + 1)
        return lights[0, : len(rays)], lights[1, : len(rays)]

    def _led(
        self, scene: Scene, seen: Hits, rays: np.ndarray, mount: Mount, index: int, other: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) pixels from here to where the same places lie in the picture of another instant, NaN where they lie
        behind the camera, and (N, 3) where they are in the world then."""
        camera = mount.camera
        if not 0 <= other < self.frames:
            return np.full((len(rays), 2), np.nan, np.float32), np.full((len(rays), 3), np.nan, np.float32)
        there = self.poses[other] @ mount.pose
        points = scene.carried(seen, self.scene(other))
        away = seen.mesh < 0
        if away.any():
            points[away] = (self.poses[index] @ mount.pose)[:3, 3] + FAR * rays[away]
        with np.errstate(invalid="ignore"):
            local = (points - there[:3, 3]).astype(np.float32)
            uv, ahead = camera.project(np.einsum("ni,ij->nj", local, there[:3, :3].astype(np.float32)))
        uv[~ahead] = np.nan
        grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1).reshape(-1, 2)
        return (uv - grid).astype(np.float32), points

    def _flow(self, led: tuple[np.ndarray, np.ndarray], mount: Mount, other: int) -> np.ndarray:
        """(H, W, 2) what :meth:`_led` found, NaN where it is not seen at the other instant."""
        camera, (way, points) = mount.camera, led
        shape = camera.height, camera.width, 2
        flow = np.full_like(way, np.nan)
        if 0 <= other < self.frames:
            grid = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1).reshape(-1, 2)
            with np.errstate(invalid="ignore"):
                inside = np.flatnonzero(camera.contains(way + grid))
            eye = (self.poses[other] @ mount.pose)[:3, 3]
            inside = inside[~self.scene(other).blocked(eye, points[inside], clear=True)]
            flow[inside] = way[inside]
        return flow.reshape(shape)

    def _gain(self, mount: Mount, index: int) -> float:
        """What exposure multiplies light with."""
        sensor, key = self.world.sensor, (mount.camera, mount.pose.tobytes())
        if sensor.adapt < 1 and key not in self._first:
            self._first[key] = self._glimpse(mount, 0)
        now = self._glimpse(mount, index) if sensor.adapt > 0 else self._first[key]
        return sensor.gain(now, self._first.get(key, now)) * float(self._hunting[index])

    def _glimpse(self, mount: Mount, index: int) -> np.ndarray:
        """(h, w, 3) a small picture's light, to expose by."""
        shrink = min(1, GLIMPSE / max(mount.camera.height, mount.camera.width))
        small = mount.camera.resize(*(max(8, round(n * shrink)) for n in (mount.camera.height, mount.camera.width)))
        scene, pose = self.scene(index), self.poses[index] @ mount.pose
        seen, rays = look(scene, small, pose), directions(small, pose)
        body, gloss = self.shade(scene, seen, rays, 1 / float(small.fx), index)
        return (body + gloss).reshape(small.height, small.width, 3)

    @cached_property
    def _hunting(self) -> np.ndarray:
        """(frames,) what exposure is multiplied with, as it hunts for the right one."""
        rng = np.random.default_rng([self.seed, 3])
        time = np.arange(self.frames) / self.world.rate
        return 2 ** (self.world.sensor.hunting * smooth(rng, time, 1.5))


def _hides(body: np.ndarray, gloss: np.ndarray) -> np.ndarray:
    """(N,) whether reflections hide a surface's own colour: (N, 3) each, where 1 is white."""
    grey = np.full(3, 1 / 3, np.float32)
    bright, own = gloss @ grey, body @ grey
    return (bright > HIDING) | (bright > OUTSHINING * own)


def _edges(seen: Hits, shape: tuple[int, int]) -> np.ndarray:
    """(H*W,) pixels beside which another thing is seen, or the same thing bends or ends: disparity, which is linear on
    a plane, does not go on as it did."""
    mesh = seen.mesh.reshape(shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.where(seen.mesh >= 0, 1 / seen.distance, 0).reshape(shape)
    found = np.zeros(shape, bool)
    for axis in (0, 1):
        # Views with the axis first, so that what is written through them is written into ``found``.
        thing, close, flags = (np.moveaxis(values, axis, 0) for values in (mesh, near, found))
        other = thing[1:] != thing[:-1]
        flags[1:] |= other
        flags[:-1] |= other
        bend = np.abs(close[2:] - 2 * close[1:-1] + close[:-2]) > 0.05 * close[1:-1]
        flags[1:-1] |= bend
    return found.reshape(-1)


def each_clip(
    world: World, seeds: Sequence[int], frames: int, work: Callable[[Place], T], processes: int = 0
) -> Iterator[T]:
    """Do ``work`` with the clip of every seed, several at a time; results come in the order of the seeds.

    Args:
        world: the kind of place.
        seeds: one clip each.
        frames: of each clip.
        work: gets a clip, in another process: a function of a module, or a partial of one.
        processes: how many; 0 takes every core.

    Raises:
        ConfigError: a process died.
    """
    processes = min(processes or cores(), len(seeds), MOST)
    if processes <= 1:
        for seed in seeds:
            yield work(world.clip(seed, frames))
        return
    # Spawned, not forked: torch's threads and the runtimes of the caller do not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _ignore_interrupts) as pool:
        try:
            with _single_threaded():
                results = pool.map(_Task(world, frames, work), seeds)  # starts the processes
            yield from results
        except BrokenProcessPool:
            raise ConfigError(
                "processes: one that was rendering died; a script that renders must do so under "
                "if __name__ == '__main__':, or with processes=1 (or the machine is out of memory)"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked for the work answers Ctrl-C


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started in here compute with one thread each: threads that fight for cores wait for each other."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class _Task(Generic[T]):
    world: World
    frames: int
    work: Callable[[Place], T]

    def __call__(self, seed: int) -> T:
        return self.work(self.world.clip(seed, self.frames))


def smooth(rng: np.random.Generator, at: np.ndarray, wavelength: float, terms: int = 4) -> np.ndarray:
    """A smooth random function with values about [-1, 1]: sines of about that wavelength and longer.

    Args:
        rng: decides the sines.
        at: (N,) where to evaluate.
        wavelength: of the shortest sine, in the unit of ``at``.
        terms: how many sines.

    Returns:
        (N,).
    """
    total = np.zeros(len(at))
    for term in range(terms):
        length = wavelength * (1 + term * rng.uniform(0.4, 0.9))
        total += np.sin(2 * np.pi * (at / length + rng.uniform())) * rng.uniform(0.4, 1.0)
    return total / np.sqrt(terms)
