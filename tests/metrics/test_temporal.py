from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from leadline.camera import Camera, Fisheye, Omnidirectional, Pinhole, RadialTangential
from leadline.errors import ConfigError
from leadline.geometry.poses import compose
from leadline.metrics.temporal import TemporalErrors, landing, opw, temporal_alignment, tgm

PINHOLE = Pinhole(32, 24, 30.0, 28.0, 15.2, 11.9)
CAMERAS = [
    PINHOLE,
    RadialTangential(32, 24, 30.0, 28.0, 15.2, 11.9, -0.2, 0.05, 0.002, -0.003, 0.01),
    Fisheye(32, 24, 20.0, 21.0, 15.2, 11.9, 0.05, -0.01, 0.003, -0.001),
    Omnidirectional(32, 24, 15.2, 11.9, 20.0, -0.01, 1e-4, -2e-6, 1.01, 0.01, -0.02),
]
POSES = [
    compose(Rotation.from_rotvec([0.1, 0.4, -0.2]).as_matrix(), np.array([3.0, -1.0, 2.0])),
    compose(Rotation.from_rotvec([0.08, 0.43, -0.17]).as_matrix(), np.array([3.1, -1.05, 2.15])),
]


def noise(count: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Depth without any shape, and masks; nothing usable stands outside the masks."""
    rng = np.random.default_rng(seed)
    depth, mask = rng.uniform(1, 4, (count, 24, 32)), rng.random((count, 24, 32)) < 0.8
    depth[~mask] = rng.choice([0.0, -1.0, np.nan, np.inf], depth.shape)[~mask]
    return depth, mask


def plane(camera: Camera, pose: np.ndarray, normal: tuple = (0.0, 0.0, 1.0), offset: float = 5.0) -> np.ndarray:
    """z-depth of the plane normal . X = offset of the world."""
    axes, centre = pose[:3, :3], pose[:3, 3]
    return (offset - np.dot(normal, centre)) / (camera.rays() @ (axes.T @ np.array(normal)))


def one_way(a, b, mask_a, mask_b, camera: Camera, pose_a, pose_b) -> tuple[float, float]:
    """The definition, point by point; nearest wins."""
    reached = {}
    for y, x in zip(*np.nonzero(mask_a), strict=True):
        point = np.append(camera.unproject(np.array([float(x), float(y)])) * a[y, x], 1)
        point = (np.linalg.inv(pose_b) @ pose_a @ point)[:3]
        uv, seen = camera.project(point)
        u, v = (round(float(c)) for c in uv)
        if seen and 0 <= u < camera.width and 0 <= v < camera.height and mask_b[v, u]:
            reached[v, u] = min(point[2], reached.get((v, u), math.inf))
    errors = [abs(b[place] - z) / b[place] for place, z in reached.items()]
    close = [max(b[place] / z, z / b[place]) < 1.25 for place, z in reached.items()]
    return float(np.mean(errors)), float(np.mean(close))


def test_published_figures_are_met(golden):
    file = np.load(golden / "tae_depthcrafter.npz")
    matrix, poses = file["K"], np.linalg.inv(file["pose_w2c"])
    camera = Pinhole(60, 48, matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    metric = TemporalErrors("depthcrafter")
    for i, (tae, tas) in enumerate(zip(file["tae_per_pair"], file["tas_per_pair"], strict=True)):
        pair = file["depth"][i : i + 2], file["mask"][i : i + 2], [camera] * 2, poses[i : i + 2]
        found = temporal_alignment(*pair, "depthcrafter")
        assert found.tae == pytest.approx(tae, abs=1e-6)
        assert found.tas == pytest.approx(tas, abs=1e-6)
        single = temporal_alignment(pair[0].astype(np.float32), *pair[1:], "depthcrafter")
        assert single.tae == pytest.approx(tae, abs=1e-5)
        metric.update(*pair)
    assert metric.compute()["tae"].item() == pytest.approx(file["tae_per_pair"].mean())


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_agrees_with_the_definition_point_by_point(camera):
    depth, mask = noise()
    expected = np.mean(
        [one_way(depth[a], depth[b], mask[a], mask[b], camera, POSES[a], POSES[b]) for a, b in ((0, 1), (1, 0))], axis=0
    )
    found = temporal_alignment(depth, mask, [camera] * 2, POSES)
    assert found.overlap
    assert (found.tae / 100, found.tas) == pytest.approx(tuple(expected), abs=1e-6)
    single = temporal_alignment(depth.astype(np.float32), mask, [camera] * 2, POSES)
    assert single.tae == pytest.approx(found.tae, rel=1e-3)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_the_truth_of_a_static_plane_has_no_error(camera):
    all_seen = np.ones((2, 24, 32), bool)
    # seen head on by two cameras at one distance, so rounding to pixels changes no depth
    poses = [np.eye(4), compose(np.eye(3), np.array([0.3, 0.1, 0.0]))]
    depth = [plane(camera, pose) for pose in poses]
    assert temporal_alignment(depth, all_seen, [camera] * 2, poses).tae == pytest.approx(0, abs=1e-9)
    assert temporal_alignment(depth, all_seen, [camera] * 2, poses).tas == 1
    # slanted, turned, moved: half a pixel of slope remains; the wrong motion is far worse
    depth = [plane(camera, pose, (0.2, 0.1, 1.0), 9.0) for pose in POSES]
    right = temporal_alignment(depth, all_seen, [camera] * 2, POSES)
    assert right.tae < 1.5
    assert temporal_alignment(depth, all_seen, [camera] * 2, POSES[::-1]).tae > 2 * right.tae


def test_a_relative_error_of_one_frame_is_what_it_is():
    poses, all_seen = [np.eye(4)] * 2, np.ones((2, 24, 32), bool)
    depth = np.full((24, 32), 2.0)
    found = temporal_alignment([depth, 1.5 * depth], all_seen, [PINHOLE] * 2, poses)
    assert found.tae == pytest.approx(100 * (1 / 3 + 1 / 2) / 2)
    assert found.tas == 0
    assert temporal_alignment([depth, 1.2 * depth], all_seen, [PINHOLE] * 2, poses).tas == 1


@pytest.mark.parametrize("mode", ["clean", "depthcrafter"])
def test_the_unit_does_not_matter(mode):
    depth, mask = noise()
    metres = temporal_alignment(depth, mask, [PINHOLE] * 2, POSES, mode)
    scaled = [pose.copy() for pose in POSES]
    for pose in scaled:
        pose[:3, 3] *= 1024
    assert temporal_alignment(depth * 1024, mask, [PINHOLE] * 2, scaled, mode) == pytest.approx(metres)


def test_the_nearest_surface_wins_only_in_the_clean_mode():
    camera = Pinhole(5, 1, 4.0, 4.0, 2.0, 0.0)
    # the near point moves by two pixels, the far ones by one: two land on pixel 2, the far one is written last
    depth = np.array([[2.0, 4.0, 4.0, 4.0, 4.0]]), np.full((1, 5), 4.0)
    depth[1][0, 2] = 2.0
    mask = np.array([[True, True, False, False, False]]), np.array([[False, False, True, False, False]])
    poses = np.eye(4), compose(np.eye(3), np.array([-1.0, 0.0, 0.0]))
    assert temporal_alignment(depth, mask, [camera] * 2, poses).tae == pytest.approx(0)
    shifted = Pinhole(5, 1, 4.0, 4.0, 2.5, 0.5)  # its half-pixel arithmetic meets the same pixels with this centre
    later = temporal_alignment(depth, mask, [shifted] * 2, poses, "depthcrafter")
    assert later.tae == pytest.approx(100 * (abs(2 - 4) / 2 + 0) / 2)


def test_points_on_the_rim_of_the_image_land_on_its_last_pixels():
    camera = Pinhole(4, 2, 2.0, 2.0, 0.0, 0.0)
    motion = compose(np.eye(3), np.array([0.5, 0.0, 0.0]))  # half a pixel to the right, from 3 to 3.5
    own, pixel, z = landing(np.full((2, 4), 2.0), np.ones((2, 4), bool), camera, motion, camera)
    assert own.tolist() == list(range(8))
    assert pixel.tolist() == [0, 2, 2, 3, 4, 6, 6, 7]
    assert z.tolist() == [2] * 8


def test_frames_without_overlap_are_told_from_a_failed_prediction():
    depth, mask = noise()
    away = [POSES[0], POSES[0] @ compose(Rotation.from_rotvec([0, np.pi, 0]).as_matrix(), np.zeros(3))]
    nothing = temporal_alignment(depth, mask, [PINHOLE] * 2, away)
    assert math.isnan(nothing.tae)
    assert not nothing.overlap
    for value in (np.nan, 0.0, -1.0, np.inf):
        broken = depth.copy()
        broken[1][mask[1]] = np.where(np.arange(mask[1].sum()) == 7, value, broken[1][mask[1]])
        found = temporal_alignment(broken, mask, [PINHOLE] * 2, POSES)
        assert math.isnan(found.tae)
        assert math.isnan(found.tas)
        assert found.overlap


def test_pairs_weigh_the_same_and_those_without_overlap_are_named():
    depth, mask = noise(4)
    away = [POSES[0], POSES[0] @ compose(Rotation.from_rotvec([0, np.pi, 0]).as_matrix(), np.zeros(3))]
    metric = TemporalErrors()
    metric.update(depth[:2], mask[:2], [PINHOLE] * 2, POSES, "a/0")
    metric.update(depth[1:3], mask[1:3], [PINHOLE] * 2, away, "a/1")
    metric.update(depth[2:], mask[2:], [PINHOLE] * 2, POSES, "b/0")
    each = [temporal_alignment(depth[i : i + 2], mask[i : i + 2], [PINHOLE] * 2, POSES) for i in (0, 2)]
    result = metric.compute()
    assert result["tae"].item() == pytest.approx(np.mean([pair.tae for pair in each]), rel=1e-6)
    assert result["tas"].item() == pytest.approx(np.mean([pair.tas for pair in each]), rel=1e-6)
    assert (result["pairs"], result["without_overlap"]) == (2, 1)
    assert metric.unjudged == ["a/1"]
    metric.update(np.where(mask[:2], np.nan, depth[:2]), mask[:2], [PINHOLE] * 2, POSES, "c/0")
    assert metric.compute()["tae"].isnan()
    assert metric.unjudged == ["a/1"]


def test_impossible_modes_are_refused():
    depth, mask = noise()
    with pytest.raises(ConfigError, match="depthcrafter needs pinhole cameras, not fisheye"):
        temporal_alignment(depth, mask, [CAMERAS[2]] * 2, POSES, "depthcrafter")
    with pytest.raises(ConfigError, match="mode: no temporal alignment error 'fast'"):
        temporal_alignment(depth, mask, [PINHOLE] * 2, POSES, "fast")


def test_two_real_frames_are_consistent(real_data):
    folder = real_data / "sevenscenes"
    camera = Camera.load(folder / "camera-intrinsics.txt", 640, 480)
    raw = [np.asarray(Image.open(folder / "seq-01" / f"frame-{i:06d}.depth.png")) for i in (0, 5)]
    poses = [np.loadtxt(folder / "seq-01" / f"frame-{i:06d}.pose.txt") for i in (0, 5)]
    mask = [(r > 0) & (r < 65535) for r in raw]
    depth = [r.astype(np.float32) / 1000 for r in raw]
    right = temporal_alignment(depth, mask, [camera] * 2, poses)
    assert right.tas > 0.95
    assert temporal_alignment(depth, mask, [camera] * 2, poses[::-1]).tae > 1.3 * right.tae


def flowing(seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    depth, mask = noise()
    flow = rng.uniform(-3, 3, (24, 32, 2))
    flow[rng.random((24, 32)) < 0.2] = np.nan
    images = 0.5 + 0.1 * rng.random((2, 24, 32, 3))
    return depth, mask, images, flow


def test_flow_warped_difference_agrees_with_scipy():
    depth, mask, images, flow = flowing()
    v, u = np.mgrid[:24, :32] + np.moveaxis(flow, -1, 0)[::-1]

    def led(values):
        return map_coordinates(np.where(mask[1], values, 0.0), [np.nan_to_num(v), np.nan_to_num(u)], order=1)

    colours = np.stack([map_coordinates(images[1][..., c], [np.nan_to_num(v), np.nan_to_num(u)], order=1)
                        for c in range(3)], axis=-1)  # fmt: skip
    inside = (u >= 0) & (u <= 31) & (v >= 0) & (v <= 23)
    seen = mask[0] & inside & (led(np.ones((24, 32))) > 1 - 1e-3)
    weight = np.exp(-50 * ((images[0] - colours) ** 2).sum(axis=-1))
    expected = (weight * np.abs(depth[0] - led(depth[1])))[seen].mean()
    assert seen.sum() > 50
    assert opw(depth, mask, images, flow) == pytest.approx(expected, abs=1e-6)


def test_flow_that_explains_the_depth_leaves_no_difference():
    rng = np.random.default_rng(1)
    depth, image = rng.uniform(1, 4, (24, 32)), rng.random((24, 32, 3))
    moved, moved_image = np.roll(depth, (2, 3), (0, 1)), np.roll(image, (2, 3), (0, 1))
    all_seen = np.ones((2, 24, 32), bool)
    flow = np.broadcast_to([3.0, 2.0], (24, 32, 2)).copy()
    arguments = all_seen, (image, moved_image), flow
    assert opw((depth, moved), *arguments) == pytest.approx(0, abs=1e-9)
    assert opw((depth, moved + 0.5), *arguments) == pytest.approx(0.5)
    # where the colours disagree, the pixel is taken as hidden
    assert opw((depth, moved + 0.5), all_seen, (image, 1 - moved_image), flow) < 0.1
    assert math.isnan(opw((depth, moved), *arguments[:2], np.full_like(flow, np.nan)))
    assert math.isnan(opw((depth, np.full_like(moved, np.nan)), *arguments))


def test_temporal_gradient_agrees_with_the_definition():
    rng = np.random.default_rng(2)
    truth, mask = noise(seed=3)
    nearly = mask[0] & mask[1] & (rng.random((24, 32)) < 0.5)
    truth[1][nearly] = truth[0][nearly] + rng.uniform(-0.2, 0.2, nearly.sum())
    truth[1][tuple(np.argwhere(mask[1] & ~mask[0])[0])] = 6.0  # widens the range, though known in this frame only
    pred = truth + rng.normal(0, 0.1, truth.shape)
    known = [truth[1][y, x] for y in range(24) for x in range(32) if mask[1][y, x]]
    limit, errors = 0.05 * (max(known) - min(known)), []
    for y in range(24):
        for x in range(32):
            if mask[0][y, x] and mask[1][y, x] and abs(truth[1][y, x] - truth[0][y, x]) < limit:
                errors.append(abs(pred[1][y, x] - pred[0][y, x] - (truth[1][y, x] - truth[0][y, x])))
    assert len(errors) > 50
    assert tgm(pred, truth, mask) == pytest.approx(np.mean(errors), abs=1e-6)


def test_temporal_gradient_sees_flicker_but_no_constant_error():
    truth = np.linspace(1, 2, 40).reshape(5, 8)
    mask = np.ones((2, 5, 8), bool)
    truths = truth, truth + 0.01
    assert tgm((truth + 0.3, truth + 0.31), truths, mask) == pytest.approx(0)
    assert tgm((truth, truth + 0.21), truths, mask) == pytest.approx(0.2)
    assert math.isnan(tgm(truths, (truth, truth + 5), mask))
    assert math.isnan(tgm(truths, truths, ~mask))
    assert math.isnan(tgm((truth, np.full_like(truth, np.nan)), truths, mask))
