from __future__ import annotations

import copy
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from leadline import checkpoint
from leadline.errors import ConfigError, InputError
from leadline.networks import adapters as ad
from leadline.networks.adapters import KEY, KINDS, Adapter, adapt, merge, merged, unmerge

MLP = "blocks.*.mlp.fc[12]"
NAMES = ["blocks.0.mlp.fc1", "blocks.0.mlp.fc2", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2"]
every_kind = pytest.mark.parametrize("kind", list(KINDS))


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        x = x + self.proj(nn.functional.scaled_dot_product_attention(query, key, value))
        return x + self.mlp(self.norm2(x))


class Network(nn.Module):
    """A small transformer with a buffer: (B, N, width) to (B, N, 1)."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.head = nn.Linear(width, 1)
        self.register_buffer("mean", torch.linspace(-0.1, 0.1, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.mean
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def network(width: int = 12, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network(width)


def adapted(kind: str, **options: Any) -> Network:
    made = network()
    adapt(made, [MLP], kind, **options)
    return made


def shake(module: nn.Module, size: float = 0.3) -> None:
    """Move every adapter's parameters away from where they start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in ad.adapter_parameters(module).values():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator).to(parameter))


def tokens(width: int = 12, count: int = 7) -> Tensor:
    return torch.randn(2, count, width, generator=torch.Generator().manual_seed(2))


def closed_form(layer: Adapter) -> np.ndarray:
    """W' by numpy, in float64, from the tensors by name."""
    w, own = layer.weight.detach().double().numpy(), {k: v.detach().double().numpy() for k, v in layer.own().items()}
    if layer.kind == "ssb":
        return np.diag(own["b"]) @ w @ np.diag(own["a"])
    if layer.kind == "lora":
        return w + layer.options["alpha"] / layer.options["rank"] * own["B"] @ own["A"]
    product = np.diag(own["v"]) @ own["B"] @ np.diag(own["u"]) @ own["A"]
    return w + layer.options["alpha"] / layer.options["rank"] * product


# What an adapter is


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "autocast"])
def test_an_untrained_adapter_changes_no_bit(kind: str, dtype: torch.dtype) -> None:
    plain, other = network(32), network(32)
    assert adapt(other, "blocks.*.mlp.fc[12]", kind) == NAMES
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32), torch.no_grad():
        before, after = plain(tokens(32, 50)), other(tokens(32, 50))
    assert before.dtype == after.dtype
    assert torch.equal(before, after)


@every_kind
@pytest.mark.parametrize("options", [{}, {"rank": 3, "alpha": 5}], ids=["default", "rank 3"])
def test_the_output_is_that_of_the_closed_form(kind: str, options: dict[str, Any]) -> None:
    module = adapted(kind, **({} if kind == "ssb" else options)).double()
    shake(module)
    layer = module.blocks[0].mlp.fc1
    expected = tokens().double().numpy() @ closed_form(layer).T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(tokens().double()).detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(layer.merged_weight().detach().numpy(), closed_form(layer), atol=1e-12)
    assert np.abs(closed_form(layer) - layer.weight.detach().numpy()).max() > 0.05


def test_vectors_and_matrices_have_the_shapes_and_the_starts_of_the_papers() -> None:
    linear = nn.Linear(400, 300)
    ssb = ad.SSB(linear)
    assert {name: tuple(value.shape) for name, value in ssb.own().items()} == {"a": (400,), "b": (300,)}
    assert (ssb.a == 1).all()
    assert (ssb.b == 1).all()
    torch.manual_seed(0)
    dv = ad.DVLoRA(linear, rank=50)
    shapes = {"A": (50, 400), "B": (300, 50), "u": (50,), "v": (300,)}
    assert {name: tuple(value.shape) for name, value in dv.own().items()} == shapes
    assert (dv.B == 0).all()
    for value, bound in ((dv.A, 1 / math.sqrt(400)), (dv.u, 1), (dv.v, 1)):
        assert 0.8 * bound < value.abs().max() <= bound
        assert value.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.25)


@every_kind
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    module = nn.Sequential(nn.Linear(4, 3)).double()
    adapt(module, ["0"], kind, **({} if kind == "ssb" else {"rank": 2}))
    shake(module)
    names, values = zip(*module[0].own().items(), strict=True)
    inputs = [value.detach().clone().requires_grad_() for value in (*values, tokens(4, 3).double())]

    def output(*inputs: Tensor) -> Tensor:
        state = {f"0.{name}": value for name, value in zip(names, inputs, strict=False)}
        return torch.func.functional_call(module, state, inputs[-1])

    assert torch.autograd.gradcheck(output, inputs)


@every_kind
def test_autocast_trains_in_float32(kind: str) -> None:
    module = adapted(kind)
    shake(module)
    exact = module(tokens())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = module(tokens())
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.05, rtol=0.05)
    rounded.float().square().sum().backward()
    trained = [p for p in module.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in trained)
    with torch.autocast("cpu", torch.bfloat16):
        layers = merge(module)
    assert all(torch.equal(module.get_submodule(name).weight, layer.merged_weight()) for name, layer in layers.items())


# Adapting


@every_kind
def test_only_the_adapters_learn(kind: str) -> None:
    module = adapted(kind)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert {name for name, p in module.named_parameters() if p.requires_grad} <= set(ad.adapter_state(module))
    optimiser = torch.optim.SGD(ad.adapter_parameters(module).values(), 0.05)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = (module(tokens()) - 1).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    ending = {"ssb": (".a", ".b"), "lora": (".A", ".B"), "dv-lora": (".A", ".B")}[kind]
    assert moved == {f"{name}{end}" for name in NAMES for end in ending}


def test_trained_and_all_parameters_are_counted_once() -> None:
    module = network()
    total = sum(p.numel() for p in module.parameters())
    assert ad.trainable(module) == (total, total)
    adapt(module, [MLP])
    vectors = 4 * (12 + 48)
    assert ad.trainable(module) == (vectors, total + vectors)
    with merged(module):
        assert ad.trainable(module) == (0, total)
    dv = adapted("dv-lora", rank=2)
    matrices, vectors = 4 * 2 * (12 + 48), 2 * (2 + 48) + 2 * (2 + 12)
    assert ad.trainable(dv) == (matrices, total + matrices + vectors)
    ad.set_warm_up(dv, False)
    assert ad.trainable(dv) == (vectors, total + matrices + vectors)


def test_ssb_on_vits_feed_forwards_has_the_released_number_of_vectors() -> None:
    blocks = nn.Module()
    blocks.blocks = nn.ModuleList(nn.Module() for _ in range(12))
    for block in blocks.blocks:
        block.mlp = Mlp(384)
    adapt(blocks, [MLP])
    assert ad.trainable(blocks)[0] == 46_080


def test_a_second_call_leaves_the_first_adapters_as_they_are() -> None:
    module = adapted("ssb")
    shake(module)
    expected, state = module(tokens()), copy.deepcopy(ad.adapter_state(module))
    assert adapt(module, ["blocks.*.proj", "head"], "lora") == ["blocks.0.proj", "blocks.1.proj", "head"]
    assert torch.equal(module(tokens()), expected)
    assert all(torch.equal(ad.adapter_state(module)[name], value) for name, value in state.items())
    assert all(p.requires_grad for p in ad.adapter_parameters(module).values())


def test_a_layer_with_two_names_is_adapted_once() -> None:
    module = nn.ModuleDict({"one": nn.Linear(3, 3), "two": nn.Sequential(nn.Linear(3, 3))})
    module["two"][0] = module["one"]
    module["two"].append(module["one"])
    digest = ad.weights_digest(module)
    assert adapt(module, ["one"]) == ["one"]
    assert module["one"] is module["two"][0] is module["two"][1]
    shake(module)
    assert ad.trainable(module) == (6, 18)
    assert ad.weights_digest(module) == digest
    with merged(module):
        assert module["one"] is module["two"][0] is module["two"][1]
        assert type(module["one"]) is nn.Linear
    assert isinstance(module["two"][0], Adapter)
    assert ad.weights_digest(module) == digest


@pytest.mark.parametrize(
    ("patterns", "kind", "options", "message"),
    [
        (
            [MLP, "blocks.*.mlp.fc3"],
            "ssb",
            {},
            r"'blocks\.\*\.mlp\.fc3' matches no layer.*mean 'blocks\.\d\.mlp\.fc\d'",
        ),
        (["?"], "ssb", {}, r"'\?' matches no layer, adapted are nn\.Linear layers, such as 'blocks\.0\.qkv'"),
        (["blocks.0.*"], "ssb", {}, r"matches 'blocks\.0\.mlp', a Mlp of a Block; adapted are nn\.Linear"),
        (["blocks.1.norm1"], "ssb", {}, r"matches 'blocks\.1\.norm1', a LayerNorm of a Block"),
        ([], "ssb", {}, r"patterns: none given"),
        ([MLP], "dvlora", {}, r"kind: 'dvlora' is none of ssb, lora, dv-lora; did you mean 'dv-lora'"),
        ([MLP], "lora", {"rnak": 4}, r"lora: no option 'rnak', it takes rank, alpha; did you mean 'rank'"),
        ([MLP], "ssb", {"rank": 4}, r"ssb: no option 'rank', it takes none"),
        ([MLP], "dv-lora", {"rank": 0}, r"rank: 0 is not a whole number"),
        ([MLP], "lora", {"rank": 2.5}, r"rank: 2\.5 is not a whole number"),
        ([MLP], "lora", {"alpha": math.inf}, r"alpha: inf is not a positive number"),
    ],
)
def test_what_cannot_be_adapted_is_told_and_nothing_is_changed(
    patterns: list[str], kind: str, options: dict[str, Any], message: str
) -> None:
    module = network()
    with pytest.raises(ConfigError, match=message) as error:
        adapt(module, patterns, kind, **options)
    assert "\n" not in str(error.value)
    assert not any(isinstance(layer, Adapter) for layer in module.modules())
    assert all(p.requires_grad for p in module.parameters())


def test_layers_that_are_adapted_or_not_called_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"matches 'blocks\.0\.mlp\.fc1', a SSB of a Mlp"):
        adapt(adapted("ssb"), ["blocks.*.fc1"], "lora")
    layer = nn.ModuleDict({"layer": nn.TransformerEncoderLayer(8, 2)})
    with pytest.raises(ConfigError, match=r"a Linear of a TransformerEncoderLayer; .* here are none"):
        adapt(layer, ["layer.linear1"])
    with pytest.raises(ConfigError, match=r"a NonDynamicallyQuantizableLinear of a MultiheadAttention"):
        adapt(layer, ["layer.self_attn.out_proj"])


# The warm-up of DV-LoRA


def test_vectors_learn_after_the_warm_up_and_matrices_during_it() -> None:
    module = adapted("dv-lora")
    optimiser = torch.optim.Adam(ad.adapter_parameters(module).values(), 0.01)

    def moved(steps: int, warm: bool) -> set[str]:
        before = copy.deepcopy(ad.adapter_state(module))
        for _ in range(steps):
            ad.set_warm_up(module, warm)
            (module(tokens()) - 1).square().mean().backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=False)
        return {
            name.rpartition(".")[2] for name, value in ad.adapter_state(module).items() if (value != before[name]).any()
        }

    assert moved(3, True) == {"A", "B"}
    assert moved(3, False) == {"u", "v"}  # although Adam has momentum for A and B
    assert moved(1, True) == {"A", "B"}


def test_a_warm_up_that_would_warm_up_nothing_is_told() -> None:
    with pytest.raises(ConfigError, match="Network has no dv-lora layers"):
        ad.set_warm_up(adapted("lora"), False)


# Merging


@every_kind
def test_merging_at_the_size_of_a_vit_keeps_the_output(kind: str) -> None:
    torch.manual_seed(3)
    module = nn.ModuleDict({"mlp": Mlp(384)})
    adapt(module, ["mlp.fc*"], kind)
    shake(module, 0.1)
    mlp, x = module["mlp"], tokens(384, 321)
    with torch.no_grad():
        before = mlp(x)
        layers = merge(module)
        assert [type(module.get_submodule(name)) for name in layers] == [nn.Linear, nn.Linear]
        if kind == "ssb":
            assert torch.equal(mlp(x), before)
        torch.testing.assert_close(mlp(x), before, atol=1e-5, rtol=1e-5)
        fresh = Mlp(384)
        fresh.load_state_dict(mlp.state_dict())  # the names of a module that never was adapted
        assert torch.equal(fresh(x), mlp(x))


@given(
    kind=st.sampled_from(list(KINDS)),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    rank=st.integers(1, 6),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_merging_is_exact_for_any_size_and_is_undone(
    kind: str, inputs: int, outputs: int, rank: int, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(inputs, outputs, bias))
    adapt(module, ["0"], kind, **({} if kind == "ssb" else {"rank": rank, "alpha": 1.5}))
    shake(module)
    adapter, state = module[0], copy.deepcopy(module.state_dict())
    x = torch.randn(5, inputs)
    with torch.no_grad():
        before = module(x)
        with merged(module) as plain:
            assert type(plain[0]) is nn.Linear
            np.testing.assert_allclose(plain[0].weight.numpy(), closed_form(adapter), atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(plain(x), before, atol=1e-5, rtol=1e-5)
            plain[0].weight.zero_()  # what is done to the merged layer is gone with it
            if bias:
                plain[0].bias.fill_(7)
        assert module[0] is adapter
        assert torch.equal(module(x), before)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_layers_keep_their_mode(training: bool) -> None:
    module = network().train(training)
    adapt(module, [MLP])
    assert all(layer.training == training for layer in module.modules())
    with merged(module):
        assert all(layer.training == training for layer in module.modules())


def test_adapters_come_back_when_the_block_raises() -> None:
    module = adapted("lora")
    with pytest.raises(RuntimeError, match="stop"), merged(module):
        raise RuntimeError("stop")
    assert next(iter(ad.adapter_state(module))) == "blocks.0.mlp.fc1.A"


def test_adapters_go_back_only_where_they_were() -> None:
    module = adapted("ssb")
    layers = merge(module)
    assert merge(module) == {}
    with pytest.raises(ConfigError, match=r"'blocks\.0\.mlp\.fc1' is no nn\.Linear of shape \(48, 12\) here"):
        unmerge(network(16), layers)
    unmerge(module, layers)
    with pytest.raises(ConfigError, match=r"'blocks\.0\.mlp\.fc1' is no nn\.Linear"):
        unmerge(module, layers)
    with pytest.raises(ConfigError, match="give what holds it"):
        merge(module.blocks[0].mlp.fc1)


# State and files


@every_kind
def test_copies_and_state_dicts_carry_the_adapters(kind: str) -> None:
    module = adapted(kind)
    shake(module)
    expected = module(tokens())
    twin = copy.deepcopy(module)
    other = network(seed=5)
    adapt(other, [MLP], kind)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(tokens()), expected)
    assert set(module.state_dict()) == set(network().state_dict()) | set(ad.adapter_state(module))
    shake(module)
    assert torch.equal(twin(tokens()), expected)
    assert not torch.equal(module(tokens()), expected)


@every_kind
def test_the_digest_is_of_the_frozen_weights_alone(kind: str) -> None:
    module = network()
    digest = ad.weights_digest(module)
    assert len(digest) == 64
    adapt(module, [MLP], kind)
    shake(module)
    assert ad.weights_digest(module) == digest
    with merged(module):
        assert ad.weights_digest(module) != digest
    assert ad.weights_digest(module) == digest
    for name in ("head.bias", "mean", "blocks.1.mlp.fc2.weight"):
        changed = copy.deepcopy(module)
        changed.state_dict()[name].view(-1)[0] += 1e-3
        assert ad.weights_digest(changed) != digest, name
    assert ad.weights_digest(copy.deepcopy(module).half()) != digest


def test_the_digest_is_sha256_of_names_and_bytes_in_order() -> None:
    module = nn.Module()
    module.b, module.a = nn.Parameter(torch.arange(6.0).reshape(2, 3).T), nn.Parameter(torch.tensor(2.0).bfloat16())
    module.register_buffer("count", torch.tensor(3))
    said = b"a torch.bfloat16 ()\n\x00\x40" + b"b torch.float32 (3, 2)\n"
    said += np.array([0, 3, 1, 4, 2, 5], np.float32).tobytes() + b"count torch.int64 ()\n" + np.int64(3).tobytes()
    assert ad.weights_digest(module) == hashlib.sha256(said).hexdigest()


def saved(tmp_path: Path, kind: str = "ssb", **options: Any) -> tuple[Path, Network]:
    module = adapted(kind, **options)
    shake(module)
    file = tmp_path / "deep" / "adapters.safetensors"
    ad.save_adapters(file, module, ad.weights_digest(module), {"patterns": [MLP], "rate": 1e-4})
    return file, module


@every_kind
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "adapted"])
def test_a_file_of_adapters_brings_the_network_back(kind: str, plain: bool, tmp_path: Path) -> None:
    options = {} if kind == "ssb" else {"rank": 3, "alpha": 2}
    file, module = saved(tmp_path, kind, **options)
    assert set(load_file(file)) == set(ad.adapter_state(module))
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    other = network() if plain else adapted(kind, **options)
    assert ad.load_adapters(file, other) == {"patterns": [MLP], "rate": 1e-4}
    assert torch.equal(other(tokens()), module(tokens()))
    assert ad.trainable(other) == ad.trainable(module)
    assert not other.head.weight.requires_grad
    if not plain:
        other.head.requires_grad_(True)
        ad.load_adapters(file, other)
        assert other.head.weight.requires_grad


def test_the_metadata_says_what_the_file_is(tmp_path: Path) -> None:
    from safetensors import safe_open

    file, module = saved(tmp_path, "lora", rank=2)
    with safe_open(file, framework="np") as opened:
        card = json.loads(opened.metadata()[KEY])
    assert card["base"] == ad.weights_digest(network())
    assert card["layers"] == {name: {"kind": "lora", "options": {"rank": 2, "alpha": 4.0}} for name in NAMES}
    assert card["settings"]["patterns"] == [MLP]
    with pytest.raises(InputError, match="not a leadline checkpoint"):
        checkpoint.load(file)
    size = 4 * sum(value.numel() for value in ad.adapter_state(module).values())
    assert file.stat().st_size < size + 3000


def test_adapters_that_do_not_fit_are_told_and_nothing_is_changed(tmp_path: Path) -> None:
    file, module = saved(tmp_path, "lora")

    def told(base: nn.Module, message: str) -> None:
        before = {name: value.clone() for name, value in base.state_dict().items()}
        grads = [p.requires_grad for p in base.parameters()]
        with pytest.raises(InputError, match=rf"adapters\.safetensors: .*{message}") as error:
            ad.load_adapters(file, base)
        assert "\n" not in str(error.value)
        after = base.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], value) for name, value in after.items())
        assert grads == [p.requires_grad for p in base.parameters()]

    digest, other = ad.weights_digest(network()), ad.weights_digest(network(seed=9))
    told(network(seed=9), f"adapters of a base with sha256 {digest[:12]}, this one's is {other[:12]}; load the weights")
    told(adapted("ssb"), r"'blocks\.0\.mlp\.fc1' is lora \(rank 4, alpha 4\.0\) in the file, ssb in the module")
    told(adapted("lora", rank=2), r"\(rank 4, alpha 4\.0\) in the file, lora \(rank 2, alpha 4\.0\) in the module")
    more, fewer = adapted("lora"), network()
    adapt(more, ["head"], "lora")
    adapt(fewer, ["blocks.0.mlp.fc1"], "lora")
    told(more, r"'head' is not adapted in the file, lora \(.*\) in the module")
    told(
        fewer, r"'blocks\.0\.mlp\.fc2' is lora \(.*\) in the file, not adapted in the module; adapt it as the file says"
    )

    good, state = {"base": digest, "layers": ad._layers(ad._adapters(module)), "settings": {}}, load_file(file)
    first, name = NAMES[0], f"{NAMES[0]}.A"

    def write(card: Any, tensors: dict[str, Tensor]) -> None:
        save_file(tensors, file, {KEY: card if isinstance(card, str) else json.dumps(card)})

    for base in (network(), adapted("lora")):
        write(good, {key: value for key, value in state.items() if key != name})
        told(base, r"lacks 'blocks\.0\.mlp\.fc1\.A' \(1 such\), expected 8 tensors")
        write(good, state | {"head.A": torch.zeros(1)})
        told(base, r"has an unknown 'head\.A'")
        write(good, state | {name: torch.zeros(4, 13)})
        told(base, r"'blocks\.0\.mlp\.fc1\.A' is \(4, 13\), here it is \(4, 12\)")
    layers = good["layers"]
    write(good | {"layers": {"blocks.0.mlp.fc9": layers[first]}}, state)
    told(network(), r"adapts 'blocks\.0\.mlp\.fc9', which is no nn\.Linear here; did you mean 'blocks\.\d\.mlp\.fc\d'")
    write(good | {"layers": layers | {NAMES[3]: {"kind": "dora", "options": {}}}}, state)
    told(network(), r"kind: 'dora' is none of ssb, lora, dv-lora; did you mean 'lora'")
    for card in ("{", "[]", {**good, "base": 3}, {**good, "layers": []}, {**good, "layers": {"head": {}}}):
        write(card, state)
        told(network(), "what it says of its adapters cannot be read")
    save_file(state, file)
    told(network(), f"not one of adapters .*{KEY}")
    file.write_bytes(b"not a file of adapters")
    told(network(), "not a readable safetensors file")
    file.unlink()
    told(network(), "no such file of adapters")


def test_what_cannot_be_saved_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        ad.save_adapters(tmp_path / "adapters.pth", adapted("ssb"), "", {})
    with pytest.raises(ConfigError, match="Network has none to save, call adapt first"):
        ad.save_adapters(tmp_path / "adapters.safetensors", network(), "", {})
    with pytest.raises(ConfigError, match="settings: cannot be said in JSON"):
        ad.save_adapters(tmp_path / "adapters.safetensors", adapted("ssb"), "", {"path": tmp_path})
    assert list(tmp_path.iterdir()) == []
