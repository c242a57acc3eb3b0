from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from leadline.camera import Camera, Fisheye, Omnidirectional, Pinhole, RadialTangential
from leadline.geometry import poses
from leadline.geometry.warp import destination, follow, sample, synthesise

CAMERAS = [
    Pinhole(32, 24, 25.0, 27.0, 15.0, 12.0),
    RadialTangential(32, 24, 25.0, 27.0, 15.0, 12.0, -0.2, 0.05, 0.002, -0.003, 0.01),
    Fisheye(32, 24, 20.0, 21.0, 15.0, 12.0, 0.05, -0.01, 0.003, -0.001),
    Omnidirectional(32, 24, 15.5, 11.5, 20.0, -0.02, 4e-4, -1.6e-5, 1.01, 0.01, -0.02),
]
RNG = np.random.default_rng(0)


def test_whole_pixels_come_back_as_they_are():
    image = torch.rand(2, 3, 6, 9)
    v, u = torch.meshgrid(torch.arange(6.0), torch.arange(9.0), indexing="ij")
    uv = torch.stack([u, v], dim=-1).expand(2, 6, 9, 2)
    torch.testing.assert_close(sample(image, uv), image)


def test_between_pixels_it_agrees_with_opencv():
    image = RNG.random((12, 15, 3)).astype(np.float32)
    uv = RNG.uniform((-3, -3), (18, 15), (20, 10, 2)).astype(np.float32)
    expected = cv2.remap(image, uv, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found = sample(torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(uv)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(found.numpy(), expected, atol=0.02)  # OpenCV rounds to 1/32 of a pixel


def test_what_is_not_finite_harms_nothing():
    uv = torch.full((1, 2, 2, 2), torch.nan)
    uv[..., 1, :] = torch.inf
    assert torch.isfinite(sample(torch.rand(1, 1, 4, 4), uv)).all()


def test_a_flow_of_whole_pixels_moves_the_image():
    image = torch.rand(2, 3, 6, 9)
    flow = torch.tensor([2.0, -1.0])[None, :, None, None].expand(2, 2, 6, 9)
    assert destination(flow)[0, 4, 3].tolist() == [5.0, 3.0]
    torch.testing.assert_close(follow(image, flow)[..., 1:, :-2], image[..., :-1, 2:])


MOTION = poses.compose(Rotation.from_rotvec([0.03, -0.06, 0.05]).as_matrix(), np.array([0.15, -0.1, -0.2]))
NORMAL, OFFSET = np.array([0.1, -0.2, 1.0]), 3.0


def painted(points: np.ndarray) -> np.ndarray:
    """(..., 3) colours of a plane's points: smooth, and different everywhere."""
    x, y = points[..., 0] / 2, points[..., 1] / 2
    return 0.5 + 0.4 * np.stack([np.sin(2 * x + y), np.cos(x - 2 * y), np.sin(x) * np.cos(y)], axis=-1)


def views(camera: Camera, source: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """Depth (1, 1, H, W) and image of a plane in one camera, and its image in another, by intersecting rays."""
    depth = OFFSET / (camera.rays() @ NORMAL)
    normal = MOTION[:3, :3] @ NORMAL
    there = (OFFSET + normal @ MOTION[:3, 3]) / (source.rays() @ normal)
    moved = poses.transform(poses.invert(MOTION), source.rays() * there[..., None])
    images = painted(camera.rays() * depth[..., None]), painted(moved)
    return torch.from_numpy(depth)[None, None], *(torch.from_numpy(i).permute(2, 0, 1)[None] for i in images)


@pytest.mark.parametrize("source", CAMERAS, ids=lambda c: c.model)
@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_a_view_is_made_of_its_neighbour_whatever_the_cameras(camera, source):
    depth, wanted, image = views(camera, source)
    made, valid, z, uv = synthesise(image, depth, camera, torch.from_numpy(MOTION)[None], source)
    assert made.shape == wanted.shape
    assert uv.shape == (1, 24, 32, 2)
    inside = (valid & (uv > 1).all(-1)[:, None] & (uv < torch.tensor([30, 22])).all(-1)[:, None])[:, 0]
    assert inside.float().mean() > 0.25
    error = (made - wanted).abs().amax(1)[inside]
    assert error.max() < 0.02
    assert (image - wanted).abs().amax(1)[inside].mean() > 5 * error.mean(), "without moving it does not fit"
    assert (z[valid] > 2).all()


def test_views_of_a_batch_are_those_of_its_images():
    cameras = [CAMERAS[3], CAMERAS[3].flip()]
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(2, 3, 24, 32, generator=generator)
    depth = 2 + torch.rand(2, 1, 24, 32, generator=generator)
    motion = torch.from_numpy(np.stack([MOTION, poses.invert(MOTION)])).float()
    together = synthesise(source, depth, Camera.stack(cameras), motion)
    for i, camera in enumerate(cameras):
        alone = synthesise(source[i : i + 1], depth[i : i + 1], camera, motion[i : i + 1])
        assert torch.equal(together[1][i : i + 1], alone[1])
        torch.testing.assert_close(together[0][i : i + 1], alone[0], atol=1e-4, rtol=1e-4)


def test_unknown_depth_and_pixels_without_a_ray_are_not_valid_and_harm_no_gradient():
    camera = Omnidirectional(8, 8, 3.5, 3.5, 3.0, -0.2)
    assert np.isnan(camera.rays()[0, 0]).all()
    depth = torch.ones(1, 1, 8, 8)
    depth[..., 4, 3:5] = torch.tensor([torch.nan, -1.0])
    depth.requires_grad_()
    image, valid, *_ = synthesise(torch.rand(1, 3, 8, 8), depth, camera, torch.eye(4)[None])
    assert not valid[..., 4, 3:5].any()
    assert not valid[..., 0, 0]
    assert valid.any()
    image.sum().backward()
    assert torch.isfinite(depth.grad).all()


def test_gradients_of_a_view_are_those_of_differences():
    generator = torch.Generator().manual_seed(1)
    source = torch.rand(1, 2, 5, 6, generator=generator, dtype=torch.float64)
    depth = (2 + torch.rand(1, 1, 5, 6, generator=generator, dtype=torch.float64)).requires_grad_()
    motion = torch.from_numpy(MOTION)[None].requires_grad_()
    lens = torch.tensor([[5.0, 5.2, 2.4, 2.1]], dtype=torch.float64, requires_grad=True)

    def view(depth: Tensor, motion: Tensor, lens: Tensor) -> Tensor:
        return synthesise(source, depth, Pinhole(6, 5, *lens[..., None, None].unbind(1)), motion)[0]

    torch.autograd.gradcheck(view, (depth, motion, lens))
    for camera in (c.resize(5, 6) for c in CAMERAS[1:]):
        torch.autograd.gradcheck(lambda d, m, c=camera: synthesise(source, d, c, m)[0], (depth, motion))


def test_gradients_of_following_a_flow_are_those_of_differences():
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, 2, 5, 6, generator=generator, dtype=torch.float64).requires_grad_()
    flow = torch.randn(1, 2, 5, 6, generator=generator, dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(follow, (image, flow))
