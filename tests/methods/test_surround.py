"""The method for rigs: what scale does, what each part learns from whom, and runs from end to end."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import leadline
from common.commands import run as command
from common.rigs import rigs
from leadline import checkpoint
from leadline.camera import Pinhole
from leadline.checkpoint import Card
from leadline.data.augmentation import Augmentation
from leadline.data.ddad import Ddad, DdadLayout
from leadline.data.rigs import RigSamples
from leadline.data.split import Holdout
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.foundation.leadline_model import LeadlineModel
from leadline.foundation.licences import is_restricted
from leadline.methods.base import StudentOptions
from leadline.methods.surround import Distillation, Surround, lidar_error
from leadline.networks import create
from leadline.networks.student import Student
from leadline.protocols.candidate import Candidate, surrounded
from leadline.protocols.surround import DDAD
from leadline.runtime.rigs import predict_rig
from leadline.training.options import FitOptions
from leadline.training.run import run

SIZE = (64, 96)
STUDENT = StudentOptions("swift-bins", pretrained=False, depth_range=(0.5, 80.0), options={"bins": 16, "width": 32})
NOTHING = Distillation(0, 0, 0)
BASELINES = {
    "plain": NOTHING,
    "depth": replace(NOTHING, depth=0.5),
    "features": replace(NOTHING, features=0.5),
    "explained": replace(NOTHING, explained=0.5),
    "cross": Distillation(relations=0),
    "whole": Distillation(chamfer=0.1),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    layout, folder = DdadLayout(), tmp_path_factory.mktemp("ddad")
    layout.write_clip(folder, 0, rigs(layout.mounts(), 3, 0.06, lidar=layout.lidar, drives=True))
    layout.finish(folder, 1)
    return folder


@pytest.fixture
def data(root) -> Ddad:
    return Ddad(root, split="all")


def network_teacher(kind: str = "affine-invariant-disparity") -> LeadlineModel:
    torch.manual_seed(5)
    depth_range = None if "affine" in kind else (1.0, 50.0)
    student = Student(create("litenet-tiny"), kind, depth_range=depth_range)
    return LeadlineModel(student, Card("litenet-tiny", kind, "arbitrary", SIZE, depth_range), "teacher")


def ready(method: Surround, data: Ddad, folder) -> dict:
    """A method with its student made, and a batch of two rigs."""
    chosen = list(method.usable(data))
    frames, failures = method.prepare(data, chosen, SIZE, folder)
    assert failures == {}
    torch.manual_seed(0)
    method.make_student(torch.full((8,), 5.0))
    samples = method.samples(frames, SIZE)
    return samples.collate([samples[0, index] for index in chosen[:2]])


@pytest.mark.parametrize("name", BASELINES)
def test_every_part_reaches_what_it_is_for(data, tmp_path, name):
    weights = BASELINES[name]
    method = Surround(network_teacher() if weights.taught else None, STUDENT, weights)
    batch = ready(method, data, tmp_path)
    parts = method.train().parts(batch)
    named = {"lidar", "teacher", "cross", "probability", "relations", "chamfer", "depth", "features", "explained"}
    wanted = {key for key in named if getattr(weights, key, 0)} | {"lidar"} | ({"teacher"} if weights.binned else set())
    assert set(parts) == wanted
    assert all(part.isfinite() and part > 0 for part in parts.values())
    torch.stack(list(parts.values())).sum().backward()
    without = {key for key, parameter in method.named_parameters() if parameter.grad is None}
    assert without == set()
    assert not any("teacher" in key for key, _ in method.named_parameters())


def gradient_of(method: Surround, batch: dict, part: str) -> set[str]:
    """Which groups of parameters a part moves."""
    method.zero_grad()
    method.parts(batch)[part].backward()
    moved = {key for key, parameter in method.named_parameters() if parameter.grad is not None and parameter.grad.any()}
    groups = {"encoder": ".encoder.", "own adapter": "network.adapter", "logits": "binning.logits",
              "centres": "binning.widths"}  # fmt: skip
    found = {group for group, words in groups.items() if any(words in key for key in moved)}
    return found | ({"teacher's adapter"} if any(key.startswith("adapter") for key in moved) else set())


def test_scale_is_learned_from_lidar_and_shape_from_the_teacher(data, tmp_path):
    method = Surround(network_teacher(), STUDENT)
    batch = ready(method, data, tmp_path)
    method.train()
    student = {"encoder", "own adapter", "logits", "centres"}
    assert gradient_of(method, batch, "lidar") == student
    # The teacher's branch trains its adapter and the bins both share, never the student's features.
    assert gradient_of(method, batch, "teacher") == {"teacher's adapter", "logits", "centres"}
    # Under the teacher's probabilities only centres are left to learn, and what they are read from.
    assert gradient_of(method, batch, "cross") == {"encoder", "own adapter", "centres"}
    assert gradient_of(method, batch, "probability") == {"encoder", "own adapter", "logits"}
    assert gradient_of(method, batch, "relations") == {"encoder", "own adapter"}


def test_equal_features_leave_no_divergence(data, tmp_path):
    method = Surround(network_teacher(), STUDENT)
    batch = ready(method, data, tmp_path)
    network = method.student.network
    same = torch.randn(len(batch["image"]), 32, 16, 24)
    network.adapted = lambda features, pairs=None: same  # type: ignore[method-assign]
    method.adapter = torch.nn.Identity()
    method._features = lambda image, grid: same  # type: ignore[method-assign]
    parts = method.parts(batch)
    assert parts["probability"].item() == pytest.approx(0, abs=1e-6)
    assert parts["relations"].item() == 0
    torch.testing.assert_close(parts["lidar"], parts["teacher"])


class Longer(Ddad):
    """The same drive where every length is three times as long."""

    def load(self, id):
        frame = super().load(id)
        pose = frame.pose.copy()
        pose[:3, 3] *= 3
        if (depth := frame.depth) is not None:
            depth = DepthMap(3 * depth.values, depth.kind, depth.unit, depth.valid)
        return frame.replace(depth=depth, pose=pose)


def test_all_lengths_times_three_give_the_same_probabilities_and_three_times_the_centres(root, tmp_path):
    found = {}
    for factor, kind in ((1, Ddad), (3, Longer)):
        student = replace(STUDENT, depth_range=(0.5 * factor, 80.0 * factor))
        method = Surround(network_teacher(), student)
        out = tmp_path / f"{factor}.safetensors"
        budget = FitOptions(steps=6, batch_size=1, size=SIZE, device="cpu", workers=0, average=False)
        run(method, kind(root, split="all"), budget, out, {}, Holdout(0), Augmentation(jitter=0.2))
        network = method.student.network.eval()
        image = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            logits, centres = network.binning(network.adapted(network.encode(image)))
        found[factor] = logits.log_softmax(1), centres * method.nearest
    divergence = (found[1][0].exp() * (found[1][0] - found[3][0])).sum(1)
    assert divergence.max() < 1e-3
    torch.testing.assert_close(found[3][1], 3 * found[1][1], rtol=1e-4, atol=0)


def test_lidars_error_is_that_of_an_independent_implementation():
    torch.manual_seed(0)
    depth, target = torch.rand(2, 1, 4, 5) + 0.5, torch.rand(2, 1, 4, 5) + 0.5
    mask = torch.rand(2, 1, 4, 5) > 0.4
    each = [(one.log() - true.log())[known] for one, true, known in zip(depth, target, mask, strict=True)]
    mean = sum((g.var(correction=0) + 0.15 * g.mean() ** 2).sqrt() for g in each) / 2
    torch.testing.assert_close(lidar_error(depth, target, mask), 10 * mean)
    mask[1] = False  # an image without a point does not count
    first = (each[0].var(correction=0) + 0.15 * each[0].mean() ** 2).sqrt()
    torch.testing.assert_close(lidar_error(depth, target, mask), 10 * first)


@pytest.mark.parametrize("kind", ["affine-invariant-disparity", "scale-invariant-depth", "affine-invariant-depth"])
def test_the_teachers_depth_is_brought_to_metres_by_lidar(data, tmp_path, kind):
    method = Surround(network_teacher(), STUDENT, BASELINES["depth"])
    batch = ready(method, data, tmp_path)
    true = 2 + 10 * torch.rand(3, 1, *SIZE, generator=torch.Generator().manual_seed(1))
    said = {"affine-invariant-disparity": 4 / true + 1, "scale-invariant-depth": 7 * true,
            "affine-invariant-depth": 0.3 * true + 2}[kind]  # fmt: skip

    class Knowing(LeadlineModel):
        def __init__(self):
            self.kind, self.device = Kind.parse(kind), "cpu"

        def __call__(self, image):
            return said[:, 0]

        def to(self, device):
            return self

    method.teacher = Knowing()
    mask = torch.rand(true.shape, generator=torch.Generator().manual_seed(2)) < 0.1
    mask[2] = False
    mask[2, 0, 0, :5] = True  # too few points to say anything
    depth, known = method._depth(batch["clean"][:3], true, mask)
    assert known[:2].all()
    assert not known[2].any()
    torch.testing.assert_close(depth[:2], true[:2], rtol=1e-3, atol=0)


def test_cameras_of_other_focal_lengths_mean_the_same(data, tmp_path):
    method = Surround(None, STUDENT, NOTHING)
    batch = ready(method, data, tmp_path)
    ratio = batch["focal"] / method.focal
    assert ratio[0] > 1.9
    torch.testing.assert_close(
        method.targets(batch), batch["target"] / ratio[:, None, None, None], rtol=1e-6, atol=0, equal_nan=True
    )
    card = Card("swift-bins", "metric-depth", "m", SIZE, STUDENT.depth_range, STUDENT.options | {"ratio": 160.0},
                focal=50.0)  # fmt: skip
    student = Student(create("swift-bins", **card.options), "metric-depth", "m", STUDENT.depth_range)
    predictor = leadline.Predictor(LeadlineModel(student, card, "rig"))
    image = (torch.rand(128, 192, 3) * 255).byte().numpy()
    near, far = (predictor.predict(image, camera=Pinhole(192, 128, f, f, 95.5, 63.5)) for f in (100.0, 200.0))
    torch.testing.assert_close(torch.from_numpy(far.values), 2 * torch.from_numpy(near.values))
    raw = student.eval()(torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None] / 255, SIZE, mode="bilinear", antialias=True))  # fmt: skip
    assert near.values.mean() == pytest.approx(raw.mean().item(), rel=1e-2)  # 100 pixels of 192 are 50 of 96
    with pytest.raises(InputError, match="--intrinsics FILE or --fov"):
        predictor.predict(image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": StudentOptions("swift-bins")}, "depth_range: nearest and farthest"),
        ({"teacher": None}, "teacher: name one, or set all weights"),
    ],
)
def test_what_does_not_go_together_is_refused(change, message):
    arguments = {"teacher": network_teacher(), "student": STUDENT} | change
    with pytest.raises(ConfigError, match=message):
        Surround(**arguments)


def test_a_network_without_bins_and_single_cameras_are_refused(data, tmp_path):
    method = Surround(None, StudentOptions("swift", pretrained=False, depth_range=(0.5, 80.0)), NOTHING)
    with pytest.raises(ConfigError, match="swift: no option 'ratio'"):
        ready(method, data, tmp_path)
    with pytest.raises(ConfigError, match="instants of several cameras"):
        Surround(None, STUDENT, NOTHING).usable(data.only([0, 6]))


def test_bins_of_another_range_are_refused(data, tmp_path):
    """They would be read off wrongly: metres that nothing else would show to be wrong."""
    method = Surround(None, replace(STUDENT, options=STUDENT.options | {"ratio": 200.0}), NOTHING)
    with pytest.raises(ConfigError, match=r"depth_range: the bins of .* span 1 to 200, which 0\.5 to 80 does not"):
        ready(method, data, tmp_path)


def test_depth_reaches_as_far_as_it_says_in_every_camera(data, tmp_path):
    method = Surround(None, STUDENT, NOTHING)
    batch = ready(method, data, tmp_path)
    farthest = STUDENT.depth_range[1] * batch["focal"] / method.focal
    assert farthest.min() == pytest.approx(STUDENT.depth_range[1])


def test_terms_of_the_data_stay_beside_those_of_the_teacher(data, tmp_path):
    method = Surround(network_teacher(), STUDENT)
    ready(method, data, tmp_path)
    method.data_licence = "cc-by-nc-sa-4.0"
    assert "distilled from a teacher" in method.licence()
    assert is_restricted(method.licence())


@pytest.mark.parametrize(
    ("every", "share"), [(1, (1, 1)), (4, (0.3, 0.7)), (0.25, (1.01, 1.5))], ids=["as it is", "sparser", "denser"]
)
def test_lidar_may_be_sparser_or_denser(tmp_path, data, every, share):
    """Images are so small that usual lidar all but fills them."""
    layout = DdadLayout()
    lidar = replace(layout.lidar, steps=round(layout.lidar.steps / every))
    layout.write_clip(tmp_path / "ddad", 0, rigs(layout.mounts(), 1, 0.06, lidar=lidar, drives=True))
    layout.finish(tmp_path / "ddad", 1)
    method = Surround(network_teacher(), STUDENT)
    other = Ddad(tmp_path / "ddad", split="all")
    frames, _ = method.prepare(other, list(method.usable(other)), SIZE, tmp_path)
    torch.manual_seed(0)
    method.make_student(torch.full((8,), 5.0))
    samples = method.samples(frames, SIZE)
    batch = samples.collate([samples[0, 0]])
    usual = RigSamples(data, SIZE)[0, 0]
    points = [int((torch.isfinite(each["target"]) & each["mask"]).sum()) for each in (batch, usual)]
    assert share[0] <= points[0] / points[1] <= share[1]
    parts = method.parts(batch)
    assert all(part.isfinite() for part in parts.values())


def test_trained_and_judged(root, tmp_path, capsys):
    """The whole way, with a camera and a lidar sweep missing."""
    folder = shutil.copytree(root, tmp_path / "drive")
    own = Ddad(folder, split="all")
    own.image(own.ids[8]).unlink()
    own.depth_files(own.ids[12])[0].unlink()
    teacher = network_teacher()
    checkpoint.save(tmp_path / "teacher.safetensors", teacher.student.network.state_dict(), teacher.card)
    arguments = [
        "train", "surround-ddad", "--data.root", folder, "--data.split", "all", "--method.teacher",
        tmp_path / "teacher.safetensors", "--method.student.pretrained", "false", "--method.student.options",
        "{bins: 16, width: 32}", "--fit.size", "[64,96]", "--fit.steps", 3, "--fit.batch_size", 1, "--fit.workers", 0,
        "--holdout.every", 0, "--out", tmp_path / "rig.safetensors",
    ]  # fmt: skip
    code, _, said = command(capsys, *arguments)
    assert code == 0
    assert f"left out: {own.image(own.ids[8])}: no such file" in said
    assert f"left out: {own.depth_files(own.ids[12])[0]}: no such file" in said
    card = checkpoint.read_card(tmp_path / "rig.safetensors")
    assert (card.kind, card.unit, card.architecture) == ("metric-depth", "m", "swift-bins")
    assert card.focal is not None
    assert card.teacher["name"] == "teacher"
    assert set(checkpoint.load(tmp_path / "rig.safetensors")[0]) == set(
        create("swift-bins", **card.options).state_dict()
    )  # nothing of the teacher's
    code, told, _ = command(
        capsys, "evaluate", "--protocol", "ddad", "--split", "all", "--data", root, "--model",
        tmp_path / "rig.safetensors", "--out", tmp_path / "judged",
    )  # fmt: skip
    assert code == 0
    assert "cross" in told


def test_a_missing_camera_costs_the_others_nothing(root, tmp_path):
    """Neither their own figures nor their agreement; what is wrong is said once."""
    folder = shutil.copytree(root, tmp_path / "drive")
    whole = Ddad(folder, split="all")
    lost = whole.ids[3]
    whole.image(lost).unlink()
    broken = Ddad(folder, split="all")
    rules = replace(DDAD, split="all")
    results = {}
    for name, data in (("whole", Ddad(root, split="all")), ("broken", broken)):
        one = Candidate("", lambda id, frame, data=data: replace(data.load(id).depth, valid=None))
        together = surrounded("", lambda rig: {key: frame.depth for key, frame in rig.items()}, data)
        results[name] = [rules.evaluate(each, data) for each in (one, together)]
    for result, complete in zip(results["broken"], results["whole"], strict=True):
        assert len(result.failures) == 1
        assert str(whole.image(lost)) in result.failures[0]
        assert result.means["images"] == complete.means["images"] - 1
        # The others of that instant still make pairs: around the gap, too, where nothing overlaps.
        assert result.means["pairs"] >= complete.means["pairs"] - 4


def test_a_student_that_looks_around_is_judged_and_predicts_by_rigs(root, data, tmp_path, capsys):
    student = replace(STUDENT, options=STUDENT.options | {"neighbours": True})
    method, out = Surround(network_teacher(), student), tmp_path / "rig.safetensors"
    budget = FitOptions(steps=2, batch_size=1, size=SIZE, device="cpu", workers=0, average=False)
    run(method, data, budget, out, {}, Holdout(0), Augmentation())
    weights, card = checkpoint.load(out)
    weights["attention.project.weight"] += torch.randn(
        weights["attention.project.weight"].shape
    )  # as if it had learned much
    checkpoint.save(out, weights, card)
    predictor = leadline.load(str(out))
    rig = data.rig(range(6))
    together = predict_rig(predictor, rig)
    alone = {name: predictor.predict(frame.image, frame.camera) for name, frame in rig.items()}
    assert all(np.abs(together[name].values / alone[name].values - 1).max() > 1e-4 for name in rig)
    code, _, _ = command(
        capsys, "evaluate", "--protocol", "ddad", "--split", "all", "--data", root, "--model", out, "--out",
        tmp_path / "judged",
    )  # fmt: skip
    assert code == 0
    rows = json.loads((tmp_path / "judged" / "result.json").read_text())[0]["images"]
    depth, true = together["CAMERA_05"], data[1].depth
    p, g = np.clip(depth.values, 0.1, 200)[true.valid], true.values[true.valid]
    judged = next(row for row in rows if row["name"].endswith("CAMERA_05/000000"))
    assert judged["abs_rel"] == pytest.approx(np.mean(np.abs(p - g) / g), rel=1e-4)
