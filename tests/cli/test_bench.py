"""Benchmarks as a user runs them; no figure is judged, the machine decides those."""

from __future__ import annotations

import json

import pytest

from common.commands import run

QUICK = ["--rounds", 1, "--iterations", 2, "--seconds", 0.01, "--threads", 1, "--image", "96x128", "--batch", 2]


def test_every_runtime_that_can_and_the_reason_of_the_one_that_cannot(bright_teacher, tmp_path, capsys):
    out = tmp_path / "made"
    code, text, err = run(
        capsys, "bench", bright_teacher, "--sizes", "96x128", "64x64", "--memory", "false", "--out", out, *QUICK
    )
    assert code == 0, err
    found = json.loads((out / "bench.json").read_text())
    ran = {(row["model"], row["runtime"], *row["size"]) for row in found["rows"]}
    assert ran == {
        ("bright.onnx", runtime, *size) for runtime in ("onnx", "openvino") for size in ((96, 128), (64, 64))
    }
    for row in found["rows"]:
        assert set(row["milliseconds"]) == {"pre", "network", "post", "whole"}
        assert set(row["milliseconds"]["whole"]) == {"min", "p50", "p90", "p99"}
        assert row["batch"] > 0
        assert row["at_once"] > 0
        assert row["peak_mb"] is None
        assert row["weights_mb"] == pytest.approx(bright_teacher.stat().st_size / 1e6)
    assert [entry["runtime"] for entry in found["left_out"]] == ["torch", "torch"]
    assert "left out: bright.onnx in torch at 64x64: a network file" in text
    assert found["machine"]["processor"] in text
    assert "energy: " in text
    assert (out / "bench.png").is_file()


def test_an_architecture_with_memory_of_its_own(tmp_path, capsys):
    code, text, err = run(
        capsys, "bench", "litenet-tiny", "--sizes", "64x96", "--runtimes", "torch", "--out", tmp_path, *QUICK
    )
    assert code == 0, err
    assert "litenet-tiny (random weights)" in text
    [row] = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert row["size"] == [64, 96]
    assert 100 < row["peak_mb"] < 20_000
    assert row["weights_mb"] == pytest.approx(8.8, rel=0.2)  # 2.2 million parameters


def test_a_model_that_is_not_there_does_not_stop_the_others(bright_teacher, tmp_path, capsys):
    code, text, err = run(
        capsys, "bench", bright_teacher, "missing.safetensors", "--runtimes", "onnx", "--memory", "false",
        "--out", tmp_path, *QUICK,
    )  # fmt: skip
    assert code == 1
    assert "left out: missing.safetensors in onnx: missing.safetensors: no such file" in text
    assert "1 of 2 models ran nowhere" in err
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sizes", "256"], "sizes: HEIGHTxWIDTH such as 256x320, not '256'"),
        (["--image", "0x0"], "image: HEIGHTxWIDTH"),
        (["--runtimes", "tensorflow"], "runtimes: 'tensorflow' is none of"),
        (["--rounds", "0"], "rounds: at least 1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(arguments, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "bench", "swift", *arguments)
    assert code == 2
    assert expected in err
    assert not list(tmp_path.iterdir())
