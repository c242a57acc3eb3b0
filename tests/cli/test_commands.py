"""The commands as a user types them, end to end."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from common.commands import run
from leadline.cli import COMMANDS, main
from leadline.depth import DepthMap, Kind
from leadline.io.ply import read_ply
from leadline.io.video import VideoReader, VideoWriter


def test_help_is_there_without_torch():
    code = "import sys; from leadline.cli import main; main(['--help']); main(['distill', '--help'])"
    code = code.replace("main(['distill'", "\ntry: main(['distill'") + "\nexcept SystemExit: pass\n"
    code += "print('torch' in sys.modules, 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(command in result.stdout for command in COMMANDS)
    assert result.stdout.strip().endswith("False False")


def test_it_runs_as_a_module_and_says_how_it_ended():
    result = subprocess.run([sys.executable, "-m", "leadline", "infos"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "did you mean 'info'" in result.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "train"])
def test_every_command_explains_itself(command, capsys):
    try:
        code = main([command, "--help"])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 0
    assert "usage: leadline " + command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["predct"], "did you mean 'predict'"),
        (["predict", "a.png", "--modle", "m"], "did you mean '--model'"),
        (
            ["distill", "--teacher", "t", "--images", "x", "--out", "o.safetensors", "--stpes", "3"],
            "did you mean '--steps'",
        ),
        (["distill", "--teacher", "t", "--images", "x", "--out", "o.safetensors"], "budget"),
        (["export", "--model", "x", "--out", "a.onnx", "--to", "onx"], "did you mean 'onnx'"),
        (["predict", "a.mp4", "--batch", "0"], "batch: at least 1, not 0"),
        (["predict", "a.mp4", "--limit", "-1"], "limit: at least 1, not -1"),
        (["train", "supervised-foldr"], "did you mean 'supervised-folder'"),
        (["train", "supervised-folder", "--fit.stps", "3", "--out", "x.safetensors"], "did you mean '--fit.steps'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(arguments, expected, capsys):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert expected in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("missing.safetensors", "missing.safetensors"),
        ("no/such-model", "no/such-model"),
        (".", "no model in this folder"),
    ],
)
def test_a_model_that_is_not_there(model, expected, scenes, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = run(capsys, "predict", scenes / "images", "--model", model)
    assert code == 1
    assert expected in err
    assert not (tmp_path / "predictions").exists()


def test_predict_writes_every_format_and_goes_on_after_bad_files(student_file, scenes, tmp_path, capsys):
    inputs = tmp_path / "in"
    inputs.mkdir()
    Image.open(scenes / "images" / "000.png").save(inputs / "good.png")
    (inputs / "broken.png").write_bytes((scenes / "images" / "001.png").read_bytes()[:400])
    Image.new("RGB", (1, 1)).save(inputs / "dot.png")
    Image.new("L", (70, 50), 90).save(inputs / "grey.png")
    out = tmp_path / "out"
    code, text, err = run(
        capsys,
        "predict",
        inputs,
        "--model",
        student_file,
        "--out",
        out,
        "--fov",
        60,
        "--formats",
        "png",
        "npz",
        "exr",
        "colour",
        "ply",
    )
    assert code == 1
    assert "broken.png" in err
    assert "dot.png: this image is 1x1 pixels" in err
    assert "2 of 4 inputs failed" in err
    assert "2 frames" in text
    names = {"depth.png", "depth.npz", "depth.exr", "colour.png", "ply"}
    assert {path.name for path in out.iterdir()} == {f"{stem}.{name}" for stem in ("good", "grey") for name in names}
    exact, coded = DepthMap.load(out / "good.depth.npz"), DepthMap.load(out / "good.depth.png")
    assert exact.shape == (96, 128)
    assert (exact.kind, exact.unit) == (Kind.parse("metric-depth"), "m")
    assert np.allclose(exact.values, coded.values, atol=1e-3)
    points, colours = read_ply(out / "good.ply")
    assert len(points) == 96 * 128 == len(colours)
    assert np.allclose(points[:, 2], exact.values.ravel())


def test_point_clouds_without_a_camera_are_refused_in_one_line(student_file, scenes, tmp_path, capsys):
    image = scenes / "images" / "000.png"
    code, _, err = run(capsys, "predict", image, "--model", student_file, "--out", tmp_path, "--formats", "ply")
    assert code == 1
    assert "--fov" in err


def test_predict_on_a_video_keeps_its_length(student_file, tmp_path, capsys):
    with VideoWriter(tmp_path / "clip.mp4", 10, (64, 96)) as video:
        for index in range(12):
            video.write(np.full((64, 96, 3), 20 * index, np.uint8))
    code, text, _ = run(
        capsys,
        "predict",
        tmp_path / "clip.mp4",
        "--model",
        student_file,
        "--out",
        tmp_path / "o",
        "--formats",
        "colour",
        "npz",
        "--batch",
        5,
    )
    assert code == 0
    assert "12 frames" in text
    frames = list(VideoReader(tmp_path / "o" / "clip.mp4"))
    assert len(frames) == 12
    assert frames[0].shape[0] == 64
    assert frames[0].shape[1] >= 2 * 96
    assert len(list((tmp_path / "o" / "clip").glob("*.depth.npz"))) == 12


def test_distil_predict_evaluate_export_info(scenes, bright_teacher, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    student = tmp_path / "student.safetensors"
    code, _, err = run(
        capsys,
        "distill",
        "--teacher",
        bright_teacher,
        "--images",
        scenes / "images",
        "--out",
        student,
        "--student",
        "litenet-tiny",
        "--steps",
        40,
        "--batch-size",
        4,
        "--size",
        "[64,96]",
        "--holdout.every",
        4,
        "--device",
        "cpu",
        "--augmentation.jitter",
        0,
    )
    assert code == 0
    assert "of the mean map" in err
    code, text, _ = run(capsys, "info", student)
    assert "non-commercial" in text
    assert "scale-invariant-depth" in text

    exported = tmp_path / "student.onnx"
    code, text, _ = run(capsys, "export", "--model", student, "--out", exported, "--size", 64, 96)
    assert code == 0
    assert "non-commercial" in text
    assert "non-commercial" in run(capsys, "info", exported)[1]

    code, text, _ = run(
        capsys, "evaluate", "--model", student, exported, bright_teacher, "--data", scenes, "--out", tmp_path / "e"
    )
    assert code == 0
    results = json.loads((tmp_path / "e" / "result.json").read_text())
    ours, onnx, teacher = (result["means"] for result in results)
    assert ours["images"] == 24
    assert ours["abs_rel"] < 0.3
    assert onnx["abs_rel"] == pytest.approx(ours["abs_rel"], rel=1e-3)
    assert teacher["abs_rel"] < ours["abs_rel"]
    assert results[0]["protocol"]["alignment"] == "median"
    assert (tmp_path / "e" / "pictures" / "student_1-worst.png").is_file()

    maps = {}
    for runtime in ("torch", "onnx", "openvino"):
        out = tmp_path / runtime
        image = scenes / "images" / "003.png"
        code, _, _ = run(
            capsys, "predict", image, "--model", student, "--runtime", runtime, "--formats", "npz", "--out", out
        )
        assert code == 0
        maps[runtime] = DepthMap.load(out / "003.depth.npz").values
    assert np.allclose(maps["onnx"], maps["torch"], rtol=1e-3)
    assert np.allclose(maps["openvino"], maps["torch"], rtol=1e-3)


def test_models_are_judged_beside_the_mean_depth_of_other_images(scenes, student_file, tmp_path, capsys):
    import shutil

    others = shutil.copytree(scenes, tmp_path / "others")
    code, text, _ = run(
        capsys, "evaluate", "--model", student_file, "--data", scenes, "--baseline", others, "--out", tmp_path / "e"
    )
    assert code == 0
    assert "mean depth" in text
    model, mean = json.loads((tmp_path / "e" / "result.json").read_text())
    assert mean["model"] == "mean depth"
    assert mean["protocol"]["alignment"] == model["protocol"]["alignment"] == "none"
    assert mean["kind"] == "metric-depth"
    assert (tmp_path / "e" / "pictures" / "mean_depth-worst.png").is_file()


def test_without_a_model_the_bundled_one_predicts_and_says_what_it_knows(scenes, tmp_path, capsys):
    code, text, err = run(
        capsys, "predict", scenes / "images" / "000.png", "--out", tmp_path, "--formats", "npz", "ply", "--fov", 60
    )
    assert code == 0
    assert "scale-invariant-depth" in text
    assert "not to be trusted" in err
    assert str(DepthMap.load(tmp_path / "000.depth.npz").kind) == "scale-invariant-depth"


def test_train_a_recipe_with_keys_from_the_command_line(scenes, tmp_path, capsys):
    out = tmp_path / "s.safetensors"
    code, _, err = run(
        capsys,
        "train",
        "supervised-folder",
        "--data.root",
        scenes,
        "--method.student.architecture",
        "litenet-tiny",
        "--fit.steps",
        2,
        "--fit.size",
        "[64,96]",
        "--fit.device",
        "cpu",
        "--out",
        out,
    )
    assert code == 0, err
    assert "metric-depth" in run(capsys, "info", out)[1]


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (lambda folder: (folder / "depths" / "003.png").unlink(), "003.png: has no depth file"),
        (lambda folder: [p.unlink() for p in (folder / "depths").iterdir()], "no depth files"),
        (lambda folder: (folder / "depths" / "003.png").write_bytes(b""), "003.png: the file is empty"),
    ],
    ids=["one missing", "all missing", "one empty"],
)
def test_broken_ground_truth_is_named(break_it, expected, scenes, student_file, tmp_path, capsys):
    import shutil

    shutil.copytree(scenes, tmp_path / "data")
    break_it(tmp_path / "data")
    code, _, err = run(
        capsys, "evaluate", "--model", student_file, "--data", tmp_path / "data", "--out", tmp_path / "e"
    )
    assert code == 1
    assert expected in err
    # one bad file of many is reported and the rest is judged
    assert (tmp_path / "e").exists() == ("empty" in expected)


def test_a_frame_without_truth_is_counted_and_named(scenes, student_file, tmp_path, capsys):
    import shutil

    shutil.copytree(scenes, tmp_path / "data")
    empty = np.full((96, 128), np.nan, np.float32)
    DepthMap(empty, Kind.parse("metric-depth"), "m").save(tmp_path / "data" / "depths" / "003.npz")
    (tmp_path / "data" / "depths" / "003.png").unlink()
    code, text, _ = run(
        capsys,
        "evaluate",
        "--model",
        student_file,
        "--data",
        tmp_path / "data",
        "--every",
        3,
        "--out",
        tmp_path / "e",
        "--show",
        1,
    )
    assert code == 0
    assert "1 images without truth in range: 000003" in text
    (result,) = json.loads((tmp_path / "e" / "result.json").read_text())
    assert result["without_truth"] == ["000003"]
    assert result["means"]["images"] == 7


def test_the_commands_take_a_model_in_the_hubs_format(scenes, tmp_path, capsys):
    """The real loading path, with random weights: Depth Anything's architecture saved as the hub has it."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    backbone = Dinov2Config(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=24,
        fusion_hidden_size=8,
        neck_hidden_sizes=[8, 8, 8, 8],
        head_hidden_size=8,
    )
    teacher = tmp_path / "hub"
    DepthAnythingForDepthEstimation(config).save_pretrained(teacher)
    DPTImageProcessor(
        do_resize=True,
        size={"height": 56, "width": 56},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(teacher)
    (teacher / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")

    student = tmp_path / "s.safetensors"
    code, _, err = run(
        capsys,
        "distill",
        "--teacher",
        teacher,
        "--images",
        scenes / "images",
        "--out",
        student,
        "--student",
        "litenet-tiny",
        "--steps",
        2,
        "--size",
        "[64,96]",
        "--device",
        "cpu",
    )
    assert code == 0, err
    text = run(capsys, "info", student)[1]
    assert "affine-invariant-disparity" in text
    assert "cc-by-nc-4.0: non-commercial" in text
    for model in (teacher, student):
        out = tmp_path / "out"
        image = scenes / "images" / "001.png"
        code, _, err = run(capsys, "predict", image, "--model", model, "--out", out, "--formats", "npz", "colour")
        assert code == 0, err
        assert DepthMap.load(out / "001.depth.npz").kind == Kind.parse("affine-invariant-disparity")
    code, _, err = run(capsys, "predict", image, "--model", student, "--out", out, "--formats", "ply", "--fov", 60)
    assert code == 1
    assert "unknown shift distorts the shape" in err
