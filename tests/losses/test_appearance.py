from __future__ import annotations

import pytest
import torch

from leadline.losses.appearance import appearance_constraint, appearance_smoothness, refined

GENERATOR = torch.Generator().manual_seed(0)
IMAGE, OTHER = torch.rand(2, 1, 3, 5, 6, generator=GENERATOR, dtype=torch.float64)
CHANGE = 0.2 * torch.randn(1, 3, 5, 6, generator=GENERATOR, dtype=torch.float64)
VISIBLE = torch.rand(1, 1, 5, 6, generator=GENERATOR) < 0.7
EVERYWHERE = torch.ones_like(VISIBLE)


def test_the_image_changes_where_the_other_frame_shows_it_and_stays_an_image():
    found = refined(IMAGE, 10 * CHANGE, VISIBLE)
    hidden = ~VISIBLE.expand_as(IMAGE)
    assert torch.equal(found[hidden], IMAGE[hidden])
    assert torch.equal(found[~hidden], (IMAGE + 10 * CHANGE).clamp(0, 1)[~hidden])
    assert found.amin() == 0
    assert found.amax() == 1


def test_a_change_that_explains_the_other_frame_costs_nothing():
    assert float(appearance_constraint(refined(IMAGE, OTHER - IMAGE, EVERYWHERE), OTHER, EVERYWHERE)) < 1e-12
    expected = (IMAGE - OTHER).abs()[VISIBLE.expand_as(IMAGE)].mean()
    torch.testing.assert_close(appearance_constraint(IMAGE, OTHER, VISIBLE), expected)


def test_smoothness_is_the_published_loss_where_all_is_seen():
    residue = IMAGE - OTHER
    expected = sum(
        (CHANGE.diff(dim=dim).abs().mean(1) * torch.exp(-residue.diff(dim=dim).abs().mean(1))).mean() for dim in (3, 2)
    )
    torch.testing.assert_close(appearance_smoothness(CHANGE, IMAGE, OTHER, EVERYWHERE), expected)


def test_constants_added_change_no_smoothness():
    expected = appearance_smoothness(CHANGE, IMAGE, OTHER, VISIBLE)
    torch.testing.assert_close(appearance_smoothness(CHANGE + 1, IMAGE, OTHER, VISIBLE), expected)
    torch.testing.assert_close(appearance_smoothness(CHANGE, IMAGE + 1, OTHER - 2, VISIBLE), expected)


@pytest.mark.parametrize("loss", ["constraint", "smoothness"])
def test_what_is_hidden_changes_neither_loss_nor_gradient(loss):
    def found(change, other):
        change = change.clone().requires_grad_()
        if loss == "constraint":
            value = appearance_constraint(refined(IMAGE, change, VISIBLE), other, VISIBLE)
        else:
            value = appearance_smoothness(change, IMAGE, other, VISIBLE)
        return value, *torch.autograd.grad(value, change)

    expected = found(CHANGE, OTHER)
    spoilt = found(CHANGE.masked_fill(~VISIBLE, 9.0), OTHER.masked_fill(~VISIBLE, 9.0))
    assert expected[0] > 0
    for a, b in zip(spoilt, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("loss", ["constraint", "smoothness"])
def test_where_nothing_is_seen_nothing_is_lost(loss):
    change, nowhere = CHANGE.clone().requires_grad_(), torch.zeros_like(VISIBLE)
    if loss == "constraint":
        value = appearance_constraint(refined(IMAGE, change, nowhere), OTHER, nowhere)
    else:
        value = appearance_smoothness(change, IMAGE, OTHER, nowhere)
    value.backward()
    assert value.item() == 0
    assert (change.grad == 0).all()


def test_gradients_are_those_of_differences():
    change = (0.1 * CHANGE).requires_grad_()  # far from where refined images are clipped
    image = 0.3 + 0.4 * IMAGE
    torch.autograd.gradcheck(lambda c: appearance_constraint(refined(image, c, VISIBLE), OTHER, VISIBLE), (change,))
    torch.autograd.gradcheck(lambda c: appearance_smoothness(c, image, OTHER, VISIBLE), (change,))
