"""Runs from frames to a checkpoint: learning, resuming, refusing."""

from __future__ import annotations

import json

import pytest
import torch

from leadline import checkpoint
from leadline.data.augmentation import Augmentation
from leadline.data.folder import Folder
from leadline.data.images import Images
from leadline.data.split import Holdout
from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet
from leadline.methods.optimiser import Optimiser
from leadline.methods.supervised import Supervised
from leadline.training import fit
from leadline.training.options import FitOptions
from leadline.training.pictures import mosaic
from leadline.training.run import automatic_size, run

TINY = StudentOptions("litenet-tiny", pretrained=False)
CPU = {"device": "cpu", "workers": 0}


def distilled(scenes, teacher, out, cache=True, **fit_options):
    method = LiteNet(load(teacher), TINY, cache=cache, optimiser=Optimiser(lr=2e-3))
    frames = Images(sorted((scenes / "images").glob("*.png")))
    options = FitOptions(**{"batch_size": 4, "size": (64, 96), "steps": 8, "save_every": 2} | CPU | fit_options)
    return run(
        method, frames, options, out, {"steps": options.steps}, Holdout(4, 1, 0), Augmentation(), "scenes"
    ).report


@pytest.mark.parametrize("cache", [True, False], ids=["cached labels", "teacher at every step"])
def test_a_student_learns_its_teacher(scenes, bright_teacher, tmp_path, cache):
    report = distilled(scenes, bright_teacher, tmp_path / "s.safetensors", cache, steps=60)
    assert report.frames == 6
    assert report.student["error"] < 0.5 * report.mean_map["error"]
    card = checkpoint.read_card(tmp_path / "s.safetensors")
    assert (card.kind, card.unit, card.input_size) == ("scale-invariant-depth", "arbitrary", (64, 96))
    assert "non-commercial" in card.licence
    assert card.teacher["name"] == "bright"
    assert card.metrics["frames kept apart"] == 6
    assert list((tmp_path / "s.run").glob("logs/*/metrics.csv"))
    assert list((tmp_path / "s.run" / "events").glob("events*"))
    assert bool(list((tmp_path / "s.run" / "labels").glob("**/*.npz"))) == cache


def test_a_run_cut_off_goes_on_to_the_very_same_weights(scenes, bright_teacher, tmp_path, monkeypatch):
    distilled(scenes, bright_teacher, tmp_path / "whole.safetensors")

    class Cut(fit.Progress):
        def on_train_batch_end(self, trainer, *arguments):
            super().on_train_batch_end(trainer, *arguments)
            if trainer.global_step == 5:
                raise RuntimeError("power failure")

    with monkeypatch.context() as patched:
        patched.setattr(fit, "Progress", Cut)
        with pytest.raises(RuntimeError, match="power failure"):
            distilled(scenes, bright_teacher, tmp_path / "cut.safetensors")
    assert not (tmp_path / "cut.safetensors").exists()
    distilled(scenes, bright_teacher, tmp_path / "cut.safetensors")
    whole, _ = checkpoint.load(tmp_path / "whole.safetensors")
    cut, _ = checkpoint.load(tmp_path / "cut.safetensors")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_finished_run_is_not_repeated_and_other_settings_are_refused(scenes, bright_teacher, tmp_path):
    out = tmp_path / "s.safetensors"
    distilled(scenes, bright_teacher, out, steps=2)
    before = out.stat().st_mtime_ns
    assert distilled(scenes, bright_teacher, out, steps=2) is None
    assert out.stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="another 'steps'"):
        distilled(scenes, bright_teacher, out, steps=3)


def test_minutes_become_steps(scenes, bright_teacher, tmp_path):
    distilled(scenes, bright_teacher, tmp_path / "s.safetensors", steps=0, minutes=0.2)
    assert json.loads((tmp_path / "s.run" / "run.json").read_text())["steps"] >= 10
    with pytest.raises(ConfigError, match="too few"):
        distilled(scenes, bright_teacher, tmp_path / "t.safetensors", steps=0, minutes=0.001)


def test_supervised_learns_metric_depth_and_goes_on_from_a_student(scenes, tmp_path):
    frames = Folder(scenes)
    options = FitOptions(steps=60, batch_size=4, size=(64, 96), **CPU)
    first = Supervised(TINY, optimiser=Optimiser(lr=2e-3))
    report = run(
        first, frames, options, tmp_path / "a.safetensors", {}, Holdout(4, 1, 0), Augmentation(jitter=0)
    ).report
    assert report.error == "AbsRel, metric"
    assert report.student["error"] < report.mean_map["error"]
    second = Supervised(StudentOptions(start=str(tmp_path / "a.safetensors")), optimiser=Optimiser(lr=1e-6))
    options = FitOptions(steps=1, batch_size=4, size=(64, 96), average=False, **CPU)
    again = run(second, frames, options, tmp_path / "b.safetensors", {}, Holdout(4, 1, 0)).report
    assert again.student["error"] == pytest.approx(report.student["error"], rel=0.05)
    assert checkpoint.read_card(tmp_path / "b.safetensors").architecture == "litenet-tiny"


def test_frames_without_depth_cannot_supervise(scenes, tmp_path):
    frames = Images(sorted((scenes / "images").glob("*.png")))
    with pytest.raises(InputError, match="needs depth"):
        run(Supervised(TINY), frames, FitOptions(steps=1, **CPU), tmp_path / "a.safetensors", {})


@pytest.mark.parametrize("options", [{}, {"steps": 1, "minutes": 1}, {"steps": -1}, {"steps": 1, "batch_size": 0}])
def test_impossible_budgets_are_refused(options):
    with pytest.raises(ConfigError, match=r"budget|batch_size"):
        FitOptions(**options)


def test_the_training_size_has_the_shape_of_the_images(scenes):
    height, width = automatic_size(Images(sorted((scenes / "images").glob("*.png"))))
    assert height % 32 == width % 32 == 0
    assert width / height == pytest.approx(128 / 96, rel=0.05)


def test_an_unreadable_image_is_left_out_and_named(scenes, bright_teacher, tmp_path):
    paths = sorted((scenes / "images").glob("*.png"))[:8]
    (tmp_path / "cut.png").write_bytes(paths[0].read_bytes()[:300])
    frames = Images([*paths, tmp_path / "cut.png"])
    method = LiteNet(load(bright_teacher), TINY)
    options = FitOptions(steps=1, batch_size=2, size=(64, 96), **CPU)
    outcome = run(method, frames, options, tmp_path / "s.safetensors", {}, Holdout(0))
    assert [str(tmp_path / "cut.png") in failure for failure in outcome.failures] == [True]
    assert (tmp_path / "s.safetensors").is_file()


def test_pictures_stand_in_rows_and_columns():
    values = torch.zeros(2, 3, 3, 4, 5)
    values[1, 2, 0] = 1.0
    picture = mosaic(values)
    assert picture.shape == (8, 15, 3)
    assert (picture[4:, 10:] == (255, 0, 0)).all()
    assert picture[:4].max() == picture[:, :10].max() == 0
    masks = mosaic(values[:, :, 0] > 0)
    assert (masks[4:, 10:] == 255).all()
    assert masks[:4].max() == 0


def test_the_average_leaves_alone_what_does_not_change():
    towards = fit.Towards(0.001)
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    averaged = weight.clone()
    for count in range(50):
        averaged = towards(averaged, weight, torch.tensor(count))
    assert torch.equal(averaged, weight)
    assert torch.allclose(towards(torch.zeros(3), torch.ones(3), torch.tensor(1)), torch.full((3,), 0.001))
