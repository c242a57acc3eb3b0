"""Distil PyDNet++ into swift on 480 real frames, some kept apart, and judge it independently of the command's report.

    python benchmarks/distil_sevenscenes.py [--steps 300] [--seeds 0 1 2] [--data ../shared/data] [--out FOLDER]

Two splits of a sequence of 7-Scenes: every third block of 40 frames kept apart with gaps of 5 (the honest one), and
every sixth frame kept apart (its neighbours were trained on; the first seed only). Two errors on the kept frames, on
every second pixel: the mean of |n(answer) - n(label)| with n(x) = (x - median) / mean|x - median|, and AbsRel after
division by the median, as for depth up to a scale. Two baselines: the mean of so normalised labels over the training
frames, and the label of the nearest training frame.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import leadline
from leadline.cli import main as command
from leadline.data.split import Holdout
from leadline.runtime.predictor import Predictor

CARD = Path(__file__).parent / "cards" / "pydnet_pp.card.yaml"
BLOCKS, SIXTH = "every third block of 40, gaps of 5", "every sixth frame"
SPLITS = {BLOCKS: Holdout(3, 40, 5), SIXTH: Holdout(6, 1, 0)}
CANDIDATES = ("student", "nearest training frame", "mean map")

Values = np.ndarray
Error = Callable[[Values, Values], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, help="where the students are kept")
    options = parser.parse_args()
    images = sorted((options.data / "sevenscenes" / "seq-01").glob("*.color.jpg"))
    file = options.data / "peers" / "pydnet_pp.tflite"
    teacher = leadline.load(str(file), card=CARD)
    labels = [seen(teacher, image) for image in images]
    print(f"{'kept apart':36} {'seed':>4} {'frames':>6} {'error':8} " + " ".join(f"{name:>22}" for name in CANDIDATES))
    with tempfile.TemporaryDirectory() as temporary:
        for name, seed in [*((BLOCKS, seed) for seed in options.seeds), (SIXTH, options.seeds[0])]:
            holdout = SPLITS[name]
            train, kept = holdout.split(len(images))
            student = (options.out or Path(temporary)) / f"student-{len(kept)}-seed{seed}.safetensors"
            arguments = ["distill", "--teacher", str(file), "--teacher_card", str(CARD), "--out", str(student)]
            arguments += ["--images", str(images[0].parent / "*.color.jpg")]
            arguments += ["--steps", str(options.steps), "--seed", str(seed)]
            arguments += [f"--holdout.{key}={value}" for key, value in vars(holdout).items()]
            if code := command(arguments):
                raise SystemExit(code)
            nearest = {index: train[int(np.abs(np.asarray(train) - index).argmin())] for index in kept}
            predictor = leadline.load(str(student))
            answers = {index: seen(predictor, images[index]) for index in kept}
            for error, (normalised, distance) in ERRORS.items():
                targets = [normalised(label) for label in labels]
                mean = np.nanmean([targets[index] for index in train], axis=0)
                found = [
                    np.mean([distance(normalised(answers[index]), targets[index]) for index in kept]),
                    np.mean([distance(targets[nearest[index]], targets[index]) for index in kept]),
                    np.mean([distance(mean, targets[index]) for index in kept]),
                ]
                print(
                    f"{name:36} {seed:4} {len(kept):6} {error:8} " + " ".join(f"{value:22.4f}" for value in found),
                    f"  student / mean map {found[0] / found[2]:.3f}",
                    flush=True,
                )


def seen(predictor: Predictor, image: Path) -> Values:
    """Depth of every second pixel, up to a scale; NaN where there is none (PyDNet++ says 0 here and there)."""
    depth = predictor.predict(image)
    return np.where(depth.valid, depth.values, np.nan)[::2, ::2]


def spread(values: Values) -> Values:
    centred = values - np.nanmedian(values)
    return centred / np.nanmean(np.abs(centred))


def over_median(values: Values) -> Values:
    return values / np.nanmedian(values)


#: How labels are made comparable, and what is judged then.
ERRORS: dict[str, tuple[Callable[[Values], Values], Error]] = {
    "|n - n|": (spread, lambda answer, label: float(np.nanmean(np.abs(answer - label)))),
    "AbsRel": (over_median, lambda answer, label: float(np.nanmean(np.abs(over_median(answer) - label) / label))),
}


if __name__ == "__main__":
    main()
