"""How much of Video Depth Anything EndoDAV's adapters train: parameters, and their share of the whole.

    python benchmarks/adapter_sizes.py

No weights are needed: networks are made without any.
"""

from __future__ import annotations

import torch

from leadline.methods.endodav import Adapters
from leadline.networks import create
from leadline.networks.adapters import adapt, trainable

NETWORKS = ("vda-tiny", "vda-vits", "vda-vitb", "vda-vitl")
KINDS = ("ssb", "lora", "dv-lora")


def main() -> None:
    print(f"{'network':<10} {'parameters':>12}" + "".join(f"{kind:>23}" for kind in KINDS))
    for name in NETWORKS:
        line = f"{name:<10} {sum(parameter.numel() for parameter in empty(name).parameters()):>12,}"
        for kind in KINDS:
            network, adapters = empty(name), Adapters(kind)
            adapt(network, (*adapters.spatial, *adapters.temporal), kind)
            count, every = trainable(network)
            line += f" {count:>13,} {count / every:>8.3%}"
        print(line)


def empty(name: str) -> torch.nn.Module:
    """A network without weights; what is made of it has none either."""
    torch.set_default_device("meta")
    return create(name)


if __name__ == "__main__":
    main()
