from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.depth import Kind
from leadline.losses.normalise import affine_normalised, masked_median, normalised_pair


def test_median_is_the_lower_middle_value_of_the_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 1, 6, 7, generator=generator)
    mask = torch.rand(4, 1, 6, 7, generator=generator) < torch.tensor([0.2, 0.5, 0.9, -1.0]).view(4, 1, 1, 1)
    found = masked_median(values, mask).flatten().tolist()
    for i in range(3):
        ordered = np.sort(values[i][mask[i]].numpy())
        assert found[i] == ordered[(len(ordered) - 1) // 2]
    assert found[3] == 0


def test_affine_maps_have_median_zero_and_mean_deviation_one() -> None:
    values = torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(1))
    mask = values > 0.2
    normal = affine_normalised(values, mask)
    torch.testing.assert_close(masked_median(normal, mask).flatten(), torch.zeros(2))
    for image, valid in zip(normal, mask, strict=True):
        assert image[valid].abs().mean().item() == pytest.approx(1, rel=1e-5)
        assert (image[~valid] == 0).all()


ALL = torch.ones(1, 1, 1, 3, dtype=torch.bool)
STUDENT = torch.tensor([1.0, 2.0, 8.0]).view(1, 1, 1, 3)
TEACHER = torch.tensor([3.0, 6.0, 12.0]).view(1, 1, 1, 3)


@pytest.mark.parametrize(
    ("kind", "student", "teacher"),
    [
        ("metric-depth", np.log([1, 2, 8]), np.log([3, 6, 12])),
        ("scale-invariant-depth", np.log([3, 6, 24]), np.log([3, 6, 12])),
        ("metric-disparity", -np.log([1, 2, 8]), -np.log([3, 6, 12])),
        ("scale-invariant-disparity", -np.log([3, 6, 24]), -np.log([3, 6, 12])),
        ("affine-invariant-depth", np.array([-1, 0, 6]) * 3 / 7, np.array([-1, 0, 2])),
        ("affine-invariant-disparity", np.array([-1, 0, 6]) * 3 / 7, np.array([-1, 0, 2])),
    ],
)
def test_each_kind_is_brought_to_what_it_knows(kind: str, student: np.ndarray, teacher: np.ndarray) -> None:
    found = normalised_pair(STUDENT, TEACHER, ALL, Kind.parse(kind))
    np.testing.assert_allclose(found[0].flatten(), student, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[1].flatten(), teacher, rtol=1e-6, atol=1e-6)


def test_a_sky_of_disparity_zero_stays_finite_and_as_far_at_every_scale() -> None:
    disparity = torch.tensor([0.0, -0.1, 1.0, 2.0, 3.0]).view(1, 1, 1, 5)
    mask = torch.ones_like(disparity, dtype=torch.bool)
    kind = Kind("disparity", "scale")
    found, _ = normalised_pair(100 * disparity, disparity, mask, kind)
    np.testing.assert_allclose(found.flatten(), -np.log([1e-3, 1e-3, 1, 2, 3]), rtol=1e-5, atol=1e-6)


def test_half_precision_is_raised() -> None:
    found = normalised_pair(STUDENT.bfloat16(), TEACHER, ALL, Kind("depth", "scale"))
    assert [values.dtype for values in found] == [torch.float32, torch.float32]
