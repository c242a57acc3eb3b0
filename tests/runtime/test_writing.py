from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import leadline
from leadline.errors import ConfigError, InputError
from leadline.io.video import VideoReader, VideoWriter
from leadline.runtime.writing import ImageWriter, check_formats, predict_video


def write_video(path, frames: int, size=(64, 96)) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    with VideoWriter(path, 10, size) as video:
        for index in range(frames):
            video.write(np.stack([(x + 3 * index) % 256, y % 256, (x + y) % 256], -1).astype(np.uint8))


def test_unknown_formats_are_refused_first():
    with pytest.raises(ConfigError, match="did you mean 'colour'"):
        check_formats(["png", "color"])


def test_one_range_of_colours_over_a_whole_video(bright_teacher, tmp_path):
    """A grey that is the same in a dark and in a bright part of the video gets the same colour in both."""
    with VideoWriter(tmp_path / "v.mp4", 10, (96, 128)) as video:
        for index in range(20):
            frame = np.full((96, 128, 3), 30 if index < 10 else 220, np.uint8)
            frame[30:60, 40:80] = 120
            video.write(frame)
    predictor = leadline.load(str(bright_teacher))
    predict_video(predictor, tmp_path / "v.mp4", "v", ImageWriter(tmp_path, ["colour"], "turbo"))
    frames = list(VideoReader(tmp_path / "v.mp4"))
    patch = [frame[45, -128 + 60].astype(int) for frame in (frames[2], frames[17])]
    assert np.abs(patch[0] - patch[1]).max() < 20
    assert np.abs(frames[2][10, -20].astype(int) - frames[17][10, -20]).max() > 60


def test_a_broken_video_gives_what_it_holds_and_says_so(bright_teacher, tmp_path):
    write_video(tmp_path / "whole.mkv", 60)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 6 // 10])
    predictor = leadline.load(str(bright_teacher))
    with pytest.raises(InputError, match=r"cut\.mkv: damaged or cut off"):
        predict_video(predictor, tmp_path / "cut.mkv", "cut", ImageWriter(tmp_path / "o", ["colour"], "turbo"))
    assert 10 < len(list(VideoReader(tmp_path / "o" / "cut.mp4"))) < 60


def test_memory_does_not_grow_with_the_length_of_a_video(bright_teacher, tmp_path):
    code = (
        "import resource, sys, leadline; from leadline.runtime.writing import *; from pathlib import Path\n"
        "p = leadline.load(sys.argv[1], threads=1)\n"
        "n = predict_video(p, Path(sys.argv[2]), 'v', ImageWriter(Path(sys.argv[3]), ['colour'], 'turbo'))\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = {}
    for frames in (40, 320):
        write_video(tmp_path / "v.mp4", frames, (240, 320))
        arguments = [sys.executable, "-c", code, str(bright_teacher), str(tmp_path / "v.mp4"), str(tmp_path / "o")]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
        assert int(done[0]) == frames
        peaks[frames] = int(done[1]) / 1024
    # 280 more frames are 60 MiB of pixels and 82 MiB of depth; none of it may stay.
    assert peaks[320] < peaks[40] + 30
