"""Videos of one's own as frames: one file, or a folder of them, with or without intrinsics."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from leadline.camera import Camera
from leadline.data.dataset import NONE, DataSet
from leadline.data.folder import adjacent
from leadline.data.inputs import extract
from leadline.data.lists import FrameId
from leadline.errors import ConfigError, InputError
from leadline.io.cache import cache_folder, cache_key
from leadline.io.images import image_size
from leadline.io.inputs import VIDEO_SUFFIXES, VideoInput, find_inputs
from leadline.io.video import VideoReader

#: Suffixes of intrinsics, the first that is there is read.
CAMERA_SUFFIXES = (".json", ".yaml", ".yml", ".txt")


class Videos(DataSet):
    """Frames of videos; each video is a sequence, its frames are numbered as they come.

    Intrinsics are those of ``NAME.json`` (or .yaml, .yml, .txt; see ``leadline.camera.Camera.load``) beside the video
    NAME, else of ``intrinsics.json`` (or the same suffixes) in its folder; else they are not known. Frames are written
    as JPEG to a folder of the cache, once for each video as it is, and read from there.

    Args:
        root: a video, or a folder with videos in it.
        split: ``all``, or a file with lines ``NAME NUMBER``.
        truth: there is none.
        mask: which pixels carry picture, see ``leadline.data.images.open_mask``.
        drop_highlights: leave out wet highlights too.
        every: use one in so many of the frames that were written.
        step: one in so many frames of a video is written.
        intrinsics: a camera file for all videos, instead of those beside them.
        frames_in: folder the frames are written to; by default one in the cache.

    Raises:
        ConfigError: an option is impossible.
        InputError: there is no video, one cannot be read, or the intrinsics are wrong.
    """

    name = "video"
    source = "videos of one's own"
    splits = {"all": "every frame of every video"}
    truths = {}
    tree = {f"*{suffix}": "a video (optional)" for suffix in (".mp4", *sorted(VIDEO_SUFFIXES - {".mp4"}))} | {
        f"*{suffix}": "intrinsics, of the video of this name or of all (optional)" for suffix in CAMERA_SUFFIXES
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        truth: str | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
        step: int = 1,
        intrinsics: str | os.PathLike[str] | None = None,
        frames_in: str | os.PathLike[str] | None = None,
    ) -> None:
        if step < 1:
            raise ConfigError(f"step: one in {step} frames cannot be used; 1 uses all")
        root = Path(root)
        videos = [item for item in find_inputs([root]) if isinstance(item, VideoInput)] if root.exists() else []
        if not videos:
            raise InputError(
                f"{root}: no video, nor a folder with one directly in it ({' '.join(sorted(VIDEO_SUFFIXES))})"
            )
        self.intrinsics = Path(intrinsics) if intrinsics else None
        self._videos = {video.name: Path(str(video.source)) for video in videos}
        folder = Path(frames_in) if frames_in else cache_folder() / "frames"
        self._images = {
            FrameId(video.name, int(path.stem)): path
            for video in videos
            for path in extract(video, folder / cache_key([self._videos[video.name]]), step)
        }
        self._order = sorted(self._images)
        super().__init__(root if root.is_dir() else root.parent, split, truth or NONE, mask, drop_highlights, every)

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        del split
        return list(self._images)

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`; in the folder of frames."""
        if id not in self._images:
            raise InputError(f"{self.root}: has no frame {id}; its videos are {', '.join(self._videos)}")
        return self._images[id]

    def files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.files`: the video."""
        return [self._videos[id.sequence]]

    def camera(self, id: FrameId) -> Camera | None:
        """See :meth:`DataSet.camera`."""
        video = self._videos[id.sequence]
        beside = (video.with_name(f"{stem}{end}") for stem in (video.stem, "intrinsics") for end in CAMERA_SUFFIXES)
        file = self.intrinsics or next((path for path in beside if path.is_file()), None)
        if file is None:
            return None
        height, width = image_size(self.image(id))
        return Camera.load(file, width, height)

    def time(self, id: FrameId) -> float:
        """By the video's frame rate, an average where it varies."""
        return id.number / self._rates[id.sequence]

    @cached_property
    def _rates(self) -> dict[str, float]:
        rates = {}
        for name, video in self._videos.items():
            with VideoReader(video) as reader:
                rates[name] = float(reader.fps)
        return rates

    def parse(self, line: str) -> FrameId:
        """``NAME NUMBER``: a video without suffix, and the number of its frame from 0."""
        name, _, number = line.rpartition(" ")
        if not number.isdecimal() or name.strip() not in self._videos:
            raise InputError(f"is not NAME NUMBER, NAME one of {', '.join(self._videos)}")
        return FrameId(name.strip(), int(number))

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """See :meth:`DataSet.neighbour`: among the frames written, never of another video."""
        return adjacent(self._order, id, offset)
