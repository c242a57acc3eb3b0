from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from leadline.errors import ConfigError, InputError
from leadline.networks import create
from leadline.networks.aggregation import HEADS, WIDTH, Aggregated, Concatenation, CrossAttention


class Grid:
    """A semantic encoder whose features are the means of the image's pixels, weighed by fixed numbers."""

    digest = "grid"

    def under(self, images, grid, stride, blocks=()):
        assert stride == 16
        cells = torch.nn.functional.adaptive_avg_pool2d(images, grid)
        mixing = torch.randn(5 * max(1, len(blocks)), 3, generator=torch.Generator().manual_seed(0))
        return torch.einsum("kc,bchw->bkhw", mixing, cells)


def fused(backbone: str = "litenet-tiny", **options: object) -> Aggregated:
    torch.manual_seed(0)
    network = create("gsae", backbone=backbone, channels=5, **options)
    assert isinstance(network, Aggregated)
    network.attach(Grid())
    return network


def image(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("fusion", ["attention", "concatenation"])
@pytest.mark.parametrize("backbone", ["litenet-tiny", "litenet-8m", "swift"])
@pytest.mark.parametrize("training", [True, False])
def test_at_the_start_it_is_the_plain_network_bit_for_bit(backbone, fusion, training):
    network = fused(backbone, fusion=fusion).train(training)
    plain = create(backbone).train(training)
    plain.load_state_dict(network.backbone.state_dict())
    answers = []
    for one in (network, plain):
        torch.manual_seed(3)  # of the dropped paths
        answers.append(one(image()))
    mine, theirs = (answer if training else [answer] for answer in answers)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("fusion", ["attention", "concatenation"])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (97, 131)])
def test_what_was_learned_lets_semantics_in(fusion, height, width):
    network = fused("swift", fusion=fusion).eval()
    before = network(image(height, width))
    for layer in network.fusions:
        torch.nn.init.normal_(layer.project.weight, std=0.1)
    after = network(image(height, width))
    assert after.shape == before.shape == (2, 1, height, width)
    assert not torch.equal(before, after)
    network.train()(image(height, width))[0].mean().backward()
    for name, parameter in network.fusions.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("key_value.bias"):  # a constant added to every key changes no softmax
            assert parameter.grad.any(), name


def test_attention_is_the_equation():
    torch.manual_seed(0)
    layer = CrossAttention(7, 5).double()
    torch.nn.init.normal_(layer.project.weight)
    torch.nn.init.normal_(layer.project.bias)
    features, tokens = torch.rand(1, 7, 3, 4, dtype=torch.float64), torch.rand(1, 5, 2, 3, dtype=torch.float64)

    def matrix(convolution: torch.nn.Conv2d, columns: np.ndarray) -> np.ndarray:
        return convolution.weight.detach().numpy()[:, :, 0, 0] @ columns + convolution.bias.detach().numpy()[:, None]

    g = layer.geometric(features).detach().numpy()[0].reshape(WIDTH, -1)
    s = layer.semantic(tokens).detach().numpy()[0].reshape(WIDTH, -1)
    query, (key, value) = matrix(layer.query, g), np.split(matrix(layer.key_value, s), 2)
    found, size = np.empty_like(g), WIDTH // HEADS
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        scores = query[part].T @ key[part] / math.sqrt(size)
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        found[part] = value[part] @ shares.T
    gate = 1 / (1 + np.exp(-matrix(layer.gate, np.concatenate([g, found]))))
    expected = features.numpy()[0].reshape(7, -1) + gate * matrix(layer.project, found)
    np.testing.assert_allclose(layer(features, tokens).detach().numpy()[0].reshape(7, -1), expected, atol=1e-12)


def test_attention_sees_the_whole_image_and_concatenation_its_own_place():
    torch.manual_seed(0)
    features, tokens = torch.rand(1, 7, 8, 12), torch.rand(1, 5, 8, 12)
    other = tokens.clone()
    other[..., -1, -1] += 1
    moved = {}
    for kind in (CrossAttention, Concatenation):
        layer = kind(7, 5).eval()
        torch.nn.init.normal_(layer.project.weight)
        layer.semantic[1] = torch.nn.Identity()  # a norm over the whole map would move every place
        moved[kind] = (layer(features, tokens) - layer(features, other)).abs().amax(1)[0].detach()
    assert moved[CrossAttention][0, 0] > 1e-7
    assert moved[Concatenation][:6, :10].max() == 0
    assert moved[Concatenation][-1, -1] > 1e-3


def test_features_of_several_blocks_lie_side_by_side():
    network = create("gsae", backbone="litenet-tiny", channels=10, blocks=[2, 5])
    network.attach(Grid())
    assert network.eval()(image()).shape == (2, 1, 64, 96)
    assert network.options == {"backbone": "litenet-tiny", "channels": 10, "blocks": [2, 5]}


def test_the_encoder_is_no_part_of_the_weights_and_only_the_right_one_is_taken():
    network = fused(digest="grid")
    assert not any("semantics" in name for name in network.state_dict())
    with pytest.raises(InputError, match="not the weights this network was trained with"):
        fused(digest="another")
    alone = create("gsae", backbone="litenet-tiny")
    with pytest.raises(ConfigError, match="the semantic encoder efficientnet-lite0 has not been attached"):
        alone(image())


def test_what_cannot_be_fused_is_refused():
    with pytest.raises(ConfigError, match="backbone: gsae is fused already"):
        create("gsae", backbone="gsae")
    with pytest.raises(ConfigError, match="no network 'litenett'"):
        create("gsae", backbone="litenett")
    with pytest.raises(ConfigError, match="'sum' is not one of attention, concatenation"):
        create("gsae", fusion="sum")
