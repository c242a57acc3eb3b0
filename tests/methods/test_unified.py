"""What six methods teach, together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from common.commands import run
from leadline import checkpoint, worlds
from leadline.data.clips import ClipSamples
from leadline.data.samples import collate
from leadline.data.transforms import nearest_pixels
from leadline.depth import Kind
from leadline.errors import ConfigError
from leadline.foundation.base import DepthModel
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet
from leadline.methods.self_supervision import MONODEPTH2
from leadline.methods.semantic_alignment import Alignment
from leadline.methods.unified import Lessons, Unified, _agreement
from leadline.training.rendered import Rendered
from methods.test_litenet_video import ready

STUDENT = StudentOptions("swift", pretrained=False, depth_range=(0.2, 12.0))
KNOWN = replace(MONODEPTH2, pose="known", scales=3)
NOTHING = Lessons(category=0, feature=0, relations=0, projection=0, reflections=False)


class Seeing(DepthModel):
    """A teacher that answers a function of the image, of any kind, and has features."""

    name, licence, digest, unit = "seeing", "mit", "seeing", "arbitrary"

    def __init__(self, kind: str, unit: str = "arbitrary") -> None:
        self.kind, self.unit = Kind.parse(kind), unit

    def input_size(self, height, width):
        return height, width

    def infer(self, images):
        return 1 + 3 * images.mean(1)

    def features(self, images):
        return torch.nn.functional.avg_pool2d(images, 4).repeat(1, 3, 1, 1)


class Unseeing(Seeing):
    features = DepthModel.features


@pytest.fixture(scope="module")
def rooms(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("room")
    return Rendered("room", clips=1, frames=4, seed=3, rate=3, height=72, width=108, root=root, processes=1, poses=True)


def test_all_lessons_go_together(rooms, tmp_path):
    method = Unified(Seeing("scale-invariant-depth"), STUDENT, base=KNOWN, alignment=Alignment())
    batch = ready(method, rooms, tmp_path)
    parts = method.train().parts(batch)
    assert set(parts) == {
        "spatial", "ranking", "spectral", "gradient", "category", "feature", "relations", "projection", "photometric",
        "smoothness", "alignment", "mapping",
    }  # fmt: skip
    assert all(torch.isfinite(part) for part in parts.values())
    torch.stack(list(parts.values())).sum().backward()
    for name in ("student", "adaptor", "alignment.projector"):
        touched = [p.grad is not None and bool(p.grad.any()) for p in method.get_submodule(name).parameters()]
        assert sum(touched) > len(touched) / 2, name


def test_each_lesson_can_be_left_out_and_every_frame_is_taught(rooms, tmp_path):
    """With nothing beside the trinity it is LiteNet, of all frames of a clip."""
    torch.manual_seed(0)
    method = Unified(Seeing("scale-invariant-depth"), STUDENT, lessons=NOTHING, base=KNOWN)
    batch = ready(method, rooms, tmp_path)
    assert torch.isfinite(batch["source_targets"]).all()
    torch.manual_seed(0)
    plain = LiteNet(Seeing("scale-invariant-depth"), STUDENT, base=KNOWN)
    ready(plain, rooms, tmp_path)
    plain.student.load_state_dict(method.student.state_dict())
    with torch.no_grad():  # in eval mode normalisation does not see which frames are in the batch
        one, other = method.eval().parts(batch), plain.eval().parts(batch)
    assert set(one) == set(other) == {"spatial", "ranking", "spectral", "gradient", "photometric", "smoothness"}
    torch.testing.assert_close(one["smoothness"], other["smoothness"])
    assert not torch.allclose(one["spatial"], other["spatial"])  # the neighbours are taught too


def test_projection_is_zero_for_true_depth(rooms, tmp_path):
    method = Unified(Seeing("scale-invariant-depth"), STUDENT, base=KNOWN, cache=False)
    method.prepare(rooms, range(len(rooms)), (64, 96), tmp_path)
    samples = ClipSamples(rooms, (64, 96), poses=True, truths=True)
    batch = collate([samples[0, 1], samples[0, 2]])
    depth = torch.cat((batch["target"][:, None], batch["source_targets"]), dim=1)
    known = torch.isfinite(depth)
    depth = torch.where(known, depth, 1.0)
    assert method.base is not None
    geometry = method.base.geometry(batch)
    true = _agreement(depth, known, *geometry)
    assert true < 0.25 * _agreement(depth * torch.tensor([1.0, 1.3, 0.8])[:, None, None, None], known, *geometry)


def test_what_is_explained_from_behind_is_kept_from_photometric_learning(rooms, tmp_path):
    """A teacher that sees everything at half its distance has the true depth behind what it says."""
    method = Unified(Seeing("metric-depth", "m"), STUDENT, base=KNOWN, cache=False)
    batch = ready(method, rooms, tmp_path)
    target = batch["target"]
    known = torch.isfinite(target)
    true = torch.where(known, target, 1.0)
    assert method.base is not None
    geometry = method.base.geometry(batch)
    right, near = (method._reflective(batch, true, depth, known, geometry) for depth in (true, true / 2))
    assert right.float().mean() < 0.15  # of this room 0.23 is a reflection
    assert near.float().mean() > 5 * right.float().mean()
    place, pick = worlds.create("room", height=72, width=108, rate=3).clip(3, 4), nearest_pixels((72, 108), (64, 96))
    mirrors = torch.stack([torch.from_numpy(place[index].reflective[pick][None]) for index in batch["index"].tolist()])
    assert right[~mirrors].float().mean() < 0.01
    assert right[mirrors].float().mean() > 0.3


def test_images_alone_and_an_affine_teacher_leave_out_what_they_cannot_give(rooms, tmp_path):
    method = Unified(Seeing("affine-invariant-disparity"), replace(STUDENT, depth_range=None), base=None)
    batch = ready(method, rooms, tmp_path)
    assert set(method.train().parts(batch)) == {"spatial", "ranking", "spectral", "gradient", "feature"}
    assert str(method.student.kind) == "affine-invariant-disparity"


def test_a_teacher_without_features_is_refused_with_what_to_do(rooms, tmp_path):
    method = Unified(Unseeing("scale-invariant-depth"), STUDENT, base=KNOWN)
    with pytest.raises(ConfigError, match="gives depth and no features"):
        ready(method, rooms, tmp_path)


def test_the_recipe_trains_a_student_that_predicts(tmp_path, capsys, student_file, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "student.safetensors"
    code, _, err = run(
        capsys, "train", "unified-room", "--method.teacher", student_file, "--out", out, "--data.clips", 4,
        "--data.frames", 4, "--data.height", 64, "--data.width", 96, "--fit.size", "[64, 96]", "--fit.steps", 2,
        "--fit.batch_size", 2, "--fit.workers", 0, "--holdout.every", 4, "--holdout.block", 4,
        "--method.student.pretrained", "false",
    )  # fmt: skip
    assert code == 0, err
    card = checkpoint.read_card(out)
    assert card.architecture == "swift"
    assert card.recipe["recipe"] == "unified-room"
