"""VFM-Depth style: a teacher told what is where, its checkpoint, and a student of it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

import leadline
from common.commands import run
from common.learning import made_ready
from leadline import checkpoint
from leadline.data.augmentation import Augmentation
from leadline.errors import ConfigError
from leadline.methods.base import StudentOptions
from leadline.methods.self_supervision import MONODEPTH2
from leadline.methods.vfm import Imitation, Semantics, VFMStudent, VFMTeacher
from leadline.training.rendered import Rendered

SIZE = (64, 96)
TINY = StudentOptions("litenet-tiny", pretrained=False, depth_range=(0.5, 200.0))
KNOWN = replace(MONODEPTH2, pose="known", scales=3, automask=False)
LEARNED = replace(MONODEPTH2, scales=3, pretrained=False)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("street")
    return Rendered(
        "street", clips=1, frames=5, seed=3, rate=10, height=72, width=108, root=root, processes=1, poses=True
    )


@pytest.fixture(scope="module")
def teacher(video, tmp_path_factory) -> str:
    """A checkpoint of a teacher that was hardly trained, its fusion not nothing."""
    from leadline.data.split import Holdout
    from leadline.training.options import FitOptions
    from leadline.training.run import run as train

    out = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    budget = FitOptions(steps=2, batch_size=1, size=SIZE, device="cpu", workers=0)
    train(VFMTeacher(TINY, KNOWN), video, budget, out, {}, Holdout(0), Augmentation())
    return str(out)


def ready(method, video, folder, augmentation: Augmentation | None = None) -> dict:
    return made_ready(method, video, SIZE, folder, augmentation)


@pytest.mark.parametrize("base", [KNOWN, LEARNED], ids=["known", "learned"])
def test_at_step_0_the_teacher_learns_as_the_plain_network(video, tmp_path, base):
    from leadline.methods.litenet import LiteNet

    teacher = VFMTeacher(TINY, base)
    batch = ready(teacher, video, tmp_path)
    plain = LiteNet(None, TINY, base=base)
    ready(plain, video, tmp_path)
    plain.student.network.load_state_dict(teacher.network.backbone.state_dict())
    plain.base.load_state_dict(teacher.base.state_dict())
    found = []
    for method in (teacher, plain):
        torch.manual_seed(1)
        found.append(method.train().parts(batch))
    assert set(found[0]) == {"photometric", "smoothness"}
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_only_what_is_the_teachers_own_is_trained_and_saved(video, teacher, tmp_path):
    method = VFMTeacher(TINY, KNOWN)
    batch = ready(method, video, tmp_path)
    torch.stack(list(method.train().parts(batch).values())).sum().backward()
    frozen = {id(parameter) for parameter in method.encoder.network.parameters()}
    assert not frozen & {id(parameter) for parameter in method.parameters()}
    assert all(fusion.project.weight.grad.any() for fusion in method.network.fusions)
    card = checkpoint.read_card(teacher)
    assert (card.architecture, card.options["backbone"], card.kind, card.unit) == (
        "gsae", "litenet-tiny", "metric-depth", "m"
    )  # fmt: skip
    assert card.options["digest"] == method.encoder.digest
    assert "needs efficientnet-lite0, whose licence is apache-2.0" in card.licence
    weights = checkpoint.load(teacher)[0]
    assert set(weights) == set(method.network.state_dict())
    answer = leadline.load(teacher).predict(video[0].image)
    assert answer.values.shape == (72, 108)
    assert answer.unit == "m"


def test_features_are_kept_where_images_are_not_cropped(video, tmp_path):
    method = VFMTeacher(TINY, KNOWN, Semantics(cache=True))
    ready(method, video, tmp_path / "cropped", Augmentation(crop=0.8))
    assert method.cache is None
    batch = ready(method, video, tmp_path, Augmentation(crop=1.0, flip=1.0, jitter=0.3))
    assert batch["mirrored"].all()
    assert not torch.equal(batch["image"], batch["clean"])
    torch.nn.init.normal_(method.network.fusions[0].project.weight)
    method.eval()
    first = method.train().parts(batch)
    files = sorted((tmp_path / "tokens").rglob("*.npy"))
    assert [file.name for file in files] == [f"{index:08d}-mirrored.npy" for index in (1, 2, 3)]
    live = method.network.tokens(batch["clean"], method.network.backbone.encode(batch["clean"]))
    kept = method._tokens(batch, method.network.backbone.encode(batch["clean"]))
    torch.testing.assert_close(kept, live, rtol=1e-3, atol=1e-3)
    assert set(first) == {"photometric", "smoothness"}


@pytest.mark.parametrize("base", [KNOWN, LEARNED], ids=["known", "learned"])
def test_a_student_imitates(video, teacher, tmp_path, base):
    method = VFMStudent(teacher, TINY, base)
    batch = ready(method, video, tmp_path)
    before = [parameter.clone() for parameter in method.teacher.student.parameters()]
    optimiser = torch.optim.AdamW(method.parameters(), lr=2e-3)
    totals = []
    for _ in range(8):
        torch.manual_seed(0)
        parts = method.train().parts(batch)
        assert set(parts) == {"photometric", "smoothness", "depth", "feature", "category"}
        assert all(part.ndim == 0 and torch.isfinite(part) for part in parts.values())
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        totals.append({name: float(part.detach()) for name, part in parts.items()})
    assert totals[-1]["feature"] < totals[0]["feature"]
    assert totals[-1]["category"] < totals[0]["category"]
    after = list(method.teacher.student.parameters())
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, after, strict=True))
    assert str(method.student.kind) == ("metric-depth" if base is KNOWN else "scale-invariant-depth")
    assert set(method.student.network.state_dict()) == set(leadline.networks.create("litenet-tiny").state_dict())


def test_weights_of_zero_switch_off(video, teacher, tmp_path):
    for name in ("depth", "feature", "category"):
        method = VFMStudent(teacher, TINY, KNOWN, replace(Imitation(0, 0, 0), **{name: 1.0}))
        batch = ready(method, video, tmp_path)
        assert set(method.train().parts(batch)) == {"photometric", "smoothness", name}
    method = VFMStudent(teacher, TINY, KNOWN, Imitation(0, 0, 0))
    batch = ready(method, video, tmp_path)
    method.teacher = None  # is not asked
    assert set(method.train().parts(batch)) == {"photometric", "smoothness"}


def test_the_scale_of_the_teacher_does_not_matter_where_pose_is_learned(video, teacher, tmp_path):
    method = VFMStudent(teacher, TINY, LEARNED)
    batch = ready(method, video, tmp_path)
    taught, networks = method._taught, copy.deepcopy(method.base.state_dict())

    def scaled(batch):
        depth, features, tokens = taught(batch)
        return 7 * depth, features, tokens

    found = []
    for ask in (taught, scaled):
        method._taught = ask
        torch.manual_seed(0)
        method.base.load_state_dict(networks)
        found.append(method.train().parts(batch)["depth"].item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_the_true_depth_explains_the_images_best(video, tmp_path):
    method = VFMTeacher(TINY, KNOWN)
    batch = ready(method, video, tmp_path)
    true = torch.nan_to_num(batch["target"], nan=1e3)
    right, wrong = (method.base.reprojection_error(factor * true, batch) for factor in (1.0, 1.5))
    seen = torch.isfinite(right) & torch.isfinite(wrong)
    assert right.shape == (3, 1, *SIZE)
    assert seen.float().mean() > 0.7
    assert right[seen].mean() < 0.8 * wrong[seen].mean()
    assert not right.requires_grad


def test_an_affine_teacher_is_refused(tmp_path, teacher):
    weights, card = checkpoint.load(teacher)
    card.kind, card.unit, card.depth_range = "affine-invariant-disparity", "arbitrary", None
    checkpoint.save(tmp_path / "affine.safetensors", weights, card)
    with pytest.raises(ConfigError, match="depth up to scale or metric is needed"):
        VFMStudent(str(tmp_path / "affine.safetensors"), TINY, KNOWN)


def test_two_commands_teacher_then_student(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    common = (
        "--data.clips", 2, "--data.frames", 4, "--data.height", 64, "--data.width", 96, "--data.processes", 1,
        "--fit.size", "[64,96]", "--fit.batch_size", 2, "--fit.workers", 0, "--fit.steps", 2,
        "--method.student.architecture", "litenet-tiny", "--holdout.every", 2, "--holdout.block", 4,
    )  # fmt: skip
    for recipe, out in (("vfm-street-teacher", "teacher.safetensors"), ("vfm-street", "student.safetensors")):
        code, _, err = run(capsys, "train", recipe, "--out", out, *common)
        assert code == 0, err
    code, _, err = run(capsys, "export", "--model", "teacher.safetensors", "--to", "onnx", "--out", "teacher.onnx")
    assert code == 2
    assert "needs the semantic encoder efficientnet-lite0" in err
    card = checkpoint.read_card("student.safetensors")
    assert (card.architecture, card.kind, card.unit) == ("litenet-tiny", "metric-depth", "m")
    assert card.teacher["name"] == "teacher"
    assert card.metrics["frames kept apart"] == 4
