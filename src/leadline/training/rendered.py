"""Worlds as training data: rendered once, by several processes, into a folder that is then like any other."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from leadline import worlds
from leadline.data.folder import BESIDE, Folder, write_frames
from leadline.data.images import Images
from leadline.data.lists import FrameId
from leadline.data.samples import MIXED
from leadline.errors import ConfigError
from leadline.frame import Frame
from leadline.io.atomic import writing
from leadline.io.cache import cache_folder


class Rendered(Folder):
    """Clips of a world, as images with metric depth. The first use renders them; later ones find them.

    Args:
        world: a name of ``leadline.worlds.names()``.
        clips: how many places.
        frames: frames of each clip.
        seed: of the first place; the others follow.
        rate: frames a second; low, so that frames differ.
        height: of the images.
        width: of the images.
        root: folder to keep them in; by default one in ``~/.cache/leadline`` whose name says all of this.
        processes: how many render; 0 takes every core.
        poses: keep the poses too, to learn with known motion.
        classes: keep the class of each pixel too, ``Frame.semantics``, to learn what things are; the world names them
            in ``classes``.
        sky: depth, in the world's unit, that is said to be where nothing stands, so that the sky is learned to be far;
            by default it is not learned.
        settings: further fields of the world, such as ``{fov: [50, 100]}``.

    Raises:
        ConfigError: no such world, nothing to render, or ``root`` holds these clips rendered otherwise.
    """

    licence = "apache-2.0"

    def __init__(
        self,
        world: str = "tract",
        clips: int = 100,
        frames: int = 8,
        seed: int = 0,
        rate: float = 2.0,
        height: int = 256,
        width: int = 320,
        root: Path | None = None,
        processes: int = 0,
        poses: bool = False,
        classes: bool = False,
        sky: float | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        fields = {"height": height, "width": width, "rate": rate} | dict(settings or {})
        place = worlds.create(world, **fields)
        labelled = classes or sky is not None
        if root is None:
            kind = f"{world}-{place.version}-{height}x{width}-{clips}x{frames}-{rate:g}fps-seed{seed}"
            kept = ["poses"] * poses + ["classes"] * labelled
            root = cache_folder() / "-".join([kind, *kept, *_said(settings or {})])
        beside = ["poses"] * poses + ["semantics"] * labelled
        render(place, range(seed, seed + clips), frames, root, beside, processes)
        self._wanted: set[str] = set()
        for number in range(seed, seed + clips):
            self._wanted.update(json.loads(_note(root, place, number).read_text())["names"])
        super().__init__(root, extras=labelled)
        self._sky, self._open, self._told = sky, place.classes.index(place.nothing), classes
        self._clips = (
            f"{clips} clips of {frames} frames of the rendered world '{world}', seeds {seed} to {seed + clips - 1}"
        )

    def frames(self, split: str) -> list[FrameId]:
        """Those of the clips; the folder may hold others."""
        return [id for id in super().frames(split) if self.image(id).stem in self._wanted]

    def load(self, id: FrameId) -> Frame:
        """The frame, with the depth of the sky where that is to be learned."""
        frame = super().load(id)
        if self._sky is None or frame.depth is None or frame.semantics is None:
            return frame
        beyond = frame.semantics == self._open
        depth = replace(
            frame.depth,
            values=np.where(beyond, np.float32(self._sky), frame.depth.values),
            valid=frame.depth.valid | beyond,
        )
        return frame.replace(depth=depth, semantics=frame.semantics if self._told else None)

    def describe(self) -> str:
        """Which clips they are."""
        return self._clips


class Live(Images):
    """Clips of a world, rendered while training goes on, ahead of it by the loader's workers: nothing is stored.

    Frames come place by place, those of a few places mixed; with more clips than training asks for, none is seen twice.

    Args:
        world: a name of ``leadline.worlds.names()``.
        clips: how many places.
        frames: frames of each clip.
        seed: of the first place; the others follow.
        rate: frames a second; low, so that frames differ.
        height: of the images.
        width: of the images.

    Raises:
        ConfigError: no such world, or nothing to render.
    """

    licence = Rendered.licence
    # The threads of embree do not survive a fork: a copy of a process that has rendered misses surfaces, or dies.
    start_method = "forkserver"

    def __init__(
        self,
        world: str = "tract",
        clips: int = 2000,
        frames: int = 16,
        seed: int = 0,
        rate: float = 2.0,
        height: int = 256,
        width: int = 320,
    ) -> None:
        if clips < 1 or frames < 1 or seed < 0:
            raise ConfigError(f"clips: {clips} clips of {frames} frames from seed {seed} are nothing to render")
        self.world = worlds.create(world, height=height, width=width, rate=rate)
        self.seed, self.frames = seed, frames
        names = (f"{world}-{number:06d}-{frame:06d}" for number in range(seed, seed + clips) for frame in range(frames))
        super().__init__([Path(name) for name in names])
        self._open: dict[int, worlds.Place] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Places stay in the process that built them: embree's scenes do not travel."""
        return self.__dict__ | {"_open": {}}

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of every image."""
        del index
        return self.world.height, self.world.width

    def place(self, index: int) -> int:
        """The place a frame shows."""
        return index // self.frames

    def describe(self) -> str:
        """Which clips they are."""
        clips = len(self) // self.frames
        return f"{clips} clips of {self.frames} frames of the rendered world '{self.world.name}', from seed {self.seed}"

    def __getitem__(self, index: int) -> Frame:
        """A frame, rendered now."""
        number = self.place(range(len(self))[index])
        if number not in self._open:
            while len(self._open) >= MIXED:
                del self._open[next(iter(self._open))]
            self._open[number] = self.world.clip(self.seed + number, self.frames)
        frame = self._open[number].shoot(index % self.frames, flow=False)
        kept = {name: getattr(frame, name) for name in ("image", "depth", "camera", "pose", "mask")}
        return Frame(name=self.paths[index].name, **kept)


def render(
    world: worlds.World,
    seeds: Sequence[int],
    frames: int,
    root: Path,
    beside: Collection[str] = tuple(BESIDE),
    processes: int = 0,
) -> int:
    """Render clips into a folder, in the layout of :class:`Folder`; clips that are there already are left alone.

    Args:
        world: the kind of place.
        seeds: one clip each.
        frames: of each clip.
        root: the folder.
        beside: what to write beside images and depth, see :func:`~leadline.data.folder.write_frames`; by default
            everything that is known.
        processes: how many render; 0 takes every core.

    Returns:
        How many clips were rendered.

    Raises:
        ConfigError: nothing to render, or the folder holds one of these clips rendered otherwise.
        InputError: a file cannot be written.
    """
    if not seeds or frames < 1:
        raise ConfigError(f"frames: {len(seeds)} clips of {frames} frames are nothing to render")
    if min(seeds) < 0:
        raise ConfigError(f"seed: {min(seeds)} is negative; seeds are 0 and above")
    settings = {"version": world.version, **asdict(world), "frames": frames, "truth": set(beside) == set(BESIDE)}
    if not settings["truth"]:
        settings |= dict.fromkeys(beside, True)
    missing = [seed for seed in seeds if not _is_done(root, world, seed, settings)]
    if not missing:
        return 0
    say = Console(stderr=True, highlight=False, soft_wrap=True).print
    say(f"rendering {len(missing)} clips of {frames} frames into {root}")
    work = partial(_write, root=root, beside=beside)
    clips = worlds.each_clip(world, missing, frames, work, processes)
    for number, (seed, names) in enumerate(zip(missing, clips, strict=True), 1):
        with writing(_note(root, world, seed)) as temporary:
            temporary.write_text(json.dumps({"settings": settings, "names": names}, indent=1))
        if number % max(1, len(missing) // 10) == 0:
            say(f"{number} of {len(missing)} clips rendered")
    return len(missing)


def _write(clip: worlds.Place, root: Path, beside: Collection[str]) -> list[str]:
    flow = any(kind.endswith("flow") for kind in beside)  # takes a fifth of the time
    return write_frames(root, (clip.shoot(index, flow=flow) for index in range(len(clip))), beside)


def _said(settings: Mapping[str, Any]) -> list[str]:
    """The settings, each as a word for the name of a folder."""
    return [
        key + ("to".join(f"{end:g}" for end in value) if isinstance(value, Sequence) else str(value))
        for key, value in settings.items()
    ]


def _note(root: Path, world: worlds.World, seed: int) -> Path:
    """The file that says a clip is whole: written last, it holds its settings and the names of its frames."""
    return root / "clips" / f"{world.name}-{seed:06d}.json"


def _is_done(root: Path, world: worlds.World, seed: int, settings: dict[str, Any]) -> bool:
    note = _note(root, world, seed)
    if not note.is_file():
        return False
    # A note written before a world had some field was of that field's default.
    usual = json.loads(json.dumps(asdict(type(world)())))
    then = usual | json.loads(note.read_text())["settings"]
    for key, now in json.loads(json.dumps(settings)).items():
        if then.get(key) != now:
            raise ConfigError(
                f"{root}: holds this clip with another '{key}' ({then.get(key)}, now {now}); give another folder, or "
                "delete that one"
            )
    return True
