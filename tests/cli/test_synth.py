"""leadline synth, as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.commands import run
from leadline.data.folder import Folder
from leadline.data.hamlyn import HamlynLayout
from leadline.errors import InputError
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
    suffixes = {"poses": "txt", "diffuse": "tiff", "residual": "tiff", "forward_flow": "tiff", "backward_flow": "tiff"}
    known = ("images", "depths", "normals", "reflective", "semantics")
    for folder in (*known, *suffixes):
        suffix = suffixes.get(folder, "png")
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


@pytest.mark.parametrize(
    ("world", "layout", "expected"),
    [
        ("tract", "scared", "dataset_1/keyframe_2/data/rgb.mp4"),
        ("tract", "servct", "Experiment_1/Reference_CT/DepthL/001.png"),
        ("tract", "hamlyn", "rectified01/depth01/0000000001.png"),
        ("tract", "c3vd", "*/0001_depth.tiff"),
        ("tract", "simcol3d", "SyntheticColon_I/Frames_S1/Depth_0001.png"),
        ("street", "kitti", "2011_09_26/2011_09_26_drive_0001_sync/velodyne_points/data/0000000001.bin"),
        ("street", "cityscapes", "disparity/*/*/*_disparity.png"),
        ("street", "make3d", "Gridlaserdata/*.mat"),
        ("street", "ddad", "ddad.json"),
        ("street", "nuscenes", "v1.0-mini/sample_data.json"),
        ("room", "scannet", "scans/scene0001_00/pose/1.txt"),
        ("room", "sevenscenes", "room0001/seq-02/frame-000000.pose.txt"),
        ("room", "booster", "train/balanced/*/disp_00.npy"),
    ],
)
def test_a_world_is_written_in_the_layout_of_a_data_set(world, layout, expected, tmp_path, capsys):
    out = tmp_path / "set"
    code, text, err = run(
        capsys, "synth", world, "--layout", layout, "--out", out, "--frames", 2, "--clips", 2, "--scale", 0.03,
        "--processes", 1,
    )  # fmt: skip
    assert code == 0, err
    assert f"in the layout of {layout}" in text
    assert list(out.glob(expected)), sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))[:40]
    assert not [path for path in out.rglob(".*") if path.name != "."], "temporary files are left"
    code, _, err = run(capsys, "synth", world, "--layout", layout, "--out", out)
    assert code == 1
    assert "is there already" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tract", "--layout", "kitti"], "for tract there is folder, c3vd"),
        (["tract", "--layout", "hamlin"], "did you mean 'hamlyn'"),
        (["tract", "--layout", "scared", "--height", 64], "layout scared has its own; --scale"),
        (["tract", "--layout", "scared", "--scale", 2], "scale"),
        (["tract", "--layout", "scared", "--frames", 0], "nothing to render"),
        (["tract", "--scale", 0.5], "--height and --width"),
        (["tract", "--tols", 1], "did you mean '--tools'"),
        (["tract", "--tools", 7], "tools: 7 is not between 0 and 1"),
        (["tract", "--sensor.nose", 0], "did you mean '--sensor.noise'"),
        (["tract", "--sensor.jpeg", 99], "sensor.jpeg"),
    ],
)
def test_layouts_and_options_that_do_not_fit(arguments, expected, tmp_path, capsys):
    code, _, err = run(capsys, "synth", *arguments, "--out", tmp_path / "o")
    assert code == 2
    assert expected in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_a_data_set_that_cannot_be_finished_is_not_left_half_written(tmp_path, capsys, monkeypatch):
    def fails(self, root, clips):
        raise InputError(f"{root}: disk full")

    monkeypatch.setattr(HamlynLayout, "finish", fails)
    out = tmp_path / "set"
    code, _, err = run(capsys, "synth", "tract", "--layout", "hamlyn", "--out", out, "--frames", 1, "--scale", 0.1)
    assert code == 1
    assert "disk full" in err
    assert not list(tmp_path.iterdir())


def test_options_of_the_place_reach_it(tmp_path, capsys):
    out = tmp_path / "o"
    code, _, err = run(
        capsys, "synth", "tract", "--out", out, "--frames", 1, *SMALL, "--tools", 1, "--sensor.noise", 0, "--rate", 2
    )
    assert code == 0, err
    settings = json.loads(next((out / "clips").iterdir()).read_text())["settings"]
    assert settings["tools"] == 1
    assert settings["sensor"]["noise"] == 0
    assert settings["rate"] == 2
