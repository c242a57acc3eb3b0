"""int8 is kept where depth stays right; layers go back to float where it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.brightness import brightness
from common.commands import run
from leadline.data.folder import Folder
from leadline.depth import Kind
from leadline.errors import ConfigError
from leadline.export.backends import BACKENDS
from leadline.export.calibration import split_frames
from leadline.export.gate import Figures, Gate, against_float, against_truth, as_truth, compare
from leadline.export.int8 import Int8Error, write_int8
from leadline.export.onnx import ONNX
from leadline.export.openvino import OPENVINO
from leadline.export.parity import bundled_frames, shown
from leadline.export.program import PROGRAM
from leadline.foundation import load
from leadline.foundation.leadline_model import LeadlineModel
from leadline.protocols import open_protocol

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE = (64, 96)
FRAMES = bundled_frames()


def gate(exported) -> Gate:
    return against_float(exported, [shown([frame], SIZE) for frame in FRAMES[1::2]])


@pytest.mark.parametrize("target", [OPENVINO, ONNX], ids=lambda target: target.name)
def test_a_network_that_bears_int8_becomes_int8(target, tmp_path: Path) -> None:
    out = tmp_path / f"even{target.suffix}"
    report = write_int8(target, brightness(), out, FRAMES[::2], gate, SIZE)
    assert report.floats == ()
    assert report.layers >= 3
    assert report.figures.delta1 >= 0.99
    assert report.figures.abs_rel <= 0.05
    assert "all" in report.table().splitlines()[-1]
    again = load(out, threads=1)
    assert again.interface.int8
    assert again.licence == "mit"
    difference = (again.infer(shown(FRAMES, SIZE)) / brightness().infer(shown(FRAMES, SIZE)) - 1).abs().mean()
    assert 0 < difference < 0.05
    assert len(BACKENDS[target.name].quantised(BACKENDS[target.name].read(out))) == report.layers


@pytest.mark.parametrize("target", [OPENVINO, ONNX], ids=lambda target: target.name)
def test_layers_that_int8_hurts_stay_in_float_and_are_named(target, tmp_path: Path) -> None:
    out = tmp_path / f"uneven{target.suffix}"
    report = write_int8(target, brightness(1000.0), out, FRAMES[::2], gate, SIZE)
    assert report.first.delta1 < 0.99
    assert report.figures.delta1 >= 0.99
    assert report.figures.abs_rel <= 0.05
    assert [name.partition("/")[0] for name in report.floats] == ["last"]
    assert "stay in float: last/Conv" in report.table()
    assert load(out).interface.floats == report.floats


def test_nothing_is_written_where_nothing_helps(tmp_path: Path) -> None:
    def never(exported) -> Gate:
        return Gate(lambda other: Figures(0.5, 0.5), Figures(1.0, 0.0), 0.05, "nobody")

    with pytest.raises(Int8Error, match=r"not written: int8 hurts brightness: against nobody delta1 0\.5000 \(float 1"):
        write_int8(OPENVINO, brightness(), tmp_path / "x.xml", FRAMES[::2], never, SIZE)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="int8: for --to openvino or onnx, not pt2"):
        write_int8(PROGRAM, brightness(), tmp_path / "x.pt2", FRAMES, never, SIZE)


def test_truth_judges_where_it_is_given(scenes, tmp_path: Path) -> None:
    data = Folder(scenes).only(range(0, 24, 4))
    rules = open_protocol("folder")
    seen = {}

    def judged(exported) -> Gate:
        seen["gate"] = against_truth(exported, rules, data)
        return seen["gate"]

    report = write_int8(OPENVINO, brightness(), tmp_path / "x.xml", FRAMES, judged, SIZE)
    reference = report.reference
    assert 0 < reference.delta1 < 1
    # A model in float is right to the same degree by its own file: what is compared is the same protocol.
    assert seen["gate"].judge(brightness()) == pytest.approx(reference, rel=1e-3)
    assert report.figures.delta1 >= reference.delta1 - 0.01
    assert report.figures.abs_rel <= 1.05 * reference.abs_rel
    assert "truth of 6 frames" in report.table()


@pytest.mark.parametrize("kind", ["affine-invariant-disparity", "scale-invariant-depth", "metric-depth"])
def test_answers_are_compared_by_what_their_kind_knows(kind: str) -> None:
    kind = Kind.parse(kind)
    right = 1 + np.random.default_rng(0).random((12, 16), np.float32)
    depth, valid = as_truth(right, kind)
    assert valid.all()
    same = {"affine": 3 * right + 2, "scale": 3 * right, "nothing": right}[kind.up_to]
    assert compare(same.astype(np.float32), depth, valid, kind) == pytest.approx((1, 0), abs=1e-4)
    worse = compare(right[::-1].copy(), depth, valid, kind)
    assert worse.delta1 < 0.9
    assert worse.abs_rel > 0.1
    if kind.up_to == "nothing":
        assert compare(1.1 * right, depth, valid, kind) == pytest.approx((1, 0.1), abs=1e-4)


def test_an_affine_answer_spans_a_ratio_of_ten() -> None:
    depth, _ = as_truth(np.array([[5.0, 6.0, 7.0]], np.float32), Kind.parse("affine-invariant-disparity"))
    np.testing.assert_allclose(depth, [[1, 1 / 5.5, 0.1]], rtol=1e-5)


@pytest.mark.parametrize(
    ("figures", "excess"),
    [((0.9, 0.1), 0), ((0.895, 0.1), 0.5), ((0.88, 0.1), 2), ((0.9, 0.105), 1), ((0.95, 0.11), 2), ((0.95, 0.05), 0)],
)
def test_a_gate_lets_so_much_pass(figures, excess) -> None:
    gate = Gate(lambda model: Figures(0, 0), Figures(0.9, 0.1), 0.05 * 0.1, "truth")
    assert gate.excess(Figures(*figures)) == pytest.approx(excess)
    assert gate.excess(Figures(float("nan"), 0.1)) == float("inf")


def test_judged_frames_are_apart_from_those_seen() -> None:
    frames = [np.full((2, 2, 3), index, np.uint8) for index in range(100)]
    for consecutive in (False, True):
        seen, judged = split_frames(frames, consecutive)
        numbers = [{int(frame[0, 0, 0]) for frame in part} for part in (seen, judged)]
        assert not numbers[0] & numbers[1]
        assert 20 <= len(judged) <= 30
    assert [int(frame[0, 0, 0]) for frame in judged] == list(range(75, 100))
    with pytest.raises(ConfigError, match="at least 8"):
        split_frames(frames[:7])


def test_the_command_writes_predicts_and_tells(scenes, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(LeadlineModel, "open", lambda spec: brightness())
    out = tmp_path / "tiny8.xml"
    code, text, err = run(
        capsys, "export", "--to", "openvino", "--out", out, "--size", 64, 96, "--int8",
        "--calibration", scenes / "images",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "against float on 6 frames kept apart" in text
    assert "int8" in text
    code, text, _ = run(capsys, "info", out, "--json")
    assert json.loads(text)["int8"] is True
    code, _, _ = run(
        capsys, "predict", scenes / "images" / "000.png", "--model", out, "--formats", "npz", "--out", tmp_path / "p"
    )
    assert code == 0
    assert (tmp_path / "p" / "000.depth.npz").is_file()
