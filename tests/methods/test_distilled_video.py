"""A video model distilled into a light network with a memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leadline
from common.commands import run
from leadline import checkpoint
from leadline.data.samples import collate
from leadline.depth import Kind
from leadline.foundation.base import DepthModel
from leadline.foundation.labelled import WatchedLabels
from leadline.methods.base import StudentOptions
from leadline.methods.distilled_video import DistilledVideo
from leadline.methods.trinity import Trinity, trinity_losses
from leadline.training.rendered import Rendered

SIZE = (64, 96)


class Counting(DepthModel):
    """Sees video: what it says of a frame is brightness plus how many frames of its video came before."""

    name, licence, digest, unit = "counting", "mit", "counting", "arbitrary"
    remembers = True

    def __init__(self, kind: str = "scale-invariant-depth") -> None:
        self.kind = Kind.parse(kind)
        self.watched = 0

    def input_size(self, height, width):
        return height, width

    def infer(self, images):
        return 1 + images.mean(1)

    def infer_next(self, image, memory=None):
        self.watched += 1
        seen = 0 if memory is None else memory
        return 1 + image.mean(1) + seen, seen + 1


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("tract")
    return Rendered(
        "tract", clips=2, frames=5, seed=3, rate=8, height=72, width=108, root=root, processes=1, poses=True
    )


def test_a_video_is_watched_whole_and_once(video, tmp_path):
    teacher = Counting()
    labels = WatchedLabels(video, teacher, SIZE, tmp_path)
    assert labels.fill([7, 2, 3]) == {}
    assert teacher.watched == 10  # both videos
    for clip in range(2):
        for place in range(5):
            frame = labels[5 * clip + place]
            assert np.floor(frame.depth.values.mean()) == 1 + place
            again = labels.load(video.ids[5 * clip + place]).depth
            assert np.array_equal(again.values, frame.depth.values)
    assert teacher.watched == 10
    again = WatchedLabels(video, Counting(), SIZE, tmp_path)
    assert np.array_equal(again[4].depth.values, labels[4].depth.values)
    assert again.teacher.watched == 0


@pytest.mark.parametrize("kind", ["scale-invariant-depth", "affine-invariant-disparity", "metric-depth"])
def test_a_student_learns_clips(video, tmp_path, kind):
    teacher = Counting(kind)
    teacher.unit = "mm" if kind == "metric-depth" else "arbitrary"
    torch.manual_seed(0)
    method = DistilledVideo(teacher, StudentOptions(pretrained=False, architecture="swift-video"), length=3)
    frames, failures = method.prepare(video, list(method.usable(video)), SIZE, tmp_path)
    assert failures == {}
    samples = method.samples(frames, SIZE)
    batch = collate([samples[0, 1], samples[0, 6]])
    method.make_student(batch["target"][torch.isfinite(batch["target"])])
    assert str(method.student.kind) == kind
    assert method.licence().startswith("distilled from a teacher under mit")
    optimiser = torch.optim.AdamW(method.parameters(), lr=2e-3)
    totals = []
    for _ in range(12):
        parts = method.train().parts(batch)
        assert set(parts) == {"spatial", "ranking", "spectral", "gradient", "temporal"}
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        totals.append(sum(part.item() for part in parts.values()))
    assert totals[-1] < totals[0]
    assert method.student.network.memory.project.weight.any()


def test_the_frames_of_a_clip_keep_one_scale():
    torch.manual_seed(0)
    teacher = 1 + torch.rand(6, 1, 32, 32)
    mask = torch.ones_like(teacher, dtype=torch.bool)
    kind, weights = Kind.parse("scale-invariant-depth"), Trinity(ranking=0)
    flickering = teacher * torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0, 2.0])[:, None, None, None]

    def lost(student, frames):
        return sum(part.item() for part in trinity_losses(weights, [student], teacher, mask, kind, frames).values())

    assert lost(flickering, 1) == pytest.approx(0, abs=1e-6)
    assert lost(flickering, 3) > 0.01
    assert lost(5 * teacher, 3) == pytest.approx(0, abs=1e-6)


def test_the_recipe_distils_into_a_model_of_live_video(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = leadline.networks.create("vda-tiny")
    network.start_at(0.05)
    card = checkpoint.Card("vda-tiny", "metric-depth", "mm", SIZE, depth_range=(1.0, 400.0), licence="apache-2.0")
    checkpoint.save(tmp_path / "tuned.safetensors", network.state_dict(), card)
    code, _, err = run(
        capsys, "train", "endodav-distil", "--out", "student.safetensors", "--data.clips", 2, "--data.frames", 5,
        "--data.height", 64, "--data.width", 96, "--data.processes", 1, "--fit.size", "[64,96]", "--fit.batch_size", 1,
        "--fit.workers", 0, "--fit.steps", 2, "--method.length", 3, "--holdout.every", 2, "--holdout.block", 5,
    )  # fmt: skip
    assert code == 0, err
    predictor = leadline.load("student.safetensors")
    assert (predictor.model.window, predictor.model.remembers) == (1, True)
    rng = np.random.default_rng(0)
    frames = [rng.random((48, 64, 3), dtype=np.float32) for _ in range(3)]
    live, whole = (list(predictor.stream(frames, live)) for live in (True, False))
    for (_, one), (_, other) in zip(live, whole, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
