"""int8: how fast it is and what it costs, beside float and Depth Anything V2 Small.

    python benchmarks/int8.py [--model student.safetensors] [--data DATA/sevenscenes] [--rounds 8]

By default a swift with an encoder that knows ImageNet and a head of random weights, whose answers hang on all of its
features: latency does not change with weights, and depth that is harder on int8 than any learned one's. It is quantised
on frames of the data, judged by the gate on others, and timed in OpenVINO at 256x320 (Depth Anything at 252x322), one
image, two threads. Every round times everything once; minima are compared.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from latency import SIZE, TEACHER, THREADS, made, run_of
from leadline.checkpoint import Card
from leadline.data.dataset import open_dataset
from leadline.data.split import Holdout
from leadline.engines.openvino import OpenVINOSession, core
from leadline.export.calibration import split_frames
from leadline.export.gate import Gate, against_float, against_truth
from leadline.export.int8 import write_int8
from leadline.export.openvino import OPENVINO
from leadline.export.parity import shown
from leadline.export.writing import write
from leadline.foundation.exported import ExportedModel
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.images import read_image
from leadline.networks import create
from leadline.networks.student import Student
from leadline.protocols import open_protocol
from leadline.runtime.timing import measure

DATA = Path(os.environ.get("LEADLINE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "sevenscenes"
#: What int8 may take, of float and of Depth Anything V2 Small in float.
DEMANDS = (0.8, 0.058)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint; by default a swift, see above")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of 7-Scenes")
    parser.add_argument("--frames", type=int, default=96, help="to calibrate and judge on")
    parser.add_argument("--truth", action="store_true", help="judge by the depth sensor's maps, not by float")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=10)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(THREADS)
    model = LeadlineModel.open(options.model) if options.model else example()
    with tempfile.TemporaryDirectory() as folder:
        float32, int8 = Path(folder) / "float.xml", Path(folder) / "int8.xml"
        write(OPENVINO, model, float32, SIZE)
        frames, gate = judged(options.data, options.frames, options.truth)
        report = write_int8(OPENVINO, model, int8, frames, gate, SIZE)
        print(report.table())
        print(executed(int8))
        sessions = {name: OpenVINOSession(path, THREADS) for name, path in (("float", float32), ("int8", int8))}
        runs = {name: run_of(session) for name, session in sessions.items()} | {TEACHER: teacher(Path(folder))}
        times = measure(runs, options.rounds, options.iterations)
    least = {name: min(values) for name, values in times.items()}
    for name, milliseconds in least.items():
        print(f"{name:<12} {milliseconds:>8.2f} ms")
    for other, demand in zip(("float", TEACHER), DEMANDS, strict=True):
        print(f"int8 / {other}: {least['int8'] / least[other]:.3f} (at most {demand} is wanted)")


def example() -> LeadlineModel:
    """A swift whose answers hang on all of its features."""
    torch.manual_seed(0)
    network = create("swift", pretrained=True)
    for head in network.heads():
        torch.nn.init.normal_(head.weight, std=0.2)
    card = Card("swift", "affine-invariant-disparity", "arbitrary", SIZE, licence="apache-2.0")
    return LeadlineModel(Student(network, card.kind, card.unit), card, "swift")


def judged(data: Path, count: int, truth: bool) -> tuple[list[np.ndarray], Callable[[ExportedModel], Gate]]:
    """Frames to calibrate on, and the gate on others."""
    if not truth:
        paths = sorted(data.rglob("*.color.*"))
        seen, kept = split_frames([read_image(path) for path in paths[:: max(1, len(paths) // count)]])
        return seen, lambda exported: against_float(exported, [shown([each], SIZE) for each in kept])
    rules = open_protocol("sevenscenes")
    frames = open_dataset("sevenscenes", data, split="all", every=max(1, len(list(data.rglob("*.color.*"))) // count))
    indices, rest = Holdout(4).split(len(frames))
    others = frames.only(rest)
    return [read_image(frames.paths[index]) for index in indices], lambda exported: against_truth(
        exported, rules, others
    )


def teacher(folder: Path) -> Callable[[], object]:
    """One call of Depth Anything V2 Small."""
    network, size = made(TEACHER)
    torch.onnx.export(network, (torch.rand(1, 3, *size),), folder / "teacher.onnx", dynamo=True, verbose=False)
    return run_of(OpenVINOSession(folder / "teacher.onnx", THREADS))


def executed(path: Path) -> str:
    """What runs in which precision: kind of layer and primitive, and how many."""
    compiled = core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        kinds[f"{info['layerType'].astype(str)} {info['primitiveType'].astype(str)}"] += 1
    return "\n".join(f"{count:>5} {kind}" for kind, count in kinds.most_common() if not kind.startswith("Const"))


if __name__ == "__main__":
    main()
