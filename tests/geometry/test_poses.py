from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from leadline.geometry import poses


def random_poses(seed: int, n: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return poses.compose(Rotation.random(n, rng).as_matrix(), rng.normal(size=(n, 3)))


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_inverse_and_relative(convert) -> None:
    a, b = random_poses(0), random_poses(1)
    np.testing.assert_allclose(np.asarray(poses.invert(convert(a))), np.linalg.inv(a), atol=1e-12)
    np.testing.assert_allclose(np.asarray(poses.relative(convert(a), convert(b))), np.linalg.inv(b) @ a, atol=1e-12)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_transform_is_the_homogeneous_product(convert) -> None:
    pose, points = random_poses(0, 4), np.random.default_rng(2).normal(size=(4, 5, 6, 3))
    expected = np.einsum("bij,bhwj->bhwi", pose[:, :3, :3], points) + pose[:, None, None, :3, 3]
    np.testing.assert_allclose(np.asarray(poses.transform(convert(pose), convert(points))), expected, atol=1e-12)
    one = np.asarray(poses.transform(convert(pose[0]), convert(points[0])))
    np.testing.assert_allclose(one, expected[0], atol=1e-12)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_quaternions_are_scipys(convert) -> None:
    rotations = Rotation.random(200, np.random.default_rng(0))
    half_turns = Rotation.from_rotvec(np.pi * np.eye(3))  # w = 0
    for r in (rotations, half_turns, Rotation.identity(1)):
        matrix = np.asarray(poses.quaternion_to_matrix(convert(3 * r.as_quat())))
        np.testing.assert_allclose(matrix, r.as_matrix(), atol=1e-12)
        ours = np.asarray(poses.matrix_to_quaternion(convert(r.as_matrix())))
        np.testing.assert_allclose(np.linalg.norm(ours, axis=-1), 1)
        assert (ours[:, 3] >= 0).all()
        np.testing.assert_allclose(abs((ours * r.as_quat()).sum(-1)), 1, atol=1e-12)


@example([6e-5, 2e-5, -7e-5])  # by the series
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_axis_angle_is_scipys(vector: list[float]) -> None:
    expected = Rotation.from_rotvec(vector).as_matrix()
    np.testing.assert_allclose(poses.axis_angle_to_matrix(np.array(vector)), expected, atol=1e-12)


def test_axis_angle_has_gradients_also_at_zero() -> None:
    vectors = torch.tensor([[0.0, 0, 0], [1e-6, 0, 0], [0.3, -0.2, 0.9]], dtype=torch.float64, requires_grad=True)
    # the jacobian at zero: d R / d w_k is the generator of rotations about axis k
    jacobian = torch.autograd.functional.jacobian(poses.axis_angle_to_matrix, vectors)[0, :, :, 0]
    generators = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        generators[j, i, k], generators[i, j, k] = 1, -1
    np.testing.assert_allclose(jacobian.numpy(), generators, atol=1e-12)
    assert torch.autograd.gradcheck(poses.axis_angle_to_matrix, (vectors,))


def test_mirror_keeps_motions_rigid_and_undoes_itself() -> None:
    pose = random_poses(0)
    mirrored = poses.mirror(pose)
    np.testing.assert_allclose(np.linalg.det(mirrored[:, :3, :3]), 1)
    np.testing.assert_array_equal(poses.mirror(mirrored), pose)
    point = np.array([0.3, -1.0, 2.0])
    moved = poses.transform(mirrored[0], point * (-1, 1, 1))
    np.testing.assert_allclose(moved, poses.transform(pose[0], point) * (-1, 1, 1), atol=1e-12)


def test_rate_of_change() -> None:
    times = np.array([0.0, 0.1, 0.3])
    np.testing.assert_allclose(poses.rate_of_change(times[:, None] * [2.0, -5.0], times), [[2, -5]] * 3)
    assert poses.rate_of_change(np.ones((1, 3)), times[:1]).tolist() == [[0, 0, 0]]
