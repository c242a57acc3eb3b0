"""leadline synth: render a world, in the layout of any data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import instantiated, make_parser, parse

if TYPE_CHECKING:
    from leadline.worlds import World


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
    chosen = instantiated(parser, parse(parser, arguments)).as_dict()
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
        from leadline.training.rendered_rig import write_layout

        place = worlds.create(world, rate=chosen.rate, **options)
        write_layout(place, chosen, out, range(seed, seed + clips), frames, scale, processes)
        print(f"{out}: {clips} clips of {frames} frames of world {world} in the layout of {layout}")


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
