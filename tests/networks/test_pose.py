from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from leadline.geometry.poses import axis_angle_to_matrix, compose, transform
from leadline.networks.pose import Motion, PoseNetwork, camera_of


def pair(batch: int = 2, size: tuple[int, int] = (64, 96), seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, *size, generator=generator), torch.rand(batch, 3, *size, generator=generator)


def network(**options: object) -> PoseNetwork:
    torch.manual_seed(0)
    return PoseNetwork(**({"pretrained": False} | options)).eval()


@pytest.mark.parametrize("size", [(64, 96), (97, 131)])
@pytest.mark.parametrize("encoder", ["efficientnet-lite0", "resnet18"])
@torch.no_grad()
def test_gives_a_rigid_motion_of_images_of_any_size(encoder: str, size: tuple[int, int]) -> None:
    motion = network(encoder=encoder, scale=1.0, intrinsics=True)(*pair(3, size))
    assert [tuple(part.shape) for part in motion] == [(3, 3), (3, 3), (3, 4, 4), (3, 4)]
    assert motion.matrix.dtype == torch.float32
    torch.testing.assert_close(motion.matrix[:, :3, :3], axis_angle_to_matrix(motion.axis_angle))
    torch.testing.assert_close(motion.matrix[:, :3, 3], motion.translation)
    torch.testing.assert_close(motion.matrix[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(3, 4))
    assert network(encoder=encoder)(*pair(1, size)).intrinsics is None


@torch.no_grad()
def test_starts_near_identity_and_scale_says_how_near() -> None:
    images = pair()
    small, smaller = network(pretrained=True)(*images), network(pretrained=True, scale=0.001)(*images)
    assert 0 < (small.matrix - torch.eye(4)).abs().max() < 0.02
    torch.testing.assert_close(small.axis_angle, 10 * smaller.axis_angle)
    torch.testing.assert_close(small.translation, 10 * smaller.translation)


@pytest.mark.parametrize("encoder", ["efficientnet-lite0", "resnet18"])
def test_gradients_reach_every_parameter(encoder: str) -> None:
    trained = network(encoder=encoder, intrinsics=True).train()
    motion = trained(*pair(4))
    (motion.matrix[:, :3].sum() + (motion.intrinsics * torch.rand(4, 4)).sum()).backward()
    assert [n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_gradients_flow_at_no_rotation() -> None:
    still = network()
    torch.nn.init.zeros_(still.motion.weight)
    torch.nn.init.zeros_(still.motion.bias)
    motion = still(*pair(1))
    assert torch.equal(motion.matrix[0], torch.eye(4))
    weights = torch.arange(12.0).reshape(1, 3, 4) ** 2
    (motion.matrix[:, :3] * weights).sum().backward()
    gradient = still.motion.bias.grad
    assert gradient.isfinite().all()
    assert (gradient != 0).all()


@torch.no_grad()
def test_the_earlier_frame_is_always_seen_first() -> None:
    poses = network(scale=1.0)
    poses.motion.bias.copy_(torch.tensor([0.3, -0.5, 0.2, 1.0, 2.0, -3.0]))
    middle, source = pair()
    forth, back = poses.between(middle, source, earlier=False), poses.between(source, middle, earlier=True)
    torch.testing.assert_close(forth.matrix, poses(middle, source).matrix)
    torch.testing.assert_close(back.matrix @ forth.matrix, torch.eye(4).expand(2, 4, 4), atol=1e-5, rtol=0)
    # The parts of the inverse say the same as its matrix.
    torch.testing.assert_close(compose(axis_angle_to_matrix(back.axis_angle), back.translation), back.matrix)
    # To the source in both cases: a point on the middle camera's axis goes where its motion says.
    point = torch.tensor([[[0.0, 0.0, 5.0]]]).expand(2, 1, 3)
    moved = transform(poses.between(middle, source, earlier=True).matrix, point)
    torch.testing.assert_close(transform(poses(source, middle).matrix, moved), point, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_intrinsics_start_as_a_usual_camera_and_follow_the_size() -> None:
    poses = network(intrinsics=True, pretrained=True)
    torch.nn.init.zeros_(poses.lens.weight)
    for bias in ([0.0, 0.0, 0.0, 0.0], [-20.0, 1.0, 0.1, -0.2]):
        poses.lens.bias.copy_(torch.tensor(bias))
        shares = [math.log1p(math.exp(b)) + 0.5 for b in bias[:2]] + [b + 0.5 for b in bias[2:]]
        expected = torch.tensor([[shares[0] * 131, shares[1] * 97, shares[2] * 131, shares[3] * 97]])
        torch.testing.assert_close(poses(*pair(1, (97, 131))).intrinsics, expected)


def test_camera_of_a_batch_projects_each_image_with_its_own() -> None:
    intrinsics = torch.tensor([[100.0, 110.0, 48.0, 32.0], [50.0, 60.0, 40.0, 30.0]], requires_grad=True)
    camera = camera_of(intrinsics, 64, 96)
    assert (camera.height, camera.width) == (64, 96)
    rays = camera.rays(like=intrinsics)
    assert rays.shape == (2, 64, 96, 3)
    uv, valid = camera.project(rays * 3)
    assert valid.all()
    grid = torch.stack(torch.meshgrid(torch.arange(96.0), torch.arange(64.0), indexing="xy"), dim=-1)
    torch.testing.assert_close(uv, grid.expand(2, 64, 96, 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(rays[1, 30, 90], torch.tensor([1.0, 0.0, 1.0]))
    camera.project(torch.tensor([1.0, 2.0, 4.0]).expand(2, 1, 1, 3))[0].sum().backward()
    torch.testing.assert_close(intrinsics.grad, torch.tensor([[0.25, 0.5, 1.0, 1.0]] * 2))


def test_learns_a_fixed_motion() -> None:
    poses = network(pretrained=True).train()
    wanted = torch.tensor([0.02, -0.01, 0.03, 0.05, 0.1, -0.08])
    target = compose(axis_angle_to_matrix(wanted[:3]), wanted[3:])
    optimiser = torch.optim.Adam([*poses.mix.parameters(), *poses.motion.parameters()], lr=1e-3)
    with torch.no_grad():
        features = poses.encoder(*pair(2))
    poses.encoder.forward = lambda *_: features
    for _ in range(80):
        loss = (poses(*pair(2)).matrix - target).square().sum((1, 2)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    motion = poses(*pair(2))
    torch.testing.assert_close(motion.axis_angle, wanted[:3].expand(2, 3), atol=5e-3, rtol=0)
    torch.testing.assert_close(motion.translation, wanted[3:].expand(2, 3), atol=5e-3, rtol=0)


def test_motion_stays_exact_in_mixed_precision() -> None:
    poses = network(scale=1.0)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        motion = poses.between(*pair(), earlier=True)
    assert isinstance(motion, Motion)
    rotation = motion.matrix[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(2, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(motion.matrix[:, :3, :3], axis_angle_to_matrix(motion.axis_angle), atol=1e-6, rtol=0)


@torch.no_grad()
def test_double_precision_stays_double() -> None:
    first, second = (image.double() for image in pair())
    motion = network(intrinsics=True).double()(first, second)
    assert {part.dtype for part in motion} == {torch.float64}
