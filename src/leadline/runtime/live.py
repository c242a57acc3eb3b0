"""Depth of webcams and streams as they go on: the newest frame, as soon as it can be had."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import numpy as np

from leadline.depth import DepthMap
from leadline.io.live import Captured, LiveSource, Reconnect
from leadline.io.video import VideoReader, VideoWriter
from leadline.runtime.ahead import ahead
from leadline.runtime.predictor import Predictor
from leadline.runtime.writing import ImageWriter, in_colour
from leadline.view import RunningRange


def answered(predictor: Predictor, source: LiveSource) -> Generator[tuple[Captured, DepthMap], None, None]:
    """Each frame that is taken of a live source, with its depth map, before the next is taken.

    Args:
        predictor: what it remembers of a video, it remembers over what was dropped and lost.
        source: open; its statistics get the latencies.
    """
    taken: list[Captured] = []

    def images() -> Iterator[np.ndarray]:
        for frame in source:
            taken.append(frame)
            yield frame.image

    with contextlib.closing(predictor.stream(images(), live=True)) as stream:
        for _, depth in stream:
            frame = taken.pop()
            source.answered(frame)
            yield frame, depth


def predict_live(
    predictor: Predictor,
    reader: VideoReader,
    name: str,
    writer: ImageWriter,
    limit: int | None = None,
    report: Callable[[str], None] = print,
    reconnect: Reconnect = Reconnect(),
) -> int:
    """Predict the newest frames of a live source until it ends and write them, as
    :func:`leadline.runtime.writing.predict_video` does; capture, network and writing overlap, frames that come too fast
    are dropped. In ``name.mp4`` each frame is shown when it came, in colours whose range follows slowly.

    Args:
        predictor: a model.
        reader: the source, open; it is closed in the end.
        name: of what is written.
        writer: where to and how.
        limit: stop after so many answers.
        report: is told of each loss of the source, and in the end what became of its frames, in one line each.
        reconnect: how a lost source is come back to.

    Returns:
        How many frames were answered.

    Raises:
        InputError: a file is damaged or cut off; what it held is written.
    """
    frames = replace(writer, folder=writer.folder / name)
    colours, count = RunningRange(), 0
    size: tuple[int, int] | None = None
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(LiveSource(reader, reconnect=reconnect, report=report))
        answers = stack.enter_context(contextlib.closing(ahead(answered(predictor, source), 1)))
        video: VideoWriter | None = None
        try:
            for frame, depth in answers:
                frames.write_values(f"{count:06d}", frame.image, depth)
                if "colour" in writer.formats:
                    shown = in_colour(depth)
                    picture = writer.picture(frame.image, depth, colours.add(shown.values, shown.valid))
                    if video is None:
                        size = (picture.shape[0], picture.shape[1])
                        video = VideoWriter(writer.folder / f"{name}.mp4", reader.fps, size)
                        stack.enter_context(video)
                    if size == picture.shape[:2]:  # a stream that comes back may have another size
                        video.write(picture, frame.time)
                count += 1
                if count == limit:
                    break
        finally:
            source.stop()
            report(f"{reader.name}: {source.statistics}")
    return count
