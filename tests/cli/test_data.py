"""leadline data, and leadline evaluate on data sets, as a user types them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.commands import run
from leadline.depth import DepthMap
from leadline.io.images import read_image, write_image
from leadline.io.rasters import write_raster


@pytest.fixture
def scenes7(tmp_path):
    """Two sequences of two frames in the layout of 7-Scenes."""
    random = np.random.default_rng(0)
    for sequence in ("01", "02"):
        for number in range(2):
            stem = tmp_path / "data" / "chess" / f"seq-{sequence}" / f"frame-{number:06d}"
            write_image(stem.with_suffix(".color.png"), random.random((24, 32, 3), np.float32))
            write_raster(stem.with_suffix(".depth.png"), random.integers(500, 5000, (24, 32)).astype(np.uint16))
            stem.with_suffix(".pose.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0.1\n0 0 0 1\n")
    (tmp_path / "data/chess/TrainSplit.txt").write_text("sequence1\n")
    (tmp_path / "data/chess/TestSplit.txt").write_text("sequence2\n")
    return tmp_path / "data"


def test_check_says_what_is_there_and_what_is_not(scenes7, capsys):
    code, text, _ = run(capsys, "data", "check", "sevenscenes", scenes7, "--split", "all")
    assert code == 0
    assert "all 12 files of all are there" in text
    code, text, _ = run(capsys, "data", "check", "sevenscenes", scenes7)
    assert code == 1
    assert "test: 2 frames" in text
    assert "incomplete: 2 of 17000 frames of split test" in text
    (scenes7 / "chess/seq-02/frame-000001.depth.png").unlink()
    (scenes7 / "chess/readme.doc").write_text("?")
    code, text, _ = run(capsys, "data", "check", "sevenscenes", scenes7)
    assert code == 1
    assert "seq-02/frame-000001.depth.png (needed by 2 frames)" in text
    assert "surprising files: 1" in text


def test_show_draws_a_page(scenes7, tmp_path, capsys):
    code, text, _ = run(capsys, "data", "show", "sevenscenes", scenes7, "--count", 2, "--out", tmp_path / "page")
    assert code == 0
    assert str(tmp_path / "page" / "index.html") in text
    pictures = sorted((tmp_path / "page" / "pictures").iterdir())
    assert len(pictures) == 2
    assert read_image(pictures[0]).shape[0] > 300
    (scenes7 / "chess/seq-02/frame-000001.depth.png").write_bytes(b"?")
    code, _, err = run(capsys, "data", "show", "sevenscenes", scenes7, "--count", 2, "--out", tmp_path / "other")
    assert code == 1
    assert "1 of 2 frames could not be read" in err
    assert "frame-000001.depth.png" in err


def test_pack_writes_shards_that_are_judged_like_the_files(scenes7, student_file, tmp_path, capsys):
    code, text, _ = run(capsys, "data", "pack", "sevenscenes", scenes7, "--split", "all", "--out", tmp_path / "s")
    assert code == 0
    assert "4 frames in 1 shards" in text
    code, text, _ = run(capsys, "data", "check", "shards", tmp_path / "s")
    assert code == 0
    code, _, err = run(capsys, "data", "pack", "sevenscenes", scenes7, "--out", tmp_path / "s")
    assert code == 1
    assert "index.json" in err or "other" in err
    figures = []
    for place in (scenes7, tmp_path / "s"):
        code, _, _ = run(
            capsys, "evaluate", "--protocol", "sevenscenes", "--split", "all", "--data", place, "--model", student_file,
            "--out", tmp_path / "e", "--show", 0,
        )  # fmt: skip
        assert code == 0
        (result,) = json.loads((tmp_path / "e" / "result.json").read_text())
        figures.append((result["means"]["abs_rel"], result["protocol"]["judged_digest"]))
    assert figures[0] == figures[1]
    code, _, err = run(
        capsys, "evaluate", "--protocol", "kitti-eigen", "--data", tmp_path / "s", "--model", student_file
    )
    assert code == 1
    assert "holds shards of sevenscenes" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("chekc",), "did you mean 'check'"),
        (("check", "sevenscene", "."), "did you mean 'sevenscenes'"),
        (("check", "sevenscenes", "nowhere"), "nowhere: no such folder"),
        (("show", "sevenscenes", ".", "--split", "tset"), "did you mean 'test'"),
        (("show", "sevenscenes", ".", "--truth", "kinekt"), "did you mean 'kinect'"),
        (("show", "sevenscenes", ".", "--count", "0"), "at least one frame"),
        (("pack", "sevenscenes", ".", "--out", "x", "--per_shard", "0"), "per_shard"),
    ],
)
def test_mistakes_are_named(arguments, expected, scenes7, monkeypatch, capsys):
    monkeypatch.chdir(scenes7)
    code, _, err = run(capsys, "data", *arguments)
    assert code != 0
    assert expected in err
    assert len(err.strip().splitlines()) == 1


def test_a_protocol_judges_models_and_predictions_side_by_side(scenes7, student_file, tmp_path, capsys):
    for name in ("000000", "000001"):
        depth = read_depth(scenes7 / f"chess/seq-02/frame-{name}.depth.png")
        DepthMap(5 * depth, "scale-invariant-depth", valid=depth > 0).save(tmp_path / f"made/chess/seq-02/{name}.npz")
    code, text, _ = run(
        capsys, "evaluate", "--protocol", "sevenscenes", "--data", scenes7, "--model", student_file,
        "--predictions", tmp_path / "made", "--out", tmp_path / "e",
    )  # fmt: skip
    assert code == 0
    assert "2 frames, split test" in text
    assert "not the whole benchmark: 2 of 17000 frames of split test" in text
    made, student = json.loads((tmp_path / "e" / "result.json").read_text())
    assert made["model"] == "made"
    assert made["means"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert student["means"]["abs_rel"] > 0.05
    assert student["protocol"]["name"] == "sevenscenes"
    assert student["protocol"]["alignment"] == "median"
    assert student["means"]["pairs"] == 1
    assert {path.suffix for path in (tmp_path / "e").iterdir()} == {".json", ".csv", ".html", ""}
    (tmp_path / "made/chess/seq-02/000001.npz").unlink()
    code, _, err = run(
        capsys, "evaluate", "--protocol", "sevenscenes", "--data", scenes7, "--predictions", tmp_path / "made",
        "--out", tmp_path / "f", "--show", 0,
    )  # fmt: skip
    assert code == 1
    assert "1 of 2 answers could not be judged" in err
    assert "chess/seq-02/000001.npz: no prediction of this frame" in err


def read_depth(path):
    from leadline.io.rasters import read_raster

    return read_raster(path) / np.float32(1000)


def test_what_is_changed_of_a_protocol_is_in_its_name(scenes7, student_file, tmp_path, capsys):
    code, _, _ = run(
        capsys, "evaluate", "--protocol", "sevenscenes", "--split", "train", "--align", "lsq-depth", "--data", scenes7,
        "--model", student_file, "--out", tmp_path / "e", "--show", 0,
    )  # fmt: skip
    assert code == 0
    (result,) = json.loads((tmp_path / "e" / "result.json").read_text())
    assert result["protocol"]["name"] == "sevenscenes (alignment lsq-depth, split train)"
    assert result["protocol"]["split"] == "train"
    code, _, err = run(capsys, "evaluate", "--protocol", "kitti-eigne", "--data", scenes7, "--model", student_file)
    assert code == 2
    assert "did you mean 'kitti-eigen'" in err
    code, _, err = run(capsys, "evaluate", "--data", scenes7)
    assert code == 2
    assert "name a model" in err


def test_ordered_points_are_judged(student_file, tmp_path, capsys):
    write_image(tmp_path / "d/images/a.png", np.random.default_rng(0).random((64, 96, 3), np.float32))
    pairs = [{"point1": [5, 5], "point2": [60, 90], "closer_point": "point1"}]
    (tmp_path / "d/annotations.json").write_text(json.dumps({"images/a.png": pairs}))
    code, text, _ = run(
        capsys, "evaluate", "--protocol", "da-2k", "--data", tmp_path / "d", "--model", student_file,
        "--out", tmp_path / "e",
    )  # fmt: skip
    assert code == 0
    assert "accuracy" in text
    (result,) = json.loads((tmp_path / "e" / "result.json").read_text())
    assert result["means"]["accuracy"] in (0, 1)


def test_what_does_not_go_together_is_one_line(scenes7, scenes, student_file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "text.npy", np.full((2, 4, 4), "a"))
    (tmp_path / "file").write_text("")
    named = ("--protocol", "sevenscenes", "--data", scenes7)
    made = ("--kind", "metric-depth", "--unit", "m")
    same = ("--baseline", scenes7, "--baseline_split", "all")
    for arguments, expected in (
        ((*named, "--model", student_file, "--images", "*.png"), "images: is for --protocol folder"),
        ((*named, "--model", student_file, "--truth", "none"), "nothing to judge by"),
        ((*named, "--model", student_file, "--show", -3), "show: -3"),
        ((*named, "--model", student_file, "--threads", -1), "threads: at least 1"),
        ((*named, "--model", student_file, "--out", "file"), "file: is not a folder"),
        ((*named, "--model", student_file, "--baseline", scenes7), "baseline_split: name the split"),
        ((*named, "--model", student_file, *same), "holds images that are judged"),
        ((*named, "--predictions", "empty.npy", *made), "empty.npy: is not a plain array"),
        ((*named, "--predictions", "text.npy", *made), "not numbers (2, height, width)"),
        (("--data", scenes, "--model", student_file, "--split", "nonsense"), "no split 'nonsense'"),
        (("--data", scenes, "--model", student_file, "--truth", "dept"), "did you mean 'depth'"),
    ):  # fmt: skip
        code, _, err = run(capsys, "evaluate", *arguments)
        assert code != 0, arguments
        assert expected in err, err
        assert len(err.strip().splitlines()) == 1, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "empty.npy", "file", "text.npy"]


def test_two_of_one_name_keep_their_files_apart(scenes7, student_file, tmp_path, capsys):
    code, _, _ = run(
        capsys, "evaluate", "--protocol", "sevenscenes", "--data", scenes7, "--model", student_file, student_file,
        "--out", tmp_path / "e", "--show", 0,
    )  # fmt: skip
    assert code == 0
    results = json.loads((tmp_path / "e" / "result.json").read_text())
    assert [result["model"] for result in results] == ["tiny 1", "tiny 2"]
    assert {"tiny_1.csv", "tiny_2.csv"} <= {path.name for path in (tmp_path / "e").iterdir()}
