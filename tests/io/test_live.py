from __future__ import annotations

import functools
import http.server
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from leadline.errors import InputError
from leadline.io.live import LiveSource, LiveStatistics, Reconnect
from leadline.io.video import VideoReader, VideoWriter

QUICK = Reconnect(attempts=2, wait=0.02)


def film(path: Path, frames: int, fps: int = 25) -> Path:
    with VideoWriter(path, fps, (48, 64)) as video:
        for index in range(frames):
            video.write(np.full((48, 64, 3), 10 * (index % 25), np.uint8))
    return path


def stream(path: Path, frames: int) -> bytes:
    """A transport stream, which has no index and may be cut anywhere."""
    with av.open(str(path), "w", format="mpegts") as container:
        video = container.add_stream("libx264", rate=25, options={"g": "5", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            image = np.full((48, 64, 3), 10 * (index % 25), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image).reformat(format="yuv420p")))
        container.mux(video.encode())
    return path.read_bytes()


class Camera:
    """Shows a stream over HTTP so many times, each breaking off, then answers no more."""

    def __init__(self, data: bytes, shows: int) -> None:
        self.shown, camera = 0, self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if camera.shown >= shows:
                    self.send_error(503)
                    return
                camera.shown += 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://user:secret@127.0.0.1:{self.server.server_port}/camera"

    def __enter__(self) -> Camera:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_stream_that_breaks_is_come_back_to_and_each_loss_is_one_line(tmp_path):
    lines: list[str] = []
    with Camera(stream(tmp_path / "s.ts", 12), 3) as camera:
        reader = VideoReader(camera.url)
        assert reader.endless
        with LiveSource(reader, waiting=1000, reconnect=QUICK, report=lines.append) as source:
            frames = list(source)
    assert source.statistics.seen == len(frames) == 36
    assert source.statistics.losses == 3
    assert source.statistics.dropped == 0
    assert camera.shown == 3
    assert len(lines) == 4
    assert all("lost after 12 frames" in line for line in lines[:3])
    assert lines[3].endswith("did not come back after 2 attempts")
    assert not any("secret" in line for line in lines)
    times = [frame.time for frame in frames]
    assert times == sorted(times)


def test_who_is_late_gets_the_newest_and_the_others_are_counted(tmp_path):
    with (
        Camera(stream(tmp_path / "s.ts", 30), 1) as camera,
        LiveSource(VideoReader(camera.url), 2, QUICK) as source,
    ):
        while source.statistics.losses == 0:  # all have come before the first is taken
            time.sleep(0.01)
        taken = list(source)
    assert len(taken) == 2
    assert abs(int(taken[-1].image.mean()) - 10 * (29 % 25)) < 6
    assert source.statistics.dropped == 28


def test_a_file_is_played_at_its_own_speed_and_keeps_its_clock(tmp_path):
    started = time.monotonic()
    with LiveSource(VideoReader(film(tmp_path / "a.mp4", 8, fps=20)), waiting=100) as source:
        frames = list(source)
    assert [frame.time for frame in frames] == pytest.approx(np.arange(8) / 20, abs=1e-3)
    # It cannot have been faster than its clock, however busy the machine.
    assert time.monotonic() - started >= 7 / 20
    assert source.statistics.losses == 0


def test_damage_of_a_file_is_raised_after_its_frames(tmp_path):
    path = film(tmp_path / "a.mkv", 60, fps=200)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    taken = []

    def take() -> None:
        with LiveSource(VideoReader(path), waiting=100) as source:
            for frame in source:
                taken.append(frame)

    with pytest.raises(InputError, match=r"a\.mkv: damaged or cut off"):
        take()
    assert taken


def test_who_waits_is_let_go_when_the_source_is_stopped(tmp_path):
    with LiveSource(VideoReader(film(tmp_path / "a.mp4", 5, fps=1))) as source:
        frames = iter(source)
        next(frames)
        threading.Timer(0.05, source.stop).start()
        assert list(frames) == []


def test_statistics_say_how_late_answers_are():
    statistics = LiveStatistics(seen=10, dropped=2)
    statistics.latencies.extend([0.01, 0.02, 0.03])
    assert str(statistics) == ("10 frames seen, 2 dropped, source lost 0 times; latency 20 ms (median), 29 ms (95 %)")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_stream_that_ffmpeg_sends_over_tcp(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["ffmpeg", "-loglevel", "quiet", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-frames:v", "20"]
    command += ["-c:v", "mpeg2video", "-g", "5", "-f", "mpegts", f"http://127.0.0.1:{port}/x", "-listen", "1"]
    command = [*command[:-3], "-listen", "1", command[-3]]
    with subprocess.Popen(command) as sender:
        reader = _when_it_listens(functools.partial(VideoReader, f"http://127.0.0.1:{port}/x"))
        with LiveSource(reader, waiting=100, reconnect=Reconnect(1, 0.01)) as source:
            frames = list(source)
        sender.terminate()
    assert 15 <= len(frames) <= 20
    assert frames[0].image.shape == (48, 64, 3)


def _when_it_listens(open_reader):
    for _ in range(100):
        try:
            return open_reader()
        except InputError:
            time.sleep(0.05)
    pytest.fail("ffmpeg did not listen")
