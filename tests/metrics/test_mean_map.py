from __future__ import annotations

import torch

from leadline.depth import Kind
from leadline.metrics.mean_map import MeanMap

ALL = torch.ones(2, 2, dtype=torch.bool)


def test_metric_depth_has_the_geometric_mean():
    mean = MeanMap(Kind.parse("metric-depth"))
    mean.add(torch.full((2, 2), 2.0), ALL)
    mean.add(torch.full((2, 2), 8.0), ALL)
    torch.testing.assert_close(mean.compute(), torch.full((2, 2), 4.0))


def test_what_is_not_known_does_not_count():
    maps = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    for kind, change in (
        ("scale-invariant-depth", lambda x: 9 * x),
        ("affine-invariant-disparity", lambda x: 3 * x + 4),
    ):
        one, two = MeanMap(Kind.parse(kind)), MeanMap(Kind.parse(kind))
        one.add(maps, ALL)
        two.add(change(maps), ALL)
        two.add(change(maps), ~ALL)
        torch.testing.assert_close(one.compute(), two.compute())


def test_pixels_that_are_not_valid_do_not_count():
    mean = MeanMap(Kind.parse("metric-depth"))
    valid = torch.tensor([[True, False], [True, True]])
    mean.add(torch.tensor([[2.0, torch.nan], [2.0, 2.0]]), valid)
    mean.add(torch.full((2, 2), 3.0), ALL)
    torch.testing.assert_close(mean.compute()[0, 1], torch.tensor(3.0))
    torch.testing.assert_close(mean.compute()[0, 0], torch.tensor(6.0).sqrt())


def test_a_pixel_that_was_never_valid_gets_the_mean_of_the_others():
    mean = MeanMap(Kind.parse("metric-depth"))
    mean.add(torch.tensor([[2.0, torch.nan], [8.0, 4.0]]), torch.tensor([[True, False], [True, True]]))
    torch.testing.assert_close(mean.compute()[0, 1], torch.tensor(4.0))
    assert MeanMap(Kind.parse("metric-depth")).compute().isnan()
