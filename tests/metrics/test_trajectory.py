from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from leadline.errors import InputError
from leadline.geometry.poses import compose, invert, relative
from leadline.metrics.trajectory import (
    relative_errors,
    rotation_error,
    snippet_errors,
    trajectory_error,
    umeyama,
)


def walk(count: int, seed: int, turn: float = 0.1, step: float = 1.0) -> np.ndarray:
    """(count, 4, 4) poses of a camera that wanders about."""
    rng = np.random.default_rng(seed)
    poses = [np.eye(4)]
    for _ in range(count - 1):
        motion = compose(Rotation.from_rotvec(rng.normal(0, turn, 3)).as_matrix(), rng.normal(0, step, 3))
        poses.append(poses[-1] @ motion)
    return np.stack(poses)


def motions(poses: np.ndarray) -> np.ndarray:
    """What moves points from each frame's axes to the next's."""
    return relative(poses[:-1], poses[1:])


def moved(poses: np.ndarray, seed: int, scale: float) -> np.ndarray:
    """The same path in another world of another scale."""
    rng = np.random.default_rng(seed)
    world = compose(Rotation.random(random_state=seed).as_matrix(), rng.normal(0, 5, 3))
    poses = poses.copy()
    poses[:, :3, 3] *= scale
    return world @ poses


def by_hand(pred: np.ndarray, true: np.ndarray, length: int, least: int) -> tuple[list[float], list[float]]:
    """Snippet errors, a number at a time."""
    ates, angles = [], []
    for start in range(len(true)):
        stop = min(start + length - 1, len(true))
        if stop - start < least:
            continue
        a, b = np.eye(4), np.eye(4)
        p, g, between = [(0.0, 0.0, 0.0)], [(0.0, 0.0, 0.0)], [0.0]
        for k in range(start, stop):
            a, b = a @ pred[k], b @ true[k]
            p.append(tuple(a[:3, 3]))
            g.append(tuple(b[:3, 3]))
            between.append(Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).magnitude())
        dot = sum(x * y for one, other in zip(p, g, strict=True) for x, y in zip(one, other, strict=True))
        power = sum(x * x for one in p for x in one)
        square = sum(
            (dot / power * x - y) ** 2 for one, other in zip(p, g, strict=True) for x, y in zip(one, other, strict=True)
        )
        ates.append(math.sqrt(square) / len(p))
        angles.append(sum(between) / len(between))
    return ates, angles


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, 3.0, np.pi])
def test_the_angle_between_rotations(angle):
    one = Rotation.random(5, random_state=1).as_matrix()
    axes = np.random.default_rng(2).normal(size=(5, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    other = one @ Rotation.from_rotvec(angle * axes).as_matrix()
    np.testing.assert_allclose(rotation_error(one, other), angle, rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(rotation_error(other, one), angle, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize(("length", "least"), [(5, 2), (5, 1), (5, 4), (3, 2), (2, 1)])
def test_snippets_agree_with_a_loop(length, least):
    pred, true = motions(walk(12, 0)), motions(walk(12, 1))
    found, (ates, angles) = snippet_errors(pred, true, length, least), by_hand(pred, true, length, least)
    assert len(found.ate) == 11 - least + 1
    np.testing.assert_allclose(found.ate, ates, rtol=1e-12)
    np.testing.assert_allclose(found.rotation, angles, rtol=1e-6)


def test_the_error_of_a_snippet_that_goes_the_wrong_way():
    steps = np.tile(np.eye(4), (4, 1, 1))
    ahead, aside = steps.copy(), steps.copy()
    ahead[:, 2, 3] = 3
    aside[:, 0, 3] = 1
    found = snippet_errors(aside, ahead, least=4)
    np.testing.assert_allclose(found.ate, [3 * math.sqrt(0 + 1 + 4 + 9 + 16) / 5])
    np.testing.assert_array_equal(found.rotation, [0])
    np.testing.assert_allclose(snippet_errors(steps, ahead, least=4).ate, found.ate)  # stands still


def test_each_snippet_has_a_scale_of_its_own():
    true = motions(walk(9, 3))
    pred = true.copy()
    pred[:, :3, 3] *= 0.01
    errors = snippet_errors(pred, true)
    np.testing.assert_allclose(errors.ate, 0, atol=1e-12)
    pred[6:, :3, 3] *= 5
    errors = snippet_errors(pred, true)
    assert (errors.ate < 1e-12).tolist() == [True] * 3 + [False] * 3 + [True]
    np.testing.assert_allclose(errors.rotation, 0, atol=1e-12)


def test_inverse_motions_give_the_path_of_the_camera():
    pred, true = walk(6, 4), walk(6, 5)
    found = snippet_errors(invert(motions(pred)), invert(motions(true)), least=4)
    p, g = pred[:5, :3, 3], true[:5, :3, 3]
    scale = np.sum(p * g) / np.sum(p * p)
    np.testing.assert_allclose(found.ate[0], np.linalg.norm(scale * p - g) / 5)


@pytest.mark.parametrize("seed", range(4))
def test_a_similarity_is_found_again(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(20, 3))
    if seed == 1:
        points[:, 2] = 0
    rotation, shift = Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3)
    found = umeyama(points, 2.5 * points @ rotation.T + shift)
    np.testing.assert_allclose(found.scale, 2.5)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, shift, atol=1e-12)
    np.testing.assert_allclose(found.apply(points), 2.5 * points @ rotation.T + shift, atol=1e-12)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
def test_no_similarity_near_by_is_better(scale, mirrored):
    rng = np.random.default_rng(0)
    source = rng.normal(size=(15, 3))
    target = 3 * source * ([-1, 1, 1] if mirrored else [1, 1, 1]) + rng.normal(0, 0.3, (15, 3))
    best = umeyama(source, target, scale)
    np.testing.assert_allclose(np.linalg.det(best.rotation), 1)
    assert scale or best.scale == 1
    least = np.sum((best.apply(source) - target) ** 2)
    for _ in range(50):
        other = best._replace(
            scale=best.scale * (1 + scale * rng.normal(0, 0.03)),
            rotation=Rotation.from_rotvec(rng.normal(0, 0.03, 3)).as_matrix() @ best.rotation,
            translation=best.translation + rng.normal(0, 0.03, 3),
        )
        assert np.sum((other.apply(source) - target) ** 2) > least
    expected, _ = Rotation.align_vectors(target - target.mean(axis=0), source - source.mean(axis=0))
    np.testing.assert_allclose(best.rotation, expected.as_matrix(), atol=1e-9)


def test_a_path_in_another_world_has_no_error():
    true = walk(30, 6)
    assert trajectory_error(moved(true, 1, 0.02), true) < 1e-12
    assert trajectory_error(moved(true, 1, 1.0), true, scale=False) < 1e-12
    assert trajectory_error(moved(true, 1, 0.02), true, scale=False) > 1


def test_the_error_of_a_path_is_a_root_mean_square():
    """A square whose corners stand out to either side in turn: no motion and no scale makes that better but to shrink
    it, by 1 / (1 + 1/2)."""
    true = np.tile(np.eye(4), (4, 1, 1))
    true[:, :2, 3] = [[1, 1], [1, -1], [-1, -1], [-1, 1]]
    pred = true.copy()
    pred[:, 2, 3] = [1, -1, 1, -1]
    assert trajectory_error(pred, true, scale=False) == pytest.approx(1)
    shrunk = 2 / 3
    assert trajectory_error(pred, true) == pytest.approx(math.sqrt(2 * (1 - shrunk) ** 2 + shrunk**2))


def test_straight_and_standing_paths():
    line = np.tile(np.eye(4), (5, 1, 1))
    line[:, 2, 3] = np.arange(5)
    still = np.tile(np.eye(4), (5, 1, 1))
    assert trajectory_error(moved(line, 2, 7.0), line) < 1e-12
    assert trajectory_error(still, line) == pytest.approx(math.sqrt(2))
    assert trajectory_error(line, still) < 1e-12


def test_relative_errors_agree_with_a_loop():
    pred, true = walk(10, 7), walk(10, 8)
    for step, scale in ((1, 1.0), (3, 0.4)):
        lengths, angles = [], []
        for i in range(10 - step):
            ours = np.linalg.inv(pred[i]) @ pred[i + step]
            ours[:3, 3] *= scale
            rest = np.linalg.inv(np.linalg.inv(true[i]) @ true[i + step]) @ ours
            lengths.append(np.sum(rest[:3, 3] ** 2))
            angles.append(Rotation.from_matrix(rest[:3, :3]).magnitude() ** 2)
        found = relative_errors(pred, true, step, scale)
        assert found.translation == pytest.approx(math.sqrt(np.mean(lengths)))
        assert found.rotation == pytest.approx(math.sqrt(np.mean(angles)))
        again = relative_errors(moved(pred, 3, 1.0), moved(true, 4, 1.0), step, scale)
        assert again == pytest.approx(found)


def test_a_steady_drift_is_the_relative_error():
    drift = np.eye(4)
    drift[:3, :3] = Rotation.from_rotvec([0, 0, 0.02]).as_matrix()
    drift[:3, 3] = [0.3, 0, 0.4]
    true = walk(8, 9)
    pred = [true[0]]
    for before, after in pairwise(true):
        pred.append(pred[-1] @ np.linalg.inv(before) @ after @ drift)
    assert relative_errors(np.stack(pred), true) == pytest.approx((0.5, 0.02))


def test_a_nan_does_not_pass_unseen():
    true = walk(6, 10)
    pred = true.copy()
    pred[3] = np.nan
    assert np.isnan(trajectory_error(pred, true))
    assert np.isnan(relative_errors(pred, true)).all()
    errors = snippet_errors(motions(pred), motions(true), length=2, least=1)
    assert np.isnan(errors.ate).tolist() == np.isnan(errors.rotation).tolist() == [False, False, True, True, False]


def test_paths_that_do_not_belong_together():
    poses = walk(5, 11)
    for judge in (trajectory_error, relative_errors, snippet_errors):
        with pytest.raises(InputError, match="4 predicted and 5 true"):
            judge(poses[:4], poses)
        with pytest.raises(InputError, match="2 or more"):
            judge(poses[:1], poses[:1])
