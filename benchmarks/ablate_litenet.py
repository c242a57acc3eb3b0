"""What each part of LiteNet is good for, on rendered tubes.

    python benchmarks/ablate_litenet.py --quick [--seeds 0 1 2] [--out benchmarks/results/litenet]
    python benchmarks/ablate_litenet.py --paper --device cuda

One after the other: photometric only (known poses), + spatial, + spectral, + gradient distillation from the bundled
teacher, + semantic distribution alignment; and distillation alone, without video. Everything else is the same: places,
steps, size, order. Every seed has other places to learn from and to judge on, so that what its runs share is better
compared within it: the last column is the mean of the seeds' ratios. Judged on AbsRel, delta1, boundary F1 and
pseudo-texture, after median alignment, 1..150 mm. Every run writes its figures to OUT/NAME-seed<N>.json and is skipped
while they are there.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import leadline
from leadline.data.augmentation import Augmentation
from leadline.data.split import Holdout
from leadline.io.atomic import write_json
from leadline.io.reading import read_json
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet, Trinity
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import MONODEPTH2
from leadline.methods.semantic_alignment import Alignment
from leadline.protocols.candidate import asked
from leadline.protocols.folder import FOLDER
from leadline.training.options import FitOptions
from leadline.training.rendered import Rendered
from leadline.training.run import run

TEACHER = "tract-teacher"
NOTHING = Trinity(spatial=0, ranking=0, spectral=0, gradient=0)
SPATIAL = replace(NOTHING, spatial=0.1, ranking=0.01)
SPECTRAL = replace(SPATIAL, spectral=0.05)
#: Name, trinity (None: no teacher), whether there is video, semantic alignment.
STEPS: dict[str, tuple[Trinity | None, bool, Alignment | None]] = {
    "base": (None, True, None),
    "+spatial": (SPATIAL, True, None),
    "+spectral": (SPECTRAL, True, None),
    "+gradient": (Trinity(), True, None),
    "+SDA": (Trinity(), True, Alignment()),
    "distilled only": (Trinity(), False, None),
}
FIGURES = ("abs_rel", "delta1", "boundary_f1", "pseudo_texture")
#: Places to judge on begin at this seed; those learned from are below it.
JUDGED = 90_000
#: What the bundled teacher has never seen is left out, as in the demo.
SIZES: dict[str, dict[str, Any]] = {
    "quick": {"architecture": "swift", "size": (128, 160), "clips": 60, "steps": 200, "batch": 8, "lr": 5e-4},
    "paper": {"architecture": "litenet", "size": (256, 320), "clips": 640, "steps": 40_000, "batch": 12, "lr": 1e-4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scale = parser.add_mutually_exclusive_group(required=True)
    scale.add_argument("--quick", action="store_true", help="two cores, within an hour")
    scale.add_argument("--paper", action="store_true", help="the paper's size, for a GPU")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "litenet")
    options = parser.parse_args()
    name = "quick" if options.quick else "paper"
    figures: dict[str, list[dict[str, float]]] = {}
    for seed in options.seeds:  # seed by seed, so that a part of the table is whole early
        for step in STEPS:
            file = options.out / name / f"{step.replace(' ', '-')}-seed{seed}.json"
            if not file.is_file():
                write_json(file, trained(step, seed, SIZES[name], options.device))
            figures.setdefault(step, []).append(read_json(file))
    print(f"\n{name}: mean and spread (standard deviation) over seeds {', '.join(map(str, options.seeds))}")
    print(f"{'':<16}" + "".join(f"{figure:>22}" for figure in FIGURES) + f"{'abs_rel / base':>22}")
    for step, each in figures.items():
        cells = []
        for figure in FIGURES:
            values = [one[figure] for one in each]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
            cells.append(f"{np.mean(values):>14.4f} {spread:>7.4f}")
        ratios = [one["abs_rel"] / base["abs_rel"] for one, base in zip(each, figures["base"], strict=True)]
        spread = float(np.std(ratios, ddof=1)) if len(ratios) > 1 else float("nan")
        print(f"{step:<16}" + "".join(cells) + f"{np.mean(ratios):>16.3f} {spread:>5.3f}")


def trained(step: str, seed: int, size: dict[str, Any], device: str) -> dict[str, float]:
    """Train one student, judge it, and forget it."""
    trinity, video, alignment = STEPS[step]
    height, width = size["size"]
    method = LiteNet(
        TEACHER if trinity else None,
        StudentOptions(size["architecture"], depth_range=(1.0, 400.0) if video else None),
        trinity or NOTHING,
        Optimiser(lr=size["lr"]),
        base=replace(MONODEPTH2, pose="known", automask=False, scales=3) if video else None,
        alignment=alignment,
    )
    world = {"world": "tract", "frames": 8, "rate": 6.0, "height": height, "width": width, "poses": True}
    frames = Rendered(clips=size["clips"], seed=1000 * seed, **world)
    judged = Rendered(clips=12, seed=JUDGED + 1000 * seed, **world)
    budget = FitOptions(steps=size["steps"], batch_size=size["batch"], size=size["size"], seed=seed, device=device)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "student.safetensors"
        run(method, frames, budget, out, {"step": step}, Holdout(0), Augmentation(crop=1.0, jitter=0.2))
        predictor = leadline.load(str(out))
    rules = replace(FOLDER, alignment="median", min_depth=1.0, max_depth=150.0)
    result = rules.evaluate(asked(step, predictor.predict, parallel=True), judged)
    return {figure: result.means[figure] for figure in FIGURES} | {"frames": result.means["images"]}


if __name__ == "__main__":
    main()
