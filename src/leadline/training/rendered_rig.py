"""Worlds in the layouts of data sets: rendered once, by several processes, and then read like the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from leadline import worlds
from leadline.data.ddad import Ddad, DdadLayout
from leadline.data.layout import Layout
from leadline.errors import ConfigError, InputError
from leadline.io.atomic import write_text, writing_folder
from leadline.io.cache import cache_folder
from leadline.io.reading import read_text
from leadline.rig import Lidar, Mount, Rig


class RenderedRig(Ddad):
    """Clips of the world ``street`` as the cars of DDAD see it: six cameras and lidar, in DDAD's layout. The first use
    renders them; later ones find them.

    Args:
        clips: how many places.
        frames: instants of each clip.
        seed: of the first place; the others follow.
        rate: instants a second; low, so that they differ.
        scale: of the images, to DDAD's 1936x1216.
        lidar: how many measurements of a turn there are for each of DDAD's: 0.25 is sparser by four.
        root: folder to keep them in; by default one in ``~/.cache/leadline`` whose name says all of this.
        processes: how many render; 0 takes every core.

    Raises:
        ConfigError: nothing to render, or ``root`` holds other clips.
    """

    licence = "apache-2.0"

    def __init__(
        self,
        clips: int = 60,
        frames: int = 4,
        seed: int = 0,
        rate: float = 1.0,
        scale: float = 0.125,
        lidar: float = 1.0,
        root: Path | None = None,
        processes: int = 0,
    ) -> None:
        world = worlds.create("street", rate=rate)
        layout = DdadLayout()
        if lidar != 1:
            layout = _Measured(replace(layout.lidar, steps=max(1, round(layout.lidar.steps * lidar))))
        name = f"ddad-street-{world.version}-{clips}x{frames}-{rate:g}fps-scale{scale:g}-lidar{lidar:g}-seed{seed}"
        root = root or cache_folder() / name
        note = root.with_name(f"{root.name}.txt")  # beside it: the folder is a data set's and nothing else
        if not root.is_dir():
            say = Console(stderr=True, highlight=False, soft_wrap=True).print
            say(f"rendering {clips} clips of {frames} instants into {root}")
            write_layout(world, layout, root, range(seed, seed + clips), frames, scale, processes)
            write_text(note, name)
        elif root.name != name and (not note.is_file() or read_text(note) != name):
            raise ConfigError(f"{root}: does not hold {name}; give another folder, or delete that one")
        super().__init__(root, split="all")
        clip = f"{clips} clips of {frames} instants"
        self._clips = f"{clip} of the rendered world 'street', six cameras, seeds from {seed} ({name})"

    def describe(self) -> str:
        """Which clips they are."""
        return self._clips


class _Measured(DdadLayout):
    """DDAD's layout with another lidar."""

    def __init__(self, lidar: Lidar) -> None:
        self.lidar = lidar  # type: ignore[misc]


def write_layout(
    place: worlds.World,
    layout: Layout,
    out: Path,
    seeds: range,
    frames: int,
    scale: float = 1.0,
    processes: int = 0,
) -> None:
    """Render clips as a data set lies on disk: whole, or not at all.

    Args:
        place: the kind of place.
        layout: of the data set.
        out: its folder, which must not be there, or be empty.
        seeds: one clip each.
        frames: instants of each clip.
        scale: of the images, to the data set's own size.
        processes: how many render; 0 takes every core.

    Raises:
        ConfigError: nothing to render, or an impossible scale.
        InputError: the folder is there already, or cannot be written.
    """
    if not seeds or frames < 1:
        raise ConfigError(f"frames: {len(seeds)} clips of {frames} frames are nothing to render")
    if min(seeds) < 0:
        raise ConfigError(f"seed: {min(seeds)} is negative; seeds are 0 and above")
    if not 0 < scale <= 1:
        raise ConfigError(f"scale: {scale:g} is not above 0 and at most 1")
    # The tables of a data set are about all of it: nothing is added to one that is there.
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; a data set is written as a whole, give a new folder")
    mounts = {name: replace(mount, camera=_scaled(mount, scale)) for name, mount in layout.mounts().items()}
    say = Console(stderr=True, highlight=False, soft_wrap=True).print
    with writing_folder(out) as folder:
        work = partial(_write_clip, layout=layout, mounts=mounts, out=folder, first=seeds[0])
        for number, _ in enumerate(worlds.each_clip(place, seeds, frames, work, processes), 1):
            if number % max(1, len(seeds) // 10) == 0:
                say(f"{number} of {len(seeds)} clips written")
        layout.finish(folder, len(seeds))


def _scaled(mount: Mount, scale: float) -> Any:
    camera = mount.camera
    return camera.resize(max(16, round(camera.height * scale)), max(16, round(camera.width * scale)))


@dataclass(frozen=True)
class _Rigs(Sequence[Rig]):
    """What the cameras of a data set see on the way through a place, each instant rendered when it is asked for."""

    place: worlds.Place
    layout: Layout
    mounts: Mapping[str, Mount]

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, index: Any) -> Any:
        return self.place.rig(range(len(self))[index], self.mounts, self.layout.lidar, self.layout.flow)


def _write_clip(place: worlds.Place, layout: Layout, mounts: Mapping[str, Mount], out: Path, first: int) -> list[Path]:
    return layout.write_clip(out, place.seed - first, _Rigs(place, layout, mounts))
