"""What training bridging gates costs, beside training everything.

    python benchmarks/briges_cost.py --quick
    python benchmarks/briges_cost.py --paper --device cuda

Time and memory of a training step, loss and AdamW included, of: the gates, both models frozen (BriGeS); the same
network with everything in it trained, both models and the gates (full fine-tuning); and the depth model alone, all of
it trained. Weights are random: they do not change the cost. With --quick Depth Anything and DINOv2 of width 192 and 12
blocks at 224x224 on the CPU; with --paper Depth Anything B and SAM B at 448x448. Time is the median step; memory is the
most a process of its own took beyond what it had before the first step: of the GPU what torch allocated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leadline.foundation.semantics import open_encoder
from leadline.foundation.transformers_depth import open_depth_anything
from leadline.methods.affine import V2, AffineInvariant
from leadline.networks import create
from leadline.networks.bridging import Bridged
from leadline.networks.depth_anything import DepthAnythingNetwork
from leadline.networks.dinov2 import DINOv2

SIZES: dict[str, dict[str, Any]] = {
    "quick": {
        "depth": {"width": 192, "blocks": 12, "attention_heads": 3, "patch": 14, "grid": 16}, "side": 224, "batch": 8,
    },
    "paper": {
        "depth": {
            "width": 768, "blocks": 12, "attention_heads": 12, "patch": 14, "grid": 37, "channels": (96, 192, 384, 768),
            "fused": 128,
        },
        "side": 448, "batch": 8,
    },
}  # fmt: skip
GATES, ALL, ALONE = "gates", "everything", "depth model alone, all of it"


def main() -> None:
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scale = known.add_mutually_exclusive_group(required=True)
    scale.add_argument("--quick", dest="scale", action="store_const", const="quick", help="CPU")
    scale.add_argument("--paper", dest="scale", action="store_const", const="paper", help="the paper's size, for a GPU")
    known.add_argument("--device", default="cpu")
    known.add_argument("--steps", type=int, default=8)
    options = known.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder), options.scale)
        costs = {}
        for way in (GATES, ALL, ALONE):
            # A process for each: what one of them took must not show in the next.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                costs[way] = pool.apply(cost, (way, folder, options.scale, options.device, options.steps))
    print(f"{options.scale}, {options.device}, {torch.__version__}\n{'':<30}{'s a step':>10}{'MB':>8}{'trained':>14}")
    for way, (seconds, memory, count) in costs.items():
        print(f"{way:<30}{seconds:>10.3f}{memory:>8.0f}{count:>14,}")
    for way in (ALL, ALONE):
        time_ratio, memory_ratio = (costs[GATES][index] / costs[way][index] for index in (0, 1))
        print(f"gates / {way}: time {time_ratio:.2f}, memory {memory_ratio:.2f}")


def write_models(folder: Path, scale: str) -> None:
    torch.manual_seed(0)
    size = SIZES[scale]
    DepthAnythingNetwork(**size["depth"]).save_folder(folder / "depth", (size["side"], size["side"]), "apache-2.0")
    if scale == "quick":
        form = {key: size["depth"][key] for key in ("width", "blocks", "patch", "grid")}
        DINOv2(**form, heads=size["depth"]["attention_heads"]).save_folder(folder / "semantics", "apache-2.0")
        return
    from transformers import SamConfig, SamModel

    SamModel(SamConfig()).save_pretrained(folder / "semantics")  # its defaults are SAM B
    (folder / "semantics" / "preprocessor_config.json").write_text(json.dumps({}))


def cost(way: str, folder: str, scale: str, device: str, steps: int) -> tuple[float, float, int]:
    """Seconds a step, MB, and how many parameters are trained."""
    network, trained = made(way, Path(folder), scale)
    network.to(device).train()
    size = SIZES[scale]
    shape = size["batch"], 3, size["side"], size["side"]
    image = torch.rand(shape, device=device)
    target, mask = image.mean(1, keepdim=True), torch.ones(len(image), 1, *shape[2:], dtype=torch.bool, device=device)
    with torch.no_grad():
        network(image[:1])  # models follow their images to the device
    optimiser = torch.optim.AdamW(trained)
    occupied, seconds = allocated(device), []
    for _ in range(steps):
        began = time.perf_counter()
        step(network, optimiser, image, target, mask)
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:]), (peak(device) - occupied) / 2**20, sum(p.numel() for p in trained)


def made(way: str, folder: Path, scale: str) -> tuple[nn.Module, list[nn.Parameter]]:
    """The network, and what of it is trained."""
    if way == ALONE:
        alone = DepthAnythingNetwork(**SIZES[scale]["depth"])
        return alone, [parameter for parameter in alone.parameters() if parameter.requires_grad]
    depth, semantics = open_depth_anything(str(folder / "depth")), open_encoder(str(folder / "semantics"))
    gated = create("briges", width=depth.width, channels=semantics.channels, patch=depth.patch)
    assert isinstance(gated, Bridged)
    gated.attach(depth, semantics)
    trained = list(gated.parameters())
    if way == ALL:
        for model in (depth, semantics):
            trained += list(model.network.train().requires_grad_(True).parameters())
    return gated, trained


def step(network: nn.Module, optimiser: torch.optim.Optimizer, image: Tensor, target: Tensor, mask: Tensor) -> None:
    output = network(image)[0]
    optimiser.zero_grad()
    torch.stack(list(AffineInvariant().losses(output, target, mask, V2).values())).sum().backward()
    optimiser.step()


def allocated(device: str) -> float:
    """Bytes that are in use now."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak(device: str) -> float:
    """The most bytes that were."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
