"""Whatever a user has, images, folders, globs, videos, as frames without depth."""

from __future__ import annotations

from pathlib import Path

from leadline.data.images import Images
from leadline.errors import ConfigError, InputError
from leadline.io.images import write_image
from leadline.io.inputs import ImageInput, VideoInput, find_inputs
from leadline.io.video import VideoReader


class Inputs(Images):
    """Images, and frames of videos.

    Args:
        images: files, folders, globs, videos, .txt lists, see ``leadline.io.inputs.find_inputs``.
        frames: folder the frames of videos are written to; needed for videos only. A video whose frames are there
            already is not read again.
        video_step: one in so many frames of a video is used.
        mask: which pixels carry picture, see ``leadline.data.images.open_mask``.
        drop_highlights: leave out wet highlights too.

    Raises:
        InputError: nothing is found, or a video cannot be read.
    """

    def __init__(
        self,
        images: list[str],
        frames: Path | None = None,
        video_step: int = 5,
        mask: str = "auto",
        drop_highlights: bool = False,
    ) -> None:
        paths: list[Path] = []
        for item in find_inputs(images):
            if isinstance(item, ImageInput):
                paths.append(item.path)
            elif frames is None:
                raise ConfigError(f"frames: a folder is needed for the frames of {item.source}")
            else:
                paths += extract(item, Path(frames), video_step)
        super().__init__(paths, mask, drop_highlights)


def extract(video: VideoInput, folder: Path, step: int) -> list[Path]:
    """Every ``step``-th frame of a video as JPEG, so that training can read frames in any order.

    Raises:
        InputError: the video cannot be read, or is a webcam or a stream, which never ends.
    """
    if not isinstance(video.source, Path):
        raise InputError(f"{video.source}: record a webcam or a stream to a file first, training needs an end")
    target = folder / f"{video.name}-every{step}"
    done = target / "complete"
    if not done.is_file():
        with VideoReader(video.source) as reader:
            for index, frame in enumerate(reader):
                if index % step == 0:
                    write_image(target / f"{index:08d}.jpg", frame)
        done.touch()
    return sorted(target.glob("*.jpg"))
