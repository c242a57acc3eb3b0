from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.rigs import rigs
from leadline.camera import Fisheye, Pinhole
from leadline.geometry.poses import compose
from leadline.metrics.cross_view import CrossViewErrors, consistency, overlap_abs_rel
from leadline.rig import FORWARD, Mount, ring


def looking(*yaws: float, pitch: float = 0.0) -> list[np.ndarray]:
    """Mounts at the rim of a body, looking outwards at yaws in degrees to the left, and a little down."""
    down = Rotation.from_euler("y", pitch, degrees=True).as_matrix()
    turns = [Rotation.from_euler("z", yaw, degrees=True).as_matrix() for yaw in yaws]
    return [compose(turn @ down @ FORWARD, turn @ np.array([0.5, 0.1, 1.5])) for turn in turns]


def test_neighbours_are_read_from_the_mounts_in_whatever_order_they_come():
    yaws = [0, 60, 120, 180, -120, -60]
    shuffled = [3, 0, 5, 1, 4, 2]
    pairs = ring(looking(*(yaws[i] for i in shuffled), pitch=5))
    assert len(pairs) == 12
    assert {(shuffled[a], shuffled[b]) for a, b in pairs} == {(i, (i + s) % 6) for i in range(6) for s in (1, -1)}


def test_the_ring_does_not_depend_on_where_yaw_starts():
    for turn in range(0, 360, 45):
        assert ring(looking(*(turn + yaw for yaw in (0, 90, 180, 270)))) == [
            (0, 1), (0, 3), (1, 0), (1, 2), (2, 1), (2, 3), (3, 0), (3, 2)]  # fmt: skip


@pytest.mark.parametrize(
    ("yaws", "pairs"),
    [
        ([30], []),
        ([0, 0], [(0, 1), (1, 0)]),
        ([0, 180], [(0, 1), (1, 0)]),
        ([50, -50], [(0, 1), (1, 0)]),
        ([-60, 0, 60], [(0, 1), (1, 0), (1, 2), (2, 1)]),
        ([150, -150, 180], [(0, 2), (1, 2), (2, 0), (2, 1)]),
    ],
)
def test_small_rigs_and_rows(yaws, pairs):
    assert ring(looking(*yaws)) == pairs


def reference(depths, masks, cameras, poses, tolerance):
    """The definition, point by point."""
    found = []
    for y, x in zip(*np.nonzero(masks[0]), strict=True):
        point = np.append(cameras[0].unproject(np.array([float(x), float(y)])) * depths[0][y, x], 1)
        point = (np.linalg.inv(poses[1]) @ poses[0] @ point)[:3]
        uv, seen = cameras[1].project(point)
        if seen and cameras[1].contains(uv):
            u, v = round(float(uv[0])), round(float(uv[1]))
            if masks[1][v, u] and point[2] <= depths[1][v, u] * (1 + tolerance):
                found.append((abs(point[2] - depths[1][v, u]), depths[1][v, u], y, x))
    return np.array(found)


def random_pair(seed: int = 0):
    rng = np.random.default_rng(seed)
    cameras = Pinhole(30, 20, 15.0, 16.0, 14.0, 9.0), Fisheye(26, 24, 12.0, 12.0, 13.0, 11.0, 0.05, -0.01, 0.0, 0.0)
    shapes = [(camera.height, camera.width) for camera in cameras]
    depths = [rng.uniform(2, 6, shape) for shape in shapes]
    masks = [rng.random(shape) < 0.7 for shape in shapes]
    for depth, mask in zip(depths, masks, strict=True):
        depth[~mask] = np.nan
    return depths, masks, cameras, looking(20, 70)


@pytest.mark.parametrize("tolerance", [0.0, 0.25, 10.0])
def test_agrees_with_the_definition_point_by_point(tolerance):
    depths, masks, cameras, poses = random_pair()
    expected = reference(depths, masks, cameras, poses, tolerance)
    assert len(expected) > 20
    found = consistency(depths, masks, cameras, poses, tolerance)
    assert found.overlap
    assert found.difference == pytest.approx(expected[:, 0].mean(), abs=1e-6)
    assert found.relative == pytest.approx((expected[:, 0] / expected[:, 1]).mean(), abs=1e-6)


def test_error_inside_the_overlap_of_the_truths():
    truths, masks, cameras, poses = random_pair()
    truths[1][~masks[1]] = 0.01
    pred = np.random.default_rng(5).uniform(2, 6, truths[0].shape)
    everywhere = [masks[0], np.ones_like(masks[1])]
    open_ended = [truths[0], np.where(masks[1], truths[1], 1e9)]  # unknown truth hides nothing
    places = reference(open_ended, everywhere, cameras, poses, 0.25)[:, 2:].astype(int)
    expected = np.mean([abs(pred[y, x] - truths[0][y, x]) / truths[0][y, x] for y, x in places])
    found = overlap_abs_rel(pred, truths, masks, cameras, poses)
    assert found == (pytest.approx(expected, abs=1e-6), True)
    assert overlap_abs_rel(truths[0], truths, masks, cameras, poses).abs_rel == 0
    assert math.isnan(overlap_abs_rel(np.full_like(pred, np.nan), truths, masks, cameras, poses).abs_rel)
    assert not overlap_abs_rel(pred, truths, [~masks[0] & False, masks[1]], cameras, poses).overlap


def surround() -> tuple:
    """What six cameras see in a box, whose every depth is known."""
    camera = Pinhole.from_fov(320, 240, 90)
    mounts = {str(i): Mount(camera, pose) for i, pose in enumerate(looking(0, 60, 120, 180, 240, 300))}
    frames = list(rigs(mounts, 2, scale=0.3, drives=True)[1].values())
    depths = [frame.depth.values for frame in frames]
    return (
        depths,
        [depth > 0 for depth in depths],
        [frame.camera for frame in frames],
        [m.pose for m in mounts.values()],
    )


def test_a_rig_with_right_depth_is_consistent_all_around():
    depths, masks, cameras, poses = surround()
    metric = CrossViewErrors()
    metric.update(depths, masks, cameras, poses, depths, masks)
    result = metric.compute()
    assert (result["pairs"], result["without_overlap"], result["pairs_with_truth"]) == (12, 0, 12)
    assert result["relative_difference"] < 0.01
    assert result["overlap_abs_rel"] == 0


def test_a_camera_that_is_off_disagrees_with_its_neighbours_only():
    depths, masks, cameras, poses = surround()
    off = [depth * (1.1 if i == 2 else 1) for i, depth in enumerate(depths)]
    right, wrong = (
        [consistency((d[a], d[b]), (masks[a], masks[b]), (cameras[a], cameras[b]), (poses[a], poses[b])).relative
         for a, b in ring(poses)]
        for d in (depths, off)
    )  # fmt: skip
    for pair, before, after in zip(ring(poses), right, wrong, strict=True):
        assert after == pytest.approx(before) if 2 not in pair else after > before + 0.03
    metric = CrossViewErrors()
    metric.update(off, masks, cameras, poses, depths, masks)
    assert metric.compute()["overlap_abs_rel"].item() == pytest.approx(0.1 * 2 / 12, abs=1e-6)


def test_the_unit_scales_the_difference_alone():
    depths, masks, cameras, poses = random_pair()
    scaled = [pose.copy() for pose in poses]
    for pose in scaled:
        pose[:3, 3] *= 1024
    metres = consistency(depths, masks, cameras, poses)
    millimetres = consistency([1024 * depth for depth in depths], masks, cameras, scaled)
    assert millimetres == (pytest.approx(1024 * metres.difference), pytest.approx(metres.relative), True)


def test_what_stands_before_a_surface_hides_it():
    camera = Pinhole(9, 1, 8.0, 8.0, 4.0, 0.0)
    poses = [np.eye(4), compose(np.eye(3), np.array([0.5, 0.0, 0.0]))]
    far = np.full((1, 9), 4.0)
    pole = far.copy()
    pole[0, 3] = 1.0  # of the second camera alone: it hides one point of the first
    masks = [np.ones((1, 9), bool)] * 2
    assert consistency((far, pole), masks, [camera] * 2, poses) == (0, 0, True)
    # the other way around the pole lands on the wall, and that is a disagreement
    assert consistency((pole, far), masks, [camera] * 2, poses[::-1]).difference == pytest.approx(3 / 8)


def test_pairs_that_see_nothing_together_are_counted_and_named_and_failures_show():
    camera = Pinhole.from_fov(20, 10, 60)
    depths, masks = [np.full((10, 20), 5.0)] * 3, [np.ones((10, 20), bool)] * 3
    metric = CrossViewErrors()
    metric.update(depths, masks, [camera] * 3, looking(0, 40, 170), name="drive/000")
    result = metric.compute()
    assert (result["pairs"], result["without_overlap"], result["pairs_with_truth"]) == (2, 2, 0)
    assert sorted(metric.unjudged) == ["drive/000: cameras 1 and 2", "drive/000: cameras 2 and 1"]
    assert result["overlap_abs_rel"].isnan()
    assert not result["difference"].isnan()
    broken = [depths[0], np.where(np.eye(10, 20) > 0, np.nan, 5.0), depths[2]]
    metric.update(broken, masks, [camera] * 3, looking(0, 40, 170))
    assert metric.compute()["difference"].isnan()
