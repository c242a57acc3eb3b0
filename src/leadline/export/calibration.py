"""A user's frames, for ranges of activations and for judging."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leadline.data.split import Holdout
from leadline.errors import ConfigError, InputError
from leadline.io.images import read_image
from leadline.io.inputs import ImageInput, find_inputs
from leadline.io.video import VideoReader

#: Frames that are read, at most.
MOST = 192
#: Fewer frames say too little of what a camera sees.
LEAST = 8
#: Of a video, for a model of single images: one in so many frames; the others are nearly copies.
STEP = 5


def read_frames(specs: Sequence[str], consecutive: bool = False) -> list[NDArray[np.uint8]]:
    """(H, W, 3) of images, folders, globs, videos and lists, evenly spread where there are more than :data:`MOST`.

    Args:
        specs: see ``leadline.io.inputs.find_inputs``.
        consecutive: the first frames in order instead, for a model that sees video.

    Raises:
        InputError: nothing is found, a file cannot be read, or a webcam or a stream is given, which never ends.
    """
    items = find_inputs(specs)
    images = [item.path for item in items if isinstance(item, ImageInput)]
    chosen = images[:MOST] if consecutive else images[:: -(-len(images) // MOST) or 1]
    frames = [read_image(path) for path in chosen]
    for item in items:
        if isinstance(item, ImageInput):
            continue
        if isinstance(item.source, int) or "://" in str(item.source):
            raise InputError(f"{item.source}: record a webcam or a stream to a file first")
        with VideoReader(item.source) as reader:
            step = 1 if consecutive else max(STEP, (reader.frame_count or 0) // MOST)
            frames += itertools.islice(reader, 0, max(0, MOST - len(frames)) * step, step)
    return frames


def split_frames(
    frames: Sequence[NDArray[np.uint8]], consecutive: bool = False
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Frames that give ranges, and others that are judged: whole blocks, so that no judged frame is nearly a copy of
    one that was seen; of a video its last quarter.

    Raises:
        ConfigError: there are fewer than :data:`LEAST`.
    """
    if len(frames) < LEAST:
        raise ConfigError(
            f"calibration: {len(frames)} frames say too little of what a camera sees; give at least {LEAST}, better 100"
        )
    if consecutive:
        cut = len(frames) * 3 // 4
        return list(frames[:cut]), list(frames[cut:])
    seen, judged = Holdout(4).split(len(frames))
    return [frames[index] for index in seen], [frames[index] for index in judged]
