from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from leadline.losses.intrinsic import GRID, contrast, cross_reconstruction, reconstruction, sparsity
from leadline.losses.photometric import photometric_error


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def everywhere(values: Tensor) -> Tensor:
    return torch.ones_like(values[:, :1], dtype=torch.bool)


def test_a_decomposition_that_multiplies_back_costs_nothing():
    diffuse, residual = 0.1 + 0.4 * noise(2, 3, 12, 16), noise(2, 3, 12, 16, seed=1) - 0.5
    image = diffuse * residual.exp()
    assert reconstruction(diffuse, residual, image, everywhere(image)).item() == pytest.approx(0, abs=1e-12)
    brighter = reconstruction(diffuse, residual + 0.3, image, everywhere(image))
    assert brighter > 0.01


def test_reconstruction_is_the_mean_error_of_the_product_over_the_mask():
    diffuse, residual, image = noise(2, 3, 12, 16), noise(2, 3, 12, 16, seed=1), noise(2, 3, 12, 16, seed=2)
    mask = noise(2, 1, 12, 16, seed=3) > 0.4
    error = photometric_error(diffuse * residual.exp(), image)
    expected = torch.stack([error[each][mask[each]].mean() for each in range(2)]).mean()
    torch.testing.assert_close(reconstruction(diffuse, residual, image, mask), expected)


def test_across_views_the_source_decides_that_explains_a_pixel_best():
    """Independent: the error of every source, the least of those that show the pixel."""
    diffuse, residual = 0.2 + 0.6 * noise(2, 3, 3, 12, 16), noise(2, 3, 12, 16, seed=1) - 0.5
    image, shown = noise(2, 3, 12, 16, seed=2), noise(2, 3, 12, 16, seed=3) > 0.5
    errors = torch.cat([photometric_error(diffuse[:, s] * residual.exp(), image) for s in range(3)], dim=1)
    least = errors.masked_fill(~shown, math.inf).amin(dim=1)
    expected = torch.stack([least[each][shown[each].any(dim=0)].mean() for each in range(2)]).mean()
    torch.testing.assert_close(cross_reconstruction(diffuse, residual, image, shown), expected)


def test_what_one_source_does_not_explain_costs_nothing_where_another_does():
    diffuse, residual = 0.1 + 0.4 * noise(1, 3, 12, 16), noise(1, 3, 12, 16, seed=1) - 0.5
    image = diffuse * residual.exp()
    other = torch.stack((diffuse, torch.full_like(diffuse, 0.9)), dim=1)
    everything = torch.ones(1, 2, 12, 16, dtype=torch.bool)
    assert cross_reconstruction(other, residual, image, everything).item() == pytest.approx(0, abs=1e-12)
    assert cross_reconstruction(other[:, 1:], residual, image, everything[:, 1:]) > 0.1


def test_a_texture_is_kept_in_the_diffuse_image_by_sparsity_alone():
    """Seen from everywhere alike, an image without texture reconstructs as well as the true one; it costs more."""
    image = 0.2 + 0.6 * noise(1, 3, 12, 16)
    shown = torch.ones(1, 1, 12, 16, dtype=torch.bool)
    flat = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
    costs = {}
    for name, diffuse in (("own", image), ("flat", flat)):
        residual = image.log() - diffuse.log()
        assert cross_reconstruction(diffuse[:, None], residual, image, shown).item() == pytest.approx(0, abs=1e-9)
        costs[name] = sparsity(residual, everywhere(image)).item()
    assert costs["own"] == 0
    assert costs["flat"] == pytest.approx((image.log() - flat.log()).abs().mean().item())


def test_contrast_is_a_hinge_on_the_distance_of_pairs():
    """Uniform images: log L is the same in all 3 * 24 * 32 cells, so distances are known."""
    levels = [0.5, 0.5 * math.exp(0.05), 0.5 * math.exp(0.2)]
    diffuse = torch.stack([torch.full((3, 48, 64), level, dtype=torch.float64) for level in levels])
    cells = math.sqrt(3 * GRID[0] * GRID[1])
    expected = sum(max(0.0, 5 - cells * step) for step in (0.05, 0.15, 0.2)) / 3
    assert contrast(diffuse).item() == pytest.approx(expected)


def test_images_that_are_far_apart_are_left_alone_and_equal_ones_are_not():
    one, other = 0.01 + 0.98 * noise(1, 3, 48, 64), 0.01 + 0.98 * noise(1, 3, 48, 64, seed=1)
    assert contrast(torch.cat((one, 0.2 * other))).item() == 0
    assert contrast(torch.cat((one, one))).item() == 5
    white = torch.ones(4, 3, 48, 64, dtype=torch.float64)
    assert contrast(white).item() == 5


def test_a_single_image_has_nothing_to_differ_from():
    image = noise(1, 3, 24, 32).requires_grad_()
    loss = contrast(image)
    loss.backward()
    assert loss.item() == 0
    assert not image.grad.any()


def test_gradients_are_those_of_differences():
    diffuse, residual = (
        (0.2 + 0.5 * noise(2, 3, 5, 6)).requires_grad_(),
        (noise(2, 3, 5, 6, seed=1) - 0.5).requires_grad_(),
    )
    image = noise(2, 3, 5, 6, seed=2)
    assert gradcheck(lambda a, b: reconstruction(a, b, image, everywhere(image)), (diffuse, residual))
    sources, shown = torch.stack((diffuse, 1 - diffuse), dim=1), noise(2, 2, 5, 6, seed=3) > 0.3
    assert gradcheck(
        lambda a, b: cross_reconstruction(a, b, image, shown), (sources.detach().requires_grad_(), residual)
    )
    assert gradcheck(lambda a: sparsity(a, everywhere(image)), residual)
    assert gradcheck(lambda a: contrast(a, margin=50, grid=(2, 3)), diffuse)


def test_equal_images_have_a_finite_gradient():
    images = noise(1, 3, 24, 32).repeat(2, 1, 1, 1).requires_grad_()
    contrast(images).backward()
    assert images.grad.isfinite().all()
