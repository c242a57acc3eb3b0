"""The unified recipe against what each single method distils, on rendered tubes and in a real room.

    python benchmarks/ablate_unified.py --quick [--seeds 0 1 2] [--jobs 2] [--out benchmarks/results/unified]
    python benchmarks/ablate_unified.py --quick --teacher sensor [--data ../shared/data]
    python benchmarks/ablate_unified.py --paper --device cuda

One student, one teacher, the same places, steps, size and order; known poses. LiteNet's trinity alone, and with video
and semantic alignment, by LiteNet's weights and by those of the unified recipe; VFM-Depth style imitation; then the
trinity with video and one lesson each: surround's relations between views, EndoDAV's projection, intrinsic
decomposition's reflections; then all of it. The bundled teacher teaches and is judged on rendered tubes; a network
trained on the sensor's depth teaches in a real room (7-Scenes). BriGeS is a teacher, not a way to distil, and has no
row. Median alignment; the ratio is to LiteNet whole, within each seed. Every run writes its figures to a file of its
own and is skipped while that is there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ablate_litenet import BUNDLED, FIGURES, SENSOR, SIZES, Bench
from ablation import Figures, every_run, parser, print_table, train
from grounds import Room, Tract
from leadline.foundation import load
from leadline.foundation.leadline_model import LeadlineModel
from leadline.methods.base import Method, StudentOptions
from leadline.methods.litenet import LiteNet
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import SelfSupervisionOptions
from leadline.methods.semantic_alignment import Alignment
from leadline.methods.trinity import Trinity
from leadline.methods.unified import TRINITY, Lessons, Unified
from leadline.methods.vfm import VFMStudent

Made = Callable[[LeadlineModel, StudentOptions, Optimiser, SelfSupervisionOptions], Method]
NOTHING = {"category": 0.0, "feature": 0.0, "relations": 0.0, "projection": 0.0, "reflections": False}


def with_lesson(**lesson: float) -> Made:
    """The trinity with video and one lesson."""
    lessons = Lessons(**NOTHING | lesson)  # type: ignore[arg-type]
    return lambda teacher, student, optimiser, base: Unified(
        teacher, student, Trinity(), lessons, optimiser=optimiser, base=base
    )


BASE = "LiteNet"
STUDENTS: dict[str, Made] = {
    "LiteNet, no video": lambda teacher, student, optimiser, base: LiteNet(
        teacher, StudentOptions(student.architecture), optimiser=optimiser
    ),
    BASE: lambda teacher, student, optimiser, base: LiteNet(
        teacher, student, optimiser=optimiser, base=base, alignment=Alignment()
    ),
    "LiteNet, trinity of unified": lambda teacher, student, optimiser, base: LiteNet(
        teacher, student, TRINITY, optimiser, base=base, alignment=Alignment()
    ),
    "VFM-Depth": lambda teacher, student, optimiser, base: VFMStudent(teacher, student, base, optimiser=optimiser),
    "relations": with_lesson(relations=Lessons.relations),
    "projection": with_lesson(projection=Lessons.projection),
    "reflections": with_lesson(reflections=True),
    "unified": lambda teacher, student, optimiser, base: Unified(
        teacher, student, optimiser=optimiser, base=base, alignment=Alignment()
    ),
}


def main() -> None:
    known = parser(__doc__, "unified")
    known.add_argument("--teacher", choices=[BUNDLED, SENSOR], default=BUNDLED)
    options = known.parse_args()
    size = SIZES[options.scale]
    ground = Tract(size["size"], size["clips"]) if options.teacher == BUNDLED else Room(options.data)
    bench = Students(ground, options.teacher, options.data / "peers", size, options.device)
    out = options.out / options.scale / options.teacher
    figures = every_run(out, STUDENTS, options.seeds, bench.figures, options.jobs)
    figures |= every_run(out, ["teacher"], options.seeds, bench.taught, options.jobs)
    print_table(figures, FIGURES, BASE, f"{options.scale}, {ground.name}, taught by {options.teacher}")


class Students(Bench):
    """The students, by name."""

    def figures(self, step: str, seed: int) -> Figures:
        """Train one student and judge it."""
        teacher = self.teacher(seed)
        assert isinstance(teacher, LeadlineModel)
        student = StudentOptions(self.size["architecture"], depth_range=self.ground.depth_range)
        method = STUDENTS[step](teacher, student, Optimiser(lr=self.size["lr"]), self.ground.base)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "student.safetensors"
            train(method, self.ground.learned(seed), self.budget(seed), out)
            return self._judged(load(str(out)), seed)


if __name__ == "__main__":
    main()
