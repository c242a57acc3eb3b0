"""Video in and out, one frame at a time, so that memory does not grow with a video's length."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray

from leadline.errors import InputError, suggest
from leadline.io.atomic import writing

WRITABLE_SUFFIXES = (".mp4", ".mov", ".mkv")

NETWORK_TIMEOUT = 15.0
"""Seconds without an answer after which a network stream counts as gone."""

LIVE_OPTIONS = {"rtsp_flags": "prefer_tcp"}
"""For ffmpeg: no packets are lost on the way where a camera can do without UDP."""

BT709 = 1
"""The number that ffmpeg and H.273 give the colours of HD video."""


class VideoReader:
    """Frames of a video file, a webcam or a network stream, decoded as they are asked for.

    Iterating yields uint8 arrays (H, W, 3), RGB, turned upright by the file's rotation metadata; `timed`
    yields them with their times. A file can be read any number of times, each reading from its start; a
    webcam or stream goes on where the last reading left it. Frames are given on the stored pixel grid,
    without stretching non-square pixels, and at the size of the first one should the size change on the way.

    A file that is cut off or damaged gives the frames that can be decoded; reading then ends with an
    `InputError` that says how many those were. Streams simply end, and lost packets there are passed over.

    Attributes:
        source: what was opened.
        fps: frames a second, as a fraction; for variable rates the average.
        name: of the source in messages: a URL without its password.
        live: whether it is a webcam or a URL; what is read of it does not come again.
        endless: whether it is live and does not say how long it is.
        size: height and width of the frames in pixels.
        frame_count: number of frames by the header, an estimate where that gives the duration only, or None.

    Raises:
        InputError: there is no such file, device or stream, it is not a video, or no frame of it can be
            decoded.
    """

    def __init__(self, source: str | os.PathLike[str] | int) -> None:
        """Open the source and decode its first frame.

        Args:
            source: path of a file, number of a webcam, or a URL.
        """
        self.source = source
        self.name = _without_password(str(source)) if not isinstance(source, int) else f"webcam {source}"
        self.live = isinstance(source, int) or "://" in os.fspath(source)
        self.fps = Fraction(25)
        self.frame_count: int | None = None
        self._frames = self._decode()
        try:
            self._first: tuple[float, NDArray[np.uint8]] | None = next(self._frames)
        except StopIteration:
            raise InputError(f"{self.name}: this video holds no frames") from None
        self.size: tuple[int, int] = self._first[1].shape[:2]
        self.endless = self.live and self.frame_count is None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames, uint8 (H, W, 3)."""
        return (image for _, image in self.timed())

    def timed(self) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield (seconds since the first frame, frame)."""
        if self._first is None and not self.live:
            self._frames.close()
            self._frames = self._decode()
        elif self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames

    def close(self) -> None:
        """Let go of the file or device."""
        self._frames.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _decode(self) -> Generator[tuple[float, NDArray[np.uint8]], None, None]:
        with self._open() as container:
            if not container.streams.video:
                raise InputError(f"{self.name}: no video in this file")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE" if self.live else "AUTO"  # threads of whole frames hold some back
            self.fps = stream.average_rate or stream.guessed_rate or Fraction(25)
            duration = _seconds(container, stream)
            self.frame_count = stream.frames or (round(duration * self.fps) if duration else None)

            read, start, end = 0, 0.0, 0.0
            damage: list[str] = []
            for frame in _decoded(container, stream, damage):
                time = end if frame.time is None else frame.time
                if read == 0:
                    start, width, height, orientation = time, frame.width, frame.height, _orientation(frame)
                read += 1
                end = time + float(frame.duration * frame.time_base if frame.duration else 1 / self.fps)
                picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
                yield time - start, _upright(picture, orientation)

        if self.live:
            return
        # Three frames and two per cent of slack: headers round, and some count what a decoder holds back.
        if duration and end - start < 0.98 * duration - 3 / float(self.fps):
            damage.append(f"its header announces {duration:.1f} s, {end - start:.1f} s are there")
        if damage:
            reason = damage[-1]
            what = f"{read} frames could be read" if read else "no frame of it can be read"
            raise InputError(f"{self.name}: damaged or cut off, {what} ({reason})")

    def _open(self) -> av.container.InputContainer:
        try:
            if isinstance(self.source, int):
                return _open_webcam(self.source)
            if self.live:
                return av.open(os.fspath(self.source), options=LIVE_OPTIONS, timeout=NETWORK_TIMEOUT)
            if Path(self.source).is_file() and Path(self.source).stat().st_size == 0:
                raise InputError(f"{self.name}: the file is empty")
            return av.open(os.fspath(self.source))
        except FileNotFoundError:
            raise InputError(f"{self.name}: no such file") from None
        except IsADirectoryError:
            raise InputError(f"{self.name}: a folder, not a video") from None
        except PermissionError:
            raise InputError(f"{self.name}: no permission to read it") from None
        except (av.FFmpegError, OSError, IndexError) as error:
            reason = getattr(error, "strerror", None) or error
            what = "cannot be reached" if self.live else "not a video, or cut off so early that nothing can be read"
            raise InputError(f"{self.name}: {what} ({reason})") from None


class VideoWriter:
    """Write frames as H.264 (MPEG-4 part 2 where this PyAV has no x264), playable everywhere (yuv420p,
    BT.709).

    Use as a context manager; the file appears under its name when the block ends without an exception, never
    half written. Frames of odd height or width get their last row or column doubled, as yuv420p needs even
    sizes.

    Raises:
        InputError: the suffix is not .mp4, .mov or .mkv, size or rate is impossible, a frame has another
            size than announced, none was written, or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], fps: Fraction | float, size: tuple[int, int]) -> None:
        """Check the arguments; nothing is written yet.

        Args:
            path: the file to write.
            fps: frames a second; 29.97 and the like are kept as fractions.
            size: height and width of the frames in pixels.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in WRITABLE_SUFFIXES:
            raise InputError(
                f"{path}: cannot write a video as '{suffix}'; use one of {', '.join(WRITABLE_SUFFIXES)}"
                f"{suggest(suffix, WRITABLE_SUFFIXES)}"
            )
        if not 0 < fps < 1e5:
            raise InputError(f"{path}: {fps} frames a second is not a rate a video can have")
        if min(size) < 1 or max(size) > 16384:
            raise InputError(f"{path}: {size[0]}x{size[1]} (height x width) is not a size a video can have")
        self.path = Path(path)
        self.size = size
        # 1001 keeps the rates of broadcast video (30000/1001) exact.
        self.fps = Fraction(fps).limit_denominator(1001) or Fraction(1, 1001)
        self.written = self._next = 0
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> VideoWriter:
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(writing(self.path))
            try:
                self._container = stack.enter_context(av.open(str(temporary), "w", options=_muxing(self.path)))
                codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
                options = {"crf": "18", "preset": "fast"} if codec == "libx264" else {"qscale": "2"}
                self._stream = self._container.add_stream(codec, rate=self.fps, options=options)
            except av.FFmpegError as error:
                raise InputError(f"{self.path}: cannot write this video ({error.strerror})") from None
            height, width = self.size
            self._stream.height, self._stream.width = height + height % 2, width + width % 2
            self._stream.pix_fmt = "yuv420p"
            for characteristic in ("colorspace", "color_primaries", "color_trc", "color_range"):
                setattr(self._stream.codec_context, characteristic, BT709)  # range 1 is the limited one of video
            self._exit = stack.pop_all()
        return self

    def write(self, image: NDArray[np.uint8], time: float | None = None) -> None:
        """Append one frame, uint8 (H, W, 3), RGB, of the announced size.

        Args:
            image: the frame.
            time: seconds since the start at which it is shown, where frames are missing; by default one frame's time
                after the frame before.
        """
        if image.dtype != np.uint8 or image.shape != (*self.size, 3):
            raise InputError(
                f"{self.path}: a frame is uint8 {(*self.size, 3)}, this array is {image.dtype} {image.shape}"
            )
        height, width = self.size
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        due = self._next if time is None else max(self._next, round(time * self.fps))
        frame.pts, frame.time_base = due, 1 / self.fps
        self._encode(frame)
        self._next, self.written = due + 1, self.written + 1

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except av.FFmpegError as error:
            raise InputError(f"{self.path}: cannot write this video ({error.strerror})") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._exit:
            # The stack sees an exception of the block or of flushing, and then drops the temporary file.
            if error is not None:
                raise error.with_traceback(trace)
            if self.written == 0:
                raise InputError(f"{self.path}: no frame was written, so there is no video")
            self._encode(None)


def _without_password(source: str) -> str:
    """A URL without who may see it; anything else as it is."""
    scheme, found, rest = source.partition("://")
    if not found:
        return source
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _muxing(path: Path) -> dict[str, str]:
    """The index goes to the front, so that a browser can play the file while it loads."""
    return {} if path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}


def _seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """The duration the header announces for the pictures; the container's own counts the sound as well."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration) / 1e6
    return None


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream, damage: list[str]
) -> Iterator[av.VideoFrame]:
    """Every frame that can be decoded; what went wrong on the way is appended to ``damage``."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            damage.append(error.strerror or str(error))
            return
        try:
            yield from packet.decode()
        except av.FFmpegError as error:  # one bad packet does not end a video
            damage.append(error.strerror or str(error))


def _orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """a, b, c, d of the display matrix (ISO/IEC 14496-12), (x', y') = (a x + c y, b x + d y).

    Asked of the first frame alone: touching a frame's side data ties it into a reference cycle, and then
    frames pile up until the garbage collector runs.
    """
    for data in frame.side_data:
        if data.type == SideDataType.DISPLAYMATRIX:
            a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
            return a, b, c, d
    return 1, 0, 0, 1


def _upright(picture: NDArray[np.uint8], orientation: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    a, b, c, d = orientation
    if abs(a) >= abs(b):
        turned = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    else:
        turned = picture.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    return np.ascontiguousarray(turned)


def _open_webcam(number: int) -> av.container.InputContainer:
    device = f"/dev/video{number}"
    if not sys.platform.startswith("linux"):
        raise InputError(f"webcam {number}: webcams are read on Linux only; elsewhere give a file or a URL")
    if not Path(device).exists():
        raise InputError(f"webcam {number}: there is no device {device}")
    if "v4l2" not in av.formats_available:
        raise InputError(f"webcam {number}: this build of PyAV cannot read webcams (no v4l2)")
    return av.open(device, format="v4l2")


def write_video(path: Path, fps: Fraction | float, images: Iterable[NDArray[np.uint8]]) -> Path:
    """Write pictures (H, W, 3) of one size as a video; see :class:`VideoWriter`.

    Returns:
        ``path``.

    Raises:
        InputError: there is no picture, or the file cannot be written.
    """
    images = iter(images)
    first = next(images, None)
    if first is None:
        raise InputError(f"{path}: a video needs at least one picture")
    with VideoWriter(path, fps, (first.shape[0], first.shape[1])) as writer:
        for image in itertools.chain([first], images):
            writer.write(image)
    return path
