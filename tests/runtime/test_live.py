from __future__ import annotations

import numpy as np
import pytest

import leadline
from common.commands import run
from leadline.io.live import LiveSource
from leadline.io.video import VideoReader, VideoWriter
from leadline.runtime.live import answered, predict_live
from leadline.runtime.writing import ImageWriter
from leadline.view import RunningRange


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    y, x = np.mgrid[:64, :96]
    with VideoWriter(path, 20, (64, 96)) as video:
        for index in range(12):
            video.write(np.stack([(2 * x + 3 * index) % 256, 2 * y % 256, x + y], -1).astype(np.uint8))
    return path


def test_every_frame_that_is_taken_is_answered_with_its_own_map(bright_teacher, clip):
    predictor = leadline.load(str(bright_teacher))
    with LiveSource(VideoReader(clip), waiting=100) as source:
        pairs = list(answered(predictor, source))
    assert len(pairs) == source.statistics.seen == 12
    assert len(source.statistics.latencies) == 12
    for frame, depth in pairs:
        np.testing.assert_allclose(depth.values, predictor.predict(frame.image).values)


def test_what_is_written_of_a_live_source(bright_teacher, clip, tmp_path):
    lines: list[str] = []
    writer = ImageWriter(tmp_path, ["colour", "npz"], "turbo")
    predictor = leadline.load(str(bright_teacher))
    count = predict_live(predictor, VideoReader(clip), "seen", writer, 5, lines.append)
    assert count == 5
    assert len(list((tmp_path / "seen").glob("*.npz"))) == 5
    with VideoReader(tmp_path / "seen.mp4") as reader:
        times = [time for time, _ in reader.timed()]
    assert len(times) == 5
    # Shown when it came: frames that were dropped leave their time.
    assert np.allclose(np.array(times) * 20, np.round(np.array(times) * 20), atol=0.05)
    assert len(lines) == 1
    assert "frames seen" in lines[0]
    assert "latency" in lines[0]


def test_the_command_plays_a_file_live_and_stabilises(bright_teacher, clip, tmp_path, capsys):
    code, out, err = run(
        capsys, "predict", clip, "--model", bright_teacher, "--out", tmp_path, "--formats", "colour", "--live",
        "--stabilise",
    )  # fmt: skip
    assert code == 0, err
    assert "frames of 1 inputs" in out
    assert "frames seen" in err
    assert VideoReader(tmp_path / "clip.mp4").size == (64, 196)


def test_the_command_stabilises_and_tiles_every_frame_of_a_file(bright_teacher, clip, tmp_path, capsys):
    code, out, err = run(
        capsys, "predict", clip, "--model", bright_teacher, "--out", tmp_path, "--stabilise", "--tile", 64,
        "--letterbox",
    )  # fmt: skip
    assert code == 0, err
    assert "12 frames" in out
    assert len(list((tmp_path / "clip").glob("*.depth.png"))) == 12
    code, _, err = run(capsys, "predict", clip, "--model", bright_teacher, "--out", tmp_path, "--tile", 8)
    assert (code, err.count("\n")) == (2, 1)
    assert "at least 32" in err


def noisy(random: np.random.Generator, centre: float) -> np.ndarray:
    return centre + random.normal(0, 1, (60, 80)) + random.normal(0, 0.1)


def test_colours_rest_while_the_scene_stays_and_follow_where_it_does_not():
    random, colours, valid = np.random.default_rng(0), RunningRange(), np.ones((60, 80), bool)
    spans = [colours.add(noisy(random, 5), valid) for _ in range(60)]
    assert len(set(spans)) == 1
    assert spans[0][0] == pytest.approx(3, abs=0.5)
    later = [colours.add(noisy(random, 25), valid) for _ in range(200)]
    steps = np.abs(np.diff([low for low, _ in later]))
    assert steps.max() < 0.1 * 20 + 0.1  # it glides
    assert later[-1][0] == pytest.approx(23, abs=0.8)
    assert len({*later[-30:]}) == 1  # and rests again
    assert colours.add(noisy(random, 25), ~valid) == later[-1]
    low, high = RunningRange().add(np.zeros((8, 8)), np.zeros((8, 8), bool))
    assert low < high
