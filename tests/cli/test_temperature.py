"""leadline temperature: chosen on a validation split, never on frames that are tested on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from common.commands import run
from common.standins import PATCH, WIDTH, depth_folder, semantics_folder
from common.toy import Toy
from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.cli.temperature import temperature, untested
from leadline.data.folder import Folder
from leadline.errors import ConfigError
from leadline.foundation.leadline_model import LeadlineModel
from leadline.networks import create
from leadline.protocols.candidate import calibrated
from leadline.protocols.folder import FOLDER
from leadline.protocols.protocol import Protocol
from leadline.runtime.predictor import Predictor

RULES = Protocol("toys", "of tests", data="toy", split="first")
TAUS = (0.05, 1.0, 30.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {"depth": str(depth_folder(folder / "depth")), "semantics": str(semantics_folder(folder / "semantics"))}


def gates(file, models, **options):
    """Gates with random weights, for which the temperature matters."""
    torch.manual_seed(0)
    network = create("briges", width=WIDTH, channels=WIDTH, patch=PATCH, heads=4, zero=False, **models, **options)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("query.weight", "key.weight")):
                parameter.mul_(8)
    card = Card("briges", "affine-invariant-disparity", "arbitrary", (64, 96), options=network.options)
    checkpoint.save(file, network.state_dict(), card)
    return file


def test_the_best_one_is_written_into_the_card(models, scenes, tmp_path, capsys):
    file = gates(tmp_path / "gates.safetensors", models)
    rules = replace(FOLDER, alignment="lsq-positive-disparity")
    expected = {}
    for tau in TAUS:
        model = LeadlineModel.open(file)
        model.student.network.set_temperature(tau, tau)
        means = rules.evaluate(calibrated("model", Predictor(model).predict), Folder(scenes)).means
        expected[tau] = means["abs_rel"]
    assert len({round(value, 5) for value in expected.values()}) == 3
    best = min(expected, key=expected.get)
    code, out, err = run(
        capsys, "temperature", "--model", file, "--data", scenes, "--split", "all", "--align",
        "lsq-positive-disparity", "--tau", *TAUS,
    )  # fmt: skip
    assert code == 0, err
    for tau, error in expected.items():
        assert f"tau {tau:g}: AbsRel {error:.4f}" in out
    card = checkpoint.read_card(file)
    assert card.options["temperature"] == [best, best]
    assert "24 images, protocol folder, both of 0.05, 1, 30" in card.metrics["temperature chosen on"]
    model = LeadlineModel.open(file)
    assert model.student.network.temperature == (best, best)


@pytest.mark.parametrize(("attention", "expected"), [("cross", [3.0, 1.0]), ("self", [1.0, 3.0])])
def test_one_attention_alone(models, scenes, tmp_path, attention, expected):
    file, out = gates(tmp_path / "gates.safetensors", models), tmp_path / "hot.safetensors"
    assert temperature(str(file), scenes, "all", [3.0], attention=attention, every=8, out=out) == 0
    assert checkpoint.read_card(out).options["temperature"] == expected
    assert "temperature" not in checkpoint.read_card(file).options


def test_frames_that_are_tested_on_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("leadline.data.dataset.datasets", lambda: {"toy": Toy})
    Toy.write(tmp_path)
    (tmp_path / "val.txt").write_text("two 0\ntwo 1\n")
    (tmp_path / "mixed.txt").write_text("two 0\none 2\n")
    assert len(untested(RULES, tmp_path, str(tmp_path / "val.txt"))) == 2
    for split, count in (("first", 3), ("all", 3), (str(tmp_path / "mixed.txt"), 1)):
        with pytest.raises(ConfigError, match=f"toys tests on {count} frames of split"):
            untested(RULES, tmp_path, split)


def test_what_has_no_temperature_to_choose_is_refused(models, scenes, student_file, tmp_path, capsys):
    common = ("--data", scenes, "--split", "all", "--every", 12)
    code, _, err = run(capsys, "temperature", "--model", student_file, *common)
    assert code == 1
    assert "a litenet-tiny has no bridging gates" in err
    learned = gates(tmp_path / "learned.safetensors", models, learned=True)
    code, _, err = run(capsys, "temperature", "--model", learned, *common)
    assert code == 2
    assert "have learned theirs" in err
    code, _, err = run(capsys, "temperature", "--model", gates(tmp_path / "x.safetensors", models), *common, "--tau", 0)
    assert code == 2
    assert "temperatures above 0" in err
