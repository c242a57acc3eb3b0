"""leadline synth, as a user types it."""

from __future__ import annotations

import numpy as np
import pytest

from common.commands import run
from leadline.data.folder import Folder
from leadline.io.images import read_image
from leadline.io.video import VideoReader

SMALL = ("--height", 48, "--width", 64)


def test_a_world_is_written_with_everything_that_is_known(tmp_path, capsys):
    out = tmp_path / "world"
    code, text, _ = run(
        capsys, "synth", "tract", "--out", out, "--frames", 3, "--clips", 2, "--seed", 5, "--video", "true", *SMALL
    )
    assert code == 0
    assert "2 clips of 3 frames" in text
    names = [f"tract-{seed:06d}-{frame:06d}" for seed in (5, 6) for frame in range(3)]
    for folder in ("images", "depths", "normals", "reflective", "semantics", "poses"):
        suffix = "txt" if folder == "poses" else "png"
        assert sorted(path.name for path in (out / folder).iterdir()) == [f"{name}.{suffix}" for name in names]
    frame = Folder(out)[4]
    assert frame.name == names[4]
    assert frame.camera is not None
    assert 1 < frame.depth.values.min() < frame.depth.values.max() < 400
    video = list(VideoReader(out / "tract-000006.mp4"))
    assert len(video) == 3
    assert np.abs(video[1].astype(float) - read_image(out / "images" / f"{names[4]}.png")).mean() < 12

    code, text, _ = run(capsys, "synth", "tract", "--out", out, "--frames", 3, "--clips", 3, "--seed", 5, *SMALL)
    assert code == 0
    assert "1 clips of 3 frames rendered, 2 were there" in text
    for option, value in (("--frames", 2), ("--rate", 7), ("--height", 64)):
        key = option.removeprefix("--")
        code, _, err = run(capsys, "synth", "tract", "--out", out, "--seed", 5, "--frames", 3, *SMALL, option, value)
        assert code == 2
        assert f"with another '{key}'" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trakt"], "did you mean 'tract'"),
        (["tract", "--layout", "scard"], "layout"),
        (["tract", "--frames", 0], "nothing to render"),
        (["tract", "--heigth", 48], "did you mean '--height'"),
        (["tract", "--rate", -1], "rate"),
        (["tract", "--seed", -1], "negative"),
    ],
)
def test_what_cannot_be_rendered_is_said_in_one_line(arguments, expected, tmp_path, capsys):
    code, _, err = run(capsys, "synth", *arguments, "--out", tmp_path / "o")
    assert code == 2
    assert expected in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
