"""Calibrating as a user does it, then predicting with what came out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.commands import run
from leadline.data.folder import Folder
from leadline.depth import DepthMap
from leadline.runtime.bench import untrained
from leadline.runtime.calibration import Calibration

CARDS = Path(__file__).parents[2] / "benchmarks" / "cards"


def test_a_few_known_distances_make_a_model_metric(bright_teacher, scenes, tmp_path, capsys):
    data = Folder(scenes)
    lines = ["image,u,v,depth"]
    for number in range(8):
        values = data[number].depth.values
        for u, v in ((10, 20), (60, 40), (100, 80)):
            lines.append(f"{data.paths[number]},{u},{v},{values[v, u]:.4f}")
    (tmp_path / "points.csv").write_text("\n".join(lines))
    out = tmp_path / "made" / "calibration.yaml"
    code, text, _ = run(
        capsys, "calibrate", "--model", bright_teacher, "--points", tmp_path / "points.csv", "--out", out
    )
    assert code == 0
    assert "24 known distances (24 measured) in 8 images" in text
    assert "<- chosen" in text
    made = Calibration.load(out)
    assert (made.model, made.unit) == ("bright", "m")
    assert made.evidence["cross_validation"]["folds"] == 8
    low, high = made.evidence["interval_95"]["scale"]
    assert low < made.scale < high

    image, truth = data.paths[20], data[20].depth
    code, text, _ = run(
        capsys, "predict", image, "--model", bright_teacher, "--calibration", out, "--fov", 60,
        "--formats", "npz", "ply", "--out", tmp_path / "seen",
    )  # fmt: skip
    assert code == 0
    assert "metric-depth, unit m" in text
    depth = DepthMap.load(tmp_path / "seen" / f"{image.stem}.depth.npz")
    assert (str(depth.kind), depth.unit) == ("metric-depth", "m")
    error = np.abs(depth.values / truth.values - 1).mean()
    usual = np.median([float(line.split(",")[-1]) for line in lines[1:]])
    assert error < 0.75 * np.abs(usual / truth.values - 1).mean()
    assert (tmp_path / "seen" / f"{image.stem}.ply").is_file()


def test_depth_sensor_frames_and_another_model_is_refused(bright_teacher, student_file, scenes, tmp_path, capsys):
    out = tmp_path / "c.yaml"
    code, text, _ = run(
        capsys, "calibrate", "--model", bright_teacher, "--frames", scenes, "--every", 3, "--unit", "mm", "--out", out
    )
    assert code == 0
    assert "8 images" in text
    made = Calibration.load(out)
    assert made.unit == "mm"
    code, text, _ = run(
        capsys, "evaluate", "--model", bright_teacher, "--calibration", out, "--data", scenes, "--every", 6,
        "--show", 0, "--out", tmp_path / "judged",
    )  # fmt: skip
    assert code == 0
    [judged] = json.loads((tmp_path / "judged" / "result.json").read_text())
    assert judged["protocol"]["alignment"] == "none"
    assert judged["means"]["abs_rel"] < 0.05  # judged in m, though the calibration is in mm
    code, _, err = run(
        capsys, "predict", scenes / "images", "--model", student_file, "--calibration", out, "--out", tmp_path / "p"
    )
    assert code == 2
    assert "calibration: is of bright" in err
    assert not (tmp_path / "p").exists()


def test_no_file_where_it_is_refused(bright_teacher, scenes, tmp_path, capsys):
    random = np.random.default_rng(0)
    lines = [f"{scenes}/images/{number:03d}.png,{number},{number},{random.uniform(1, 9):.3f}" for number in range(20)]
    (tmp_path / "points.csv").write_text("\n".join(["image,u,v,depth", *lines]))
    out = tmp_path / "c.yaml"
    code, _, err = run(
        capsys, "calibrate", "--model", bright_teacher, "--points", tmp_path / "points.csv", "--out", out
    )
    assert code == 1
    assert "calibration refused: no better than 'constant depth'" in err
    assert len(err.strip().splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ([], 2, "nothing is known"),
        (["--left", "a.png"], 2, "baseline"),
        (["--points", "missing.csv"], 1, "missing.csv: no such file"),
        (["--points", "p.csv", "--unit", "ft"], 2, "unit: one of m, cm, mm"),
        (["--frames", "missing"], 1, "missing: no such folder"),
        (["--pionts", "p.csv"], 2, "did you mean '--points'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments, code, expected, bright_teacher, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given, _, err = run(capsys, "calibrate", "--model", bright_teacher, *arguments)
    assert given == code
    assert expected in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_model_of_clips_that_are_known_up_to_a_scale_each_is_refused(scenes, tmp_path, capsys):
    file = untrained("vda-tiny", tmp_path, (64, 96))
    code, _, err = run(capsys, "calibrate", "--model", file, "--frames", scenes, "--out", tmp_path / "c.yaml")
    assert code == 2
    assert "sees video" in err


def test_a_real_network_on_frames_of_another_time(real_data, tmp_path, capsys):
    """PyDNet++ calibrated by a depth sensor's first frames is nearer the truth of its last ones than a constant."""
    model = tmp_path / "pydnet_pp.tflite"
    shutil.copy(real_data / "peers" / model.name, model)
    shutil.copy(CARDS / "pydnet_pp.card.yaml", tmp_path)
    frames = real_data / "sevenscenes" / "seq-01"
    first, last = tmp_path / "first", sorted(frames.glob("*.color.jpg"))[-160::40]
    first.mkdir()
    for image in sorted(frames.glob("*.color.jpg"))[:160:40]:
        for file in (image, image.with_name(image.name.replace("color.jpg", "depth.png"))):
            (first / file.name).symlink_to(file)
    globs = ["--images", "*.color.jpg", "--depths", "*.depth.png", "--depth_scale", 1000]
    globs += ["--depth_invalid", "[0,65535]"]
    out = tmp_path / "c.yaml"
    code, _, err = run(capsys, "calibrate", "--model", model, "--frames", first, *globs, "--out", out)
    assert code == 0, err
    run(capsys, "predict", *last, "--model", model, "--calibration", out, "--formats", "npz", "--out", tmp_path / "p")
    usual = np.median(
        np.concatenate([_measured(image).values[_measured(image).valid] for image in first.glob("*.jpg")])
    )
    after, constant = [], []
    for image in last:
        truth, depth = _measured(image), DepthMap.load(tmp_path / "p" / f"{image.stem}.depth.npz")
        keep = truth.valid & depth.valid
        after.append(np.abs(depth.values[keep] / truth.values[keep] - 1).mean())
        constant.append(np.abs(usual / truth.values[keep] - 1).mean())
    assert np.mean(after) < 0.95 * np.mean(constant)


def _measured(image: Path) -> DepthMap:
    """What the sensor saw, in m."""
    depth = image.with_name(image.name.replace("color.jpg", "depth.png"))
    return DepthMap.load(depth, kind="metric-depth", unit="m", scale=1000, invalid=(0, 65535))
