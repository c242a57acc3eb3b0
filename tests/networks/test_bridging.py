from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from common.standins import PATCH, WIDTH, depth_folder, sam_folder, semantics_folder
from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.foundation.semantics import open_encoder
from leadline.foundation.transformers_depth import open_depth_anything
from leadline.networks import create
from leadline.networks.bridging import Attention, Bridged, BridgingGate, on_grid


@pytest.fixture(scope="module")
def depth(tmp_path_factory):
    return open_depth_anything(str(depth_folder(tmp_path_factory.mktemp("depth"))))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    makers = {"dinov2": semantics_folder, "sam": sam_folder}
    return {name: open_encoder(str(make(tmp_path_factory.mktemp(name)))) for name, make in makers.items()}


def bridged(depth, semantics, **options) -> Bridged:
    torch.manual_seed(3)
    given = {"width": WIDTH, "channels": semantics.channels, "patch": PATCH, "heads": 4} | options
    network = create("briges", **given)
    assert isinstance(network, Bridged)
    network.attach(depth, semantics)
    return network


def image(height: int = 64, width: int = 96, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("width", "count"), [(768, 14_177_280), (1024, 25_194_496), (384, 3_549_696)])
def test_a_gate_has_the_published_number_of_parameters(width, count):
    with torch.device("meta"):
        gate = BridgingGate(width)
    assert sum(parameter.numel() for parameter in gate.parameters()) == count


def explicit(layer: Attention, x: Tensor, context: Tensor, tau: float) -> Tensor:
    """Attention head by head, with the softmax written out."""
    size, found = x.shape[-1] // layer.heads, []
    for head in range(layer.heads):
        part = slice(head * size, (head + 1) * size)
        query, key, value = (
            F.linear(tokens, each.weight[part], each.bias[part])
            for each, tokens in ((layer.query, x), (layer.key, context), (layer.value, context))
        )
        shares = (query @ key.transpose(1, 2) / (tau * math.sqrt(size))).exp()
        found.append(shares / shares.sum(-1, keepdim=True) @ value)
    return layer.project(torch.cat(found, -1))


def norm(layer: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return layer.weight * centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() + layer.bias


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("cross", "own"), [(1.0, 1.0), (2.0, 1.0), (1.0, 3.0), (0.5, 5.0)])
def test_a_gate_is_the_equations_with_a_temperature_for_each_attention(cross, own, learned):
    torch.manual_seed(0)
    gate = BridgingGate(12, 3, (cross, own), learned, zero=False).double()
    for parameter in gate.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.2)
    x, y = torch.randn(2, 6, 12, dtype=torch.float64), torch.randn(2, 9, 12, dtype=torch.float64)
    found = gate(x, y)
    x = x + explicit(gate.cross_attention, norm(gate.norm_depth, x), norm(gate.norm_semantic, y), cross)
    x = x + gate.told(norm(gate.norm_told, x))
    seen = norm(gate.norm_self, x)
    x = x + explicit(gate.self_attention, seen, seen, own)
    expected = x + gate.out(norm(gate.norm_out, x))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    temperatures = gate.cross_attention.temperature, gate.self_attention.temperature
    assert temperatures == pytest.approx((cross, own), rel=1e-6)


def test_a_high_temperature_attends_to_all_alike_and_a_low_one_to_the_likest():
    torch.manual_seed(0)
    layer = Attention(8, 1, 1e6).double()
    x, y = torch.randn(1, 3, 8, dtype=torch.float64), torch.randn(1, 5, 8, dtype=torch.float64)
    mean = layer.project(layer.value(y).mean(1, keepdim=True))
    torch.testing.assert_close(layer(x, y), mean.expand(-1, 3, -1), rtol=0, atol=1e-4)
    layer.fixed = 1e-6
    likest = (layer.query(x) @ layer.key(y).transpose(1, 2)).argmax(-1)[0]
    torch.testing.assert_close(layer(x, y), layer.project(layer.value(y)[:, likest]))


def test_gradients_of_a_gate():
    torch.manual_seed(0)
    gate = BridgingGate(8, 2, (2.0, 0.7), learned=True, zero=False).double()
    x, y = (torch.randn(1, count, 8, dtype=torch.float64, requires_grad=True) for count in (3, 4))
    assert torch.autograd.gradcheck(gate, (x, y))
    gate(x, y).square().sum().backward()
    assert gate.cross_attention.raw.grad
    assert gate.self_attention.raw.grad


@pytest.mark.parametrize("name", ["dinov2", "sam"])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (40, 168)])
def test_at_the_start_it_is_the_foundation_model_bit_for_bit(name, height, width, depth, encoders):
    network = bridged(depth, encoders[name])
    seen = image(height, width)
    expected = depth.infer(seen)
    assert expected.std() > 1e-3
    assert torch.equal(network.eval()(seen)[:, 0], expected)
    (trained,) = network.train()(seen)
    assert torch.equal(trained[:, 0], expected)


@pytest.mark.parametrize("options", [{}, {"learned": True}, {"semantics_width": 24}])
def test_only_the_gates_are_trained_and_kept(options, depth, encoders, tmp_path):
    wider = options.pop("semantics_width", None)
    semantics = open_encoder(str(semantics_folder(tmp_path, wider))) if wider else encoders["dinov2"]
    network = bridged(depth, semantics, **options)
    assert {name.split(".")[0] for name in network.state_dict()} == ({"gates", "bring"} if wider else {"gates"})
    frozen = [*depth.network.parameters(), *semantics.network.parameters()]
    before = [parameter.clone() for parameter in frozen]
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    plain = depth.infer(image())
    for _ in range(3):
        optimiser.zero_grad()
        (network.train()(image())[0] * image()[:, :1]).sum().backward()
        optimiser.step()
    assert not torch.equal(network.eval()(image())[:, 0], plain)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("key.bias"):  # a constant added to every key changes no softmax
            assert parameter.grad.any(), name
    for parameter, value in zip(frozen, before, strict=True):
        assert parameter.grad is None
        assert not parameter.requires_grad
        assert torch.equal(parameter, value)
    other = create("briges", **network.options)
    other.load_state_dict(network.state_dict())
    other.attach(depth, semantics)
    assert torch.equal(other.eval()(image()), network.eval()(image()))


def test_frozen_models_keep_nothing_for_the_backward_pass(depth, encoders):
    network = bridged(depth, encoders["dinov2"], zero=False)
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        depth.encode(image())
        encoders["dinov2"].tokens(image())
        assert kept == []
        network.train()(image())
    assert kept


def centre(response: Tensor) -> tuple[float, float]:
    """Of a map (h, w), as shares of its width and height."""
    rows, columns = response.shape
    x = (response.sum(0) * (torch.arange(columns) + 0.5)).sum() / response.sum() / columns
    y = (response.sum(1) * (torch.arange(rows) + 0.5)).sum() / response.sum() / rows
    return float(x), float(y)


@pytest.mark.parametrize("name", ["dinov2", "sam"])
@pytest.mark.parametrize(("height", "width"), [(64, 192), (192, 64), (96, 128)])
def test_semantics_line_up_with_depth_tokens_under_a_moving_square(name, height, width, depth, encoders):
    """What the gates are given responds most on the very tokens of depth that see the square."""
    blank = torch.full((1, 3, height, width), 0.4)
    grid = height // PATCH, width // PATCH
    quiet = on_grid(encoders[name].tokens(blank), grid)
    plain = depth.encode(blank)[0]
    for left, top in ((0, 0), (width - 32, 0), (0, height - 32), (width - 32, height - 32), (width // 2, height // 4)):
        seen = blank.clone()
        seen[..., top : top + 32, left : left + 32] = 1.0
        told = (on_grid(encoders[name].tokens(seen), grid) - quiet).square().sum(1)[0]
        own = (depth.encode(seen)[0] - plain).square().sum(1)[0].sqrt()
        assert told.shape == own.shape == grid
        row, column = divmod(int(told.argmax()), grid[1])
        assert left <= (column + 0.5) * PATCH <= left + 32
        assert top <= (row + 0.5) * PATCH <= top + 32
        inside = torch.zeros(grid, dtype=torch.bool)
        inside[top // PATCH : (top + 32) // PATCH, left // PATCH : (left + 32) // PATCH] = True
        # Attention tells all tokens of the square, each in its own way; those that see it are alike.
        assert own[inside].std() < 0.6 * own[~inside].std()
        strong = torch.where(told > 0.3 * told.max(), told, 0)
        middle = (left + 16) / width, (top + 16) / height
        assert centre(strong) == pytest.approx(middle, abs=1.5 * PATCH / min(height, width))


def test_on_the_grid_a_peak_stays_in_its_cell():
    for row in range(3):
        for column in range(5):
            peak = torch.zeros(1, 1, 3, 5)
            peak[..., row, column] = 1
            same = on_grid(peak, (3, 5))[0, 0]
            assert divmod(int(same.argmax()), 5) == (row, column)
            finer = on_grid(F.interpolate(peak, scale_factor=2), (3, 5))
            assert torch.equal(finer, peak)
    ramp = torch.arange(5.0).expand(1, 1, 3, -1)
    # Bilinear to twice the grid gives i - 1/4 and i + 1/4 in cell i (at the edges the value itself): the larger counts.
    torch.testing.assert_close(on_grid(ramp, (3, 5))[0, 0, 0], torch.tensor([0.25, 1.25, 2.25, 3.25, 4.0]))


def test_temperatures_are_set_and_remembered(depth, encoders):
    network = bridged(depth, encoders["dinov2"], zero=False, temperature=(1.0, 1.0)).eval()
    flat = network(image())
    network.set_temperature(2.0, 3.0)
    assert network.temperature == (2.0, 3.0)
    assert network.options["temperature"] == [2.0, 3.0]
    assert not torch.equal(network(image()), flat)
    again = create("briges", **network.options)
    again.load_state_dict(network.state_dict())
    again.attach(depth, encoders["dinov2"])
    assert torch.equal(again.eval()(image()), network(image()))
    for wrong in (0.0, -1.0):
        with pytest.raises(ConfigError, match="must be above 0"):
            network.set_temperature(wrong, 1.0)
    learned = bridged(depth, encoders["dinov2"], learned=True, temperature=(2.0, 0.5))
    assert learned.temperature == pytest.approx((2.0, 0.5))
    with pytest.raises(ConfigError, match="have learned theirs"):
        learned.set_temperature(1.0, 1.0)


def test_images_of_any_size(depth, encoders):
    network = bridged(depth, encoders["dinov2"], zero=False).eval()
    assert network.sees(97, 131) == (96, 128)
    assert network(image(97, 131)).shape == (2, 1, 97, 131)
    alone = torch.cat([network(one[None]) for one in image()])
    torch.testing.assert_close(network(image()), alone, rtol=1e-4, atol=1e-5)


def test_copies_share_the_frozen_models(depth, encoders):
    network = bridged(depth, encoders["dinov2"])
    twin = copy.deepcopy(network)
    assert twin._depth is depth
    assert twin._semantics is encoders["dinov2"]


def test_what_does_not_fit_is_refused(depth, encoders):
    alone = create("briges", width=WIDTH, channels=WIDTH, heads=4)
    with pytest.raises(ConfigError, match="the semantic encoder facebook/dinov2-small have not been attached"):
        alone(image())
    given = {"width": WIDTH, "channels": WIDTH, "patch": PATCH, "heads": 4}
    for key in ("depth_digest", "semantics_digest"):
        with pytest.raises(InputError, match="not the weights these gates were trained with"):
            create("briges", **given, **{key: "another"}).attach(depth, encoders["dinov2"])
    with pytest.raises(ConfigError, match="5 heads cannot share 16 channels"):
        create("briges", **given | {"heads": 5})
    with pytest.raises(ConfigError, match="temperature: must be above 0, not 0"):
        create("briges", **given, temperature=(0.0, 1.0))


def test_the_foundation_model_goes_on_from_its_own_tokens(depth):
    seen = image()
    maps = depth.encode(seen)
    assert [tuple(tokens.shape) for tokens in maps] == [(2, WIDTH, 8, 12)] * 4
    assert torch.equal(depth.decode(maps), depth.infer(seen))
    moved = [tokens + 0.1 for tokens in maps]
    assert not torch.equal(depth.decode(moved), depth.infer(seen))


def test_other_families_and_metric_models_are_refused(tmp_path):
    import json

    folder = depth_folder(tmp_path / "metric")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"depth_estimation_type": "metric", "max_depth": 20}))
    assert str(load(folder).kind) == "metric-depth"
    with pytest.raises(InputError, match="gives relative disparity is needed"):
        open_depth_anything(str(folder))
