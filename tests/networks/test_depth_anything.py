from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from leadline.foundation import load
from leadline.networks import create
from leadline.networks.depth_anything import DepthAnythingNetwork


@pytest.fixture(scope="module")
def network() -> DepthAnythingNetwork:
    torch.manual_seed(0)
    made = create("depth-anything-tiny", width=32, blocks=5, attention_heads=2, grid=8, channels=[8, 8, 16, 16])
    assert isinstance(made, DepthAnythingNetwork)
    return made


def image(height: int, width: int) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (97, 131), (32, 45)])
def test_gives_disparity_of_the_image_size(network, height, width):
    disparity = network.eval()(image(height, width))
    assert disparity.shape == (2, 1, height, width)
    assert (disparity > 0).float().mean() > 0.9  # the ReLU at the end is open at the start
    assert disparity.min() >= 0
    assert disparity.std() > 1e-4


def test_training_and_judging_differ_below_0_alone(network):
    (trained,) = network.train()(image(64, 96))
    assert torch.equal(trained.relu(), network.eval()(image(64, 96)))


def test_what_is_0_everywhere_can_be_learned_from(network):
    closed = copy.deepcopy(network)
    closed.start_at(-1.0)
    assert closed.eval()(image(64, 96)).max() == 0
    (answer,) = closed.train()(image(64, 96))
    assert answer.max() < 0
    answer.sum().backward()
    assert closed.heads()[0].bias.grad.abs() > 0


def test_the_folder_is_the_same_model_for_transformers_and_for_leadline(network, tmp_path):
    network.save_folder(tmp_path / "folder", (64, 96), "mit")
    model = load(tmp_path / "folder")
    assert (str(model.kind), model.licence, model.name) == ("affine-invariant-disparity", "mit", "folder")
    assert model.input_size(128, 192) == (64, 96)
    seen = image(64, 96)
    assert torch.equal(model(seen), network.eval()(seen)[:, 0])
    network.save_folder(tmp_path / "folder", (64, 96), "mit")  # again, onto itself


def test_features_are_those_it_promises(network):
    features = network.encode(image(64, 96))
    assert [tuple(each.shape) for each in features] == [(2, 32, 8, 12)] * 4
    assert network.widths == (32,) * 4
    assert network.stride == 8


def test_gradients_reach_every_parameter_that_is_trained(network):
    (network.train()(image(64, 96))[0] * image(64, 96)[:, :1]).sum().backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    resting = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert all(".layers.0.residual_layer1." in name for name in resting)
    assert without == resting


def test_it_starts_where_it_is_told(network):
    network.start_at(3.0)
    assert float(network.eval()(image(64, 96)).detach().mean()) == pytest.approx(3.0, rel=0.2)


def test_it_learns(network):
    """To tell dark from bright, up to scale and shift."""
    from leadline.losses.ssi import ssi

    torch.manual_seed(0)
    coarse = torch.rand(4, 3, 4, 6)
    seen = torch.nn.functional.interpolate(coarse, (32, 48), mode="nearest")
    target, mask = seen.mean(1, keepdim=True), torch.ones(4, 1, 32, 48, dtype=torch.bool)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    errors = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = ssi(network.train()(seen)[0], target, mask)
        loss.backward()
        optimiser.step()
        errors.append(float(loss.detach()))
    assert np.mean(errors[-5:]) < 0.7 * errors[0]
