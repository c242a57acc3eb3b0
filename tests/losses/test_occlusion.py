from __future__ import annotations

import math

import numpy as np
import torch

from leadline.losses.occlusion import range_map, visible_by_consistency, visible_by_range

#: A square that stood in columns 2 and 3 of the other image and stands in 5 and 6 of this one, before a still wall.
SIZE = 4, 9
BACKWARD, FORWARD = torch.zeros(2, 1, 2, *SIZE)
BACKWARD[:, 0, 1:3, 2:4] = 3.0
FORWARD[:, 0, 1:3, 5:7] = -3.0


def counted(flow: np.ndarray) -> np.ndarray:
    """The sum over all pixels as it is written down."""
    height, width = flow.shape[1:]
    found = np.zeros((height, width))
    for v in range(height):
        for u in range(width):
            at_u, at_v = u + flow[0, v, u], v + flow[1, v, u]
            for row in range(height):
                for column in range(width):
                    found[row, column] += max(0, 1 - abs(at_u - column)) * max(0, 1 - abs(at_v - row))
    return found


def test_the_range_map_is_the_sum_it_is_said_to_be():
    flow = np.random.default_rng(0).normal(0, 2, (2, 2, 5, 6))
    found = range_map(torch.from_numpy(flow))
    for i in range(2):
        np.testing.assert_allclose(found[i, 0].numpy(), counted(flow[i]), atol=1e-12)


def test_nothing_moved_and_all_is_seen():
    still = torch.zeros(2, 2, 5, 7)
    assert torch.equal(range_map(still), torch.ones(2, 1, 5, 7))
    assert visible_by_range(still).all()
    assert visible_by_consistency(still, still).all()


def test_what_the_square_uncovers_was_hidden_in_the_other_image():
    hidden = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    hidden[..., 1:3, 2:4] = True
    assert torch.equal(visible_by_range(BACKWARD), ~hidden)
    assert torch.equal(visible_by_consistency(FORWARD, BACKWARD), ~hidden)
    assert (range_map(BACKWARD)[..., 1:3, 5:7] == 2).all()  # the wall and the square land here
    # The other way round it is the square's new place that the other image does not show the wall of.
    assert torch.equal(visible_by_range(FORWARD)[0, 0].nonzero(), (~hidden.roll(3, dims=-1))[0, 0].nonzero())


def test_what_enters_at_the_border_is_not_seen_in_the_other_image():
    right = torch.zeros(1, 2, 4, 6)
    right[:, 0] = 2.0
    seen = visible_by_range(right)
    assert not seen[..., :2].any()
    assert seen[..., 2:].all()


def test_the_threshold_is_on_the_share_that_lands():
    half = torch.zeros(1, 2, 1, 4)
    half[:, 0] = 0.25
    assert range_map(half).flatten().tolist() == [0.75, 1.0, 1.0, 1.0]
    assert visible_by_range(half, 0.7).all()
    assert visible_by_range(half).flatten().tolist() == [False, True, True, True]


def test_flow_that_is_not_finite_or_leads_far_away_lands_nowhere():
    flow = torch.zeros(1, 2, 3, 4)
    flow[0, :, 1, 1] = math.nan
    flow[0, 0, 1, 2] = math.inf
    flow[0, 1, 1, 3] = 1e30
    expected = torch.ones(3, 4)
    expected[1, 1:] = 0
    assert torch.equal(range_map(flow)[0, 0], expected)
    assert not visible_by_consistency(flow, torch.zeros_like(flow))[0, 0, 1, 1:].any()


def test_masks_carry_no_gradient():
    flow = torch.zeros(1, 2, 3, 4, requires_grad=True)
    for mask in (visible_by_range(flow), visible_by_consistency(flow, flow)):
        assert mask.dtype == torch.bool
        assert not mask.requires_grad
