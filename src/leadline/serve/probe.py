"""What a video that somebody sent announces: asked in a process of its own, because a damaged or hostile file may take
the whole process with it.

    python -m leadline.serve.probe FILE MEGAPIXELS
"""

from __future__ import annotations

import sys
from pathlib import Path

import av

from leadline.errors import InputError, LeadlineError
from leadline.io.video import VideoReader
from leadline.serve.spool import line

#: Containers that hold their pictures themselves. FFmpeg knows playlists too, which make it open other files and
#: addresses of the network.
FORMATS = frozenset((
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "ogg", "flv", "asf", "h264",
    "hevc", "gif",
))  # fmt: skip


def main(arguments: list[str]) -> None:
    """Print one line of JSON: ``frames`` and ``seconds`` (each may be null), or ``error`` and a ``status``."""
    path, megapixels = Path(arguments[0]), float(arguments[1])
    try:
        sys.stdout.buffer.write(line(**probe(path, megapixels)))
    except _TooLarge as error:
        sys.stdout.buffer.write(line(error=str(error), status=413))
    except LeadlineError as error:
        sys.stdout.buffer.write(line(error=str(error).replace(str(path), "video"), status=422))


def probe(path: Path, megapixels: float) -> dict[str, float | None]:
    """Frames and seconds by the header, once a first frame could be decoded.

    Raises:
        InputError: no video of ``FORMATS``, none that can be decoded, or frames of too many pixels.
    """
    try:
        with av.open(
            str(path), options={"format_whitelist": ",".join(sorted(FORMATS)), "protocol_whitelist": "file"}
        ) as box:
            if FORMATS.isdisjoint(box.format.name.split(",")) or not box.streams.video:
                raise InputError(f"{path}: no video")
            stream = box.streams.video[0]
            if stream.width * stream.height > megapixels * 1e6:
                raise _TooLarge(
                    f"video: frames of {stream.width}x{stream.height} pixels are more than {megapixels:g} million"
                )
            seconds = box.duration / 1e6 if box.duration else None
    except (av.FFmpegError, OSError, ValueError, IndexError):
        raise InputError(f"{path}: no video that can be read") from None
    with VideoReader(path) as reader:
        return {"frames": reader.frame_count, "seconds": seconds}


class _TooLarge(InputError):
    pass


if __name__ == "__main__":
    main(sys.argv[1:])
