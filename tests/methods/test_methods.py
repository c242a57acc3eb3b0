"""Every method: parts, gradients, masks. A new method is one more line in METHODS."""

from __future__ import annotations

import itertools

import pytest
import torch

from leadline.data.folder import Folder
from leadline.depth import Kind
from leadline.errors import ConfigError
from leadline.foundation.base import DepthModel
from leadline.methods.base import StudentOptions, judge, warmup_cosine
from leadline.methods.litenet import LiteNet, Trinity
from leadline.methods.optimiser import Optimiser
from leadline.methods.supervised import Supervised

TINY = StudentOptions("litenet-tiny", pretrained=False)
KINDS = ["metric-depth", "scale-invariant-depth", "affine-invariant-disparity", "affine-invariant-depth"]


class Known(DepthModel):
    """A teacher that answers a fixed function of the image."""

    name, licence, digest = "known", "mit", "known"

    def __init__(self, kind: str) -> None:
        self.kind = Kind.parse(kind)
        self.unit = {"metric-depth": "m", "metric-disparity": "1/m"}.get(kind, "arbitrary")

    def input_size(self, height, width):
        return height, width

    def infer(self, images):
        return 1 + 3 * images.mean(1)


def litenet(kind: str) -> LiteNet:
    return LiteNet(Known(kind), TINY, cache=False)


def supervised(kind: str) -> Supervised:
    method = Supervised(TINY)
    method.kind, method.unit = Kind.parse(kind), "m" if kind == "metric-depth" else "arbitrary"
    return method


METHODS = [litenet, supervised]


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    image = torch.nn.functional.interpolate(torch.rand(2, 3, 6, 8), (48, 64), mode="bicubic").clamp(0, 1)
    target = 1 + 3 * image.mean(1, keepdim=True)
    return {"image": image, "clean": image, "target": target, "mask": torch.ones(2, 1, 48, 64, dtype=torch.bool)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", METHODS)
def test_a_few_steps_lower_the_loss(make, kind):
    torch.manual_seed(0)
    method = make(kind)
    data = batch()
    method.make_student(method.targets(data))
    assert method.student.kind == Kind.parse(kind)
    optimiser = torch.optim.AdamW(method.student.parameters(), lr=2e-3)
    totals = []
    for _ in range(12):
        parts = method.parts(data)
        total = torch.stack(list(parts.values())).sum()
        assert all(part.ndim == 0 and torch.isfinite(part) for part in parts.values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.9 * totals[0]


@pytest.mark.parametrize("make", METHODS)
def test_what_is_masked_or_unknown_has_no_say(make):
    method = make("metric-depth")
    data = batch()
    method.make_student(data["target"])
    method.student.eval()
    hidden, student = dict(data), method.student

    def gradient(values: dict[str, torch.Tensor]) -> torch.Tensor:
        # one output of a net in eval mode, so that nothing is random
        output = student(values["image"])
        target = values["target"]
        mask = values["mask"] & torch.isfinite(target)
        torch.manual_seed(1)
        parts = method.losses([output], torch.where(mask, target, 1.0), mask, values["image"])
        student.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        return torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None])

    data["mask"] = data["mask"].clone()
    data["mask"][:, :, :20] = False
    hidden["target"] = data["target"].clone()
    hidden["target"][:, :, :20] = torch.nan
    assert torch.allclose(gradient(data), gradient(hidden), atol=1e-6)


@pytest.mark.parametrize("make", METHODS)
def test_an_image_without_any_target_does_no_harm(make):
    method = make("metric-depth")
    data = batch()
    method.make_student(data["target"])
    data["mask"] = torch.zeros_like(data["mask"])
    total = torch.stack(list(method.parts(data).values())).sum()
    total.backward()
    assert float(total.detach()) == pytest.approx(0, abs=1e-3)
    assert all(torch.isfinite(p.grad).all() for p in method.student.parameters() if p.grad is not None)


@pytest.mark.parametrize("part", ["spatial", "ranking", "spectral", "gradient"])
def test_each_trinity_loss_can_be_switched_off(part):
    method = LiteNet(Known("metric-depth"), TINY, Trinity(**{part: 0.0}), cache=False)
    data = batch()
    method.make_student(data["target"])
    assert set(method.parts(data)) == {"spatial", "ranking", "spectral", "gradient"} - {part}


def test_disparity_that_is_not_affine_is_learned_as_depth():
    method = litenet("metric-disparity")
    assert [str(entry) for entry in method.student_kind()] == ["metric-depth", "m"]
    data = batch()
    assert torch.allclose(method.targets(data), 1 / (1 + 3 * data["image"].mean(1, keepdim=True)))


def test_the_terms_of_a_teacher_travel():
    method = litenet("metric-depth")
    assert method.teacher_card() == {"name": "known", "licence": "mit", "kind": "metric-depth"}
    method.teacher.licence = "cc-by-nc-4.0"
    assert "non-commercial" in method.licence()


def test_the_student_starts_at_the_median_and_spans_the_labels():
    method = litenet("scale-invariant-depth")
    targets = torch.linspace(2, 8, 1001)
    method.make_student(targets)
    low, high = method.student.depth_range
    assert low < 2 < 8 < high
    with torch.no_grad():
        answer = method.student.eval()(torch.rand(1, 3, 64, 64))
    assert float(answer.median()) == pytest.approx(5, rel=0.2)


def test_judging_aligns_by_what_the_kind_knows():
    truth = torch.rand(3, 1, 8, 8) + 1
    mask = torch.ones_like(truth, dtype=torch.bool)
    mask[2] = False
    assert float(judge(5 * truth, truth, mask, Kind("depth", "scale"))["error"]) == pytest.approx(0, abs=1e-6)
    assert float(judge(5 * truth, truth, mask, Kind("depth", "nothing"))["error"]) == pytest.approx(4, rel=1e-5)
    assert float(judge(5 * truth - 9, truth, mask, Kind("disparity", "affine"))["error"]) == pytest.approx(0, abs=1e-5)


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [warmup_cosine(step, 200, 0.05) for step in range(201)]
    assert max(rates) == 1
    assert rates.index(1) == 9
    assert rates[200] == 0
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))


def test_metric_depth_can_be_learned_up_to_its_scale_alone(scenes, tmp_path):
    method = Supervised(TINY, kind="scale-invariant-depth")
    frames = Folder(scenes)
    method.prepare(frames, [0], (64, 64), tmp_path)
    assert method.student_kind() == (Kind.parse("scale-invariant-depth"), "arbitrary")
    method.make_student(torch.tensor([1.0, 2.0, 3.0]))
    torch.manual_seed(0)
    outputs = [torch.rand(2, 1, 32, 32) + 1]
    target, mask = torch.rand(2, 1, 32, 32) + 1, torch.ones(2, 1, 32, 32, dtype=torch.bool)
    once, twice = (method.losses(outputs, target * scale, mask, None) for scale in (1.0, 7.0))
    for name in once:
        torch.testing.assert_close(once[name], twice[name])
    with pytest.raises(ConfigError, match="cannot be asked for"):
        Supervised(TINY, kind="affine-invariant-depth")


def test_a_map_turned_over_is_never_right():
    """The truth up to scale and shift costs nothing; its negative, which least squares would turn over, does."""
    method, data = supervised("affine-invariant-disparity"), batch()
    method.make_student(data["target"])
    right, inverted = (method.losses([sign * data["target"]], data["target"], data["mask"], None) for sign in (3, -1))
    assert set(right) == {"data", "gradient"}
    for name in right:
        assert float(right[name]) == pytest.approx(0, abs=1e-5)
        assert float(inverted[name]) > 0.1


def test_features_that_are_to_be_kept_learn_slowly_and_keep_their_statistics():
    method = Supervised(StudentOptions("swift", pretrained=False), optimiser=Optimiser(lr=1e-2, encoder=0.1))
    method.kind, method.unit = Kind.parse("metric-depth"), "m"
    one = batch()
    method.make_student(one["target"])
    (slow, encoder), (rate, others) = method.rates()
    assert (slow, rate) == (1e-3, 1e-2)
    assert {id(p) for p in encoder} == {id(p) for p in method.student.network.encoder.parameters()}
    assert len(encoder) + len(others) == len(list(method.parameters()))

    def statistics(module):
        return [m.running_mean.clone() for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]

    network = method.student.network
    before = statistics(network.encoder), statistics(network.decoder)
    method.train()
    torch.stack(list(method.parts(one).values())).sum().backward()
    after = statistics(network.encoder), statistics(network.decoder)
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before[1], after[1], strict=True))
    assert all(p.grad is not None for p in encoder)


def test_a_network_without_an_encoder_of_that_name_is_refused():
    method = Supervised(StudentOptions("depth-anything-tiny"), optimiser=Optimiser(encoder=0.1))
    method.kind, method.unit = Kind.parse("affine-invariant-disparity"), "arbitrary"
    method.make_student(batch()["target"])
    with pytest.raises(ConfigError, match="depth-anything-tiny has no encoder of that name"):
        method.rates()
