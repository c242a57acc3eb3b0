from __future__ import annotations

import contextlib
import subprocess
import sys
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from leadline.errors import InputError
from leadline.io.video import VideoReader, VideoWriter


def pattern(index: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Four flat quarters, one of which counts the frames."""
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 200, 40)
    image[height // 2 :, : width // 2] = (40, 50, 210)
    image[height // 2 :, width // 2 :] = 2 * index % 250
    return image


def film(path: Path, count: int, size: tuple[int, int] = (48, 64), fps: Fraction | float = 25) -> Path:
    with VideoWriter(path, fps, size) as writer:
        for index in range(count):
            writer.write(pattern(index, size))
    return path


def noise(path: Path, count: int) -> Path:
    """A film whose frames need many bytes, so that cutting the file cuts frames."""
    random = np.random.default_rng(0)
    with VideoWriter(path, 25, (48, 64)) as writer:
        for _ in range(count):
            writer.write(random.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_write_and_read_again(tmp_path: Path, suffix: str) -> None:
    reader = VideoReader(film(tmp_path / f"a{suffix}", 30, fps=Fraction(30000, 1001)))
    assert reader.size == (48, 64)
    assert reader.frame_count == 30
    assert float(reader.fps) == pytest.approx(30000 / 1001, rel=1e-3)
    frames = list(reader)
    assert len(frames) == 30
    for index, frame in enumerate(frames):
        assert frame.dtype == np.uint8
        # The middle of each quarter: chroma is shared by two pixels.
        difference = np.abs(frame.astype(int) - pattern(index))[6:-6:12, 6:-6:12]
        assert difference.max() <= 6
    assert [entry.name for entry in tmp_path.iterdir()] == [f"a{suffix}"]


def test_colours_do_not_depend_on_the_size(tmp_path: Path) -> None:
    """Players guess BT.601 or BT.709 from the height where a file does not say; ours says."""
    for size in ((96, 128), (720, 1280)):
        frame = next(iter(VideoReader(film(tmp_path / "a.mp4", 2, size))))
        assert np.abs(frame[size[0] // 4, size[1] // 4].astype(int) - (220, 30, 30)).max() <= 4
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == 1


def test_a_file_can_be_read_again_also_after_stopping(tmp_path: Path) -> None:
    with VideoReader(film(tmp_path / "a.mp4", 12)) as reader:
        start = list(islice(reader, 3))
        assert len(list(reader)) == 12
        assert np.array_equal(next(iter(reader)), start[0])


def test_times(tmp_path: Path) -> None:
    times = [time for time, _ in VideoReader(film(tmp_path / "a.mp4", 10, fps=12.5)).timed()]
    assert times == pytest.approx(np.arange(10) / 12.5, abs=1e-6)


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (1, 1)])
def test_odd_sizes_are_padded_to_even_ones(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    with VideoWriter(tmp_path / "a.mp4", 10, size) as writer:
        writer.write(np.full((height, width, 3), 120, np.uint8))
    reader = VideoReader(tmp_path / "a.mp4")
    assert reader.size == (height + height % 2, width + width % 2)
    assert np.abs(next(iter(reader)).astype(int) - 120).max() <= 2


@pytest.mark.parametrize(
    ("degrees", "mirrored", "turn"),
    [
        (0, False, lambda a: a),
        (-90, False, lambda a: np.rot90(a, -1)),  # a telephone held upright: to be turned clockwise
        (90, False, lambda a: np.rot90(a, 1)),
        (180, False, lambda a: np.rot90(a, 2)),
        (0, True, lambda a: a[:, ::-1]),
    ],
)
def test_rotation_metadata(tmp_path: Path, degrees: int, mirrored: bool, turn: object) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pattern(40))))
        container.mux(stream.encode())
    reader = VideoReader(path)
    expected = turn(pattern(40))  # type: ignore[operator]
    assert reader.size == expected.shape[:2]
    difference = np.abs(next(iter(reader)).astype(int) - expected)[6:-6:12, 6:-6:12]
    assert difference.max() <= 30


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("kept", [0.4, 0.8])
def test_a_file_cut_off_gives_its_frames_and_then_says_so(tmp_path: Path, suffix: str, kept: float) -> None:
    path = noise(tmp_path / f"a{suffix}", 50)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    frames = []
    with pytest.raises(InputError, match=rf"a\{suffix}: damaged or cut off, \d+ frames could be read") as caught:
        collect(frames, VideoReader(path))
    assert f" {len(frames)} frames" in str(caught.value)
    assert 0.4 * kept * 50 < len(frames) < 50


def collect(frames: list[np.ndarray], reader: VideoReader) -> None:
    """Unlike ``list(reader)`` this keeps what came before an exception."""
    for frame in reader:
        frames.append(frame)


def test_damage_in_the_middle_does_not_end_a_video(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.mp4", 50)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    frames: list[np.ndarray] = []
    with contextlib.suppress(InputError):  # whether the decoder could conceal the damage is its own affair
        collect(frames, VideoReader(path))
    assert len(frames) > 30


def test_what_is_no_video_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video at all " * 100)
    (tmp_path / "stump.mkv").write_bytes(film(tmp_path / "whole.mkv", 5).read_bytes()[:300])
    for name, reason in {
        "missing.mp4": "no such file",
        "": "a folder",
        "empty.mp4": "is empty",
        "text.mp4": "not a video",
        "stump.mkv": "not a video|no frame|no video",
    }.items():
        with pytest.raises(InputError, match=reason) as caught:
            VideoReader(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="no video in this file"):
        VideoReader(tmp_path / "a.mp4")


def test_webcam_that_is_not_there() -> None:
    with pytest.raises(InputError, match="webcam 97"):
        VideoReader(97)


def test_stream_that_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        VideoReader("rtsp://127.0.0.1:9/none")


@pytest.mark.parametrize(
    ("name", "fps", "size", "message"),
    [
        ("a.xyz", 25, (8, 8), r"\.mp4, \.mov, \.mkv"),
        ("a.mp4", 0, (8, 8), "not a rate"),
        ("a.mp4", 25, (0, 8), "not a size"),
    ],
)
def test_impossible_videos(tmp_path: Path, name: str, fps: float, size: tuple[int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VideoWriter(tmp_path / name, fps, size)


def write_broken(path: Path) -> None:
    with VideoWriter(path, 25, (48, 64)) as writer:
        writer.write(pattern(0))
        raise ZeroDivisionError


def write_misshapen(path: Path) -> None:
    with VideoWriter(path, 25, (48, 64)) as writer:
        writer.write(pattern(0)[:, :-2])


def test_a_failed_or_empty_video_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(InputError, match="no frame"), VideoWriter(tmp_path / "a.mp4", 25, (8, 8)):
        pass
    with pytest.raises(ZeroDivisionError):
        write_broken(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"\(48, 64, 3\)"):
        write_misshapen(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


PEAK = """
import re, sys
from pathlib import Path
from leadline.io.video import VideoReader
count = sum(1 for _ in VideoReader(sys.argv[1]))
# Not getrusage: its peak begins at that of the process that started this one.
print(count, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """350 frames more of 690 kB each may not cost the reading process more than a few of them."""
    peaks = []
    for count in (50, 400):
        path = film(tmp_path / f"{count}.mp4", count, (360, 640))
        command = [sys.executable, "-c", PEAK, str(path)]
        read, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(read) == count
        peaks.append(int(kilobytes))
    assert peaks[1] - peaks[0] < 10_000


@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [
        ("solidWhiteRight.mp4", 221, (540, 960)),
        ("highway.mp4", 38, (720, 1280)),
        ("car-detection.mp4", 377, (432, 768)),
    ],
)
def test_real_videos(real_data: Path, name: str, frames: int, size: tuple[int, int]) -> None:
    reader = VideoReader(real_data / "video" / name)
    assert reader.size == size
    assert reader.frame_count == frames
    assert sum(1 for _ in reader) == frames
