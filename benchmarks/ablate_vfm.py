"""What the parts of VFM-Depth style are good for, on a rendered street and in a real room.

    python benchmarks/ablate_vfm.py --quick [--on street room] [--seeds 0 1 2] [--data ../shared/data]
    python benchmarks/ablate_vfm.py --paper --device cuda

Teachers: the plain network trained by self-supervision (base), with semantics fused in by concatenation, by attention
(GSAE). Students, all lighter and plain: trained by self-supervision, + depth imitation, + feature imitation, + category
alignment of the GSAE teacher of their seed. Poses are known. Judged after median alignment on places kept apart: AbsRel
and delta1 of all pixels, within 8 pixels of the borders of objects, and in texture-less regions. The last columns are
means of ratios within each seed: AbsRel of teachers to the base's, of students to the plain student's. On two cores
teachers of the street learn for three times as long as students: a teacher must know more than its student finds out
alone; what the plain student finds out in as many steps as its teacher stands in the last row. By what the runs took,
--quick is 45 minutes of two cores on the street (two processes, see ablation.py), 20 in the room. Every run writes its
figures to a file of its own and is skipped while that is there.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablation import Figures, every_run, judged, kept, parser, print_table, train
from grounds import Ground, Room, Street
from leadline.foundation import load
from leadline.methods.base import Method, StudentOptions
from leadline.methods.litenet import LiteNet
from leadline.methods.optimiser import Optimiser
from leadline.methods.vfm import Imitation, Semantics, VFMStudent, VFMTeacher
from leadline.training.options import FitOptions

REGIONS = ("borders", "textureless")
SCORES = tuple(f"{figure}_{region}" for figure in ("abs_rel", "delta1") for region in REGIONS)
FIGURES = ("abs_rel", "delta1", *SCORES)
BASE, CONCATENATION, GSAE = "teacher base", "teacher + concatenation", "teacher + GSAE"
TEACHERS = (BASE, CONCATENATION, GSAE)
NOTHING = Imitation(0, 0, 0)
LONGER = "student, as long as its teacher"
STUDENTS = {
    "student": NOTHING,
    "student + depth": replace(NOTHING, depth=0.1),
    "student + feature": replace(NOTHING, depth=0.1, feature=0.05),
    "student + category": Imitation(),
    LONGER: NOTHING,
}
SIZES: dict[str, dict[str, Any]] = {
    "quick": {
        "teacher": "swift-lite2", "student": "swift", "semantics": Semantics(), "steps": 160,
        "teacher_steps": {"street": 480, "room": 160}, "batch": 4, "lr": 2e-3, "street": (96, 320), "clips": 60,
        "room": (128, 160),
    },
    "paper": {
        "teacher": "litenet-8m", "student": "litenet", "semantics": Semantics("facebook/dinov2-small", (2, 5, 8, 11)),
        "steps": 40_000, "teacher_steps": {"street": 40_000, "room": 40_000}, "batch": 12, "lr": 1e-4,
        "street": (192, 640), "clips": 640, "room": (192, 256),
    },
}  # fmt: skip


def main() -> None:
    known = parser(__doc__, "vfm")
    known.add_argument("--on", choices=["street", "room"], nargs="+", default=["street"])
    options = known.parse_args()
    name = options.scale
    size = SIZES[name]
    for on in options.on:
        ground = Street(size["street"], size["clips"]) if on == "street" else Room(options.data)
        bench = Bench(ground, size, size[on], options.device)
        students = [student for student in STUDENTS if student != LONGER or size["teacher_steps"][on] > size["steps"]]
        figures = every_run(options.out / name / on, [*TEACHERS, *students], options.seeds, bench.figures, options.jobs)
        print_table({key: figures[key] for key in TEACHERS}, FIGURES, BASE, f"{name}, {on}, teachers")
        print_table({key: figures[key] for key in students}, FIGURES, "student", f"{name}, {on}, students")


class Bench:
    """One ground, one size."""

    def __init__(self, ground: Ground, size: dict[str, Any], shape: tuple[int, int], device: str) -> None:
        self.ground, self.size, self.shape, self.device = ground, size, shape, device

    def figures(self, name: str, seed: int) -> Figures:
        """Train one network and judge it; a teacher that students need is trained once for every seed."""
        file = self.teacher(name, seed) if name in TEACHERS else None
        with tempfile.TemporaryDirectory() as folder:
            if file is None:
                taught = VFMStudent(
                    str(self.teacher(GSAE, seed)), self.network("student"), self.ground.base, STUDENTS[name], self.rate
                )
                file = Path(folder) / "student.safetensors"
                steps = self.taught_steps if name == LONGER else self.size["steps"]
                train(taught, self.ground.learned(seed), self.budget(steps, seed), file)
            model = load(str(file))
        result = judged(model, self.ground.judged(seed), replace(self.ground.rules, scores=SCORES))
        return {figure: result[figure] for figure in (*FIGURES, "images")}

    def teacher(self, name: str, seed: int) -> Path:
        file = kept("ablate-vfm", name, seed, self.ground.name, self.shape, self.size)
        if not file.is_file():
            method: Method
            if name == BASE:
                method = LiteNet(None, self.network("teacher"), optimiser=self.rate, base=self.ground.base)
            else:
                fusion = "concatenation" if name == CONCATENATION else "attention"
                semantics = replace(self.size["semantics"], fusion=fusion)
                method = VFMTeacher(self.network("teacher"), self.ground.base, semantics, self.rate)
            train(method, self.ground.learned(seed), self.budget(self.taught_steps, seed), file)
        return file

    def network(self, which: str) -> StudentOptions:
        return StudentOptions(self.size[which], depth_range=self.ground.depth_range)

    def budget(self, steps: int, seed: int) -> FitOptions:
        return FitOptions(steps, batch_size=self.size["batch"], size=self.shape, seed=seed, device=self.device)

    @property
    def taught_steps(self) -> int:
        """What a teacher takes."""
        steps: dict[str, int] = self.size["teacher_steps"]
        return steps[self.ground.name]

    @property
    def rate(self) -> Optimiser:
        return Optimiser(lr=self.size["lr"])


if __name__ == "__main__":
    main()
