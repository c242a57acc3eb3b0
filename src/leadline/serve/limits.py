"""What the service takes on, and no more."""

from __future__ import annotations

from dataclasses import dataclass, fields

from leadline.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """Bounds of size, number and time; what is beyond them is refused with a line that names them.

    Args:
        queue: requests for images in hand at once, from the first byte to the answer; further ones are told 429.
        image_mb: size of an image file, in MB.
        image_megapixels: of an image, by its header, before it is decoded.
        upload_seconds: for the whole body of an image.
        idle_seconds: without a byte of a body, or of the head of a request.
        answer_seconds: from the last byte of an image to its answer.
        jobs: videos that wait or run at once; further ones are told 429.
        video_mb: size of a video file, in MB.
        video_megapixels: of one frame.
        video_minutes: of playing time.
        video_frames: of a video.
        video_upload_seconds: for the whole body of a video.
        job_minutes: a job may run.
        keep_hours: a finished job and its results are kept.
        free_gb: disk space that must be left beside a video for it to be taken, in GB.

    Raises:
        ConfigError: one is not positive.
    """

    queue: int = 64
    image_mb: float = 20.0
    image_megapixels: float = 32.0
    upload_seconds: float = 30.0
    idle_seconds: float = 10.0
    answer_seconds: float = 60.0
    jobs: int = 16
    video_mb: float = 500.0
    video_megapixels: float = 9.0
    video_minutes: float = 10.0
    video_frames: int = 20000
    video_upload_seconds: float = 900.0
    job_minutes: float = 60.0
    keep_hours: float = 24.0
    free_gb: float = 1.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not getattr(self, entry.name) > 0:
                raise ConfigError(f"limits.{entry.name}: must be above 0, not {getattr(self, entry.name)}")
