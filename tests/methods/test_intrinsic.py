"""Intrinsic decomposition beside depth: what moves what, the warm-up, two teachers, and recipes as commands."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

import leadline
from common.commands import run
from common.learning import made_ready
from leadline import checkpoint
from leadline.data.augmentation import Augmentation
from leadline.errors import ConfigError
from leadline.losses.intrinsic import contrast
from leadline.losses.reflection import DETECTORS, Detector
from leadline.methods.base import StudentOptions
from leadline.methods.intrinsic import KNOWN, Decomposition, Intrinsic, IntrinsicDistilled
from leadline.methods.litenet import LiteNet
from leadline.methods.self_supervision import MONODEPTH2
from leadline.training.rendered import Rendered

SIZE = (64, 96)
TINY = StudentOptions("litenet-tiny", pretrained=False, depth_range=(0.2, 12.0))
BASE = replace(KNOWN, scales=3, automask=False)
LEARNED = replace(MONODEPTH2, scales=3, pretrained=False, automask=False)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("room")
    return Rendered("room", clips=1, frames=5, seed=3, rate=3, height=72, width=108, root=root, processes=1, poses=True)


@pytest.fixture(scope="module")
def teachers(video, tmp_path_factory) -> dict[str, str]:
    """Checkpoints of a plain and an intrinsic teacher that were hardly trained."""
    from leadline.data.split import Holdout
    from leadline.training.options import FitOptions
    from leadline.training.run import run as train

    folder = tmp_path_factory.mktemp("teachers")
    budget = FitOptions(steps=2, batch_size=1, size=SIZE, device="cpu", workers=0)
    for name, method in (("plain", LiteNet(None, TINY, base=BASE)), ("intrinsic", Intrinsic(TINY, BASE))):
        train(method, video, budget, folder / f"{name}.safetensors", {}, Holdout(0), Augmentation())
    return {name: str(folder / f"{name}.safetensors") for name in ("plain", "intrinsic")}


def ready(method, video, folder, augmentation: Augmentation | None = None) -> dict:
    return made_ready(method, video, SIZE, folder, augmentation)


def parts_of(method, batch: dict) -> dict[str, Tensor]:
    torch.manual_seed(0)  # of the dropped paths
    return method.train().parts(batch)


def gradients(method, loss: Tensor) -> set[str]:
    """Names of the parameters of the network that a loss moves."""
    method.zero_grad()
    loss.backward(retain_graph=True)
    return {name for name, value in method.network.named_parameters() if value.grad is not None and value.grad.any()}


@pytest.mark.parametrize("base", [BASE, LEARNED], ids=["known", "learned"])
def test_each_loss_moves_what_it_should(video, tmp_path, base, monkeypatch):
    # A contrast is zero for images far enough apart, as these are.
    monkeypatch.setattr("leadline.methods.intrinsic.contrast", partial(contrast, margin=1e3))
    method = Intrinsic(TINY, base)
    batch = ready(method, video, tmp_path, Augmentation(crop=0.9, jitter=0.3))
    torch.nn.init.normal_(method.network.decomposition.head.weight, std=0.1)
    parts = parts_of(method, batch)
    assert set(parts) == {"photometric", "smoothness", "reconstruction", "cross", "sparsity", "contrast"}
    assert all(part.ndim == 0 and torch.isfinite(part) for part in parts.values())
    for name, part in parts.items():
        moved = gradients(method, part)
        families = {parameter.partition(".")[0] + "." + parameter.split(".")[1] for parameter in moved}
        if name in ("photometric", "smoothness"):
            assert families == {"backbone.encoder", "backbone.decoder"}
        else:
            assert {family.split(".")[0] for family in families} == {"backbone", "decomposition"}
            assert "backbone.decoder" not in families
            if method.base.pose is not None:
                assert all(value.grad is None or not value.grad.any() for value in method.base.pose.parameters())


def test_depth_learns_as_without_a_decomposition_where_nothing_reflects(video, tmp_path, monkeypatch):
    monkeypatch.setitem(DETECTORS, "mahalanobis", Detector(lambda evidence: torch.zeros_like(evidence.seen)))
    method, plain = Intrinsic(TINY, BASE), LiteNet(None, TINY, base=BASE)
    batch = ready(method, video, tmp_path)
    ready(plain, video, tmp_path)
    plain.student.network.load_state_dict(method.network.backbone.state_dict())
    # In eval mode no paths are dropped, and batch statistics, which are of more frames here, play no part.
    found = [each.eval().parts(batch) for each in (method, plain)]
    for name in ("photometric", "smoothness"):
        torch.testing.assert_close(found[0][name], found[1][name])


def test_reflections_are_kept_from_depth_after_the_warm_up(video, tmp_path, monkeypatch):
    """What is flagged has no gradient: changing the image there does not change the loss of depth."""
    flagged = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    flagged[..., 20:40, 30:60] = True
    monkeypatch.setitem(DETECTORS, "mahalanobis", Detector(lambda evidence: flagged.expand_as(evidence.seen)))
    method = Intrinsic(TINY, BASE)
    batch = ready(method, video, tmp_path)
    other = batch | {"clean": batch["clean"].clone()}
    other["clean"][..., 24:36, 34:56] = 0.5  # within the windows of SSIM
    losses = {}
    for masking in (True, False):
        method.masking = masking
        losses[masking] = [method.eval().parts(each)["photometric"] for each in (batch, other)]
    assert torch.equal(*losses[True])
    assert not torch.equal(*losses[False])
    assert method.pictures()["reflective"].shape == (3, 1, *SIZE)
    assert method.pictures()["diffuse"].shape == method.pictures()["residual"].shape == (3, 1, 3, *SIZE)


def test_sixteen_bits_inside_the_network_change_little(video, tmp_path):
    method = Intrinsic(TINY, BASE)
    batch = ready(method, video, tmp_path)
    whole = method.eval().parts(batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = method.eval().parts(batch)
    for name, part in whole.items():
        assert half[name].dtype == torch.float32
        torch.testing.assert_close(half[name], part, rtol=0.1, atol=0.01)


def test_the_warm_up_is_a_part_of_the_run(monkeypatch):
    method = Intrinsic(TINY, BASE, Decomposition(warm_up=0.25))

    class Trainer:
        max_steps = 40
        global_step = 0

    trainer = Trainer()
    monkeypatch.setattr(Intrinsic, "trainer", property(lambda self: trainer))
    masking = []
    for trainer.global_step in (0, 9, 10, 39):
        method.on_train_batch_start({}, 0)
        masking.append(method.masking)
    assert masking == [False, False, True, True]


def test_the_decomposition_learns_whatever_depth_does(video, tmp_path):
    method = Intrinsic(TINY, BASE)
    batch = ready(method, video, tmp_path)
    optimiser = torch.optim.AdamW(method.network.decomposition.parameters(), lr=1e-3)
    totals = []
    for _ in range(18):
        parts = parts_of(method, batch)
        method.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        totals.append({name: part.item() for name, part in parts.items()})
    own = ("cross", "reconstruction", "sparsity")
    assert sum(totals[-1][name] for name in own) < sum(totals[0][name] for name in own)


def test_a_checkpoint_is_a_model_of_depth(video, teachers):
    card = checkpoint.read_card(teachers["intrinsic"])
    assert (card.architecture, card.options["backbone"], card.kind, card.unit) == (
        "intrinsic", "litenet-tiny", "metric-depth", "m"
    )  # fmt: skip
    answer = leadline.load(teachers["intrinsic"]).predict(video[0].image)
    assert answer.values.shape == (72, 108)
    assert answer.unit == "m"


@pytest.mark.parametrize("mask", DETECTORS)
def test_a_student_learns_from_two_teachers(video, teachers, tmp_path, mask):
    method = IntrinsicDistilled(**teachers, student=TINY, base=BASE, mask=mask)
    batch = ready(method, video, tmp_path)
    target, reflective = method.pseudo(batch)
    plain, ours = (teacher.student(batch["clean"]) for teacher in (method.plain, method.intrinsic))
    torch.testing.assert_close(target, torch.where(reflective, ours, plain))
    before = [p.clone() for teacher in (method.plain, method.intrinsic) for p in teacher.student.parameters()]
    method.student.start_at(5.0)  # not where the teachers are, which have hardly begun
    optimiser = torch.optim.AdamW(method.parameters(), lr=2e-4)
    totals = []
    for _ in range(6):
        parts = parts_of(method, batch)
        assert set(parts) == {"depth", "smoothness"}
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        totals.append(parts["depth"].item())
    assert totals[-1] < totals[0]
    after = [p for teacher in (method.plain, method.intrinsic) for p in teacher.student.parameters()]
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, after, strict=True))
    assert set(method.student.network.state_dict()) == set(leadline.networks.create("litenet-tiny").state_dict())
    assert method.teacher_card()["elsewhere"] == "plain"


def test_the_pseudo_depth_is_the_intrinsic_teachers_on_reflections_alone(video, teachers, tmp_path):
    method = IntrinsicDistilled(**teachers, student=TINY, base=BASE)
    batch = ready(method, video, tmp_path)
    flagged = torch.zeros(3, 1, *SIZE, dtype=torch.bool)
    flagged[..., 10:20, 30:50] = True
    method.mask = Detector(lambda evidence: flagged)
    depths = [torch.full((3, 1, *SIZE), value) for value in (2.0, 5.0)]
    method._asked = lambda teacher, images: depths[teacher is method.intrinsic]
    target, reflective = method.pseudo(batch)
    assert torch.equal(reflective, flagged)
    assert torch.equal(target, torch.where(flagged, 5.0, 2.0))


def test_what_does_not_go_together_is_refused(teachers, video, tmp_path):
    with pytest.raises(ConfigError, match="mask: 'mahalanobi' is not one of mahalanobis, triplets"):
        Decomposition(mask="mahalanobi")
    with pytest.raises(ConfigError, match=r"warm_up: 1\.5 is not between 0 and 1"):
        Decomposition(warm_up=1.5)
    with pytest.raises(ConfigError, match=r"intrinsic: .*does not take images apart"):
        IntrinsicDistilled(teachers["plain"], teachers["plain"], TINY, BASE)
    with pytest.raises(ConfigError, match=r"base\.pose: reflections are told by known poses"):
        IntrinsicDistilled(**teachers, student=TINY, base=LEARNED)
    started = Intrinsic(replace(TINY, start=teachers["plain"]), BASE)
    started.prepare(video, range(len(video)), SIZE, tmp_path)
    with pytest.raises(ConfigError, match=r"student\.start: litenet-tiny does not take images apart"):
        started.make_student(torch.ones(1))


def test_three_commands_teachers_then_student(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    common = (
        "--data.clips", 2, "--data.frames", 4, "--data.height", 64, "--data.width", 96, "--data.processes", 1,
        "--fit.size", "[64,96]", "--fit.batch_size", 2, "--fit.workers", 0, "--fit.steps", 2,
        "--method.student.architecture", "litenet-tiny", "--holdout.every", 2, "--holdout.block", 4,
    )  # fmt: skip
    recipes = {"intrinsic-room": "intrinsic", "intrinsic-room-plain": "plain", "intrinsic-room-distil": "student"}
    for recipe, out in recipes.items():
        code, _, err = run(capsys, "train", recipe, "--out", f"{out}.safetensors", *common)
        assert code == 0, err
    card = checkpoint.read_card("student.safetensors")
    assert (card.architecture, card.kind, card.unit) == ("litenet-tiny", "metric-depth", "m")
    assert card.teacher["name"] == "intrinsic"
    assert card.teacher["elsewhere"] == "plain"
    assert card.metrics["frames kept apart"] == 4
