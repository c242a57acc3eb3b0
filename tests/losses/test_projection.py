from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from leadline.camera import Pinhole
from leadline.geometry import poses
from leadline.losses.projection import projection_loss

CAMERA = Pinhole(32, 24, 25.0, 27.0, 15.0, 12.0)
ROTATION = Rotation.from_rotvec([0.03, -0.06, 0.05]).as_matrix()
MOTION = torch.from_numpy(poses.compose(ROTATION, np.array([0.15, -0.1, -0.2])))
ALL = torch.ones(1, 1, 24, 32, dtype=torch.bool)


def plane(normal: np.ndarray, offset: float) -> Tensor:
    """z-depth (1, 1, 24, 32) of the plane n . X = offset, as the camera sees it."""
    v, u = np.mgrid[:24, :32]
    rays = np.stack([(u - 15.0) / 25.0, (v - 12.0) / 27.0, np.ones_like(u, float)], axis=-1)
    return torch.from_numpy(offset / (rays @ normal))[None, None]


def seen_from_both() -> tuple[Tensor, Tensor]:
    """One plane, from the first camera and from the second."""
    normal, offset = np.array([0.1, -0.2, 1.0]), 3.0
    matrix = MOTION.numpy()
    moved = matrix[:3, :3] @ normal
    return plane(normal, offset), plane(moved, offset + float(moved @ matrix[:3, 3]))


def test_one_place_seen_twice_costs_nothing_but_interpolation():
    one, other = seen_from_both()
    assert projection_loss(one, other, CAMERA, MOTION[None], ALL).item() < 2e-3
    assert projection_loss(other, one, CAMERA, poses.invert(MOTION)[None], ALL).item() < 2e-3


def test_a_wrong_depth_of_the_other_frame_costs_its_error():
    one, other = seen_from_both()
    exact = projection_loss(one, other, CAMERA, MOTION[None], ALL).item()
    found = projection_loss(one, other + 0.25, CAMERA, MOTION[None], ALL).item()
    assert found == pytest.approx(0.25, abs=exact + 1e-3)


def test_without_motion_it_is_the_mean_difference_on_the_mask():
    one, other = torch.rand(2, 2, 1, 24, 32, dtype=torch.float64) + 1
    mask = torch.rand(2, 1, 24, 32) < 0.5
    still = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    each = [(one[i] - other[i]).abs()[mask[i]].mean() for i in range(2)]
    assert projection_loss(one, other, CAMERA, still, mask).item() == pytest.approx(float(sum(each) / 2), rel=1e-9)


def test_a_scene_scaled_as_a_whole_costs_as_much_more():
    one, other = seen_from_both()
    bent = other * torch.linspace(0.9, 1.2, 32)
    cost = projection_loss(one, bent, CAMERA, MOTION[None], ALL)
    larger = MOTION.clone()
    larger[:3, 3] *= 7
    assert projection_loss(7 * one, 7 * bent, CAMERA, larger[None], ALL).item() == pytest.approx(
        7 * cost.item(), rel=1e-9
    )


def test_gradients_are_those_of_differences():
    torch.manual_seed(0)
    one, other = (value * (1 + 0.05 * torch.rand_like(value)) for value in seen_from_both())
    inner = ALL & (torch.arange(32) > 6) & (torch.arange(32) < 26) & (torch.arange(24) > 6)[:, None]

    def loss(one: Tensor, other: Tensor, motion: Tensor) -> Tensor:
        return projection_loss(one, other, CAMERA, motion, inner)

    inputs = [one.requires_grad_(), other.requires_grad_(), MOTION[None].clone().requires_grad_()]
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-8, atol=1e-4)


def test_what_lands_nowhere_costs_nothing():
    one, other = seen_from_both()
    one.requires_grad_()
    behind = torch.eye(4, dtype=torch.float64)[None].clone()
    behind[0, 2, 3] = -100
    loss = projection_loss(one, other, CAMERA, behind, ALL)
    loss.backward()
    assert loss.item() == 0
    assert one.grad is not None
    assert not one.grad.any()
