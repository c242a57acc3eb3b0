"""Errors of camera motion: pure functions of predicted and true poses, in numpy.

Poses (N, 4, 4) are camera-to-world, OpenCV axes; motions (N, 4, 4) lead from each frame to the next. Lengths have the
unit of the truth, angles are in radians. A NaN in a prediction makes its errors NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from leadline.errors import InputError
from leadline.geometry.poses import relative


class SnippetErrors(NamedTuple):
    """Errors of the snippets of a video, in the order of time.

    Args:
        ate: (K,) absolute trajectory error, in the unit of the truth.
        rotation: (K,) mean angle between the predicted and the true rotation, in radians.
    """

    ate: np.ndarray
    rotation: np.ndarray


class Similarity(NamedTuple):
    """``target = scale * rotation @ source + translation``.

    Args:
        scale: factor.
        rotation: (3, 3).
        translation: (3,).
    """

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the source, moved to the target."""
        return self.scale * points @ self.rotation.T + self.translation


class RelativeErrors(NamedTuple):
    """Root mean square errors of the motion over a fixed number of frames.

    Args:
        translation: in the unit of the truth.
        rotation: in radians.
    """

    translation: float
    rotation: float


def rotation_error(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Angle of the rotation between two rotations, in radians, from 0 to pi.

    ``atan2(|w|, trace R - 1)`` with ``R = true pred^T`` and w the three differences of its off-diagonal entries, so
    that small angles keep their digits; as AF-SfMLearner's ``compute_re`` has it.

    Args:
        pred: (..., 3, 3).
        true: (..., 3, 3).

    Returns:
        (...).

    Example:
        >>> turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        >>> round(float(np.degrees(rotation_error(np.eye(3), turned))), 6)
        90.0
    """
    rest = true @ np.swapaxes(pred, -1, -2)
    skew = (rest - np.swapaxes(rest, -1, -2))[..., [0, 1, 0], [1, 2, 2]]
    return np.arctan2(np.linalg.norm(skew, axis=-1), np.trace(rest, axis1=-2, axis2=-1) - 1)


def snippet_errors(pred: np.ndarray, true: np.ndarray, length: int = 5, least: int = 2) -> SnippetErrors:
    """Errors of short snippets, each with a scale of its own: what papers on self-supervised depth call ATE and RE.

    As the public ``evaluate_pose.py`` of monodepth2 and AF-SfMLearner (after SfMLearner, Zhou et al., CVPR 2017) have
    it. At every frame a snippet of ``length`` frames starts. Its motions are multiplied up, ``C0 = I, Ck = C(k-1) Tk``;
    with p and g the translations of the predicted and the true C, one after the other:

    - ``s = sum(p g) / sum(p p)``, least squares, the first positions held together;
    - ``ate = sqrt(sum |s p - g|^2) / n`` for n positions: divided by n, not by its root, and so smaller than the root
      mean square by the root of n; the first position, which is right by construction, counts;
    - ``rotation``: mean over the n of the angle between the rotations of both C, the first included.

    Both take for T the motion that moves *points* from each frame's axes to the next's
    (``poses.relative(pose[i], pose[i + 1])``), for prediction and truth. To compare with their figures, do so. Their
    positions are then not those of the camera; for these give the inverses of the motions.

    The last snippets of a video are shorter. AF-SfMLearner and EndoDAC start none with fewer than two motions,
    monodepth2 also one with one. They print mean and standard deviation over the snippets of a video; the two of
    AF-SfMLearner and EndoDAC on SCARED are dataset5/keyframe4 (frames 1 to 410) and dataset3/keyframe4.

    Args:
        pred: (N, 4, 4) motions; up to scale.
        true: (N, 4, 4) the true ones.
        length: of a snippet, in frames; its motions are one fewer.
        least: motions of the shortest snippet.

    Returns:
        One error of each kind for each snippet. Where the prediction stands still every scale is as good, and the error
        is that of standing still (the public code gives NaN).

    Raises:
        InputError: the numbers of motions differ, or there are fewer than ``least``.
    """
    _check(pred, true, "motions", least)
    ates, rotations = [], []
    for start in range(len(true) - least + 1):
        ours, theirs = (_multiplied(motions[start : start + length - 1]) for motions in (pred, true))
        p, g = ours[:, :3, 3], theirs[:, :3, 3]
        power = np.sum(p * p)
        scale = np.sum(p * g) / power if power != 0 else 0.0
        ates.append(np.sqrt(np.sum((scale * p - g) ** 2)) / len(g))
        rotations.append(np.mean(rotation_error(ours[:, :3, :3], theirs[:, :3, :3])))
    return SnippetErrors(np.array(ates), np.array(rotations))


def _multiplied(motions: np.ndarray) -> np.ndarray:
    """(N + 1, 4, 4) products of the first 0, 1, ... N of N motions."""
    products = [np.eye(4)]
    for motion in motions:
        products.append(products[-1] @ motion)
    return np.stack(products)


def umeyama(source: np.ndarray, target: np.ndarray, scale: bool = True) -> Similarity:
    """The similarity that brings points nearest to others, in the least squares sense.

    The closed form of Umeyama (PAMI 1991, equations 40 to 43): with both centred, ``U D V^T`` the singular value
    decomposition of ``target^T source / N`` and ``S = diag(1, 1, det U det V)``, which keeps it from mirroring, the
    rotation is ``U S V^T`` and the scale ``trace(D S)`` divided by the variance of the source.

    Args:
        source: (N, 3).
        target: (N, 3), in the same order.
        scale: False for a rigid motion.

    Returns:
        The similarity. Of points on a line the rotation about it is not determined, of one place no rotation: one of
        the best is returned; a source that is one place keeps its scale.
    """
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    a, b = source - centre, target - goal
    left, spread, right = np.linalg.svd(b.T @ a / len(a))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    variance = np.mean(np.sum(a * a, axis=1))
    rotation = left * signs @ right
    factor = float(np.sum(spread * signs) / variance) if scale and variance > 0 else 1.0
    return Similarity(factor, rotation, goal - factor * rotation @ centre)


def trajectory_error(pred: np.ndarray, true: np.ndarray, scale: bool = True) -> float:
    """Absolute trajectory error of a whole path: root mean square distance of the positions, once the predicted path
    has been aligned to the true one by :func:`umeyama` (Sturm et al., "A benchmark for the evaluation of RGB-D SLAM
    systems", IROS 2012; with scale, as for one camera everybody does).

    Args:
        pred: (N, 4, 4) poses.
        true: (N, 4, 4).
        scale: False where the prediction is metric.

    Returns:
        In the unit of the truth.

    Raises:
        InputError: the numbers of poses differ, or there are fewer than two.
    """
    _check(pred, true, "poses", 2)
    p, g = pred[:, :3, 3], true[:, :3, 3]
    if not np.isfinite(p).all():
        return float("nan")
    return _root_mean_square(np.linalg.norm(umeyama(p, g, scale).apply(p) - g, axis=1))


def relative_errors(pred: np.ndarray, true: np.ndarray, step: int = 1, scale: float = 1.0) -> RelativeErrors:
    """Relative pose error: how wrong the motion over ``step`` frames is, wherever it starts (Sturm et al., IROS 2012).

    With P the predicted and Q the true poses, ``E = (Q_i^-1 Q_i+step)^-1 (P_i^-1 P_i+step)``; the root mean square of
    the length of its translation, and of its angle, over all i. It does not depend on where the paths lie.

    Args:
        pred: (N, 4, 4) poses.
        true: (N, 4, 4).
        step: frames from the first to the second.
        scale: factor of the predicted lengths, such as :func:`umeyama`'s; 1 where the prediction is metric.

    Raises:
        InputError: the numbers of poses differ, or there are not more than ``step``.
    """
    _check(pred, true, "poses", step + 1)
    pred = pred.copy()
    pred[:, :3, 3] *= scale
    ours, theirs = (relative(poses[step:], poses[:-step]) for poses in (pred, true))
    lengths = np.linalg.norm(relative(ours, theirs)[:, :3, 3], axis=1)
    return RelativeErrors(
        _root_mean_square(lengths), _root_mean_square(rotation_error(ours[:, :3, :3], theirs[:, :3, :3]))
    )


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _check(pred: np.ndarray, true: np.ndarray, what: str, least: int) -> None:
    if len(pred) != len(true) or len(true) < least:
        raise InputError(f"trajectory: {len(pred)} predicted and {len(true)} true {what}, not as many, {least} or more")
