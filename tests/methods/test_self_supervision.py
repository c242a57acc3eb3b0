from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leadline import worlds
from leadline.camera import Camera
from leadline.errors import ConfigError, InputError
from leadline.geometry.poses import axis_angle_to_matrix, compose, relative
from leadline.methods.self_supervision import AF_SFM, MONODEPTH2, SelfSupervision, SelfSupervisionOptions
from leadline.networks.pose import Motion
from leadline.worlds.sensor import PERFECT

KNOWN = replace(MONODEPTH2, pose="known", scales=1)


def clip(world: str, seed: int, **options) -> dict:
    """A batch of one clip that a world shows, with true depth and poses."""
    shown = worlds.create(world, height=96, width=128, sensor=PERFECT, **options).clip(seed, 3)
    frames = shown.shoot(1, flow=False), shown.shoot(0, flow=False), shown.shoot(2, flow=False)
    images = torch.from_numpy(np.stack([frame.image for frame in frames])).permute(0, 3, 1, 2).float()
    depth = torch.from_numpy(frames[0].depth.values)[None, None]
    motions = np.stack([relative(frames[0].pose, frame.pose) for frame in frames[1:]])
    return {
        "image": images[:1],
        "clean": images[:1],
        "sources": images[None, 1:],
        "clean_sources": images[None, 1:],
        "camera": Camera.stack([frames[0].camera]),
        "motions": torch.from_numpy(motions)[None].float(),
        "target": depth,
        "mask": depth > 0,
    }


@pytest.fixture(scope="module")
def tract() -> dict:
    return clip("tract", 3, rate=8, tools=0, pools=0, bubbles=0)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def batch_of_noise(height: int = 12, width: int = 16) -> dict:
    image, sources = noise(2, 3, height, width), noise(2, 2, 3, height, width, seed=1)
    camera = Camera.from_dict({"width": width, "height": height, "fx": 14, "fy": 14, "cx": 7.5, "cy": 5.5})
    return {
        "image": image,
        "clean": image,
        "sources": sources,
        "clean_sources": sources,
        "camera": Camera.stack([camera] * 2),
        "mask": torch.ones(2, 1, height, width, dtype=torch.bool),
    }


class FakePose(nn.Module):
    """A pose network that answers with its parameters."""

    def __init__(self, translation=(0.1, 0.0, 0.05), intrinsics=None) -> None:
        super().__init__()
        self.motion = nn.Parameter(torch.tensor([0.01, -0.02, 0.0, *translation]))
        self.lens = None if intrinsics is None else nn.Parameter(torch.tensor(intrinsics))
        self.asked: list[bool] = []

    def between(self, middle: Tensor, source: Tensor, earlier: bool) -> Motion:
        self.asked.append(earlier)
        axis_angle, translation = self.motion.expand(len(middle), 6).split(3, dim=1)
        lens = None if self.lens is None else self.lens.expand(len(middle), 4)
        with torch.autocast("cpu", enabled=False):
            motion = Motion(axis_angle, translation, compose(axis_angle_to_matrix(axis_angle), translation), lens)
            return motion.inverse() if earlier else motion


class FakeFlow(nn.Module):
    """Small flow or appearance with batch normalisation, at the whole and at half the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(6, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Tanh())

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        whole = 0.2 * self.layers(torch.cat([first, second], dim=1))
        return [whole, whole[..., ::2, ::2]]


def appearance_supervision(**changes) -> SelfSupervision:
    torch.manual_seed(0)
    return SelfSupervision(replace(AF_SFM, scales=2, **changes), FakePose(), FakeFlow(2), FakeFlow(3))


def two_depths(seed: int = 2) -> list[Tensor]:
    return [(1 + noise(2, 1, *size, seed=seed)).requires_grad_() for size in ((12, 16), (6, 8))]


def total(parts: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum()


@pytest.mark.parametrize(
    ("world", "seed", "options"),
    [
        ("tract", 3, {"rate": 8, "tools": 0}),
        ("tract", 3, {"rate": 8, "tools": 0, "lens": "omnidirectional"}),
        ("room", 2, {"rate": 4}),
    ],
)
def test_the_truth_of_a_world_explains_its_views_best(world, seed, options):
    batch = clip(world, seed, **options)
    supervision = SelfSupervision(replace(KNOWN, automask=False, smoothness=0.0))

    def photometric(depth: Tensor, **changes: Tensor) -> float:
        return supervision.losses([depth], batch | changes)["photometric"].item()

    depth, motions = torch.where(batch["mask"], batch["target"], batch["target"].median()), batch["motions"]
    truth = photometric(depth)
    assert truth < 0.9 * photometric(1.2 * depth)
    assert truth < 0.9 * photometric(0.8 * depth)
    step = motions[..., :3, 3].norm(dim=-1).mean()
    moved = motions.clone()
    moved[..., 0, 3] += 0.4 * step
    assert truth < 0.9 * photometric(depth, motions=moved)
    turn = compose(axis_angle_to_matrix(torch.tensor([0.0, 0.03, 0.0])), torch.zeros(3))
    assert truth < 0.9 * photometric(depth, motions=motions @ turn)
    assert truth < 0.9 * photometric(depth, motions=torch.eye(4).expand_as(motions))


def test_known_poses_make_depth_metric(tract):
    supervision = SelfSupervision(replace(KNOWN, automask=False))
    depth = torch.where(tract["mask"], tract["target"], tract["target"].median())
    factors = (0.7, 0.85, 0.95, 1.0, 1.05, 1.15, 1.4)
    found = [supervision.losses([factor * depth], tract)["photometric"].item() for factor in factors]
    assert factors[int(np.argmin(found))] == 1
    assert supervision.options.metric
    assert not SelfSupervision(MONODEPTH2, pose=FakePose()).options.metric
    metres = SelfSupervision(replace(KNOWN, automask=False, known_scale=1e-3))
    again = metres.losses([1e-3 * depth], tract)["photometric"]
    assert again.item() == pytest.approx(found[3], rel=1e-4)


def test_the_minimum_over_sources_ignores_what_one_of_them_hides(tract):
    depth = torch.where(tract["mask"], tract["target"], tract["target"].median())
    hidden = tract["clean_sources"].clone()
    hidden[:, 1, :, 30:70, 40:90] = noise(3, 40, 50)

    def rise(minimum: bool) -> float:
        supervision = SelfSupervision(replace(KNOWN, minimum=minimum, automask=False))
        before, after = (
            supervision.losses([depth], tract | {"clean_sources": sources})["photometric"].item()
            for sources in (tract["clean_sources"], hidden)
        )
        return after - before

    assert rise(minimum=True) < 0.2 * rise(minimum=False)


def test_a_camera_at_rest_teaches_nothing(tract):
    batch = tract | {"clean_sources": tract["clean"][:, None].expand(-1, 2, -1, -1, -1)}
    for automask in (True, False):
        depth = torch.full_like(tract["target"], 40.0).requires_grad_()
        supervision = SelfSupervision(replace(KNOWN, automask=automask))
        supervision.losses([depth], batch)["photometric"].backward()
        used = supervision.pictures()["used"].float().mean().item()
        assert used < 0.02 if automask else used > 0.9
        assert ((depth.grad != 0).float().mean().item() < 0.02) == automask


def test_the_parts_are_weighed_and_averaged_over_the_scales():
    batch, depths = batch_of_noise(), two_depths()
    options = replace(MONODEPTH2, automask=False)

    def parts(depths: list[Tensor], **changes) -> dict[str, float]:
        found = SelfSupervision(replace(options, **changes), FakePose()).losses(depths, batch)
        return {name: value.item() for name, value in found.items()}

    both, fine, coarse = parts(depths), parts(depths[:1]), parts(depths[1:])
    assert both.keys() == {"photometric", "smoothness"}
    assert both["photometric"] == pytest.approx((fine["photometric"] + coarse["photometric"]) / 2)
    assert both["smoothness"] == pytest.approx((fine["smoothness"] + coarse["smoothness"] / 2) / 2)
    assert parts(depths, scales=1) == pytest.approx(fine)
    assert parts(depths, smoothness=1e-2)["smoothness"] == pytest.approx(10 * both["smoothness"])


def test_disparities_are_what_is_smoothed():
    batch, depths = batch_of_noise(), two_depths()
    supervision = SelfSupervision(replace(MONODEPTH2, automask=False), FakePose())
    plain = supervision.losses(depths, batch)
    torch.testing.assert_close(supervision.losses(depths, batch, [1 / depth for depth in depths]), plain)
    flat = supervision.losses(depths, batch, [torch.ones_like(depth) for depth in depths])
    assert flat["smoothness"].item() < 1e-6
    assert flat["photometric"].item() == plain["photometric"].item()


def test_learned_pose_leaves_the_scale_open_and_is_asked_in_the_order_of_time():
    batch, depths = batch_of_noise(), two_depths()
    pose = FakePose()
    supervision = SelfSupervision(replace(MONODEPTH2, automask=False, offsets=(1, -2)), pose)
    found = supervision.losses(depths, batch)["photometric"]
    assert pose.asked == [False, True]
    with torch.no_grad():
        pose.motion[3:] *= 5
    again = supervision.losses([5 * depth for depth in depths], batch)["photometric"]
    torch.testing.assert_close(again, found, rtol=1e-4, atol=0)
    again.backward()
    assert (pose.motion.grad != 0).all()


def test_the_camera_can_be_learned():
    batch, depths = batch_of_noise(), two_depths()
    pose = FakePose(intrinsics=[14.0, 14.0, 7.5, 5.5])
    known = SelfSupervision(MONODEPTH2, FakePose())
    learned = SelfSupervision(replace(MONODEPTH2, learned_intrinsics=True), pose)
    wanted = known.losses(depths, batch, generator=torch.Generator().manual_seed(0))
    del batch["camera"]
    found = learned.losses(depths, batch, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, wanted)
    total(found).backward()
    assert (pose.lens.grad != 0).all()
    with pytest.raises(InputError, match="camera"):
        known.losses(depths, batch)


def test_masked_pixels_and_those_without_a_ray_teach_nothing():
    batch = batch_of_noise()
    batch["mask"][:, :, :, 10:] = False
    lens = {"model": "omnidirectional", "width": 16, "height": 12, "cx": 7.5, "cy": 5.5, "a0": 7.0, "a2": -0.1}
    batch["camera"] = Camera.stack([Camera.from_dict(lens)] * 2)
    rayless = torch.isnan(batch["camera"].rays(batch["clean"])).any(-1)[:, None]
    assert 0 < rayless.float().mean() < 0.9
    supervision = SelfSupervision(replace(MONODEPTH2, automask=False), FakePose())
    depths = two_depths()[:1]
    supervision.losses(depths, batch)["photometric"].backward()
    used = supervision.pictures()["used"]
    assert torch.equal(used, batch["mask"] & ~rayless)
    assert (depths[0].grad[rayless] == 0).all()
    assert (depths[0].grad[..., 11:] == 0).all(), "but for the window of the structure beside the mask"
    assert (depths[0].grad[used] != 0).any()
    assert torch.isfinite(depths[0].grad).all()


def test_the_flow_step_and_the_other_move_their_own_networks_only():
    batch, depths, supervision = batch_of_noise(), two_depths(), appearance_supervision()
    flow, others = supervision.flow_parameters(), supervision.parameters_but_flow()
    assert {id(p) for p in flow} | {id(p) for p in others} == {id(p) for p in supervision.parameters()}
    assert len(flow) + len(others) == len(list(supervision.parameters()))

    def statistics(network: nn.Module) -> list[Tensor]:
        return [buffer.clone() for buffer in network.buffers()]

    before = statistics(supervision.appearance)
    parts = supervision.flow_losses(batch)
    assert parts.keys() == {"flow_photometric", "flow_smoothness"}
    total(parts).backward()
    assert all((p.grad != 0).any() for p in flow if p.ndim > 1)
    assert all(p.grad is None for p in others)
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(supervision.appearance), strict=True))
    assert all(module.training for module in supervision.modules())

    supervision.zero_grad()
    before = statistics(supervision.flow)
    parts = supervision.losses(depths, batch)
    assert parts.keys() == {"photometric", "smoothness", "appearance_constraint", "appearance_smoothness"}
    total(parts).backward()
    assert all(p.grad is None for p in flow)
    assert all((p.grad != 0).any() for p in others if p.ndim > 1)
    assert all((depth.grad != 0).any() for depth in depths)
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(supervision.flow), strict=True))
    assert all(module.training for module in supervision.modules())


class Tells(nn.Module):
    """Answers always the same."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        return [self.answer.expand(len(first), -1, *first.shape[-2:])]


class Rolls(nn.Module):
    """Knows that the sources are the middle frame moved to the right."""

    def __init__(self, middle: Tensor, pixels: float) -> None:
        super().__init__()
        self.middle, self.pixels = middle, pixels

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        flow = torch.zeros_like(first[:, :2])
        flow[:, 0] = self.pixels if torch.equal(first, self.middle) else -self.pixels
        return [flow]


def test_flow_leads_from_the_middle_frame_into_the_source():
    batch, options = batch_of_noise(), replace(AF_SFM, appearance=False)
    batch["clean_sources"] = batch["sources"] = batch["clean"].roll(3, dims=-1)[:, None].expand(-1, 2, -1, -1, -1)
    right = SelfSupervision(options, FakePose(), Rolls(batch["image"], 3.0))
    wrong = SelfSupervision(options, FakePose(), Rolls(batch["image"], -3.0))
    assert right.flow_losses(batch)["flow_photometric"] < 0.2 * wrong.flow_losses(batch)["flow_photometric"]
    right.losses(two_depths(), batch)
    seen = right.pictures()
    assert seen["visible"][..., :13].all()
    assert not seen["visible"][..., 13:].any()  # they left the image
    wanted = batch["clean"][:, None].expand_as(seen["registered"])
    torch.testing.assert_close(seen["registered"][..., :13], wanted[..., :13])


def test_a_change_of_light_is_explained_by_appearance():
    batch = batch_of_noise()
    batch["clean"] = batch["image"] = 0.2 + 0.5 * batch["image"]
    lit = batch["clean"] + 0.1
    batch["clean_sources"] = batch["sources"] = torch.stack([lit, lit], dim=1)
    still = Tells(torch.zeros(1, 2, 1, 1))
    depths = two_depths()[:1]

    def losses(change: float) -> dict[str, float]:
        pose = FakePose()
        nn.init.zeros_(pose.motion)
        supervision = SelfSupervision(AF_SFM, pose, still, Tells(torch.full((1, 3, 1, 1), change)))
        found = supervision.losses(depths, batch) | supervision.flow_losses(batch)
        return {name: value.item() for name, value in found.items()}

    explained, unexplained = losses(0.1), losses(0.0)
    for name in ("photometric", "appearance_constraint", "flow_photometric"):
        assert explained[name] < 1e-4 < unexplained[name], name
    assert unexplained["appearance_constraint"] == pytest.approx(0.01 * 0.1, rel=1e-3)
    assert explained["appearance_smoothness"] == pytest.approx(0, abs=1e-9)


def test_what_the_flow_says_is_hidden_does_not_count():
    batch, depths = batch_of_noise(), two_depths()[:1]
    leftwards = Tells(torch.tensor([-4.0, 0.0])[None, :, None, None])
    supervision = SelfSupervision(replace(AF_SFM, appearance=False), FakePose(), leftwards)
    batch["mask"][:, :, :2] = False
    supervision.losses(depths, batch)["photometric"].backward()
    seen = supervision.pictures()["visible"]
    assert torch.equal(seen, supervision.pictures()["used"])
    assert seen.shape == (2, 2, 12, 16)
    assert seen[..., 2:, :12].all()
    assert not seen[..., 12:].any()
    assert not seen[..., :2, :].any()
    assert (depths[0].grad[..., 13:] == 0).all()


def test_pictures_are_kept_for_looking_at():
    batch, supervision = batch_of_noise(), appearance_supervision()
    assert supervision.pictures() == {}
    supervision.losses(two_depths(), batch)
    seen = supervision.pictures()
    shapes = {name: tuple(picture.shape) for name, picture in seen.items()}
    images = dict.fromkeys(("synthesised", "registered", "refined"), (2, 2, 3, 12, 16))
    assert shapes == images | dict.fromkeys(("used", "visible"), (2, 2, 12, 16)) | {"middle": (2, 1, 3, 12, 16)}
    assert not any(picture.requires_grad for picture in seen.values())
    assert "_pictures" not in " ".join(supervision.state_dict())
    assert torch.equal(copy.deepcopy(supervision).pictures()["refined"], seen["refined"])


@pytest.mark.parametrize("options", [MONODEPTH2, AF_SFM, replace(AF_SFM, automask=True, minimum=True)])
def test_the_same_seed_gives_the_same_bits(options):
    batch, depths = batch_of_noise(), two_depths()
    supervision = SelfSupervision(options, FakePose(), FakeFlow(2), FakeFlow(3))
    torch.manual_seed(3)
    first = supervision.losses(depths, batch)
    torch.manual_seed(3)
    again = supervision.losses(depths, batch)
    assert {name: value.item() for name, value in first.items()} == {n: value.item() for n, value in again.items()}


def test_losses_are_computed_in_single_precision_under_autocast():
    batch, depths = batch_of_noise(), two_depths()
    flow, change = Tells(torch.full((1, 2, 1, 1), 0.3)), Tells(torch.full((1, 3, 1, 1), 0.1))
    supervision = SelfSupervision(AF_SFM, FakePose(), flow, change)
    wanted = supervision.losses(depths, batch) | supervision.flow_losses(batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = supervision.losses(depths, batch) | supervision.flow_losses(batch)
        rough = supervision.losses([depth.to(torch.bfloat16) for depth in depths], batch)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert all(value.dtype == torch.float32 for value in rough.values())


@pytest.mark.parametrize("options", [MONODEPTH2, AF_SFM])
def test_gradients_of_all_losses_are_those_of_differences(options):
    options = replace(options, scales=1, smoothness=0.1, appearance_constraint=1.0, appearance_smoothness=1.0)
    batch = {name: value.double() for name, value in batch_of_noise(5, 6).items() if name not in ("mask", "camera")}
    batch["camera"] = Camera.from_dict({"width": 6, "height": 5, "fx": 5, "fy": 5, "cx": 2.5, "cy": 2.0})
    batch["mask"] = torch.ones(2, 1, 5, 6, dtype=torch.bool)

    def supervision(motion: Tensor, flow: Tensor, change: Tensor) -> SelfSupervision:
        pose = FakePose()
        del pose.motion
        pose.motion = motion
        return SelfSupervision(options, pose, Tells(flow), Tells(change))

    def losses(depth: Tensor, motion: Tensor, change: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        found = supervision(motion, flow.detach(), change).losses([depth], batch, generator=generator)
        return total(found)

    depth = (1 + noise(2, 1, 5, 6).double()).requires_grad_()
    motion = torch.tensor([0.01, -0.02, 0.03, 0.1, 0.05, 0.07], dtype=torch.float64, requires_grad=True)
    flow = (0.6 * noise(1, 2, 5, 6, seed=3).double() - 0.4).requires_grad_()
    change = (0.1 * noise(1, 3, 5, 6, seed=4).double()).requires_grad_()
    if options.appearance:
        torch.autograd.gradcheck(losses, (depth, motion, change))
        # The mask of what is hidden steps with the backward flow; where all is used it has no say.
        options = replace(options, occlusion=False)
        torch.autograd.gradcheck(
            lambda f: total(supervision(motion.detach(), f, change.detach()).flow_losses(batch)), (flow,)
        )
    else:
        torch.autograd.gradcheck(lambda d, m: losses(d, m, change), (depth, motion))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"pose": "guessed"}, "pose: 'guessed' is not one of learned, known"),
        ({"scales": 0}, "scales"),
        ({"offsets": (0, 1)}, "offsets"),
        ({"smoothness": -1.0}, "smoothness"),
        ({"known_scale": 0.0}, "known_scale"),
        ({"pose": "known", "learned_intrinsics": True}, "learned_intrinsics"),
    ],
)
def test_impossible_options_are_named(options, word):
    with pytest.raises(ConfigError, match=word):
        SelfSupervisionOptions(**options)


def test_what_the_clips_lack_is_named():
    batch, depths = batch_of_noise(), two_depths()
    with pytest.raises(InputError, match="motions: the clips have no poses"):
        SelfSupervision(KNOWN).losses(depths, batch)
    with pytest.raises(ConfigError, match="offsets: the clips have 2 sources"):
        SelfSupervision(replace(MONODEPTH2, offsets=(-1,)), FakePose()).losses(depths, batch)


@pytest.mark.parametrize("options", [replace(MONODEPTH2, learned_intrinsics=True), AF_SFM])
def test_real_networks_learn_from_a_real_step(options, tract):
    torch.manual_seed(0)
    supervision = SelfSupervision(replace(options, scales=2, pretrained=False))
    depth = torch.where(tract["mask"], tract["target"], tract["target"].median())
    for parameters, losses in (
        (supervision.flow_parameters(), supervision.flow_losses(tract)),
        (supervision.parameters_but_flow(), supervision.losses([depth], tract)),
    ):
        assert bool(parameters) == bool(losses)
        if not losses:
            continue
        before = [parameter.detach().clone() for parameter in parameters]
        optimiser = torch.optim.Adam(parameters, 1e-4)
        total(losses).backward()
        optimiser.step()
        assert all(torch.isfinite(value) for value in losses.values())
        moved = [not torch.equal(a, b) for a, b in zip(before, parameters, strict=True)]
        assert np.mean(moved) > 0.9
