from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from leadline.camera import Camera, Omnidirectional, Pinhole
from leadline.data import transforms as T
from leadline.data.transforms import (
    CentreCrop,
    ColourJitter,
    Compose,
    Crop,
    HorizontalFlip,
    LightJitter,
    Pad,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    SensorJitter,
    Transform,
)
from leadline.depth import DepthMap
from leadline.errors import ConfigError
from leadline.frame import Clip, Frame
from leadline.geometry import poses
from leadline.geometry.lift import lift

CAMERAS = [
    Pinhole(60, 45, 50.0, 55.0, 30.0, 25.0),
    Omnidirectional(60, 45, 31.0, 23.0, 40.0, -0.01, 1e-4, -2e-6, 1.01, 0.01, -0.02),
]
NORMAL, OFFSET = np.array([0.1, -0.2, 1.0]), 3.0
POSE = poses.compose(Rotation.from_rotvec([0.1, -0.4, 0.2]).as_matrix(), np.array([0.5, -1.0, 2.0]))
SPATIAL = [
    Resize(15, 20),  # an odd factor: the antialiasing kernel is symmetric
    Resize(60, 100),
    Crop(3, 5, 40, 50),
    CentreCrop(40, 50),
    RandomCrop(40, 50),
    RandomResizedCrop(40, 50),
    Pad(3, 4, 5, 6),
    HorizontalFlip(1.0),
]


def plane(camera: Camera = CAMERAS[0], seed: int = 0, **fields) -> Frame:
    """A frame of the plane NORMAL . X = OFFSET with everything known, some of it invalid."""
    rng = np.random.default_rng(seed)
    size = (camera.height, camera.width)
    depth = DepthMap(OFFSET / (camera.rays() @ NORMAL), "metric-depth", "m", rng.random(size) < 0.9, camera)
    image, mask = rng.random((*size, 3), np.float32), rng.random(size) < 0.8
    return Frame(image, depth, camera, POSE, sequence="a", name=str(seed), mask=mask).replace(**fields)


def assert_same(a: Frame, b: Frame, tolerance: float = 0.0) -> None:
    np.testing.assert_allclose(a.image, b.image, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(a.mask, b.mask)
    np.testing.assert_array_equal(a.depth.valid, b.depth.valid)
    np.testing.assert_array_equal(a.depth.values[a.depth.valid], b.depth.values[b.depth.valid])
    np.testing.assert_allclose(a.pose, b.pose)
    assert a.camera.to_dict() == pytest.approx(b.camera.to_dict())
    assert a.depth.camera.to_dict() == pytest.approx(b.depth.camera.to_dict())


# ---- everything moves together


@pytest.mark.parametrize(("camera", "tolerance"), zip(CAMERAS, (2e-3, 0.1), strict=True), ids=["pinhole", "omni"])
@pytest.mark.parametrize("transform", SPATIAL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_pixels_still_see_their_world_points(transform: Transform, camera: Camera, tolerance: float, seed: int) -> None:
    """The image holds X/Z, Y/Z, 1/Z of what it shows; on a plane these are linear: resizing is exact."""
    points = lift(OFFSET / (camera.rays() @ NORMAL), camera)
    held = np.stack((points[..., 0], points[..., 1], np.ones((45, 60))), -1) / points[..., 2:]
    low, high = held.min((0, 1)), held.max((0, 1))
    after = transform(
        plane(camera, image=((held - low) / (high - low)).astype(np.float32), mask=np.ones((45, 60), bool)),
        np.random.default_rng(seed),
    )
    held = low + after.image * (high - low)
    points = np.stack((held[..., 0], held[..., 1], np.ones(held.shape[:2])), -1) / held[..., 2:]
    world = poses.transform(POSE, points)
    if isinstance(transform, HorizontalFlip):
        world *= (-1, 1, 1)
    uv, valid = after.camera.project(poses.transform(poses.invert(after.pose), world))
    inner = after.mask.copy()
    inner[[0, 1, -1, -2]] = inner[:, [0, 1, -1, -2]] = False  # where the antialiasing kernel is cut off
    assert valid[inner].all()
    v, u = np.mgrid[: after.height, : after.width]
    assert np.linalg.norm(uv - np.stack((u, v), -1), axis=-1)[inner].max() < tolerance
    assert after.depth.camera == after.camera


@pytest.mark.parametrize("transform", SPATIAL, ids=lambda t: type(t).__name__)
def test_depth_keeps_its_values_kind_and_validity(transform: Transform) -> None:
    before = plane()
    marked = before.replace(depth=replace(before.depth, values=np.where(before.depth.valid, before.depth.values, 99.0)))
    after = transform(marked, np.random.default_rng(0)).depth
    assert (after.kind, after.unit) == (before.depth.kind, "m")
    assert np.isin(after.values[after.valid], before.depth.values[before.depth.valid]).all()
    affine = before.replace(depth=DepthMap(before.depth.values - 3, "affine-invariant-disparity"))
    labels = transform(affine, np.random.default_rng(0)).depth
    assert np.isin(labels.values[labels.valid], affine.depth.values).all()


@pytest.mark.parametrize("transform", SPATIAL, ids=lambda t: type(t).__name__)
def test_frames_of_which_only_the_image_is_known(transform: Transform) -> None:
    after = transform(Frame(plane().image), np.random.default_rng(0))
    assert after.depth is None
    assert after.camera is None
    assert after.pose is None


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_resized_depth_lifts_to_the_same_plane(camera: Camera) -> None:
    before = plane(camera)
    third = Resize(15, 20)(before).depth  # the centre of 3x3 pixels is a pixel: exact
    points = lift(third.values.astype(np.float64), third.camera)
    np.testing.assert_allclose((points @ NORMAL)[third.valid], OFFSET, rtol=1e-6)
    np.testing.assert_allclose(
        points[third.valid], lift(before.depth.values, camera)[1::3, 1::3][third.valid], rtol=1e-5, atol=1e-6
    )
    other = Resize(31, 47)(before).depth  # the nearest pixel is at most half a pixel off, down and across
    off_by = abs((lift(other.values, other.camera) @ NORMAL)[other.valid] - OFFSET)
    slopes = [abs(np.diff(camera.rays() @ NORMAL, axis=axis)).max() for axis in (0, 1)]
    assert off_by.max() < 0.5 * sum(slopes) * other.values.max() * 1.01


def test_nearest_labels_are_the_nearest_pixels() -> None:
    frame = plane()
    for height, width in ((45, 61), (90, 120), (22, 29)):
        resized = Resize(height, width)(frame)
        rows = [np.abs(np.arange(45) - ((i + 0.5) * 45 / height - 0.5) - 1e-9).argmin() for i in range(height)]
        columns = [np.abs(np.arange(60) - ((i + 0.5) * 60 / width - 0.5) - 1e-9).argmin() for i in range(width)]
        np.testing.assert_array_equal(resized.depth.values, frame.depth.values[np.ix_(rows, columns)])
        np.testing.assert_array_equal(resized.depth.valid, frame.depth.valid[np.ix_(rows, columns)])
        np.testing.assert_array_equal(resized.mask, frame.mask[np.ix_(rows, columns)])


def test_resizing_averages_the_image() -> None:
    # a checkerboard of single pixels is grey from afar; without antialiasing it would be black or white
    board = np.repeat((np.indices((64, 64)).sum(0) % 2)[..., None], 3, -1).astype(np.float32)
    small = Resize(16, 16)(Frame(board)).image
    np.testing.assert_allclose(small[2:-2, 2:-2], 0.5, atol=0.01)
    same = plane()
    assert Resize(45, 60)(same) is same


# ---- round trips


def test_flipping_twice_changes_nothing() -> None:
    flip, frame = HorizontalFlip(1.0), plane(CAMERAS[1])
    once = flip(frame)
    assert not np.allclose(once.image, frame.image)
    assert_same(flip(once), frame)
    assert HorizontalFlip(0.0)(frame) is frame


def test_relative_motion_of_flipped_frames_is_mirrored() -> None:
    other = poses.compose(Rotation.from_rotvec([0.3, 0.1, -0.2]).as_matrix(), np.array([1.0, 0, 0.4]))
    clip = HorizontalFlip(1.0)(Clip([plane(), plane(seed=1, pose=other)]))
    motion = poses.relative(clip[0].pose, clip[1].pose)
    np.testing.assert_allclose(motion, poses.mirror(poses.relative(POSE, other)), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(*(st.integers(0, 9) for _ in range(4)))
def test_padding_then_cropping_changes_nothing(top: int, bottom: int, left: int, right: int) -> None:
    frame = plane()
    padded = Pad(top, bottom, left, right)(frame)
    assert padded.image.shape == (45 + top + bottom, 60 + left + right, 3)
    assert padded.mask.sum() == frame.mask.sum()
    assert padded.depth.valid.sum() == frame.depth.valid.sum()
    assert_same(Crop(top, left, 45, 60)(padded), frame)
    assert_same(Crop(top, left, 45, 60)(Pad(top, bottom, left, right)(frame)), frame)


def test_padding_masks_its_borders_also_without_a_mask() -> None:
    padded = Pad(1, 2, 3, 4)(plane(mask=None))
    assert padded.mask.sum() == 45 * 60
    assert padded.mask[1:-2, 3:-4].all()


# ---- windows


def test_centre_crop_is_central() -> None:
    frame = plane()
    np.testing.assert_array_equal(CentreCrop(41, 50)(frame).image, frame.image[2:43, 5:55])


def test_random_windows_reach_every_place_and_fit() -> None:
    rng, frame = np.random.default_rng(0), plane()
    corners = {RandomCrop(43, 58).sample(rng, frame) for _ in range(300)}
    assert corners == {(top, left) for top in range(3) for left in range(3)}
    crop = RandomResizedCrop(20, 30, scale=(0.4, 1.0))
    windows = np.array([crop.sample(rng, frame) for _ in range(300)])
    top, left, height, width = windows.T
    assert (windows >= 0).all()
    assert (top + height).max() <= 45
    assert (left + width).max() <= 60
    assert abs(height - width * 20 / 30).max() <= 1
    # the largest window of aspect 2:3 is 40x60
    assert 16 <= height.min() < 19
    assert 38 < height.max() <= 40
    assert crop(frame, rng).image.shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resize(0, 5), "0x5"),
        (lambda: Crop(0, 20, 45, 50)(plane()), "columns 20:70"),
        (lambda: Crop(-1, 0, 5, 5)(plane()), "rows -1:4"),
        (lambda: CentreCrop(46, 60)(plane()), "46x60 does not fit"),
        (lambda: RandomCrop(45, 61)(plane()), "45x61 does not fit"),
        (lambda: RandomResizedCrop(5, 5, scale=(0.0, 1.0)), "scale"),
        (lambda: Pad(0, 0, -1, 0), "negative"),
        (lambda: HorizontalFlip(1.5), "probability"),
        (lambda: ColourJitter(hue=0.6), "hue 0.6"),
        (lambda: ColourJitter(brightness=-0.1), "brightness -0.1"),
        (lambda: SensorJitter(1.5), "strength 1.5"),
        (lambda: LightJitter(-0.1), "strength -0.1"),
    ],
)
def test_impossible_options(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


# ---- chance


CHAIN = Compose([
    RandomResizedCrop(20, 30), HorizontalFlip(), LightJitter(), ColourJitter(0.4, 0.4, 0.4, 0.2), SensorJitter(0.5),
])  # fmt: skip


def test_the_same_seed_gives_the_same_frame() -> None:
    one, two, three = (CHAIN(plane(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert_same(one, two)
    assert not np.array_equal(one.image, three.image)


def test_frames_of_a_clip_change_alike() -> None:
    first, second = plane(), plane(seed=1)
    clip = CHAIN(Clip([first, second, first]), np.random.default_rng(3))
    assert isinstance(clip, Clip)
    assert_same(clip[0], clip[2])
    # alone, with the same draws, the second frame becomes what it became in the clip; but black is the first frame's
    others = Compose([each for each in CHAIN.transforms if not isinstance(each, LightJitter)])
    together = others(Clip([first, second, first]), np.random.default_rng(3))
    assert_same(together[1], others(second, np.random.default_rng(3)))


def test_a_flip_is_as_probable_as_said() -> None:
    rng, flip = np.random.default_rng(0), HorizontalFlip(0.3)
    assert np.mean([flip.sample(rng, plane()) for _ in range(500)]) == pytest.approx(0.3, abs=0.06)


# ---- colour


def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((3, 20, 30), np.float32))


def test_zero_strength_changes_nothing() -> None:
    frame = plane()
    after = ColourJitter(0, 0, 0, 0)(frame, np.random.default_rng(0))
    np.testing.assert_array_equal(after.image, frame.image)


def test_colour_jitter_changes_the_image_only() -> None:
    frame = plane()
    after = ColourJitter()(frame, np.random.default_rng(0))
    assert not np.array_equal(after.image, frame.image)
    assert (after.depth, after.camera, after.pose is frame.pose, after.mask is frame.mask) == (
        frame.depth,
        frame.camera,
        True,
        True,
    )
    assert after.image.min() >= 0
    assert after.image.max() <= 1


def test_another_camera_changes_the_image_only() -> None:
    frame = plane()
    unchanged = SensorJitter(0)(frame, np.random.default_rng(0))
    np.testing.assert_allclose(unchanged.image, frame.image, atol=1e-6)
    rng, jitter = np.random.default_rng(0), SensorJitter(1.0)
    cameras = [jitter.sample(rng, frame) for _ in range(300)]
    assert 0.5 <= min(c.gamma for c in cameras) < 0.55
    assert 1.8 < max(c.gamma for c in cameras) <= 2
    assert np.mean([c.blur == 0 for c in cameras]) == pytest.approx(0.5, abs=0.1)
    assert 1.8 < max(c.blur for c in cameras) <= 2
    assert 0.07 < max(c.noise for c in cameras) <= 0.08
    assert np.mean([c.grey for c in cameras]) == pytest.approx(0.2, abs=0.08)
    for camera in (T.Taken(2.0, 0, 0, False, 0), T.Taken(1.0, 0, 0, True, 0), T.Taken(1.0, 1.5, 0.05, False, 3)):
        after = jitter.apply(frame, camera)
        assert (after.depth, after.camera, after.mask is frame.mask) == (frame.depth, frame.camera, True)
        assert after.image.min() >= 0
        assert after.image.max() <= 1
        if camera.gamma == 2:
            np.testing.assert_allclose(after.image, frame.image**2, atol=1e-6)
        if camera.grey:
            np.testing.assert_array_equal(after.image[..., 0], after.image[..., 2])


def test_jitter_draws_within_its_strengths_in_every_order() -> None:
    rng, jitter = np.random.default_rng(0), ColourJitter(0.2, 0.3, 1.4, 0.1)
    draws = [jitter.sample(rng, plane()) for _ in range(200)]
    assert len({tuple(name for name, _ in draw) for draw in draws}) == 24
    ranges = {"brightness": (0.8, 1.2), "contrast": (0.7, 1.3), "saturation": (0.0, 2.4), "hue": (-0.1, 0.1)}
    for name, (low, high) in ranges.items():
        amounts = [dict(draw)[name] for draw in draws]
        assert low <= min(amounts) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(amounts) <= high


@pytest.mark.parametrize("turns", [-0.5, -0.1, 0.0, 1 / 3, 0.25])
def test_hue_is_colorsys(turns: float) -> None:
    image = images()
    image[:, 0, :3] = torch.tensor([[0.0, 1.0, 0.4]] * 3)  # black, white, grey
    image[:, 0, 3:6] = torch.eye(3)
    ours = T.adjust_hue(image, turns).permute(1, 2, 0).reshape(-1, 3).numpy()
    for pixel, result in zip(image.permute(1, 2, 0).reshape(-1, 3).tolist(), ours, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        np.testing.assert_allclose(result, colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value), atol=1e-5)


def test_a_third_of_a_turn_rotates_the_channels() -> None:
    image = images()
    torch.testing.assert_close(T.adjust_hue(image, 1 / 3), image[[2, 0, 1]])


def test_brightness_contrast_saturation() -> None:
    image = images() * 0.4 + 0.3
    grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    torch.testing.assert_close(T.adjust_brightness(image, 0.5), image / 2)
    torch.testing.assert_close(T.adjust_saturation(image, 0.0), grey.expand(3, -1, -1))
    torch.testing.assert_close(T.adjust_contrast(image, 0.0), grey.mean().expand(3, 20, 30))
    # the spread about the mean luminance scales with the factor
    torch.testing.assert_close(T.adjust_contrast(image, 0.5) - grey.mean(), (image - grey.mean()) * 0.5)
    assert T.adjust_brightness(image, 9.0).max() == 1
    batch = torch.stack((image, image / 2))
    torch.testing.assert_close(T.adjust_contrast(batch, 1.3)[1], T.adjust_contrast(image / 2, 1.3))


def surfaces(frame: Frame) -> Frame:
    """The frame with everything else a renderer knows."""
    rng = np.random.default_rng(3)
    normals = rng.normal(size=(*frame.image.shape[:2], 3))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    return frame.replace(
        normals=normals,
        reflective=rng.random(frame.image.shape[:2]) < 0.2,
        semantics=rng.integers(0, 5, frame.image.shape[:2]),
    )


def test_what_is_known_of_surfaces_moves_along() -> None:
    frame = surfaces(plane())
    cropped = Crop(2, 3, 20, 30)(frame)
    resized, padded = Resize(23, 31)(frame), Pad(1, 2, 3, 4)(frame)
    rows, columns = ((np.arange(n) * 2 + 1) * o // (2 * n) for n, o in ((23, 45), (31, 60)))
    for name in ("normals", "reflective", "semantics"):
        before = getattr(frame, name)
        np.testing.assert_array_equal(getattr(cropped, name), before[2:22, 3:33])
        np.testing.assert_array_equal(getattr(resized, name), before[np.ix_(rows, columns)])
        np.testing.assert_array_equal(getattr(padded, name)[1:-2, 3:-4], before)


def test_a_mirror_turns_normals_round() -> None:
    frame = surfaces(plane())
    flipped = HorizontalFlip(1.0)(frame)
    np.testing.assert_array_equal(flipped.normals, frame.normals[:, ::-1] * np.float32([-1, 1, 1]))
    np.testing.assert_array_equal(flipped.semantics, frame.semantics[:, ::-1])
    again = HorizontalFlip(1.0)(flipped)
    np.testing.assert_array_equal(again.normals, frame.normals)


def test_flow_is_stretched_with_the_image_and_turned_with_it() -> None:
    rng = np.random.default_rng(5)
    frame = plane()
    frame = frame.replace(forward_flow=rng.normal(size=(*frame.image.shape[:2], 2)), backward_flow=None)
    height, width = frame.image.shape[:2]
    resized, flipped = Resize(height * 2, width * 3)(frame), HorizontalFlip(1.0)(frame)
    np.testing.assert_allclose(resized.forward_flow[::2, ::3], frame.forward_flow * np.float32([3, 2]), rtol=1e-6)
    np.testing.assert_array_equal(flipped.forward_flow, frame.forward_flow[:, ::-1] * np.float32([-1, 1]))
    np.testing.assert_array_equal(Crop(2, 3, 20, 30)(frame).forward_flow, frame.forward_flow[2:22, 3:33])


def test_diffuse_times_residual_stays_the_image() -> None:
    frame = plane()
    diffuse = np.random.default_rng(6).uniform(0.2, 0.9, frame.image.shape)
    frame = frame.replace(diffuse=diffuse, residual=frame.image / diffuse)
    for transform in (Resize(23, 31), Resize(90, 120), Crop(2, 3, 20, 30), HorizontalFlip(1.0)):
        moved = transform(frame)
        np.testing.assert_allclose(moved.diffuse * moved.residual, moved.image, atol=1e-5)


@given(st.integers(0, 1000), st.sampled_from(["metric-depth", "scale-invariant-disparity"]))
@settings(max_examples=20, deadline=None)
def test_no_point_of_sparse_depth_is_lost_but_those_behind_others(seed, kind):
    rng = np.random.default_rng(seed)
    old, new = (48, 60), (16, 15)
    known = rng.random(old) < 0.05
    values = np.where(known, rng.uniform(1, 9, old), 0).astype(np.float32)
    depth = DepthMap(values, kind, "m" if "metric" in kind else "arbitrary", known)
    resized = Resize(*new)(Frame(np.zeros((*old, 3), np.float32), depth)).depth
    blocks, there = (each.reshape(16, 3, 15, 4).swapaxes(1, 2).reshape(*new, 12) for each in (values, known))
    np.testing.assert_array_equal(resized.valid, there.any(axis=2))
    nearest = np.where(there, blocks, np.inf).min(axis=2) if "depth" in kind else blocks.max(axis=2)
    np.testing.assert_array_equal(resized.values[resized.valid], nearest[resized.valid])


def test_another_light_changes_the_image_only() -> None:
    frame = plane()
    unchanged = LightJitter(0)(frame, np.random.default_rng(0))
    np.testing.assert_allclose(unchanged.image, frame.image, atol=1e-6)
    rng, jitter = np.random.default_rng(0), LightJitter(1.0)
    pale = frame.replace(image=0.4 + 0.5 * frame.image[..., :1].repeat(3, axis=2))
    darkest = np.quantile(pale.image[::2, ::2, 0], 0.02)
    lights = [jitter.sample(rng, pale) for _ in range(300)]
    assert 0 <= min(light.black for light in lights) < 0.05 * darkest
    assert 0.95 * darkest < max(light.black for light in lights) <= darkest * 1.0001
    assert 1.9 < max(light.stops for light in lights) <= 2
    flat = ((0.0, 0.0, 0.0),)
    dark = jitter.apply(pale, T.Lit(float(darkest), 0.0, flat))
    assert (dark.depth, dark.camera, dark.mask is frame.mask) == (frame.depth, frame.camera, True)
    assert 0.01 < (dark.image.mean(axis=2) == 0).mean() < 0.05, "the darkest two in a hundred are black"
    grey = frame.replace(image=np.full_like(frame.image, 0.6))
    lit, other = jitter((pale, grey), np.random.default_rng(1)), jitter(grey, np.random.default_rng(1))
    expected = jitter.apply(grey, jitter.sample(np.random.default_rng(1), pale))
    np.testing.assert_array_equal(lit[1].image, expected.image)
    assert lit[1].image.mean() > other.image.mean(), "black is the first frame's for all of a clip"
    # Half a wave over the width: from a hill of one stop, which raises sRGB by about its root, to a valley.
    even = Frame(np.full((32, 64, 3), 0.25, np.float32))
    wave = jitter.apply(even, T.Lit(0.0, 1.0, ((0.5, 0.0, 0.0),))).image
    np.testing.assert_allclose(wave[:, 0], 0.25 * 2**0.5, rtol=1e-5)
    np.testing.assert_allclose(wave[:, -1], 0.25 / 2**0.5, rtol=1e-5)
    assert (np.diff(wave[0, :, 0]) < 0).all()
