"""EndoDAV: which parameters move when, what is lost, what is saved."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import leadline
from common.commands import run
from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.cli.synth import synth
from leadline.data.samples import collate
from leadline.errors import ConfigError, InputError
from leadline.foundation.leadline_model import LeadlineModel
from leadline.methods.clips import each_with_neighbours
from leadline.methods.endodav import Adapters, EndoDAV, Phases
from leadline.methods.self_supervision import AF_SFM, MONODEPTH2
from leadline.methods.supervised_video import SupervisedVideo
from leadline.networks import create
from leadline.networks.adapters import load_adapters
from leadline.networks.student import Student
from leadline.training.rendered import Rendered

SIZE = (64, 96)
KNOWN = replace(MONODEPTH2, pose="known", scales=2, automask=False)
LEARNED = replace(AF_SFM, scales=2, pretrained=False, learned_intrinsics=True)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("tract")
    return Rendered(
        "tract", clips=1, frames=6, seed=3, rate=8, height=72, width=108, root=root, processes=1, poses=True
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> str:
    """The checkpoint of a video network that has learned nothing."""
    torch.manual_seed(0)
    made = create("vda-tiny")
    made.start_at(0.05)
    for module in made.network.head.motion_modules:
        torch.nn.init.normal_(module.temporal_transformer["proj_out"].weight, std=0.02)
    path = tmp_path_factory.mktemp("network") / "video.safetensors"
    card = Card("vda-tiny", "metric-depth", "mm", SIZE, depth_range=(1.0, 400.0), licence="apache-2.0")
    checkpoint.save(path, made.state_dict(), card)
    return str(path)


def ready(method, video, folder, starts=(1, 2)) -> dict:
    frames, failures = method.prepare(video, range(len(video)), SIZE, folder)
    assert failures == {}
    method.make_student(torch.ones(1))
    samples = method.samples(frames, SIZE)
    return collate([samples[0, start] for start in starts])


@pytest.mark.parametrize("wrong", [0.125, 1.0, 4.0])
def test_known_poses_tell_the_scale_before_anything_is_trained(video, network, tmp_path, monkeypatch, wrong):
    """True depth, with disparity too large by a factor."""
    method = EndoDAV(network, length=2, base=KNOWN)
    farthest = 400.0

    def clip(student, images):
        true = torch.stack([torch.from_numpy(video[index].depth.values) for index in (1, 2)])[:, None]
        true = torch.nn.functional.interpolate(true, images.shape[-2:], mode="nearest")
        return [1 / (1 / farthest + wrong * (1 / true.clamp(1, 399) - 1 / farthest))]

    monkeypatch.setattr(Student, "clip", clip)
    method.prepare(video, [1], SIZE, tmp_path)
    method.make_student(torch.ones(1))
    nearest, found = method.student.depth_range
    assert found == farthest
    factor = (1 / nearest - 1 / farthest) / (1 / 1.0 - 1 / farthest)
    assert factor * wrong == pytest.approx(1, rel=0.2)


def test_vits_has_the_published_number_of_trained_parameters(tmp_path, capsys):
    """46,080 in the perceptrons of the ViT, 3,520 in those of the motion modules: 0.17 %."""
    path = tmp_path / "video_depth_anything_vits.pth"
    torch.save(create("vda-vits").network.state_dict(), path)
    method = EndoDAV(str(path), length=2, base=KNOWN)
    assert method.opened.kind.up_to == "affine"
    assert method.opened.licence == "apache-2.0"
    method.make_student(torch.ones(1))
    said = capsys.readouterr().err
    assert "49,600 of 29,084,737 parameters are trained (0.17%): 46,080 spatial, 3,520 temporal" in said


@pytest.mark.parametrize("kind", ["ssb", "lora", "dv-lora"])
def test_in_each_phase_only_its_own_adapters_move(video, network, tmp_path, kind):
    method = EndoDAV(network, adapters=Adapters(kind), length=3, base=KNOWN)
    batch = ready(method, video, tmp_path)
    own = {phase: {id(p) for a in group for p in a.own().values()} for phase, group in method.groups.items()}
    method.trainer = type("T", (), {"estimated_stepping_batches": 100})()
    # Both groups are in the optimiser, whosever turn it was.
    method.turn("spatial")
    optimiser = method.configure_optimizers()["optimizer"]
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert own["spatial"] | own["temporal"] <= held
    for phase, warm_up in (("spatial", True), ("temporal", True), ("spatial", False), ("temporal", False)):
        method.turn(phase, warm_up)
        before = {name: p.detach().clone() for name, p in method.student.named_parameters()}
        parts = method.train().parts(batch)
        assert ("projection" in parts) == (phase == "temporal")
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        for group in optimiser.param_groups:
            group["lr"] = 1e-2
        optimiser.step()
        moved = {name for name, p in method.student.named_parameters() if not torch.equal(p, before[name])}
        parameters = dict(method.student.named_parameters())
        assert moved
        assert {id(parameters[name]) for name in moved} <= own[phase]
        if kind == "dv-lora":
            assert {name[-1] for name in moved} <= ({"A", "B"} if warm_up else {"u", "v"})


def test_without_training_the_tuned_network_is_the_network(video, network, tmp_path):
    method = EndoDAV(network, length=3, base=KNOWN)
    ready(method, video, tmp_path)
    assert (str(method.student.kind), method.student.unit) == ("metric-depth", "mm")
    image = torch.rand(1, 3, *SIZE)
    torch.testing.assert_close(method.eval().student(image), LeadlineModel.open(network).student(image))
    assert method.student.depth_range == (1.0, 400.0)


def test_activations_computed_again_change_nothing(video, network, tmp_path):
    found = []
    for checkpointing in (False, True):
        method = EndoDAV(network, length=3, base=KNOWN, checkpointing=checkpointing)
        batch = ready(method, video, tmp_path)
        assert method.student.network.network.checkpointing == checkpointing
        torch.manual_seed(0)
        parts = method.train().parts(batch)
        torch.stack(list(parts.values())).sum().backward()
        found.append([p.grad for p in method.student.parameters() if p.grad is not None])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_clips_may_skip_frames(video, network):
    assert list(EndoDAV(network, length=2, base=KNOWN).usable(video)) == [1, 2, 3]
    method = EndoDAV(network, length=2, stride=2, base=KNOWN)
    with pytest.raises(InputError, match=r"no frame has neighbours at \[-2, 2, 4\]"):
        method.usable(video)
    with pytest.raises(ConfigError, match="one in 1 or more"):
        EndoDAV(network, stride=0, base=KNOWN)


def test_the_projection_loss_is_that_of_neighbours_both_ways(video, network, tmp_path):
    from leadline.losses.projection import projection_loss
    from leadline.methods.clips import in_order

    method = EndoDAV(network, length=3, base=KNOWN, projection=1.0)
    batch = ready(method, video, tmp_path)
    method.turn("temporal")
    torch.manual_seed(0)
    found = method.train().parts(batch)["projection"].item()
    torch.manual_seed(0)
    depth = method.student.clip(in_order(batch, "image")[:, 1:-1])[0].unflatten(0, (2, 3))
    each = each_with_neighbours(batch)
    expected = []
    for clip in range(2):
        for frame in (0, 1):
            camera = batch["camera"].picked(torch.tensor([clip]))
            there, back = each["motions"][3 * clip + frame, 1], each["motions"][3 * clip + frame + 1, 0]
            one, other = depth[clip, frame][None], depth[clip, frame + 1][None]
            mask = torch.ones_like(one, dtype=torch.bool)
            expected.append(projection_loss(one, other, camera, there[None], mask).item())
            expected.append(projection_loss(other, one, camera, back[None], mask).item())
    assert found == pytest.approx(np.mean(expected), rel=1e-4)


def test_everything_is_learned_where_nothing_is_known(video, network, tmp_path):
    method = EndoDAV(network, length=2, base=LEARNED)
    batch = ready(method, video, tmp_path, starts=(1,))
    del batch["camera"]
    method.turn("temporal")
    parts = method.train().parts(batch)
    assert {"photometric", "appearance_constraint", "flow_photometric", "projection"} <= set(parts)
    assert all(torch.isfinite(part) for part in parts.values())
    torch.stack(list(parts.values())).sum().backward()
    assert method.base.pose.lens.weight.grad.any()
    assert str(method.student.kind) == "scale-invariant-depth"


def test_what_is_saved_is_merged_and_the_adapters_alone(video, network, tmp_path):
    method = EndoDAV(network, length=3, base=KNOWN)
    ready(method, video, tmp_path)
    parameters = [p for group in method.groups.values() for adapter in group for p in adapter.own().values()]
    for parameter in parameters:
        with torch.no_grad():
            parameter.add_(0.1 * torch.randn_like(parameter))
    out = tmp_path / "tuned.safetensors"
    card = Card("vda-tiny", "metric-depth", "mm", SIZE, depth_range=(1.0, 400.0))
    method.save(out, card)
    clip = torch.rand(1, 4, 3, *SIZE)
    tuned = LeadlineModel.open(out)
    with torch.no_grad():
        expected = method.eval().student.clip(clip)[0]
        torch.testing.assert_close(tuned.student.clip(clip)[0], expected, rtol=1e-5, atol=1e-4)
        base = LeadlineModel.open(network)
        load_adapters(out.with_suffix(".adapters.safetensors"), base.student.network)
        torch.testing.assert_close(base.student.clip(clip)[0], expected)
    own = sum(tensor.numel() for tensor in load_file(out.with_suffix(".adapters.safetensors")).values())
    assert own == sum(parameter.numel() for parameter in parameters)
    assert out.with_suffix(".adapters.safetensors").stat().st_size < 0.02 * out.stat().st_size


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"length": 1}, "a clip has 2 frames or more"),
        ({"base": replace(KNOWN, offsets=(-2, 2))}, r"are sources, \[-1, 1\]"),
        ({"adapters": Adapters(spatial=(), temporal=())}, "nothing would be trained"),
    ],
)
def test_what_does_not_go_together_is_refused(network, options, error):
    with pytest.raises(ConfigError, match=error):
        EndoDAV(network, **{"base": KNOWN} | options)


def test_networks_of_single_images_and_short_videos_are_refused(video, network, student_file):
    method = EndoDAV(str(student_file), base=KNOWN)
    with pytest.raises(InputError, match="is no Video Depth Anything, of which one is needed"):
        method.make_student(torch.ones(1))
    with pytest.raises(InputError, match=r"no frame has neighbours at \[-1, 1, 2, 3, 4, 5, 6, 7, 8\]"):
        EndoDAV(network, length=8, base=KNOWN).usable(video)


def test_adapters_of_one_kind_have_the_run_to_themselves(network):
    assert EndoDAV(network, adapters=Adapters(temporal=()), base=KNOWN).phases.at(450, 500) == "spatial"
    assert EndoDAV(network, adapters=Adapters(spatial=()), base=KNOWN).phases.at(0, 500) == "temporal"
    with pytest.raises(ConfigError, match="phases: steps of 0 or more"):
        Phases(0, 0)


def test_a_network_of_metric_depth_is_not_read_as_disparity(tmp_path):
    path = tmp_path / "metric_video_depth_anything_vits.pth"
    torch.save(create("vda-vits").network.state_dict(), path)
    with pytest.raises(ConfigError, match="gives depth; its sibling that gives disparity can be tuned"):
        EndoDAV(str(path), base=KNOWN)


def test_motions_are_exact_under_autocast(video, network, tmp_path):
    method = EndoDAV(network, length=3, base=KNOWN)
    batch = ready(method, video, tmp_path)
    with torch.autocast("cpu", torch.bfloat16):
        low = each_with_neighbours(batch)["motions"]
    assert low.dtype == torch.float32
    assert torch.equal(low, each_with_neighbours(batch)["motions"])


def test_an_image_of_the_size_trained_at_is_seen_as_in_training(network):
    model = LeadlineModel.open(network)
    assert model.input_size(*SIZE) == model.student.network.sees(*SIZE) == (56, 84)


def test_phases_of_a_short_run_are_shorter_in_the_same_proportion():
    phases = Phases(400, 100, rounds=10)
    for steps in (50, 777, 5000, 40_000):
        turns = [phases.at(step, steps) for step in range(steps)]
        assert turns.count("temporal") / steps == pytest.approx(0.2, abs=0.03)
        assert sum(a != b for a, b in itertools.pairwise(turns)) >= 19
    assert {Phases(400, 0).at(step, 100) for step in range(100)} == {"spatial"}
    assert {Phases(0, 100).at(step, 100) for step in range(100)} == {"temporal"}


def test_a_video_network_learns_true_depth_of_clips(video, tmp_path):
    from leadline.methods.base import StudentOptions

    torch.manual_seed(0)
    method = SupervisedVideo(StudentOptions("vda-tiny", depth_range=(1.0, 400.0)), length=3)
    frames, _ = method.prepare(video, range(len(video)), SIZE, tmp_path)
    assert list(method.usable(video)) == [1, 2]
    samples = method.samples(frames, SIZE)
    batch = collate([samples[0, 1], samples[0, 2]])
    method.make_student(batch["target"][torch.isfinite(batch["target"])])
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-3)
    totals = []
    for _ in range(10):
        parts = method.train().parts(batch)
        assert set(parts) == {"data", "gradient", "temporal"}
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        totals.append(sum(part.item() for part in parts.values()))
    assert totals[-1] < 0.8 * totals[0]


def test_recipes_one_after_the_other_then_a_video(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    common = (
        "--data.clips", 2, "--data.frames", 5, "--data.height", 64, "--data.width", 96, "--data.processes", 1,
        "--fit.size", "[64,96]", "--fit.batch_size", 1, "--fit.workers", 0, "--fit.steps", 4, "--method.length", 3,
        "--holdout.every", 2, "--holdout.block", 5,
    )  # fmt: skip
    for recipe, out in (("supervised-video-tract", "video.safetensors"), ("endodav-tract", "tuned.safetensors")):
        code, _, err = run(capsys, "train", recipe, "--out", out, *common)
        assert code == 0, err
    assert "parameters are trained" in err
    card = checkpoint.read_card("tuned.safetensors")
    assert (card.architecture, card.kind, card.unit) == ("vda-tiny", "metric-depth", "mm")
    assert card.teacher["name"] == "video"
    # The frozen weights were averaged with themselves and are what they were: the adapters are all there is to it.
    base, tuned = LeadlineModel.open("video.safetensors"), LeadlineModel.open("tuned.safetensors")
    load_adapters("tuned.adapters.safetensors", base.student.network)
    base.student.depth_range = tuned.student.depth_range  # the scale that explains the video
    clip = torch.rand(1, 3, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(base.student.clip(clip)[0], tuned.student.clip(clip)[0], rtol=1e-5, atol=1e-4)
    predictor = leadline.load("tuned.safetensors", strategy="endodav")
    frames = [np.random.default_rng(i).random((48, 64, 3), dtype=np.float32) for i in range(5)]
    answers = list(predictor.stream(frames))
    assert len(answers) == 5
    assert all(image is frame for (image, _), frame in zip(answers, frames, strict=True))
    assert {depth.values.shape for _, depth in answers} == {(48, 64)}
    live = list(predictor.stream(frames, live=True))
    np.testing.assert_allclose(live[0][1].values, predictor.predict(frames[0]).values, rtol=1e-4)


def test_a_video_model_is_judged_as_video(network, tmp_path, capsys):
    synth("tract", tmp_path / "data", frames=4, seed=3, layout="scared", scale=0.15, processes=1)
    judge = (
        "evaluate", "--protocol", "scared-video", "--data", tmp_path / "data", "--split", "all", "--model", network,
        "--out", tmp_path / "report", "--strategy",
    )  # fmt: skip
    code, _, err = run(capsys, *judge, "endodav")
    assert code == 0, err
    means = json.loads((tmp_path / "report" / "result.json").read_text())[0]["means"]
    assert means["tae"] > 0
    assert means["tae_depthcrafter"] > 0
    code, _, err = run(capsys, *judge, "endodaf")
    assert code == 2
    assert "did you mean 'endodav'" in err
