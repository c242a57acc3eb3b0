"""leadline synth: render a world."""

from __future__ import annotations

from pathlib import Path

from leadline.cli import make_parser, parse


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("synth")
    parser.add_argument("world", help="the kind of place: tract, the inside of a tube as an endoscope sees it")
    parser.add_function_arguments(synth, skip={"world"})
    synth(**parse(parser, arguments).as_dict())
    return 0


def synth(
    world: str,
    out: Path,
    frames: int = 30,
    seed: int = 0,
    clips: int = 1,
    rate: float = 30.0,
    height: int = 256,
    width: int = 320,
    layout: str = "folder",
    video: bool = False,
    processes: int = 0,
) -> None:
    """Render clips with exact truth: images, z-depth, cameras, poses, normals, glare, classes.

    Args:
        world: the kind of place.
        out: folder to write to.
        frames: of each clip.
        seed: of the first clip's place; every clip after it takes the next seed.
        clips: how many places.
        rate: frames a second of the camera.
        height: of the images.
        width: of the images.
        layout: ``folder``: images/, depths/, poses/, normals/, glare/, semantics/.
        video: write each clip as a video too, as SEQUENCE.mp4.
        processes: how many render; 0 takes every core.
    """
    from leadline import worlds
    from leadline.errors import ConfigError, suggest
    from leadline.io.images import read_image
    from leadline.io.video import write_video
    from leadline.training.rendered import render

    if layout != "folder":
        raise ConfigError(f"layout: '{layout}' is not known{suggest(layout, ['folder'])}; there is folder")
    place = worlds.create(world, height=height, width=width, rate=rate)
    made = render(place, range(seed, seed + clips), frames, out, processes=processes)
    if video:
        for number in range(seed, seed + clips):
            sequence = f"{world}-{number:06d}"
            images = (read_image(out / "images" / f"{sequence}-{index:06d}.png") for index in range(frames))
            write_video(out / f"{sequence}.mp4", rate, images)
    print(f"{made} clips of {frames} frames rendered, {clips - made} were there: {out}, depth in {place.unit}")
