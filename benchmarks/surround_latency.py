"""Six views around a vehicle: light networks of bins against Depth Anything V2 Small, in one run.

    python benchmarks/surround_latency.py [--size 384 640] [--rounds 5] [--device cuda]

One instant of a rig, six images in one batch, two threads, random weights: they do not change the time. Depth Anything
sees 378x644 where the others see 384x640, as its patches are 14 pixels wide. On the CPU in torch and in OpenVINO, on a
GPU in torch with 16 bits. Every round times everything once; minima are compared.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from latency import TEACHER, TEACHERS, THREADS, DepthAnything
from leadline.engines.openvino import OpenVINOSession
from leadline.networks import create
from leadline.runtime.timing import measure

VIEWS, PATCH = 6, 14
STUDENTS = ("swift-bins", "litenet-bins", "swift")
Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=[384, 640], help="height and width")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # torch's exporter warns of its own use of torch
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.set_num_threads(THREADS)
    runs: dict[tuple[str, str], Run] = {}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for name in (TEACHER, *STUDENTS):
            patch = PATCH if name == TEACHER else 1
            size = [round(side / patch) * patch for side in options.size]
            network = DepthAnything(*TEACHERS[name]) if name == TEACHER else create(name)
            images = torch.rand(VIEWS, 3, *size)
            runs[name, "torch"] = in_torch(network.eval(), images, options.device)
            if options.device == "cpu":
                path = Path(folder) / f"{name}.onnx"
                torch.onnx.export(network, (images,), path, dynamo=True, verbose=False)
                session = OpenVINOSession(path, THREADS)
                runs[name, "openvino"] = partial(session, images.numpy())
        times = measure(runs, options.rounds, options.iterations)
    print(f"six views of {options.size[0]}x{options.size[1]}, {options.device}, {THREADS} threads")
    print(f"{'network':<14} {'runtime':<9} {'min ms':>9} {'median ms':>10} {'rigs/s':>8} {'times faster':>13}")
    for (name, runtime), values in times.items():
        least = min(values)
        faster = min(times[TEACHER, runtime]) / least
        print(f"{name:<14} {runtime:<9} {least:>9.1f} {statistics.median(values):>10.1f} {1000 / least:>8.2f} "
              f"{faster:>13.2f}")  # fmt: skip


def in_torch(network: nn.Module, images: Tensor, device: str) -> Run:
    """A call of a network on images, waited for."""
    network = network.to(device, memory_format=torch.channels_last)
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    gpu = torch.device(device).type == "cuda"

    def run() -> None:
        with torch.autocast("cuda", torch.float16, enabled=gpu):
            network(images)
        if gpu:
            torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    main()
