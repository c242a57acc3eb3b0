"""Teachers that know less than their students, or measure in another unit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from leadline.data.samples import collate
from leadline.depth import Kind
from leadline.foundation.base import DepthModel
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet, Trinity
from leadline.methods.self_supervision import MONODEPTH2
from leadline.training.rendered import Rendered

SIZE = (64, 96)
STUDENT = StudentOptions("litenet-tiny", pretrained=False, depth_range=(1.0, 400.0))
KNOWN = replace(MONODEPTH2, pose="known", scales=3, automask=False)


class Grey(DepthModel):
    name, licence, digest = "grey", "mit", "grey"

    def __init__(self, kind: str, unit: str, factor: float) -> None:
        self.kind, self.unit, self.factor = Kind.parse(kind), unit, factor

    def input_size(self, height, width):
        return height, width

    def infer(self, images):
        return (1 + 3 * images.mean(1)) * self.factor


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("tract")
    return Rendered(
        "tract", clips=1, frames=3, seed=3, rate=8, height=72, width=108, root=root, processes=1, poses=True
    )


def spatial(video, teacher: DepthModel) -> tuple[float, float]:
    """The spatial loss, and the error the validation logs."""
    torch.manual_seed(0)
    method = LiteNet(teacher, STUDENT, Trinity(ranking=0), cache=False, base=KNOWN)
    frames, _ = method.prepare(video, [1], SIZE, None)
    method.make_student(torch.ones(1))
    assert str(method.student.kind) == "metric-depth"
    batch = collate([method.samples(frames, SIZE)[0, 1]])
    logged = {}
    method.log_dict = lambda values, **_: logged.update(values)
    method.eval().validation_step(batch, 0)
    return method.train().parts(batch)["spatial"].item(), logged["val/error"].item()


def test_the_scale_of_a_teacher_that_does_not_know_it_has_no_say(video):
    one, other = (spatial(video, Grey("scale-invariant-depth", "arbitrary", factor)) for factor in (1.0, 7.0))
    assert one == pytest.approx(other, rel=1e-4)


def test_a_metric_teacher_in_another_unit_says_the_same(video):
    one, other = spatial(video, Grey("metric-depth", "mm", 10.0)), spatial(video, Grey("metric-depth", "m", 0.01))
    assert one == pytest.approx(other, rel=1e-4)
    wrong = spatial(video, Grey("metric-depth", "m", 10.0))
    assert abs(wrong[0] - one[0]) > 0.1 * one[0]
