from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import leadline
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError
from leadline.foundation.base import DepthModel
from leadline.io.images import read_image
from leadline.runtime.calibration import Calibration
from leadline.runtime.motion import MOST, approach, grey, motion
from leadline.runtime.predictor import Predictor
from leadline.runtime.stabilise import Line, Stabiliser, Steadiness, stabilised

HEIGHT, WIDTH = 120, 160
AFFINE_DISPARITY = Kind("disparity", "affine")


def texture(seed: int, height: int = 2 * HEIGHT, width: int = 2 * WIDTH) -> np.ndarray:
    """Blobs of several sizes, grey (height, width) in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    layers = [
        torch.nn.functional.interpolate(
            torch.rand(1, 1, height // side, width // side, generator=random), (height, width), mode="bicubic"
        )
        for side in (4, 10, 30)
    ]
    return torch.stack(layers).mean(0)[0, 0].clamp(0, 1).numpy()


def view(scene: np.ndarray, down: int, right: int) -> np.ndarray:
    """What a camera sees that has gone so far: (HEIGHT, WIDTH, 3)."""
    part = scene[40 + down : 40 + down + HEIGHT, 40 + right : 40 + right + WIDTH]
    return np.repeat(part[..., None], 3, 2).astype(np.float32)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 2), (-3, 5), (20, -30)])
def test_flow_of_an_image_that_moves_as_a_whole(down, right):
    scene = texture(0)
    moved = motion(grey(view(scene, 0, 0)), grey(0.5 * view(scene, down, right) + 0.2))  # and the exposure changes
    edge = 40
    inner = moved.flow[:, edge:-edge, edge:-edge]
    assert (inner - torch.tensor([right, down])[:, None, None]).norm(dim=0).mean() < 0.15
    assert moved.trust[edge:-edge, edge:-edge].mean() > 0.9


def test_nothing_is_trusted_between_images_of_other_scenes_and_beyond_the_border():
    other = motion(grey(view(texture(0), 0, 0)), grey(view(texture(1), 0, 0)))
    assert other.trust.mean() < Steadiness().cut - 0.1  # far from what counts as a cut
    shifted = motion(grey(view(texture(0), 0, 0)), grey(view(texture(0), 0, 20)))
    assert shifted.trust[:, -15:].max() < 1e-6


def test_real_photographs_of_other_things_are_a_cut_and_a_video_is_none(real_data):
    def trusted(one, other):
        return float(motion(*(grey(read_image(path)) for path in (one, other))).trust.mean())

    photos = sorted((real_data / "photos").glob("*.jpg"))[:40]
    pairs = [pair for pair in pairwise(photos) if len({grey(read_image(path)).shape for path in pair}) == 1]
    assert len(pairs) > 3
    assert max(trusted(*pair) for pair in pairs) < Steadiness().cut
    video = [real_data / f"sevenscenes/seq-01/frame-{index:06d}.color.jpg" for index in range(0, 40, 5)]
    assert min(trusted(*pair) for pair in pairwise(video)) > Steadiness().cut + 0.2


def rigid(depth: torch.Tensor, focal: float, shift: np.ndarray, yaw: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact flow into the frame before, and log(depth before / depth now), of a camera that moves."""
    height, width = depth.shape
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    points = torch.stack((x / focal * depth, y / focal * depth, depth), -1)
    turn = torch.tensor([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]).float()
    before = points @ turn.T + torch.tensor(shift).float()
    flow = torch.stack((before[..., 0] / before[..., 2] * focal - x, before[..., 1] / before[..., 2] * focal - y))
    return flow, (before[..., 2] / depth).log()


@pytest.mark.parametrize(("shift", "yaw"), [((0, 0, 0.1), 0.0), ((0.05, 0, -0.05), 0.01), ((0, 0, 0), 0.02)])
def test_what_the_cameras_motion_does_to_depth(shift, yaw):
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 6, 8, generator=random)
    depth = 2 + 3 * torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")[0, 0]
    flow, truth = rigid(depth, 140.0, np.array(shift), yaw)
    flow[:, 20:50, 30:70] += 4  # something moves by itself
    one = torch.ones(HEIGHT, WIDTH)
    from leadline.runtime.motion import Motion

    found = approach(Motion(flow, one, one), 3 / depth, 140.0)
    assert (found - truth).abs().max() < 0.1 * truth.abs().max() + 1e-3
    assert found.abs().max() <= MOST


KINDS = ("scale-invariant-depth", "metric-depth", "scale-invariant-disparity", "affine-invariant-disparity")


def flickering(kind: str, frames: int = 24, noise: float = 0.1):
    """Images of a wall of ramps that moves sideways, what a model says of it, and what it should say up to its kind."""
    scene, random = texture(3), np.random.default_rng(0)
    rows, columns = np.mgrid[: scene.shape[0], : scene.shape[1]]
    depths = (3 + np.sin(rows / 25) + np.cos(columns / 30)).astype(np.float32)
    for index in range(frames):
        image, truth = view(scene, 0, index), view(depths, 0, index)[..., 0]
        coarse = torch.from_numpy(random.normal(0, noise, (1, 1, 5, 6)).astype(np.float32))
        bumps = torch.nn.functional.interpolate(coarse, truth.shape, mode="bicubic")[0, 0].numpy()
        said = truth * np.exp(bumps + random.normal(0, noise))
        if "disparity" in kind:
            said, truth = 1 / said, 1 / truth
        if "affine" in kind:
            said = said * np.exp(random.normal(0, noise)) + random.normal(0, noise) / 4
        yield image, DepthMap(said, kind, "m" if kind == "metric-depth" else "arbitrary"), truth


def unsteadiness(maps: list[np.ndarray], truths: list[np.ndarray]) -> float:
    """Mean change from frame to frame of what is wrong, after one line over the whole video."""
    gain, shift = np.polyfit(np.ravel(maps), np.ravel(truths), 1)
    wrong = np.array(maps) * gain + shift - np.array(truths)
    return float(np.abs(np.diff(wrong, axis=0)).mean() / np.mean(truths))


@pytest.mark.parametrize("kind", KINDS)
def test_flicker_goes_and_what_is_said_stays(kind):
    frames = list(flickering(kind))
    steady = [depth for _, depth in stabilised((image, depth) for image, depth, _ in frames)]
    truths = [truth for _, _, truth in frames]
    before = unsteadiness([depth.values for _, depth, _ in frames], truths)
    after = unsteadiness([depth.values for depth in steady], truths)
    assert after < 0.4 * before
    assert all(depth.kind == frames[0][1].kind and depth.unit == frames[0][1].unit for depth in steady)
    if "affine" not in kind:  # the scale is what the model says on the average
        ratios = [np.median(depth.values / truth) for depth, truth in zip(steady, truths, strict=True)]
        assert np.mean(ratios) == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_already_stays_as_it_is(kind):
    frames = list(flickering(kind, 12, noise=0.0))
    stabiliser = Stabiliser()
    for image, depth, truth in frames:
        steady = stabiliser(image, depth).values
        assert np.abs(steady - truth).mean() < 0.02 * np.abs(truth).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_cut_it_is_the_models_at_once(kind):
    stabiliser = Stabiliser()
    for image, depth, _ in flickering(kind, 8):
        stabiliser(image, depth)
    other = texture(9)
    plane = np.linspace(1, 9, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    cut = DepthMap(plane, kind, "m" if kind == "metric-depth" else "arbitrary")
    for index in range(3):
        steady = stabiliser(view(other, 0, index), cut)
        np.testing.assert_allclose(steady.values, plane, rtol=0.02, atol=0.02)


def test_nothing_smears_where_something_moves_in_front():
    """A near square passes a far wall: behind it the wall is as far as before, and the square as near."""
    wall, square = texture(1), texture(2)
    stabiliser = Stabiliser()
    for index in range(20):
        image, depth = view(wall, 0, 0), np.full((HEIGHT, WIDTH), 8, np.float32)
        where = (slice(40, 80), slice(20 + 4 * index, 60 + 4 * index))
        image[where], depth[where] = view(square, 0, 0)[:40, :40], 2
        steady = stabiliser(image, DepthMap(depth, "metric-depth", "m")).values
        wrong = np.abs(steady / depth - 1)
        wrong[:36] = wrong[84:] = 0
        assert np.mean(wrong[36:84] > 0.1) < 0.05, index


def test_validity_camera_and_type_are_kept_and_maps_without_any_depth_pass():
    from leadline.camera import Pinhole

    stabiliser = Stabiliser()
    camera = Pinhole.from_fov(WIDTH, HEIGHT, 70)
    for index in range(4):
        values = np.full((HEIGHT, WIDTH), 2 + 0.2 * index, np.float32)
        values[:10] = np.nan
        steady = stabiliser(view(texture(0), 0, index), DepthMap(values, "scale-invariant-depth", camera=camera))
        assert steady.camera == camera
        assert steady.values.dtype == np.float32
        assert not steady.valid[:10].any()
        assert steady.valid[10:].all()
    nothing = DepthMap(np.full((HEIGHT, WIDTH), np.nan), "scale-invariant-depth")
    assert stabiliser(view(texture(0), 0, 4), nothing) is nothing
    assert stabiliser(np.zeros((64, 80, 3)), DepthMap(np.ones((64, 80)), "metric-depth", "m")).shape == (64, 80)


def test_lines_carry_what_they_aligned():
    values = torch.tensor([1.0, 2.0, 5.0])
    one, other = Line(0.3, -1.0), Line(-0.2, 0.5)
    torch.testing.assert_close(one.carry(one(values), other), other(values))


def test_a_predictor_streams_steady_maps_and_refuses_what_sees_video(bright_teacher):
    plain = leadline.load(str(bright_teacher))
    steady = Predictor(plain.model, steadiness=Steadiness())
    images = [np.clip(view(texture(0), 0, 0) * (1 + 0.3 * (-1) ** index), 0, 1) for index in range(8)]
    spreads = [np.ptp([np.median(d.values) for _, d in predictor.stream(images)][3:]) for predictor in (plain, steady)]
    assert spreads[1] < 0.5 * spreads[0]
    model = type("Remembers", (), {"remembers": True, "name": "video model"})()
    with pytest.raises(ConfigError, match="video model: sees video and is steady by itself"):
        Predictor(model, steadiness=Steadiness())


class Flickering(DepthModel):
    """Disparity of one scene that never moves, whose scale and shift are others at every image."""

    name, licence, digest, kind, unit = "flickering", "mit", "flickering", AFFINE_DISPARITY, "arbitrary"

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def infer(self, images: torch.Tensor) -> torch.Tensor:
        gain, shift = np.exp(self.random.normal(0, 0.1)), self.random.normal(0, 0.05)
        return gain * torch.linspace(0.1, 1, images.shape[-1]).expand(len(images), *images.shape[-2:]) + shift


def test_what_flickers_is_made_steady_before_it_is_calibrated():
    """The shift of disparity, which metric depth no longer shows as a shift."""
    line = Calibration("flickering", "flickering", str(AFFINE_DISPARITY), "disparity", 0.5, 0.1, "m")
    images = [view(texture(0), 0, 0)] * 16
    spreads = []
    for steadiness in (None, Steadiness()):
        maps = [d for _, d in Predictor(Flickering(), calibration=line, steadiness=steadiness).stream(images)][4:]
        assert all(str(depth.kind) == "metric-depth" and depth.unit == "m" for depth in maps)
        spreads.append(np.stack([depth.values for depth in maps]).std(0) / maps[0].values)
    assert (spreads[1] < 0.1 * spreads[0]).all()


def test_real_frames_of_a_real_network_are_steadier(real_data):
    """40 frames of 7-Scenes by FastDepth: less temporal alignment error than by itself, more than the truth has."""
    from pathlib import Path

    from leadline.data.sevenscenes import SevenScenes
    from leadline.metrics.temporal import temporal_alignment

    card = Path(__file__).parents[2] / "benchmarks" / "cards" / "fast_depth_224.card.yaml"
    pytest.importorskip("openvino")
    model = leadline.load(str(real_data / "peers" / "fast_depth_224.tflite"), threads=1, card=card).model
    data = SevenScenes(real_data / "sevenscenes", split="all")
    frames = [data[index] for index in range(100, 124)]
    small = [(frame.image[::2, ::2], frame.depth.values[::2, ::2], frame.depth.valid[::2, ::2]) for frame in frames]
    camera = frames[0].camera.fit(320, 240)

    def tae(maps: list[np.ndarray]) -> float:
        scale = np.median(np.array([truth for _, truth, _ in small])) / np.median(maps)
        pairs = range(8, len(maps) - 1, 3)
        return float(
            np.mean([
                temporal_alignment(
                    [scale * maps[index], scale * maps[index + 1]], [small[index][2], small[index + 1][2]],
                    [camera, camera], [frames[index].pose, frames[index + 1].pose],
                ).tae
                for index in pairs
            ])
        )  # fmt: skip

    raw = [depth.values for _, depth in Predictor(model).stream(image for image, _, _ in small)]
    steady = [
        depth.values for _, depth in Predictor(model, steadiness=Steadiness()).stream(image for image, _, _ in small)
    ]
    truth = tae([np.where(valid, values, 1).astype(np.float32) for _, values, valid in small])
    assert truth < tae(steady) < 0.6 * tae(raw)
