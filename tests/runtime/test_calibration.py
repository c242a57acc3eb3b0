from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import yaml

import leadline
from leadline.camera import Pinhole
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError, KindError
from leadline.runtime.calibration import Calibration
from leadline.runtime.predictor import Predictor


def line(**changes) -> Calibration:
    entries = {
        "model": "m", "digest": "d", "kind": "affine-invariant-disparity", "space": "disparity", "scale": 0.5,
        "shift": -0.25, "unit": "m",
    }  # fmt: skip
    return Calibration(**{**entries, **changes})


def test_disparity_becomes_depth_and_what_is_beyond_infinity_is_not_valid():
    camera = Pinhole.from_fov(4, 1, 60)
    seen = DepthMap(np.array([[1.0, 2.0, 0.5, 0.1]]), "affine-invariant-disparity", camera=camera)
    depth = line().apply(seen)
    assert str(depth.kind) == "metric-depth"
    assert depth.unit == "m"
    assert depth.values[0, :2] == pytest.approx([1 / 0.25, 1 / 0.75])
    assert depth.valid.tolist() == [[True, True, False, False]]
    assert len(depth.to_points()) == 2


@pytest.mark.parametrize(
    ("kind", "unit", "space", "values", "expected"),
    [
        ("scale-invariant-depth", "arbitrary", "depth", [4.0, 8.0], [2.5, 4.5]),
        ("scale-invariant-depth", "arbitrary", "disparity", [4.0, 8.0], [1 / 0.625, 1 / 0.5625]),
        ("scale-invariant-disparity", "arbitrary", "depth", [0.25, 0.125], [2.5, 4.5]),
        ("affine-invariant-depth", "arbitrary", "depth", [4.0, 8.0], [2.5, 4.5]),
        ("metric-depth", "mm", "depth", [4000.0, 8000.0], [2.5, 4.5]),
        ("metric-disparity", "1/cm", "depth", [0.0025, 0.00125], [2.5, 4.5]),
    ],
)
def test_a_line_of_every_kind(kind, unit, space, values, expected):
    depth = line(kind=kind, space=space, shift=0.5).apply(DepthMap(np.array([values]), kind, unit))
    assert depth.values[0] == pytest.approx(expected)


def test_pixels_that_were_not_valid_stay_so():
    seen = DepthMap(np.ones((1, 2)), "affine-invariant-disparity", valid=np.array([[True, False]]))
    assert line().apply(seen).valid.tolist() == [[True, False]]


def test_another_kind_or_model_is_refused(bright_teacher):
    with pytest.raises(KindError, match="for affine-invariant-disparity, not metric-depth"):
        line().apply(DepthMap(np.ones((2, 2)), "metric-depth", "m"))
    model = leadline.load(str(bright_teacher)).model
    with pytest.raises(ConfigError, match=r"is of m .*not of bright"):
        Predictor(model, calibration=line())


def test_files_hold_it_whole(tmp_path):
    calibration = line(evidence={"distances": {"count": 3}, "range": [1.0, 2.5]})
    calibration.save(tmp_path / "c.yaml")
    assert Calibration.load(tmp_path / "c.yaml") == calibration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "not a calibration"),
        ("a: [", "not a YAML file"),
        ("sclae: 1", "did you mean 'scale'"),
        ("model: m", "digest, kind, space, scale, shift, unit missing"),
    ],
)
def test_files_that_are_none(text, expected, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=expected) as raised:
        Calibration.load(tmp_path / "c.yaml")
    assert "c.yaml" in str(raised.value)
    with pytest.raises(InputError, match="no such file"):
        Calibration.load(tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [("scale", 0.0), ("scale", float("nan")), ("scale", "1"), ("shift", True), ("unit", "ft"), ("space", "log"),
     ("space", "depth"), ("kind", "metric")],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(key, value, tmp_path):
    line().save(tmp_path / "c.yaml")
    entries = dataclasses.asdict(line()) | {key: value}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(entries))
    with pytest.raises(InputError, match=key):
        Calibration.load(tmp_path / "c.yaml")


def test_a_calibrated_predictor_gives_metric_depth_of_images_and_streams(bright_teacher, tmp_path):
    plain = leadline.load(str(bright_teacher))
    made = line(
        model="bright", digest=plain.model.digest, kind="scale-invariant-depth", space="depth", scale=3.0, shift=0.0
    )
    made.save(tmp_path / "c.yaml")
    predictor = leadline.load(str(bright_teacher), calibration=tmp_path / "c.yaml")
    assert (str(predictor.kind), predictor.unit) == ("metric-depth", "m")
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    before, after = plain.predict(image), predictor.predict(image)
    assert np.allclose(after.values, 3 * before.values, rtol=1e-6)
    assert (str(after.kind), after.unit) == ("metric-depth", "m")
    [(_, streamed)] = predictor.stream([image])
    assert np.array_equal(streamed.values, after.values)


def test_what_holds_for_a_checkpoint_holds_for_it_in_other_runtimes(
    student_file, bright_teacher, monkeypatch, tmp_path
):
    def export(model, file):  # what is written does not matter here, only what it counts as
        file.parent.mkdir(exist_ok=True)
        shutil.copy(bright_teacher, file)
        shutil.copy(bright_teacher.with_suffix(".card.yaml"), file.with_suffix(".card.yaml"))

    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    monkeypatch.setattr("leadline.export.onnx.export_onnx", export)
    torch = leadline.load(str(student_file)).model
    assert leadline.load(str(student_file), runtime="onnx").model.digest == torch.digest
