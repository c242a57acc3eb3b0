"""Adapters: few trained parameters on frozen linear layers of any network, which merge into plain weights afterwards.

``adapt`` exchanges the ``nn.Linear`` layers that match a name pattern for adapted ones and freezes all the rest; the
names and the bytes of what is frozen stay what they were. An adapted layer gives, bit for bit, what the layer gave
until it is trained. A new kind is a subclass of ``Adapter`` here and its place in ``KINDS``.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError, InputError, suggest
from leadline.io.atomic import writing

#: The metadata key of a file of adapters; that of a checkpoint is another, so neither is taken for the other.
KEY = "leadline-adapters"


class Adapter(nn.Linear, ABC):
    """A frozen linear layer, y = W x + bias, whose weight W (out, in) a few trained parameters change to W'.

    It has the frozen ``weight`` and ``bias`` of the layer (the very tensors, under the same names) and its own
    parameters beside them, of the weight's type and device.

    Args:
        linear: the layer, which is not changed: ``adapt`` freezes its parameters.
        options: those of the kind, all of them: what a file says to build it again.

    Attributes:
        kind: the name ``adapt`` knows it by.
        options: see above.
    """

    kind: ClassVar[str]

    def __init__(self, linear: nn.Linear, **options: Any) -> None:
        nn.Module.__init__(self)  # not that of nn.Linear, which would draw a weight
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = linear.weight
        self.register_parameter("bias", linear.bias)
        self.options = options
        self.train(linear.training)

    @abstractmethod
    def merged_weight(self) -> Tensor:
        """W' (out, in)."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return F.linear(input, self.merged_weight(), self.bias)

    def own(self) -> dict[str, nn.Parameter]:
        """The adapter's parameters by name, without the frozen ones."""
        return {name: value for name, value in self.named_parameters() if name not in ("weight", "bias")}


class SSB(Adapter):
    """A vector on each side of the weight (EndoDAV, Zhou et al., MICCAI 2025; read in its public code)::

        W' = diag(b) W diag(a)        a (in), b (out), both start at one

    Merged, it gives the same bits. The product is formed in the weight's type before the layer is applied, as in the
    public code; there is no low-rank part, and the public class's rank and alpha do nothing.
    """

    kind = "ssb"

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.a = nn.Parameter(linear.weight.new_ones(linear.in_features))
        self.b = nn.Parameter(linear.weight.new_ones(linear.out_features))

    def merged_weight(self) -> Tensor:
        """diag(b) W diag(a), (out, in)."""
        return self.b[:, None] * self.weight * self.a


class LoRA(Adapter):
    """A product of low rank r beside the weight (Hu et al., ICLR 2022, equation 3)::

        W' = W + (alpha / r) B A      A (r, in), B (out, r)

    B starts at zero; A is uniform in +-1 / sqrt(in), the Kaiming initialisation of the paper's public code (the paper
    says Gaussian). The branch is applied beside the frozen layer, so no gradient of the size of W is formed. Rank 4 is
    EndoDAC's; alpha / r = 1 by default is ours (its LoRA baseline has 1 / 4).

    Args:
        linear: the layer.
        rank: r.
        alpha: its ratio to the rank scales the product.

    Raises:
        ConfigError: the rank is not a whole number from 1 on, or alpha not a positive number.
    """

    kind = "lora"

    def __init__(self, linear: nn.Linear, rank: int = 4, alpha: float = 4.0) -> None:
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise ConfigError(f"rank: {rank!r} is not a whole number from 1 on")
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < math.inf:
            raise ConfigError(f"alpha: {alpha!r} is not a positive number")
        super().__init__(linear, rank=rank, alpha=alpha)
        self.scale = alpha / rank
        self.A = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def factors(self) -> tuple[Tensor, Tensor]:
        """The factors of the product, (r, in) and (out, r)."""
        return self.A, self.B

    def merged_weight(self) -> Tensor:
        """W + (alpha / r) B A, (out, in)."""
        down, up = self.factors()
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.weight + self.scale * (up @ down)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        down, up = self.factors()
        return F.linear(input, self.weight, self.bias) + self.scale * F.linear(F.linear(input, down), up)


class DVLoRA(LoRA):
    """LoRA with a vector on each of its factors (EndoDAC, Cui et al., MICCAI 2024, "Dynamic Vector-based LoRA")::

        W' = W + (alpha / r) diag(v) B diag(u) A      A (r, in), B (out, r), u (r), v (out)

    It is trained in two phases. During the warm-up A and B are trained while u and v stay as they were drawn; then A
    and B are frozen, and u and v trained. ``set_warm_up`` switches; a layer starts in the warm-up.

    Theirs (read in the public code): the formula, the two phases, B at zero, A as in LoRA, u and v of the Kaiming
    initialisation of an (n, 1) matrix, which is uniform in +-1, rank 4, alpha = r, and a warm-up of 20,000 steps of
    batch 8. In that code the optimiser is given what is trained in the warm-up alone, so that u and v keep their random
    values for ever. Ours: that they are trained (``adapter_parameters`` names all phases' parameters), and that frozen
    parameters also lose the gradient they have, since an optimiser would take one more step with it.

    Args:
        linear: the layer.
        rank: r.
        alpha: its ratio to the rank scales the product.

    Raises:
        ConfigError: the rank is not a whole number from 1 on, or alpha not a positive number.
    """

    kind = "dv-lora"

    def __init__(self, linear: nn.Linear, rank: int = 4, alpha: float = 4.0) -> None:
        super().__init__(linear, rank, alpha)
        self.u = nn.Parameter(nn.init.uniform_(linear.weight.new_empty(rank), -1, 1))
        self.v = nn.Parameter(nn.init.uniform_(linear.weight.new_empty(linear.out_features), -1, 1))
        self.set_warm_up(True)

    def set_warm_up(self, on: bool) -> None:
        """Train the matrices A and B, or the vectors u and v; the others are frozen."""
        for trained, parameters in ((on, (self.A, self.B)), (not on, (self.u, self.v))):
            for parameter in parameters:
                parameter.requires_grad_(trained)
                if not trained:
                    parameter.grad = None

    def factors(self) -> tuple[Tensor, Tensor]:
        """diag(u) A and diag(v) B, (r, in) and (out, r)."""
        return self.u[:, None] * self.A, self.v[:, None] * self.B


#: The kinds of adapters by name.
KINDS: dict[str, type[Adapter]] = {kind.kind: kind for kind in (SSB, LoRA, DVLoRA)}


def adapt(module: nn.Module, patterns: str | Sequence[str], kind: str = "ssb", **options: Any) -> list[str]:
    """Put adapters onto the linear layers of a module, in place, and freeze everything that is no adapter's parameter.

    The output does not change, bit for bit, until an adapter is trained. A second call adds adapters to other layers;
    those that are there stay as they are. Layers whose parent does not call them but reads their weights are refused:
    an adapter there would do nothing (torch's own multi-head attention and encoder layer). Hooks on a layer are lost.

    Args:
        module: holds the layers, by names such as ``named_modules`` gives; is not one itself.
        patterns: of names, such as ``"pretrained.blocks.*.mlp.fc[12]"``; ``*`` matches dots too (fnmatch).
        kind: one of ``KINDS``: ``ssb``, ``lora`` or ``dv-lora``.
        options: of the kind, such as ``rank=8``.

    Returns:
        The names of the adapted layers, in the order of the module.

    Raises:
        ConfigError: a pattern matches nothing, or something that cannot be adapted; an unknown kind or option, or an
            impossible value. The module is then as it was.
    """
    linears = _matching(module, [patterns] if isinstance(patterns, str) else patterns)
    adapters = {name: _create(linear, kind, options) for name, linear in linears.items()}
    _install(module, adapters)
    return list(adapters)


def merge(module: nn.Module) -> dict[str, Adapter]:
    """Exchange every adapted layer for a plain, frozen ``nn.Linear`` of the weight W', in place.

    Returns:
        The adapters by name: what ``unmerge`` needs to put them back; empty where there are none.
    """
    adapters = _adapters(module)
    _exchange(module, {adapter: _merged(adapter) for adapter in adapters.values()})
    return adapters


def unmerge(module: nn.Module, adapters: Mapping[str, Adapter]) -> None:
    """Put adapters back in place of the layers they were merged into; nothing is computed, so every bit is as it was.

    Raises:
        ConfigError: a name is not that of a plain ``nn.Linear`` of that shape.
    """
    layers = dict(module.named_modules())
    for name, adapter in adapters.items():
        layer = layers.get(name)
        if type(layer) is not nn.Linear or layer.weight.shape != adapter.weight.shape:
            shape = tuple(adapter.weight.shape)
            raise ConfigError(f"adapters: '{name}' is no nn.Linear of shape {shape} here{suggest(name, layers)}")
    _exchange(module, {layers[name]: adapter for name, adapter in adapters.items()})


@contextlib.contextmanager
def merged(module: nn.Module) -> Iterator[nn.Module]:
    """The module with its adapters merged, for as long as the block lasts."""
    adapters = merge(module)
    try:
        yield module
    finally:
        unmerge(module, adapters)


def set_warm_up(module: nn.Module, on: bool) -> None:
    """Begin or end the warm-up of the module's DV-LoRA layers (see ``DVLoRA``); it may be said in every step.

    Raises:
        ConfigError: there are none.
    """
    layers = [adapter for adapter in _adapters(module).values() if isinstance(adapter, DVLoRA)]
    if not layers:
        raise ConfigError(f"adapters: {type(module).__name__} has no {DVLoRA.kind} layers to warm up")
    for layer in layers:
        layer.set_warm_up(on)


def adapter_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of all adapters by their names in the module, trained now or in another phase.

    Give these to the optimiser: it passes over those without a gradient.
    """
    return _parameters(_adapters(module))


def adapter_state(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of all adapters by their names in the module; not copies."""
    return {name: parameter.detach() for name, parameter in adapter_parameters(module).items()}


def trainable(module: nn.Module) -> tuple[int, int]:
    """How many parameters are trained now, and how many there are.

    All are those of the frozen layers and of the adapters, each once, also where layers share one: before ``adapt``
    and after ``merge`` there are fewer, by the adapters'. Those of a phase that is not on count only among all.
    """
    parameters = list(module.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


def weights_digest(module: nn.Module) -> str:
    """sha256, in hexadecimal, of a module's state without its adapters: each tensor's name, type, shape and bytes.

    It does not depend on whether there are adapters or how they are trained, only on the frozen weights and buffers
    (a batch normalisation that is not in eval mode moves its buffers); a merged module has other weights.
    """
    layers = module.named_modules(remove_duplicate=False)
    own = {f"{name}.{key}".lstrip(".") for name, layer in layers if isinstance(layer, Adapter) for key in layer.own()}
    state = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if name not in own and isinstance(value, Tensor):
            state.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            state.update(value.cpu().flatten().view(torch.uint8).numpy().data)
    return state.hexdigest()


def save_adapters(
    path: str | os.PathLike[str], module: nn.Module, base_digest: str, settings: Mapping[str, Any]
) -> None:
    """Write the adapters, without the frozen weights, as one safetensors file, whole or not at all.

    Its metadata says for every adapted layer the kind and the options, so a plain base is all that is needed to load
    it.

    Args:
        path: ends in .safetensors.
        module: has adapters.
        base_digest: ``weights_digest`` of the base they were trained on.
        settings: what made them, such as patterns and learning rate, as JSON can say it.

    Raises:
        ConfigError: the module has no adapters, or the settings cannot be said in JSON.
        InputError: ``path`` does not end in .safetensors, or its folder cannot be written to.
    """
    from safetensors.torch import save_file

    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: a file of adapters ends in .safetensors")
    if not (adapters := _adapters(module)):
        raise ConfigError(f"adapters: {type(module).__name__} has none to save, call adapt first")
    try:
        card = json.dumps({"base": base_digest, "layers": _layers(adapters), "settings": dict(settings)})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings: cannot be said in JSON ({error})") from None
    with writing(path) as temporary:
        save_file({name: value.contiguous() for name, value in adapter_state(module).items()}, temporary, {KEY: card})


def load_adapters(path: str | os.PathLike[str], module: nn.Module) -> dict[str, Any]:
    """Load what ``save_adapters`` wrote.

    Args:
        path: the file.
        module: the base, either without adapters (it is then adapted as the file says, and frozen) or adapted in the
            same way (what is frozen and which phase is on then stay).

    Returns:
        The settings in the file.

    Raises:
        InputError: no such file, or not one of adapters; made for other frozen weights, or for other layers, kinds,
            options or shapes. The module is then as it was.
    """
    card, stored = _read(path)
    if card["base"] != (digest := weights_digest(module)):
        raise InputError(
            f"{path}: adapters of a base with sha256 {card['base'][:12]}, this one's is {digest[:12]}; "
            "load the weights they were trained on"
        )
    present = _adapters(module)
    adapters = present or _fresh(path, module, card["layers"])
    _check_layers(path, card["layers"], _layers(adapters))
    _check_tensors(path, stored, _parameters(adapters))
    if not present:
        _install(module, adapters)
    with torch.no_grad():
        for name, parameter in _parameters(adapters).items():
            parameter.copy_(stored[name])
    settings: dict[str, Any] = card["settings"]
    return settings


def _adapters(module: nn.Module) -> dict[str, Adapter]:
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, Adapter)}


def _parameters(adapters: Mapping[str, Adapter]) -> dict[str, nn.Parameter]:
    return {
        f"{name}.{key}".lstrip("."): value for name, adapter in adapters.items() for key, value in adapter.own().items()
    }


def _layers(adapters: Mapping[str, Adapter]) -> dict[str, dict[str, Any]]:
    """What a file says of every adapted layer."""
    return {name: {"kind": adapter.kind, "options": adapter.options} for name, adapter in adapters.items()}


def _linears(module: nn.Module) -> dict[str, nn.Linear]:
    """What can be adapted: a subclass may compute something else, and its parent may not call it."""
    return {
        name: layer
        for name, layer in module.named_modules()
        # torch's encoder layer has a fast path that reads the weights
        if name and type(layer) is nn.Linear and not isinstance(_parent(module, name), nn.TransformerEncoderLayer)
    }


def _parent(module: nn.Module, name: str) -> nn.Module:
    return module.get_submodule(name.rpartition(".")[0])


def _matching(module: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Linear]:
    linears = _linears(module)
    if not patterns:
        raise ConfigError("patterns: none given, so nothing would be trained")
    for pattern in patterns:
        found = {name: layer for name, layer in module.named_modules() if name and fnmatchcase(name, pattern)}
        hint = suggest(pattern, linears) or (f", such as '{next(iter(linears))}'" if linears else ", here are none")
        if not found:
            raise ConfigError(f"patterns: '{pattern}' matches no layer, adapted are nn.Linear layers{hint}")
        if wrong := found.keys() - linears.keys():
            name = min(wrong)
            raise ConfigError(
                f"patterns: '{pattern}' matches '{name}', a {type(found[name]).__name__} of a "
                f"{type(_parent(module, name)).__name__}; adapted are nn.Linear layers that their parent calls{hint}"
            )
    return {name: layer for name, layer in linears.items() if any(fnmatchcase(name, p) for p in patterns)}


def _create(linear: nn.Linear, kind: str, options: Mapping[str, Any]) -> Adapter:
    if kind not in KINDS:
        raise ConfigError(f"kind: '{kind}' is none of {', '.join(KINDS)}{suggest(kind, KINDS)}")
    known = [name for name in inspect.signature(KINDS[kind]).parameters if name != "linear"]
    for key in options:
        if key not in known:
            raise ConfigError(f"{kind}: no option '{key}', it takes {', '.join(known) or 'none'}{suggest(key, known)}")
    return KINDS[kind](linear, **options)


def _install(module: nn.Module, adapters: Mapping[str, Adapter]) -> None:
    layers = dict(module.named_modules())
    _exchange(module, {layers[name]: adapter for name, adapter in adapters.items()})
    own = {id(parameter) for parameter in adapter_parameters(module).values()}
    for parameter in module.parameters():
        if id(parameter) not in own:
            parameter.requires_grad_(False)


def _exchange(module: nn.Module, layers: Mapping[nn.Module, nn.Module]) -> None:
    """Put one layer in place of another, wherever it is: a module may hold one under several names."""
    if module in layers:
        raise ConfigError(f"adapters: a {type(module).__name__} cannot be exchanged in itself, give what holds it")
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):  # named_children passes over a layer's second name
            if child is not None and child in layers:
                setattr(parent, name, layers[child])


@torch.no_grad()
def _merged(adapter: Adapter) -> nn.Linear:
    weight = adapter.merged_weight().detach()
    linear = nn.Linear(adapter.in_features, adapter.out_features, adapter.bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if adapter.bias is not None:
        linear.bias = nn.Parameter(adapter.bias.clone(), requires_grad=False)  # what changes one must not change both
    return linear.train(adapter.training)


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file of adapters")
    try:
        with safe_open(path, framework="pt") as opened:
            text = (opened.metadata() or {}).get(KEY)
            stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118, it is no dict
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None
    if text is None:
        raise InputError(f"{path}: a safetensors file, but not one of adapters (its metadata has no '{KEY}')")
    try:
        card = json.loads(text)
        if not (isinstance(card["base"], str) and isinstance(card["settings"], dict)):
            raise TypeError("base or settings")
        card["layers"] = {n: {"kind": str(e["kind"]), "options": dict(e["options"])} for n, e in card["layers"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: what it says of its adapters cannot be read ({error})") from None
    return card, stored


def _fresh(path: str | os.PathLike[str], module: nn.Module, layers: Mapping[str, Any]) -> dict[str, Adapter]:
    """The adapters a file speaks of, on the layers of the module but not yet in it."""
    linears = _linears(module)
    if missing := layers.keys() - linears.keys():
        name = min(missing)
        raise InputError(f"{path}: adapts '{name}', which is no nn.Linear here{suggest(name, linears)}")
    try:
        return {name: _create(linears[name], entry["kind"], entry["options"]) for name, entry in layers.items()}
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from None


def _check_layers(path: str | os.PathLike[str], stored: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for name in sorted(stored.keys() | here.keys()):
        if stored.get(name) != here.get(name):
            raise InputError(
                f"{path}: '{name}' is {_said(stored.get(name))} in the file, {_said(here.get(name))} in the module; "
                "adapt it as the file says, or give the base without adapters"
            )


def _said(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "not adapted"
    options = ", ".join(f"{key} {value}" for key, value in entry["options"].items())
    return f"{entry['kind']} ({options})" if options else str(entry["kind"])


def _check_tensors(path: str | os.PathLike[str], stored: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> None:
    for problem, names in (("lacks", here.keys() - stored.keys()), ("has an unknown", stored.keys() - here.keys())):
        if names:
            raise InputError(f"{path}: {problem} '{min(names)}' ({len(names)} such), expected {len(here)} tensors")
    for name, value in here.items():
        if stored[name].shape != value.shape:
            raise InputError(f"{path}: '{name}' is {tuple(stored[name].shape)}, here it is {tuple(value.shape)}")
