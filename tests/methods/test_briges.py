"""BriGeS: gates between two frozen models, their checkpoint, and a student of it."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import leadline
from common.commands import run
from common.standins import depth_folder, semantics_folder
from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.data.folder import Folder
from leadline.data.samples import Samples
from leadline.data.split import Holdout
from leadline.errors import ConfigError, InputError
from leadline.foundation.leadline_model import LeadlineModel
from leadline.methods.affine import Terms
from leadline.methods.briges import BriGeS, Gates, constant_linear
from leadline.training.options import FitOptions
from leadline.training.run import run as train

SIZE = (64, 96)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return str(depth_folder(folder / "depth")), str(semantics_folder(folder / "semantics"))


@pytest.fixture(scope="module")
def gates(models, scenes, tmp_path_factory) -> str:
    """A checkpoint of gates that were hardly trained."""
    out = tmp_path_factory.mktemp("gates") / "gates.safetensors"
    budget = FitOptions(steps=3, batch_size=2, size=SIZE, device="cpu", workers=0)
    train(BriGeS(*models, Gates(4)), Folder(scenes), budget, out, {}, Holdout(0))
    return str(out)


def ready(method: BriGeS, scenes, tmp_path) -> dict:
    frames, _ = method.prepare(Folder(scenes), range(24), SIZE, tmp_path)
    method.make_student(torch.ones(1))
    samples = Samples(frames, SIZE)
    return samples.collate([samples[0, 0], samples[0, 1]])


def test_it_starts_from_the_unharmed_model_and_trains_gates_alone(models, scenes, tmp_path):
    torch.manual_seed(0)
    method = BriGeS(*models, Gates(4), terms=Terms(matching=0.0, aligned=False))
    batch = ready(method, scenes, tmp_path)
    plain = method.depth.infer(batch["image"])
    assert torch.equal(method.eval().answer(batch["image"])[:, 0], plain)
    assert {name.split(".")[2] for name, _ in method.named_parameters()} == {"gates"}
    frozen = [*method.depth.network.parameters(), *method.semantics.network.parameters()]
    before = [parameter.clone() for parameter in frozen]
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-2)
    totals = []
    for _ in range(25):
        parts = method.train().parts(batch)
        assert set(parts) == {"absolute"}
        total = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.95 * totals[0]
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, frozen, strict=True))
    assert torch.equal(method.depth.infer(batch["image"]), plain)


def test_an_image_of_any_size_is_seen_as_the_depth_model_sees_it(models, scenes, tmp_path):
    """Else a gain, or a loss, would be that of another resolution."""
    method = BriGeS(*models, Gates(4))
    ready(method, scenes, tmp_path)
    card = Card("briges", "affine-invariant-disparity", "arbitrary", (128, 128), options=method.student.network.options)
    checkpoint.save(tmp_path / "new.safetensors", method.student.network.state_dict(), card)
    gated, plain = LeadlineModel.open(tmp_path / "new.safetensors"), leadline.foundation.load(models[0])
    for shape in ((97, 143), (60, 200)):
        image = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(1))
        assert torch.equal(gated(image), plain(image))


def test_gates_move_with_their_models(gates, models, tmp_path):
    weights, card = checkpoint.load(gates)
    card.options.update(depth="models/depth", semantics="models/semantics")
    for folder in models:
        shutil.copytree(folder, tmp_path / "moved" / Path(folder).name)
    moved = tmp_path / "moved" / "gates.safetensors"
    checkpoint.save(moved, weights, card)
    image = torch.rand(1, 3, *SIZE)
    assert torch.equal(LeadlineModel.open(moved)(image), LeadlineModel.open(gates)(image))
    shutil.rmtree(tmp_path / "moved" / "semantics")
    with pytest.raises(InputError, match=r"gates\.safetensors: needs another model: models/semantics"):
        LeadlineModel.open(moved)


def test_another_temperature_is_another_model_and_is_saved(gates, tmp_path):
    opened = LeadlineModel.open(gates)
    before = opened.digest
    opened.student.network.set_temperature(2.0, 3.0)
    assert opened.digest != before
    opened.save_pretrained(tmp_path)
    assert checkpoint.read_card(tmp_path).options["temperature"] == [2.0, 3.0]


def test_the_checkpoint_holds_gates_and_names_the_models(models, gates, scenes):
    card = checkpoint.read_card(gates)
    assert (card.architecture, card.kind, card.unit) == ("briges", "affine-invariant-disparity", "arbitrary")
    assert (card.options["depth"], card.options["semantics"]) == models
    weights = checkpoint.load(gates)[0]
    assert {name.split(".")[0] for name in weights} == {"gates"}
    model = LeadlineModel.open(gates)
    assert card.options["depth_digest"] == model.student.network._depth.digest
    assert card.options["semantics_digest"] == model.student.network._semantics.digest
    depth = leadline.load(gates).predict(Folder(scenes)[0].image)
    assert depth.values.shape == (96, 128)
    assert str(depth.kind) == "affine-invariant-disparity"


def test_the_terms_of_the_models_travel_along(models, tmp_path, scenes):
    method = BriGeS(*models, Gates(4))
    method.data_licence = "apache-2.0"
    assert method.licence() == "apache-2.0"
    method.depth.licence = "cc-by-nc-4.0"
    assert "needs depth, whose licence is cc-by-nc-4.0" in method.licence()


def test_other_weights_than_those_trained_with_are_refused(gates, tmp_path):
    weights, card = checkpoint.load(gates)
    card.options["semantics"] = str(semantics_folder(tmp_path / "other", width=24))
    checkpoint.save(tmp_path / "gates.safetensors", weights, card)
    with pytest.raises(InputError, match="not the weights these gates were trained with"):
        LeadlineModel.open(tmp_path / "gates.safetensors")


def test_gates_go_on_from_a_checkpoint_and_from_nothing_else(models, gates, scenes, student_file, tmp_path):
    method = BriGeS(*models, Gates(4), start=gates)
    ready(method, scenes, tmp_path)
    kept = checkpoint.load(gates)[0]
    assert all(torch.equal(value, kept[name]) for name, value in method.student.network.state_dict().items())
    wrong = BriGeS(*models, Gates(4), start=str(student_file))
    with pytest.raises(ConfigError, match="holds a litenet-tiny and no gates"):
        ready(wrong, scenes, tmp_path)


def test_the_learning_rate_is_constant_then_falls_to_nothing():
    rates = [constant_linear(step, 1000) for step in range(1001)]
    assert set(rates[:701]) == {1.0}
    falls = [a - b for a, b in pairwise(rates[700:])]
    assert falls == pytest.approx([1 / 300] * 300)
    assert rates[-1] == 0
    assert [constant_linear(step, 100, 0.1) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert all(0 <= constant_linear(step, steps, 0.1) <= 1 for steps in (1, 2, 3) for step in range(steps + 1))


def test_a_run_follows_that_schedule(models, scenes, tmp_path):
    """The trainer's optimiser, asked for the rates it used."""
    seen = []

    class Watched(BriGeS):
        def on_train_batch_end(self, *_):
            seen.append(self.optimizers().param_groups[0]["lr"])

    budget = FitOptions(steps=10, batch_size=1, size=SIZE, device="cpu", workers=0)
    train(Watched(*models, Gates(4)), Folder(scenes), budget, tmp_path / "x.safetensors", {}, Holdout(0))
    expected = [5e-5 * constant_linear(step, 10) for step in range(11)]
    assert seen in (pytest.approx(expected[:10]), pytest.approx(expected[1:]))


def test_the_whole_chain_by_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    fit = ("--fit.size", "[64,96]", "--fit.batch_size", 2, "--fit.workers", 0, "--fit.steps", 2)
    places = ("--data.clips", 2, "--data.frames", 4, "--data.height", 64, "--data.width", 96)
    rooms = (*places, "--data.processes", 1, "--holdout.every", 2, "--holdout.block", 4)
    encoder = {"width": 32, "blocks": 4, "heads": 2, "grid": 8}
    small = [word for name, value in encoder.items() for word in (f"--method.encoder.{name}", value)]
    size = ("--method.student.options", '{"width": 32, "blocks": 4, "attention_heads": 2, "grid": 8}')
    steps = {
        ("briges-room-semantics", "semantics.safetensors"): (*rooms, *small),
        ("briges-room-depth", "depth.safetensors"): (*rooms, *size),
        ("briges-room", "gates.safetensors"): rooms,
        ("briges-distil", "student.safetensors"): (*rooms, "--method.student.architecture", "litenet-tiny"),
    }
    for (recipe, out), options in steps.items():
        code, _, err = run(capsys, "train", recipe, "--out", out, *options, *fit)
        assert code == 0, err
    card = checkpoint.read_card("gates.safetensors")
    assert (card.options["width"], card.options["channels"], card.options["heads"]) == (32, 32, 4)
    assert card.metrics["frames kept apart"] == 4
    code, _, err = run(capsys, "export", "--model", "gates.safetensors", "--to", "onnx", "--out", "gates.onnx")
    assert code == 2
    assert "needs the depth model depth and the semantic encoder semantics" in err
    student = checkpoint.read_card("student.safetensors")
    assert (student.architecture, student.kind) == ("litenet-tiny", "affine-invariant-disparity")
    assert student.teacher["name"] == "gates"
    assert "commercial use permitted" in student.licence
