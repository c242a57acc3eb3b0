"""What ``predict`` writes: depth files, colour pictures, colour videos, point clouds."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError, suggest
from leadline.io.images import write_image
from leadline.io.ply import write_ply
from leadline.io.video import VideoReader, VideoWriter
from leadline.runtime.ahead import ahead, in_parallel
from leadline.runtime.predictor import Decomposition, Predictor, Seen
from leadline.runtime.stabilise import stabilised
from leadline.view import RangeSketch, colourise, robust_range, side_by_side

FORMATS = ("png", "npz", "exr", "colour", "ply")
#: Frames looked at before a video is coloured, so that one range of colours holds for all of it.
LOOK_AT = 16


def check_formats(formats: list[str]) -> None:
    """Refuse unknown formats before any work is done.

    Raises:
        ConfigError: one is unknown.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"formats: unknown format '{name}'{suggest(name, FORMATS)} (one of {', '.join(FORMATS)})")


@dataclass(frozen=True)
class ImageWriter:
    """Writes a depth map in every format asked for.

    Args:
        folder: where to.
        formats: of ``FORMATS``.
        colormap: of colour pictures.
        decompose: what takes images apart, where that is to be written too.
    """

    folder: Path
    formats: list[str]
    colormap: str
    decompose: Callable[[np.ndarray], Decomposition] | None = None

    def write(self, name: str, image: np.ndarray, depth: DepthMap) -> None:
        """Write ``folder/name.*`` for an image (H, W, 3) uint8 and its depth map; ``png`` becomes name.depth.png.

        Raises:
            KindError: a point cloud was asked for of a map that has none.
        """
        if "colour" in self.formats:
            write_image(self.folder / f"{name}.colour.png", self.picture(image, depth, None))
        self.write_values(name, image, depth)

    def write_values(self, name: str, image: np.ndarray, depth: DepthMap) -> None:
        """As :meth:`write`, without the colour picture. Of an image taken apart there are name.diffuse.png,
        name.residual.png, which holds R / (1 + R), mid grey where R is 1, and name.mask.png, white on reflections."""
        for suffix in ("png", "npz", "exr"):
            if suffix in self.formats:
                depth.save(self.folder / f"{name}.depth.{suffix}")
        if "ply" in self.formats:
            write_ply(self.folder / f"{name}.ply", depth.to_points(), image[depth.liftable])
        if self.decompose is not None:
            apart = self.decompose(image)
            mask = np.repeat(apart.reflective[..., None], 3, axis=2).astype(np.float32)
            pictures = {"diffuse": apart.diffuse, "residual": apart.residual / (1 + apart.residual), "mask": mask}
            for kind, picture in pictures.items():
                write_image(self.folder / f"{name}.{kind}.png", picture)

    def picture(self, image: np.ndarray, depth: DepthMap, span: tuple[float, float] | None) -> np.ndarray:
        """Image and coloured depth side by side, (H, W', 3) uint8; the range of colours is the map's own unless
        given."""
        depth = in_colour(depth)
        low, high = span or robust_range(depth.values, depth.valid)
        coloured = colourise(depth.values, depth.valid, low, high, quantity=depth.kind.quantity, colormap=self.colormap)
        return side_by_side([image, coloured])


def predict_video(
    predictor: Predictor, source: Path | int | str, name: str, writer: ImageWriter, limit: int | None = None
) -> int:
    """Predict every frame of a video; memory does not grow with its length; reading, predicting and writing overlap.
    What does not wait is for :func:`leadline.runtime.live.predict_live`.

    ``colour`` becomes ``name.mp4``, with one range of colours over the whole video; the other formats one file a frame
    in a folder ``name``. What was made before a broken video ends is kept.

    Returns:
        How many frames.

    Raises:
        InputError: the video cannot be read, or broke off; the message says after how many frames.
    """
    frames = replace(writer, folder=writer.folder / name)
    count = 0
    with VideoReader(source) as reader, contextlib.ExitStack() as stack:
        images = _until_broken(itertools.islice(reader, limit))
        made = _answers(predictor, ahead(images))
        stack.callback(made.close)  # before the reader, at which its threads may be
        answers: Iterable[Seen] = made
        span = video = None
        if "colour" in writer.formats:
            # Other frames, shown apart, would be answered otherwise; and what is read of a URL does not come again.
            if reader.live or predictor.model.remembers or predictor.steadiness is not None:
                start = list(itertools.islice(made, LOOK_AT))
                span, answers = colour_range(depth for _, depth in start), itertools.chain(start, made)
            else:
                span = colour_range(depth for _, depth in _answers(predictor, spread(source, limit)))

        def written(numbered: tuple[int, Seen]) -> np.ndarray | None:
            number, (image, depth) = numbered
            frames.write_values(f"{number:06d}", image, depth)
            return writer.picture(image, depth, span) if span is not None else None

        for picture in in_parallel(written, enumerate(answers)):
            if picture is not None:
                if video is None:
                    path = writer.folder / f"{name}.mp4"
                    video = stack.enter_context(VideoWriter(path, reader.fps, picture.shape[:2]))
                video.write(picture)
            count += 1
    if images.error is not None:
        raise images.error
    return count


def _answers(predictor: Predictor, images: Iterable[np.ndarray]) -> Generator[Seen, None, None]:
    """Each image of a video with its depth map, made ahead of who asks."""
    model = predictor.model
    if model.parallel and not model.remembers and predictor.batch == 1:
        each = in_parallel(lambda image: (image, predictor.predict(image)), images)
        return each if predictor.steadiness is None else ahead(stabilised(each, predictor.steadiness))
    # A window's maps come all at once: those that wait must not keep the next window waiting.
    return ahead(predictor.stream(images), max(4, model.window))


def colour_range(depths: Iterable[DepthMap]) -> tuple[float, float]:
    """One range of colours for all of these maps."""
    sketch = RangeSketch()
    for depth in depths:
        shown = in_colour(depth)
        sketch.add(shown.values, shown.valid)
    return sketch.range()


def in_colour(depth: DepthMap) -> DepthMap:
    """The map in the quantity it is coloured in: disparity, whose steps are where the eye wants them, if it has one."""
    return depth if depth.kind.up_to == "affine" else depth.to_disparity()


def spread(source: Path | int | str, limit: int | None) -> Iterator[np.ndarray]:
    """``LOOK_AT`` frames spread over a video file."""
    with VideoReader(source) as reader:
        length = min(n for n in (reader.frame_count, limit, LOOK_AT**3) if n)
        yield from _until_broken(itertools.islice(reader, 0, limit, max(1, length // LOOK_AT)))


class _until_broken(Iterator[np.ndarray]):
    """Images up to where a source breaks off; the error is kept for later."""

    def __init__(self, images: Iterator[np.ndarray]) -> None:
        self.images = iter(images)
        self.error: InputError | None = None

    def __next__(self) -> np.ndarray:
        try:
            return next(self.images)
        except InputError as error:
            self.error = error
            raise StopIteration from None
