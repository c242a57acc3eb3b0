"""Distil PyDNet++ into swift on 480 real frames, with blocks kept apart, and judge it independently of the
command's report.

    python benchmarks/distil_sevenscenes.py --minutes 10 [--data ../shared/data] [--out FOLDER]

Two splits: every third block of 40 frames kept apart with gaps of 5 (the honest one), and every sixth frame kept
apart (its
neighbours were trained on). The error is the mean over the kept frames of mean |n(student) - n(teacher)| with
n(x) = (x - median) / mean|x - median| over the whole image, in the teacher's own quantity. Baselines: the mean of
n(label) over the training frames, and n(label) of the nearest training frame.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import leadline
from leadline.cli import main as command
from leadline.data.split import Holdout
from leadline.depth import DepthMap

CARD = Path(__file__).parent / "cards" / "pydnet_pp.card.yaml"
SPLITS = {"every third block of 40, gaps of 5": Holdout(3, 40, 5), "every sixth frame": Holdout(6, 1, 0)}


def normalised(depth: DepthMap) -> np.ndarray:
    """n(x) on every second pixel, NaN where invalid."""
    values = np.where(depth.valid, depth.values, np.nan)[::2, ::2]
    centred = values - np.nanmedian(values)
    return centred / np.nanmean(np.abs(centred))


def judge(student: Path, teacher: Path, images: list[Path], holdout: Holdout) -> dict[str, float]:
    models = {"teacher": leadline.load(str(teacher), card=CARD), "student": leadline.load(str(student))}
    train, kept = holdout.split(len(images))
    labels = {index: normalised(models["teacher"].predict(images[index])) for index in [*train, *kept]}
    mean = np.nanmean([labels[index] for index in train], axis=0)
    errors: dict[str, list[float]] = {"student": [], "mean map": [], "nearest training frame": []}
    for index in kept:
        nearest = min(train, key=lambda other: abs(other - index))
        answers = {
            "student": normalised(models["student"].predict(images[index])),
            "mean map": mean,
            "nearest training frame": labels[nearest],
        }
        for name, answer in answers.items():
            errors[name].append(float(np.nanmean(np.abs(answer - labels[index]))))
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    return means | {"ratio to the mean map": means["student"] / means["mean map"], "frames": len(kept)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, help="steps instead of minutes, to repeat a run on a busy machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=list(SPLITS), help="one of the two splits only")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images = sorted((options.data / "sevenscenes" / "seq-01").glob("*.color.jpg"))
    teacher = options.data / "peers" / "pydnet_pp.tflite"
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        for number, (name, holdout) in enumerate(SPLITS.items()):
            if options.split not in (None, name):
                continue
            student = (options.out or Path(temporary)) / f"student-{number}-seed{options.seed}.safetensors"
            arguments = ["distill", "--teacher", str(teacher), "--teacher_card", str(CARD)]
            arguments += ["--images", str(images[0].parent / "*.color.jpg"), "--out", str(student)]
            budget = ["--steps", options.steps] if options.steps else ["--minutes", options.minutes]
            arguments += [str(word) for word in (*budget, "--seed", options.seed)]
            arguments += [f"--holdout.{key}={value}" for key, value in vars(holdout).items()]
            if code := command(arguments):
                raise SystemExit(code)
            results[name] = judge(student, teacher, images, holdout)
            print(name, json.dumps(results[name]), flush=True)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
