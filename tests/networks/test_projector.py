from __future__ import annotations

import pytest
import torch

from leadline.networks.projector import RecurrentProjector

TOKENS = torch.randn(2, 20, 5, 7, generator=torch.Generator().manual_seed(0))


def projector(steps: int = 2) -> RecurrentProjector:
    torch.manual_seed(0)
    return RecurrentProjector(20, 12, steps)


def test_every_position_gets_features_of_the_students_width() -> None:
    network = projector()
    projected = network(TOKENS)
    assert projected.shape == (2, 12, 5, 7)
    torch.testing.assert_close(network(TOKENS[1:]), projected[1:])
    projected.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_the_hidden_state_starts_at_tanh_of_the_feature() -> None:
    network = projector(steps=0)
    tokens = (TOKENS - TOKENS.mean(1, keepdim=True)) / (TOKENS.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(network(TOKENS), network.out(network.feature(tokens).tanh()))


def test_open_gates_replace_and_closed_gates_keep_the_state() -> None:
    network, start = projector(), projector(steps=0)
    start.load_state_dict(network.state_dict())
    with torch.no_grad():
        for part in (network, start):
            part.gates.weight.zero_()
            part.gates.bias[:12] = -30  # update
    torch.testing.assert_close(network(TOKENS), start(TOKENS))
    with torch.no_grad():
        network.gates.bias[:12] = 30
        network.candidate.weight.zero_()
        network.candidate.bias.fill_(0.5)
    expected = network.out(torch.full((2, 12, 5, 7), 0.5).tanh())
    torch.testing.assert_close(network(TOKENS), expected)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
def test_the_scale_of_the_encoder_does_not_matter(scale: float) -> None:
    torch.testing.assert_close(
        projector()(scale * TOKENS), projector()(TOKENS), rtol=0, atol=0.1 if scale < 1 else 1e-4
    )


def test_it_learns_a_map_of_any_range() -> None:
    torch.manual_seed(1)
    mixing = torch.randn(12, 20)
    wanted = 3 + torch.einsum("oc,bchw->bohw", mixing, TOKENS)
    network = projector()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    bounded = (wanted.abs() - 1).clamp(min=0).mean().item()  # the error of the best answer within (-1, 1)
    for _ in range(150):
        error = (network(TOKENS) - wanted).abs().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert error.item() < 0.75 * bounded
