from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from common.network_tester import NetworkTester
from leadline.errors import ConfigError
from leadline.networks import create
from leadline.networks.decomposition import EDGE, LIMIT, Decomposed

BACKBONES = ["swift", "litenet-tiny", "monodepth2-resnet18"]


class TestIntrinsic(NetworkTester):
    """For depth it is a network like any other."""

    variant = "intrinsic"

    def test_gradients_reach_every_parameter(self, network):
        """Those of depth its backbone, those of L and R the encoder and the second decoder."""
        torch.manual_seed(1)
        trained = copy.deepcopy(network).train()
        torch.nn.init.normal_(trained.decomposition.head.weight, std=0.1)
        images = torch.rand(4, 3, 64, 96)
        answers = {"depth": trained(images), "decomposition": trained.decompose(images)}
        for what, maps in answers.items():
            trained.zero_grad()
            sum((m * torch.rand_like(m)).sum() for m in maps).backward(retain_graph=True)
            without = {n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()}
            others = "decomposition." if what == "depth" else "backbone.decoder."
            assert without == {n for n, _ in trained.named_parameters() if n.startswith(others)}


def network(backbone: str) -> Decomposed:
    torch.manual_seed(0)
    made = create("intrinsic", backbone=backbone)
    assert isinstance(made, Decomposed)
    return made


def image(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("training", [True, False])
def test_for_depth_it_is_the_plain_network_bit_for_bit(backbone, training):
    ours = network(backbone).train(training)
    plain = create(backbone).train(training)
    plain.load_state_dict(ours.backbone.state_dict())
    answers = []
    for one in (ours, plain):
        torch.manual_seed(3)  # of the dropped paths
        answers.append(one(image()))
    mine, theirs = (answer if training else [answer] for answer in answers)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("size", [(64, 96), (97, 131), (32, 45)])
def test_it_starts_as_the_decomposition_of_an_image_without_reflections(backbone, size):
    shown = image(*size)
    diffuse, residual = network(backbone).eval().decompose(shown)
    assert diffuse.shape == residual.shape == (2, 3, *size)
    torch.testing.assert_close(diffuse, shown.clamp(EDGE, 1 - EDGE))
    assert residual.abs().max() < 1e-6


@pytest.mark.parametrize("backbone", BACKBONES)
def test_whatever_it_learns_diffuse_and_residual_stay_in_their_ranges(backbone):
    ours = network(backbone).eval()
    torch.nn.init.normal_(ours.decomposition.head.weight, std=300.0)
    diffuse, residual = ours.decompose(image())
    assert 0 <= diffuse.min() < 0.01
    assert 0.99 < diffuse.max() <= 1
    assert residual.min() == -LIMIT
    assert residual.max() == LIMIT


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_taken_from_the_diffuse_image_goes_to_the_residual(backbone):
    ours, shown = network(backbone).eval(), image().clamp(0.05, 0.95)
    bias = ours.decomposition.head.bias
    with torch.no_grad():  # a alone; b stays 0
        bias[: len(bias) // 2] = torch.linspace(-1.5, 0.5, len(bias) // 2)
    diffuse, residual = ours.decompose(shown)
    assert (diffuse - shown).abs().max() > 0.1
    torch.testing.assert_close(diffuse * residual.exp(), shown)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_shows_in_one_place_is_said_of_that_place(backbone):
    """Sub-pixel convolution and levels must not shift anything: what depends on a change lies around it."""
    ours = network(backbone).eval()
    torch.nn.init.normal_(ours.decomposition.head.weight, std=0.1)
    before = image(128, 192)
    after = before.clone()
    after[..., 60:68, 124:132] = 1 - after[..., 60:68, 124:132]
    moved = (ours.decompose(after)[1] - ours.decompose(before)[1]).abs().mean(dim=(0, 1))
    rows, columns = torch.arange(128.0), torch.arange(192.0)
    strength = moved / moved.sum()
    assert (strength.sum(1) @ rows).item() == pytest.approx(63.5, abs=6)
    assert (strength.sum(0) @ columns).item() == pytest.approx(127.5, abs=6)


def test_an_exported_graph_is_that_of_the_plain_network():
    ours = network("swift").eval()
    graphs = []
    for one in (ours, ours.backbone):
        program = torch.onnx.export(one, (image(),), dynamo=True, verbose=False)
        graphs.append(program.model_proto.graph)
    mine, theirs = ([node.op_type for node in graph.node] for graph in graphs)
    assert mine == theirs
    sizes = [sorted(tuple(weight.dims) for weight in graph.initializer) for graph in graphs]
    assert sizes[0] == sizes[1]


def test_what_cannot_be_taken_apart_is_refused():
    with pytest.raises(ConfigError, match="backbone: intrinsic takes images apart already"):
        create("intrinsic", backbone="intrinsic")
    with pytest.raises(ConfigError, match="backbone: gsae is no plain network of single images"):
        create("intrinsic", backbone="gsae")
    with pytest.raises(ConfigError, match="no network 'swfit'"):
        create("intrinsic", backbone="swfit")


def test_options_build_it_again():
    ours = create("intrinsic", backbone="litenet-tiny", pretrained=False, backbone_options={"decoder": "litemono"})
    assert ours.options == {"backbone": "litenet-tiny", "backbone_options": {"decoder": "litemono"}}
    create("intrinsic", **ours.options).load_state_dict(ours.state_dict())
