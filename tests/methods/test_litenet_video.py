"""LiteNet on video: a teacher, a base and semantic alignment, together and alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.commands import run
from leadline import checkpoint
from leadline.data.clips import ClipSamples, usable
from leadline.data.samples import Samples, collate
from leadline.depth import Kind
from leadline.errors import ConfigError
from leadline.foundation.base import DepthModel
from leadline.foundation.labelled import Labelled
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet
from leadline.methods.self_supervision import AF_SFM, MONODEPTH2
from leadline.methods.semantic_alignment import Alignment
from leadline.training.rendered import Rendered

SIZE = (64, 96)
STUDENT = StudentOptions("litenet-tiny", pretrained=False, depth_range=(1.0, 400.0))
KNOWN = replace(MONODEPTH2, pose="known", scales=3, automask=False)
LEARNED = replace(AF_SFM, scales=3, pretrained=False)


class Grey(DepthModel):
    """A teacher that answers a function of the image, of any kind."""

    name, licence, digest, unit = "grey", "mit", "grey", "arbitrary"

    def __init__(self, kind: str) -> None:
        self.kind = Kind.parse(kind)

    def input_size(self, height, width):
        return height, width

    def infer(self, images):
        return 1 + 3 * images.mean(1)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("tract")
    return Rendered(
        "tract", clips=1, frames=5, seed=3, rate=8, height=72, width=108, root=root, processes=1, poses=True
    )


def ready(method: LiteNet, video: Rendered, folder) -> dict:
    """A method with its student made, and a batch of it."""
    frames, failures = method.prepare(video, range(len(video)), SIZE, folder)
    assert failures == {}
    chosen = list(method.usable(video))
    targets = method.targets(collate([Samples(frames, SIZE)[0, chosen[0]]]))
    method.make_student(targets[torch.isfinite(targets)])
    return collate([method.samples(frames, SIZE).subset(chosen)[0, place] for place in range(len(chosen))])


def test_all_parts_go_together(video, tmp_path):
    method = LiteNet(Grey("scale-invariant-depth"), STUDENT, base=LEARNED, alignment=Alignment())
    batch = ready(method, video, tmp_path)
    parts = method.train().parts(batch)
    assert set(parts) == {
        "spatial", "ranking", "spectral", "gradient", "photometric", "smoothness", "appearance_constraint",
        "appearance_smoothness", "flow_photometric", "flow_smoothness", "alignment", "mapping",
    }  # fmt: skip
    torch.stack(list(parts.values())).sum().backward()
    for name in ("student", "base.pose", "base.flow", "base.appearance", "alignment.projector"):
        module = method.get_submodule(name)
        touched = [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]
        assert sum(touched) > len(touched) / 2, name
    assert str(method.student.kind) == "scale-invariant-depth"
    (own, others), (rate, base) = method.rates()[0], method.rates()[1]
    assert (own, rate) == (method.optimiser.lr, 1e-4)
    assert len(others) + len(base) == len(list(method.parameters()))


@pytest.mark.parametrize("kind", ["affine-invariant-disparity", "scale-invariant-disparity", "affine-invariant-depth"])
def test_depth_is_compared_in_the_teachers_quantity(video, tmp_path, kind):
    method = LiteNet(Grey(kind), STUDENT, base=KNOWN)
    batch = ready(method, video, tmp_path)
    assert str(method.student.kind) == "metric-depth"
    assert method.student.unit == "mm"
    answer, output = method.eval().answer(batch["image"]), method.student(batch["image"])
    inverse = kind == "affine-invariant-disparity"  # other disparities become depth when they are read
    assert torch.allclose(answer, 1 / output if inverse else output)
    assert method.targets(batch).shape == answer.shape
    assert torch.isfinite(torch.stack(list(method.train().parts(batch).values()))).all()


def test_video_alone_needs_no_teacher(video, tmp_path):
    method = LiteNet(None, STUDENT, base=KNOWN)
    batch = ready(method, video, tmp_path)
    parts = method.train().parts(batch)
    assert set(parts) == {"photometric", "smoothness"}
    assert method.teacher_card() == {}
    assert method.licence() == video.licence
    assert torch.isfinite(method.targets(batch)).any()  # true depth, to judge by
    assert list(method.usable(video)) == [1, 2, 3] == usable(video)


def test_steps_towards_the_true_depth_lower_the_photometric_error(video, tmp_path):
    method = LiteNet(None, STUDENT, base=KNOWN)
    batch = ready(method, video, tmp_path)
    true = torch.nan_to_num(batch["target"], nan=1e3)
    right = method.base.losses([true], batch)["photometric"]
    wrong = method.base.losses([1.5 * true], batch)["photometric"]
    assert right < wrong


def test_labels_take_the_place_of_depth_that_is_not_read(video, tmp_path):
    labelled = Labelled(video, Grey("scale-invariant-depth"), SIZE, tmp_path)
    assert labelled.frames.truth == "none"
    assert video.truth == "depth"
    samples = ClipSamples(labelled, SIZE)
    item = samples[0, 2]
    assert item["sources"].shape == (2, 3, *SIZE)
    assert (item["target"] >= 1).all()
    assert (item["target"] <= 4).all()


def test_what_does_not_go_together_is_refused(video, scenes, tmp_path):
    from leadline.data.inputs import Inputs

    with pytest.raises(ConfigError, match="without a teacher a base is needed"):
        LiteNet()
    with pytest.raises(ConfigError, match="there is none"):
        LiteNet(None, STUDENT, base=KNOWN, alignment=Alignment("global"))
    with pytest.raises(ConfigError, match="depth_range"):
        LiteNet(None, StudentOptions("litenet-tiny"), base=KNOWN)
    with pytest.raises(ConfigError, match="a data set that knows what comes before and after"):
        LiteNet(None, STUDENT, base=KNOWN).usable(Inputs([str(scenes / "images")]))


def test_the_recipe_trains_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    common = (
        "--data.clips", 2, "--data.frames", 4, "--data.height", 64, "--data.width", 96, "--data.processes", 1,
        "--fit.size", "[64,96]", "--fit.batch_size", 2, "--fit.workers", 0, "--fit.steps", 4, "--fit.save_every", 2,
        "--method.student.architecture", "litenet-tiny", "--holdout.every", 2, "--holdout.block", 4,
    )  # fmt: skip
    weights = []
    for name in ("whole", "broken"):
        out = tmp_path / f"{name}.safetensors"
        if name == "broken":
            monkeypatch.setattr("leadline.checkpoint.save", stopped)
            monkeypatch.setattr("lightning.Trainer.save_checkpoint", only_at(2))
            with pytest.raises(KeyError):
                run(capsys, "train", "litenet-tract", "--out", out, *common)
            monkeypatch.undo()
            monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
        code, _, err = run(capsys, "train", "litenet-tract", "--out", out, *common)
        assert code == 0, err
        weights.append(checkpoint.load(out)[0])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    card = checkpoint.read_card(tmp_path / "whole.safetensors")
    assert card.kind == "metric-depth"
    assert card.unit == "mm"
    assert card.teacher["name"] == "leadline-tract"
    board = EventAccumulator(str(tmp_path / "whole.run" / "events"), size_guidance={"images": 0}).Reload()
    assert {"kept_apart", "training/middle", "training/synthesised", "training/used"} == set(board.Tags()["images"])
    assert "loss/photometric" in board.Tags()["scalars"]
    picture = board.Images("training/synthesised")[-1]
    assert (picture.height, picture.width) == (2 * 64, 2 * 96)  # rows for frames, columns for sources


def stopped(*arguments, **options):
    raise KeyError("as if the machine had stopped")


def only_at(step: int):
    """Checkpoints of one step only, as if all later ones were lost."""
    from lightning import Trainer

    save = Trainer.save_checkpoint

    def saving(self, *arguments, **options):
        if self.global_step == step:
            save(self, *arguments, **options)

    return saving
