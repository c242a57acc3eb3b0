"""What cross-interaction and view-relational distillation are good for, on a rendered drive with six cameras.

    python benchmarks/ablate_surround.py --quick [--teacher rig front] [--seeds 0 1 2]
    python benchmarks/ablate_surround.py --paper --device cuda

All students are one light network of bins that learns metric depth by simulated lidar. Plain: by that alone. Compared
with: the teacher's depth brought to metres by lidar (aligned depth), the teacher's features (FitNets), a distribution
around the teacher's depth (TIE-KD). The method: + cross-interaction (CKD), + view-relational (VRKD) distillation. The
teacher knows depth up to scale; with --paper it is Depth Anything V2 Small from the hub. With --quick it is a larger
network, trained once for all seeds in other streets: ``rig`` by the lidar of all six cameras, five times as long as the
students; ``front`` by the true depth of a single camera that looks ahead, hardly longer than they. The teacher is
judged, too, with the scale of each image, which no student is given.

Judged in streets of other seeds, metric, by the rules of DDAD (the mean of each camera, then of the six): AbsRel, RMSE
and delta1 by lidar; whether neighbouring cameras agree (difference in m, and relative), and AbsRel where two cameras
see the same. The last column is the mean of the ratios to plain within each seed. Every run writes its figures to a
file of its own and is skipped while that is there.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablation import Figures, every_run, judged, kept, parser, print_table, train
from leadline.data.dataset import DataSet
from leadline.foundation import load
from leadline.methods.base import StudentOptions
from leadline.methods.optimiser import Optimiser
from leadline.methods.supervised import UP_TO_SCALE, Supervised
from leadline.methods.surround import Distillation, Surround
from leadline.protocols.protocol import Protocol
from leadline.protocols.surround import DDAD
from leadline.training.options import FitOptions
from leadline.training.rendered import Rendered
from leadline.training.rendered_rig import RenderedRig

NOTHING = Distillation(cross=0, probability=0, relations=0)
PLAIN = "plain"
TEACHER = "the teacher, scaled"
STUDENTS = {
    PLAIN: NOTHING,
    "aligned depth": replace(NOTHING, depth=0.5),
    "FitNets": replace(NOTHING, features=0.5),
    "TIE-KD": replace(NOTHING, explained=0.5),
    "+ CKD": Distillation(relations=0),
    "+ VRKD": Distillation(),
}
FIGURES = ("abs_rel", "rmse", "delta1", "cross_view", "cross_view_relative", "overlap_abs_rel")
RANGE = (0.5, 200.0)
RULES = replace(DDAD, split="all", min_depth=RANGE[0])
SIZES: dict[str, dict[str, Any]] = {
    "quick": {
        "student": "swift-bins", "size": (96, 160), "scale": 0.09, "clips": 40, "steps": 300, "batch": 2, "lr": 2e-3,
        "teacher": "swift-lite2", "teachers": {"rig": (1500, 1e-3), "front": (400, 5e-4)},
    },
    "paper": {
        "student": "litenet-bins", "size": (384, 640), "scale": 0.35, "clips": 400, "steps": 40_000, "batch": 2,
        "lr": 1e-4, "teacher": "depth-anything/Depth-Anything-V2-Small-hf",
    },
}  # fmt: skip


def main() -> None:
    known = parser(__doc__, "surround")
    known.add_argument("--teacher", choices=["rig", "front"], nargs="+", default=["rig"], help="with --quick")
    options = known.parse_args()
    for teacher in options.teacher if options.scale == "quick" else ["hub"]:
        bench = Bench(SIZES[options.scale], teacher, options.device)
        out = options.out / options.scale / teacher
        figures = every_run(out, [*STUDENTS, TEACHER], options.seeds, bench.figures, options.jobs, bench.teacher)
        print_table(figures, FIGURES, PLAIN, f"{options.scale}, street, six cameras, teacher {teacher}")


class Bench:
    """One size, one teacher."""

    def __init__(self, size: dict[str, Any], taught_by: str, device: str) -> None:
        self.size, self.taught_by, self.device = size, taught_by, device

    def figures(self, name: str, seed: int) -> Figures:
        """Train one student, or have the teacher, and judge it."""
        if name == TEACHER:
            return self.judged(self.teacher(), seed, replace(RULES, alignment="median"))
        size, weights = self.size, STUDENTS[name]
        teacher = self.teacher() if weights.taught else None
        options = StudentOptions(size["student"], depth_range=RANGE)
        method = Surround(teacher, options, weights, Optimiser(lr=size["lr"]))
        budget = FitOptions(size["steps"], batch_size=size["batch"], size=size["size"], seed=seed, device=self.device)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "student.safetensors"
            train(method, RenderedRig(size["clips"], 4, 1000 * seed, scale=size["scale"]), budget, out)
            return self.judged(str(out), seed, RULES)

    def judged(self, model: str, seed: int, rules: Protocol) -> Figures:
        streets = RenderedRig(12, 2, 90_000 + 1000 * seed, scale=self.size["scale"])
        result = judged(load(model), streets, rules)
        return {figure: result[figure] for figure in (*FIGURES, "images") if figure in result}

    def teacher(self) -> str:
        """What knows depth up to scale."""
        size = self.size
        if "teachers" not in size:
            return str(size["teacher"])
        file = kept("ablate-surround", f"teacher {self.taught_by}", 0, size)
        if not file.is_file():
            steps, rate = size["teachers"][self.taught_by]
            method = Supervised(StudentOptions(size["teacher"]), kind=str(UP_TO_SCALE), optimiser=Optimiser(lr=rate))
            streets: DataSet = RenderedRig(60, 4, 50_000, scale=2 * size["scale"])
            if self.taught_by == "front":
                streets = Rendered("street", 60, 8, 50_000, rate=10.0, height=128, width=192)
            train(method, streets, FitOptions(steps, size=(128, 192), device=self.device), file)
        return str(file)


if __name__ == "__main__":
    main()
