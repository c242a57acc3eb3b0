"""Size and latency of leadline's students, of Depth Anything V2's architectures and of small published networks.

    python benchmarks/latency.py [--rounds 5] [--only swift dav2-small] [--runtimes openvino] [--out latency.json]

One process, one image, 256x320 (252x322 for Depth Anything, whose patches are 14 pixels wide; the published TFLite
networks at the one size they have), two threads, random weights: they do not change the time. Depth Anything V2 Base is
what EndoDAC tunes, whose adapters merge into it. ``gsae`` is the teacher of VFM-Depth style: swift-lite2 fused with a
frozen EfficientNet-Lite0. Parameters in millions, and multiplications with additions in thousand millions (GMAC), are
counted for what is made here. Every round times every
network in every runtime once, so that a machine that slows down slows all of them; minima are compared. The published
networks are read from ``peers`` in the folder named by LEADLINE_DATA and are skipped where it does not exist.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from leadline.engines import Session
from leadline.engines.onnx import OnnxSession
from leadline.engines.openvino import OpenVINOSession
from leadline.foundation.semantics import open_encoder
from leadline.io.atomic import write_json
from leadline.networks import create
from leadline.runtime.machine import describe
from leadline.runtime.timing import measure

THREADS = 2
SIZE = (256, 320)
TEACHER = "dav2-small"
#: Width, heads, neck and fusion of Depth Anything V2.
TEACHERS: dict[str, tuple[int, int, list[int], int]] = {
    TEACHER: (384, 6, [48, 96, 192, 384], 64),
    "dav2-base": (768, 12, [96, 192, 384, 768], 128),
}
TEACHER_SIZE = (252, 322)
FUSED = "gsae"
STUDENTS = ("swift", "swift-lite1", "swift-lite2", "litenet-tiny", "litenet-small", "litenet", "litenet-8m")
PEERS = {  # with their inputs
    "pydnet_pp": (1, 448, 640, 3),
    "fast_depth_224": (1, 224, 224, 3),
    "pydnet_mobile_kitti": (1, 3, 192, 640),
}
RUNTIMES = ("torch", "onnx", "openvino")

Run = Callable[[], object]


class DepthAnything(nn.Module):
    """Depth Anything V2's architecture: image (B, 3, H, W) to disparity (B, H, W).

    Args:
        width: of the transformer.
        heads: of its attention.
        neck: channels of the four maps made of its tokens.
        fused: channels they are fused with.
    """

    def __init__(self, width: int, heads: int, neck: list[int], fused: int) -> None:
        super().__init__()
        backbone = Dinov2Config(
            hidden_size=width,
            num_hidden_layers=12,
            num_attention_heads=heads,
            image_size=518,
            patch_size=14,
            out_features=["stage3", "stage6", "stage9", "stage12"],
            reshape_hidden_states=False,
            apply_layernorm=True,
        )
        config = DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=width,
            neck_hidden_sizes=neck,
            fusion_hidden_size=fused,
            patch_size=14,
        )
        self.model = DepthAnythingForDepthEstimation(config)

    def forward(self, image: Tensor) -> Tensor:
        disparity: Tensor = self.model(pixel_values=image).predicted_depth
        return disparity


def made(name: str) -> tuple[nn.Module, tuple[int, int]]:
    """A network by name, in eval mode, and the (height, width) it is timed at."""
    if name in TEACHERS:
        return DepthAnything(*TEACHERS[name]).eval(), TEACHER_SIZE
    if name != FUSED:
        return create(name).eval(), SIZE
    network = create(name, backbone="swift-lite2")
    network.attach(open_encoder("efficientnet-lite0"))
    return network.eval(), SIZE


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often every network is timed (at least 5)")
    parser.add_argument("--iterations", type=int, default=10, help="images a network sees in a round")
    parser.add_argument("--only", nargs="+", default=[*TEACHERS, FUSED, *STUDENTS, *PEERS], help="networks to time")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    if arguments.rounds < 5:
        parser.error("--rounds: fewer than 5 rounds do not average out a machine's drift")

    warnings.simplefilter("ignore", FutureWarning)  # torch's exporter warns of its own use of torch
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it notes at every export that torchvision is absent
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        sizes = counted([name for name in arguments.only if name not in PEERS])
        runs = prepare(arguments.only, arguments.runtimes, Path(folder))
        times = measure(runs, arguments.rounds, arguments.iterations)
    report(sizes, times, arguments.out)


def counted(names: list[str]) -> dict[str, tuple[float, float]]:
    """Parameters in millions and GMAC, by network."""
    sizes = {}
    for name in names:
        network, size = made(name)
        with FlopCounterMode(display=False) as counter:
            network(torch.rand(1, 3, *size))
        parameters = sum(parameter.numel() for parameter in network.parameters())
        sizes[name] = parameters / 1e6, counter.get_total_flops() / 2e9
    return sizes


def prepare(names: list[str], runtimes: list[str], folder: Path) -> dict[tuple[str, str], Run]:
    """What to time, by network and runtime."""
    runs: dict[tuple[str, str], Run] = {}
    for name in names:
        if name in PEERS:
            if (path := peer(name)) is None:
                print(f"{name}: skipped, LEADLINE_DATA does not name a folder that holds peers/{name}.tflite")
            elif "openvino" in runtimes:
                runs[name, "openvino"] = run_of(OpenVINOSession(path, THREADS, shape=PEERS[name]))
            continue
        network, size = made(name)
        image = torch.rand(1, 3, *size)
        if "torch" in runtimes:
            network = network.to(memory_format=torch.channels_last)
            runs[name, "torch"] = partial(network, image.contiguous(memory_format=torch.channels_last))
        if name != FUSED and {"onnx", "openvino"} & set(runtimes):  # it is not exported
            path = folder / f"{name}.onnx"
            torch.onnx.export(network, (image,), path, dynamo=True, verbose=False)
            if "onnx" in runtimes:
                runs[name, "onnx"] = run_of(OnnxSession(path, THREADS))
            if "openvino" in runtimes:
                runs[name, "openvino"] = run_of(OpenVINOSession(path, THREADS))
    return runs


def run_of(session: Session) -> Run:
    """One call of a session, on random numbers."""
    (taken,) = session.inputs
    values = np.random.default_rng(0).random(taken.shape) * (255 if taken.dtype == "uint8" else 1)
    image = values.astype(taken.dtype)
    return lambda: session(image)


def peer(name: str) -> Path | None:
    """The file of a published network, if it is here."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("LEADLINE_DATA", default)) / "peers" / f"{name}.tflite"
    return path if path.is_file() else None


def report(sizes: dict[str, tuple[float, float]], times: dict[tuple[str, str], list[float]], out: Path | None) -> None:
    """Print the tables and write the same figures to ``out``."""
    print(f"{'network':<20} {'million parameters':>20} {'GMAC':>8}")
    for name, (parameters, operations) in sizes.items():
        print(f"{name:<20} {parameters:>20.2f} {operations:>8.2f}")
    reference = min(times.get((TEACHER, "openvino"), [float("nan")]))
    rows = []
    print(f"{'network':<20} {'runtime':<9} {'min ms':>8} {'median ms':>10} {'of ' + TEACHER:>14}")
    for (name, runtime), values in times.items():
        least, middle = min(values), statistics.median(values)
        rows.append({"network": name, "runtime": runtime, "min_ms": least, "median_ms": middle})
        rows[-1]["ratio"] = None if np.isnan(reference) else least / reference
        print(f"{name:<20} {runtime:<9} {least:>8.2f} {middle:>10.2f} {least / reference:>14.4f}")
    if out is not None:
        machine = describe() | {"threads": THREADS, "size": SIZE}
        write_json(out, {"machine": machine, "sizes": sizes, "rows": rows}, indent=1)


if __name__ == "__main__":
    main()
