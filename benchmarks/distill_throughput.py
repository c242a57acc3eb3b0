"""What training costs beyond what must be computed.

    python benchmarks/distill_throughput.py [--data ../shared/data] [--rounds 3] [--steps 14] [--student swift]

A training step, as `leadline distill` makes it (frames read from disk, augmented, Lightning, logs, averaged weights),
against the bare computation on a batch in memory: teacher forward, student forward and backward with losses, optimiser.
Once with the teacher at every step, once with labels kept on disk, where the bare computation has no teacher.
Both are run in turn; medians of the steps, minima and medians over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import default_collate

from leadline.data.augmentation import Augmentation
from leadline.data.inputs import Inputs
from leadline.data.samples import Samples
from leadline.foundation import load
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet
from leadline.training import fit as fitting
from leadline.training.options import FitOptions

CARD = Path(__file__).parent / "cards" / "pydnet_pp.card.yaml"
SIZE, BATCH, WARM = (256, 352), 8, 4


class Recorder(fitting.Progress):
    """Notes when each step ended."""

    ends: list[float]

    def on_train_start(self, *arguments: Any) -> None:
        super().on_train_start(*arguments)
        Recorder.ends = []

    def on_train_batch_end(self, *arguments: Any) -> None:
        super().on_train_batch_end(*arguments)
        Recorder.ends.append(time.perf_counter())


def whole_step(method: LiteNet, samples: Samples, options: FitOptions) -> float:
    """Median seconds of a step of the real training."""
    with tempfile.TemporaryDirectory() as folder:
        indices = list(range(len(samples.frames)))
        plain = Samples(samples.frames, samples.size)
        fitting.fit(method, samples, indices, plain, [], options, Path(folder))
    ends = Recorder.ends[WARM:]
    return statistics.median(b - a for a, b in itertools.pairwise(ends))


def bare_step(method: LiteNet, samples: Samples, steps: int) -> float:
    """Median seconds of the computation alone."""
    batch = default_collate([samples[draw, draw] for draw in range(BATCH)])
    method.train()
    method.student.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(method.student.parameters(), lr=1e-4)
    durations = []
    for _ in range(steps):
        began = time.perf_counter()
        total = torch.stack(list(method.parts(batch).values())).sum()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(method.student.parameters(), 1.0)
        optimiser.step()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations[WARM:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--student", default="swift")
    arguments = parser.parse_args()
    fitting.Progress = Recorder  # type: ignore[misc]
    teacher = load(arguments.data / "peers" / "pydnet_pp.tflite", card=CARD)
    frames = Inputs([str(arguments.data / "sevenscenes" / "seq-01" / "*.color.jpg")], mask="none")
    frames.paths = frames.paths[:120]
    options = FitOptions(steps=arguments.steps + WARM, batch_size=BATCH, size=SIZE, device="cpu")
    with tempfile.TemporaryDirectory() as labels:
        for name, cache in (("teacher at every step", False), ("labels kept on disk", True)):
            times: dict[str, list[float]] = {"training step": [], "bare computation": []}
            for _ in range(arguments.rounds):
                method = LiteNet(teacher, StudentOptions(arguments.student), cache=cache)
                used = list(range(len(frames)))
                samples = Samples(method.prepare(frames, used, SIZE, Path(labels))[0], SIZE, Augmentation())
                method.make_student(torch.linspace(1, 100, 1000))
                times["bare computation"].append(bare_step(method, samples, arguments.steps + WARM))
                times["training step"].append(whole_step(method, samples, options))
            for what, values in times.items():
                print(f"{name}: {what}: min {min(values):.3f} s, median {statistics.median(values):.3f} s")
            ratio = min(times["training step"]) / min(times["bare computation"])
            middle = statistics.median(times["training step"]) / statistics.median(times["bare computation"])
            print(f"{name}: training step / bare computation: {ratio:.3f} (minima), {middle:.3f} (medians)", flush=True)


if __name__ == "__main__":
    main()
