from __future__ import annotations

import pytest
import torch

from leadline.checkpoint import Card
from leadline.depth import Kind
from leadline.errors import ConfigError, InputError, KindError
from leadline.networks import create
from leadline.networks.student import Student


class Constant(torch.nn.Module):
    """A network that always answers the same sigmoid disparity."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, image):
        flat = torch.full((len(image), 1, *image.shape[-2:]), self.value)
        return [flat, flat[..., ::2, ::2]] if self.training else flat


IMAGE = torch.rand(2, 3, 32, 32)


def answer(kind: str, unit: str, value: float, depth_range=(2.0, 10.0)) -> float:
    student = Student(Constant(value), kind, unit, None if "affine" in kind else depth_range).eval()
    return float(student(IMAGE)[0, 0, 0, 0])


def test_the_sigmoid_spans_the_depth_range_in_disparity():
    assert answer("metric-depth", "m", 1.0) == pytest.approx(2)
    assert answer("metric-depth", "m", 0.0) == pytest.approx(10)
    assert answer("metric-depth", "m", 0.5) == pytest.approx(1 / (0.5 / 2 + 0.5 / 10))
    assert answer("metric-disparity", "1/m", 0.25) == pytest.approx(0.1 + 0.4 * 0.25)
    assert answer("scale-invariant-depth", "arbitrary", 1.0) == pytest.approx(2)


def test_affine_kinds_keep_the_sense_of_near_and_far():
    assert answer("affine-invariant-disparity", "arbitrary", 0.9) > answer(
        "affine-invariant-disparity", "arbitrary", 0.1
    )
    assert answer("affine-invariant-depth", "arbitrary", 0.9) < answer("affine-invariant-depth", "arbitrary", 0.1)


def test_in_training_every_scale_is_expressed():
    scales = Student(Constant(1.0), "metric-depth", "m", (2.0, 10.0)).train()(IMAGE)
    assert [tuple(scale.shape[-2:]) for scale in scales] == [(32, 32), (16, 16)]
    assert all(torch.allclose(scale, torch.tensor(2.0)) for scale in scales)


@pytest.mark.parametrize("depth_range", [None, (0, 1), (3, 2), (1, float("inf"))])
def test_a_range_is_needed_where_it_means_something(depth_range):
    with pytest.raises(ConfigError, match="0 < min < max"):
        Student(Constant(0.5), "metric-depth", "m", depth_range)


def test_unit_and_kind_must_fit():
    with pytest.raises(KindError, match="unit"):
        Student(Constant(0.5), Kind("depth", "nothing"), "arbitrary", (1.0, 2.0))


@pytest.mark.parametrize("name", ["litenet-tiny", "swift"])
def test_an_untrained_student_answers_about_where_it_is_told_to_start(name):
    torch.manual_seed(0)
    student = Student(create(name), "metric-depth", "m", (0.1, 150.0))
    student.start_at(40.0)
    with torch.no_grad():
        median = float(student.eval()(torch.rand(1, 3, 64, 64)).median())
    assert median == pytest.approx(40, rel=0.3)
    with pytest.raises(ConfigError, match="lies outside"):
        student.start_at(500.0)


def test_weights_of_another_architecture_are_named():
    card = Card("litenet-tiny", "affine-invariant-disparity", "arbitrary", (64, 96))
    weights = create("litenet").state_dict()
    with pytest.raises(InputError, match=r"m\.safetensors: its weights are not those of litenet-tiny"):
        Student.from_card(card, weights, "m.safetensors")
