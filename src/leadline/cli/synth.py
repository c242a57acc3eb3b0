"""leadline synth: render a world, in the layout of any data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import make_parser, parse

if TYPE_CHECKING:
    from leadline.data.layout import Layout
    from leadline.rig import Mount, Rig
    from leadline.worlds import Place, World


def main(arguments: list[str]) -> int:
    """Run the command."""
    from leadline import worlds

    parser = make_parser("synth")
    parser.add_argument(
        "world", help=f"the kind of place: {', '.join(worlds.names())}; with --help after it, its options"
    )
    parser.add_function_arguments(synth, skip={"world", "options"})
    # What can be said about a place depends on the place.
    kind = worlds.kind(arguments[0]) if arguments and not arguments[0].startswith("-") else None
    if kind:
        parser.add_class_arguments(kind, skip={"height", "width", "rate"})
    chosen = parser.instantiate_classes(parse(parser, arguments)).as_dict()
    names = {field.name for field in fields(kind)} - {"height", "width", "rate"} if kind else set()
    synth(options={name: chosen.pop(name) for name in names}, **chosen)
    return 0


def synth(
    world: str,
    out: Path,
    frames: int = 30,
    seed: int = 0,
    clips: int = 1,
    layout: str = "folder",
    height: int | None = None,
    width: int | None = None,
    rate: float | None = None,
    scale: float = 1.0,
    video: bool = False,
    processes: int = 0,
    options: Mapping[str, Any] = {},
) -> None:
    """Render clips with exact truth.

    Args:
        world: the kind of place.
        out: folder to write to.
        frames: of each clip.
        seed: of the first clip's place; every clip after it takes the next seed.
        clips: how many places.
        layout: folder: images/, depths/, poses/ and whatever else is known, each file named SEQUENCE-FRAME; or the name
            of a data set: its cameras, sizes, files and encodings.
        height: of the images, 256 by default; a data set has its own.
        width: of the images, 320 by default; a data set has its own.
        rate: frames a second, 30 by default; a data set has its own.
        scale: of a data set's images: 0.25 renders them at a quarter of its height and width.
        video: write each clip as a video too, as SEQUENCE.mp4; for layout folder.
        processes: how many render; 0 takes every core.
        options: of the world.
    """
    from leadline import worlds

    sizes = {"height": height, "width": width, "rate": rate}
    given = {name: value for name, value in sizes.items() if value is not None}
    if layout == "folder":
        if scale != 1:
            raise _unfit("scale", "is for the layouts of data sets; give --height and --width")
        _write_folder(
            worlds.create(world, **given, **options), out, range(seed, seed + clips), frames, video, processes
        )
    else:
        from leadline.data.layout import open_layout

        chosen = open_layout(layout, world)
        for name in given:
            raise _unfit(name, f"layout {layout} has its own; --scale makes images smaller")
        if video:
            raise _unfit("video", "is for layout folder")
        _write_layout(
            worlds.create(world, rate=chosen.rate, **options), chosen, out, seed, clips, frames, scale, processes
        )


def _unfit(option: str, problem: str) -> Exception:
    from leadline.errors import ConfigError

    return ConfigError(f"{option}: {problem}")


def _write_folder(place: World, out: Path, seeds: range, frames: int, video: bool, processes: int) -> None:
    from leadline.io.images import read_image
    from leadline.io.video import write_video
    from leadline.training.rendered import render

    made = render(place, seeds, frames, out, processes=processes)
    if video:
        for number in seeds:
            sequence = f"{place.name}-{number:06d}"
            images = (read_image(out / "images" / f"{sequence}-{index:06d}.png") for index in range(frames))
            write_video(out / f"{sequence}.mp4", place.rate, images)
    there = len(seeds) - made
    print(f"{made} clips of {frames} frames rendered, {there} were there: {out}, depth in {place.unit}")


def _write_layout(
    place: World, layout: Layout, out: Path, seed: int, clips: int, frames: int, scale: float, processes: int
) -> None:
    from leadline import worlds
    from leadline.errors import InputError
    from leadline.io.atomic import writing_folder

    if clips < 1 or frames < 1:
        raise _unfit("frames", f"{clips} clips of {frames} frames are nothing to render")
    if seed < 0:
        raise _unfit("seed", f"{seed} is negative; seeds are 0 and above")
    if not 0 < scale <= 1:
        raise _unfit("scale", f"{scale:g} is not above 0 and at most 1")
    # The tables of a data set are about all of it: nothing is added to one that is there.
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; a data set is written as a whole, give a new folder")
    mounts = {name: replace(mount, camera=_scaled(mount, scale)) for name, mount in layout.mounts().items()}
    with writing_folder(out) as folder:
        work = partial(_write_clip, layout=layout, mounts=mounts, out=folder, first=seed)
        for number, _ in enumerate(worlds.each_clip(place, range(seed, seed + clips), frames, work, processes), 1):
            print(f"{number} of {clips} clips written", flush=True)
        layout.finish(folder, clips)
    print(f"{out}: {clips} clips of {frames} frames of world {place.name} in the layout of {layout.name}")


def _scaled(mount: Mount, scale: float) -> Any:
    camera = mount.camera
    return camera.resize(max(16, round(camera.height * scale)), max(16, round(camera.width * scale)))


@dataclass(frozen=True)
class _Rigs(Sequence["Rig"]):
    """What the cameras of a data set see on the way through a place, each instant rendered when it is asked for."""

    place: Place
    layout: Layout
    mounts: Mapping[str, Mount]

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, index: Any) -> Any:
        return self.place.rig(range(len(self))[index], self.mounts, self.layout.lidar, self.layout.flow)


def _write_clip(place: Place, layout: Layout, mounts: Mapping[str, Mount], out: Path, first: int) -> list[Path]:
    return layout.write_clip(out, place.seed - first, _Rigs(place, layout, mounts))
