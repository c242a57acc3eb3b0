"""What each part of LiteNet is good for, on rendered tubes and in a real room.

    python benchmarks/ablate_litenet.py --quick [--seeds 0 1 2] [--out benchmarks/results/litenet]
    python benchmarks/ablate_litenet.py --quick --teacher sensor|fast_depth_224|pydnet_pp [--data ../shared/data]
    python benchmarks/ablate_litenet.py --paper --device cuda

One after the other: photometric only (known poses), + spatial, + spectral, + gradient distillation from a teacher, +
semantic distribution alignment; and distillation alone, without video. Everything else is the same: places, steps,
size, order. The last column is the mean of the ratios within each seed.

The bundled teacher teaches and is judged on rendered tubes, other places for every seed. The other teachers teach in a
real room (7-Scenes): a network trained on the sensor's depth of the frames learned from, or one of the published
networks of DATA/peers. All is judged after median alignment. Every run writes its figures to a file of its own and is
skipped while that is there.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablation import Figures, every_run, judged, kept, parser, print_table, train
from grounds import CARDS, Ground, Room, Tract
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet, Trinity
from leadline.methods.optimiser import Optimiser
from leadline.methods.semantic_alignment import Alignment
from leadline.methods.supervised import Supervised
from leadline.training.options import FitOptions

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
SIZES: dict[str, dict[str, Any]] = {
    "quick": {"architecture": "swift", "size": (128, 160), "clips": 60, "steps": 160, "batch": 4, "lr": 2e-3},
    "paper": {"architecture": "litenet", "size": (256, 320), "clips": 640, "steps": 40_000, "batch": 12, "lr": 1e-4},
}
BUNDLED, SENSOR = "leadline-tract", "sensor"


def main() -> None:
    known = parser(__doc__, "litenet")
    known.add_argument("--teacher", choices=[BUNDLED, SENSOR, *_peers()], default=BUNDLED)
    options = known.parse_args()
    name = options.scale
    size = SIZES[name]
    ground = Tract(size["size"], size["clips"]) if options.teacher == BUNDLED else Room(options.data)
    bench = Bench(ground, options.teacher, options.data / "peers", size, options.device)
    alone, taught = (options.out / name / place for place in (ground.name, options.teacher))
    figures = every_run(alone, ["base"], options.seeds, bench.figures, options.jobs)
    figures |= every_run(taught, [step for step in STEPS if step != "base"], options.seeds, bench.figures, options.jobs)
    figures |= every_run(taught, ["teacher"], options.seeds, bench.taught, options.jobs)
    print_table(figures, FIGURES, "base", f"{name}, {ground.name}, taught by {options.teacher}")


def _peers() -> list[str]:
    return [card.name.removesuffix(".card.yaml") for card in sorted(CARDS.glob("*.card.yaml"))]


class Bench:
    """One ground, one teacher, one size."""

    def __init__(self, ground: Ground, teacher: str, peers: Path, size: dict[str, Any], device: str) -> None:
        self.ground, self.named, self.peers, self.size, self.device = ground, teacher, peers, size, device

    def budget(self, seed: int) -> FitOptions:
        size = self.size
        return FitOptions(size["steps"], batch_size=size["batch"], size=size["size"], seed=seed, device=self.device)

    def teacher(self, seed: int) -> DepthModel:
        """That of the sensor is trained once for every seed."""
        if self.named == BUNDLED:
            return load(BUNDLED)
        if self.named != SENSOR:
            return load(str(self.peers / f"{self.named}.tflite"), card=CARDS / f"{self.named}.card.yaml")
        file = kept("ablate-litenet", SENSOR, seed, self.size)
        if not file.is_file():
            budget = replace(self.budget(seed), steps=2 * self.size["steps"])
            method = Supervised(StudentOptions("swift-lite2"), optimiser=Optimiser(lr=5e-4))
            train(method, self.ground.learned(seed), budget, file)
        return load(str(file))

    def figures(self, step: str, seed: int) -> Figures:
        """Train one student and judge it."""
        trinity, video, alignment = STEPS[step]
        method = LiteNet(
            self.teacher(seed) if trinity else None,
            StudentOptions(self.size["architecture"], depth_range=self.ground.depth_range if video else None),
            trinity or NOTHING,
            Optimiser(lr=self.size["lr"]),
            base=self.ground.base if video else None,
            alignment=alignment,
        )
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "student.safetensors"
            train(method, self.ground.learned(seed), self.budget(seed), out)
            return self._judged(load(str(out)), seed)

    def taught(self, step: str, seed: int) -> Figures:
        """Judge the teacher."""
        return self._judged(self.teacher(seed), seed)

    def _judged(self, model: DepthModel, seed: int) -> Figures:
        result = judged(model, self.ground.judged(seed), self.ground.rules)
        return {figure: result[figure] for figure in (*FIGURES, "images")}


if __name__ == "__main__":
    main()
