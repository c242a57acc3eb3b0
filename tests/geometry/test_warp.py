from __future__ import annotations

import cv2
import numpy as np
import torch

from leadline.geometry.warp import sample

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
