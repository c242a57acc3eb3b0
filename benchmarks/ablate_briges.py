"""What bridging gates are good for, in rendered rooms, and what of it a light student keeps.

    python benchmarks/ablate_briges.py --quick --jobs 2 [--seeds 0 1 2]
    python benchmarks/ablate_briges.py --paper --device cuda

With --quick a small Depth Anything and a small DINOv2, both trained here on rendered rooms, once for all seeds, stand
in for the foundation models; with --paper they are Depth Anything V2 Small and DINOv2 Small from the hub, or those that
--depth and --semantics name.

Depth models: no gate, the depth model alone; fine-tuned, all of it trained on for as many steps as the gates (--quick
only); gate, the method; gate, blind: the same with a DINOv2 that never learned anything, so that what capacity alone
gives is seen. Losses and temperatures: the gate as trained (by the losses of the second version of the public code, at
temperature 1), by those of the first, by those the stand-in of the depth model learned from; and the same gate at 2 and
3 at test time, of both attentions. Students: a light network distilled from the depth model, from the gate of its seed.

Judged in rooms of other seeds by Marigold's rules (scale and shift by least squares in disparity): AbsRel and delta1 of
all pixels, within 8 pixels of the borders of things that overlap, and on things less than 5 pixels thin; images are
larger than those learned from, so that these are small parts of them. The last column is the mean of the ratios within
each seed, of all pixels and then of either part. Every run writes its figures to a file of its own and is skipped while
that is there.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ablation import Figures, every_run, judged, kept, parser, print_table, train
from leadline.data.dataset import DataSet
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.leadline_model import LeadlineModel
from leadline.methods.affine import V1, V2, AffineInvariant, Terms
from leadline.methods.base import Method, StudentOptions
from leadline.methods.briges import BriGeS, Gates
from leadline.methods.litenet import LiteNet
from leadline.methods.optimiser import Optimiser
from leadline.methods.segmentation import Segmentation
from leadline.networks.bridging import Bridged
from leadline.networks.dinov2 import DINOv2
from leadline.protocols.folder import FOLDER
from leadline.training.options import FitOptions
from leadline.training.rendered import Rendered

SCORES = tuple(f"{figure}_{region}" for figure in ("abs_rel", "delta1") for region in ("borders", "thin"))
FIGURES = ("abs_rel", "delta1", *SCORES)
RULES = replace(FOLDER, alignment="lsq-positive-disparity", min_depth=0.1, max_depth=10.0, scores=SCORES)
#: Losses of a depth model that starts from nothing.
SCRATCH = Terms(matching=0.5, aligned=False)
PLAIN, TUNED, GATE, BLIND = "no gate", "fine-tuned", "gate", "gate, blind"
LOSSES = {"gate, losses of v1": V1, "gate, losses unaligned": SCRATCH}
TEMPERATURES = {f"gate at tau {tau}": float(tau) for tau in (2, 3)}
STUDENTS = {"student of no gate": PLAIN, "student of the gate": GATE}
SIZES: dict[str, dict[str, Any]] = {
    "quick": {
        "size": (96, 128), "clips": 50, "steps": 300, "batch": 8, "heads": 4, "lr": 3e-4, "student": "swift",
        "student_steps": 200, "base_clips": 240, "semantic_steps": 1500, "semantic_lr": 1e-3, "base_steps": 1500,
        "base_lr": 5e-4, "judged": 12, "judged_size": (192, 256),
    },
    "paper": {
        "size": (448, 448), "clips": 2000, "steps": 20_000, "batch": 8, "heads": 16, "lr": 5e-5, "student": "litenet",
        "student_steps": 40_000, "judged": 100, "judged_size": (480, 640),
    },
}  # fmt: skip


def main() -> None:
    known = parser(__doc__, "briges")
    known.add_argument("--depth", default="depth-anything/Depth-Anything-V2-Small-hf", help="with --paper")
    known.add_argument("--semantics", default="facebook/dinov2-small", help="with --paper")
    options = known.parse_args()
    name = options.scale
    bench = Bench(SIZES[name], options.depth, options.semantics, options.device)
    models = [PLAIN, *([TUNED] if bench.standing_in else []), GATE, BLIND, *LOSSES, *TEMPERATURES]
    rows = [*models, *STUDENTS]
    figures = every_run(options.out / name, rows, options.seeds, bench.figures, options.jobs, bench.prepare)
    for title, shown in {"depth models": models, "students": list(STUDENTS)}.items():
        print_table({row: figures[row] for row in shown}, FIGURES, shown[0], f"{name}, room, {title}")


class Bench:
    """One size."""

    def __init__(self, size: dict[str, Any], depth: str, semantics: str, device: str) -> None:
        self.size, self.device = size, device
        self.standing_in = "base_steps" in size
        self.names = {"depth": depth, "semantics": semantics}

    def figures(self, name: str, seed: int) -> Figures:
        """Make one model and judge it; what others need is trained once."""
        if name in STUDENTS:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "student.safetensors"
                taught = LiteNet(self.model(STUDENTS[name], seed), StudentOptions(self.size["student"]))
                train(taught, self.rooms(seed), self.budget("student_steps", seed), file)
                return self.judged(load(str(file)), seed)
        return self.judged(self.model(name, seed), seed)

    def prepare(self) -> None:
        """Make what all seeds need."""
        self.depth()
        self.blind()

    def judged(self, model: DepthModel, seed: int) -> Figures:
        height, width = self.size["judged_size"]
        seeds = 9_000_000 + 10_000 * seed
        rooms = Rendered("room", self.size["judged"], 8, seeds, rate=1.0, height=height, width=width)
        result = judged(model, rooms, RULES)
        return {figure: result[figure] for figure in (*FIGURES, "images")}

    def model(self, name: str, seed: int) -> DepthModel:
        """A depth model, with or without gates."""
        device = self.budget("steps", seed).torch_device()
        if name == PLAIN:
            return load(self.depth(), device=device)
        if name == TUNED:
            return load(str(self.tuned(seed)), device=device)
        opened = LeadlineModel.open(self.gates(GATE if name in TEMPERATURES else name, seed), device)
        if name in TEMPERATURES:
            assert isinstance(opened.student.network, Bridged)
            opened.student.network.set_temperature(TEMPERATURES[name], TEMPERATURES[name])
        return opened

    def gates(self, name: str, seed: int) -> Path:
        file = self.file(name, seed)
        if not file.is_file():
            semantics = self.blind() if name == BLIND else self.semantics()
            rate = Optimiser(lr=self.size["lr"], weight_decay=1e-5, warmup=0.0)
            gates = Gates(self.size["heads"])
            method = BriGeS(self.depth(), semantics, gates, terms=LOSSES.get(name, V2), optimiser=rate)
            train(method, self.rooms(seed), self.budget("steps", seed), file)
        return file

    def tuned(self, seed: int) -> Path:
        """The depth model, all of it trained further."""
        file = self.file(TUNED, seed)
        if not file.is_file():
            start = StudentOptions(start=str(self.standing("depth")))
            method = AffineInvariant(start, optimiser=Optimiser(lr=self.size["lr"], weight_decay=0.05))
            train(method, self.rooms(seed), self.budget("steps", seed), file)
        return file

    def depth(self) -> str:
        return str(self.standing("depth").with_suffix("")) if self.standing_in else self.names["depth"]

    def semantics(self) -> str:
        return str(self.standing("semantics").with_suffix("")) if self.standing_in else self.names["semantics"]

    def blind(self) -> str:
        """A DINOv2 of the stand-in's size, or of DINOv2 Small's, that never learned anything."""
        file = self.file("blind", 0)
        if not (file.with_suffix("") / "model.safetensors").is_file():
            torch.manual_seed(0)
            sizes = {} if self.standing_in else {"width": 384, "blocks": 12, "heads": 6, "patch": 14, "grid": 37}
            DINOv2(**sizes).save_folder(file.with_suffix(""), "apache-2.0")
        return str(file.with_suffix(""))

    def standing(self, what: str) -> Path:
        """The checkpoint of a stand-in, its folder beside it; the rooms it learned in are those of no seed. As Depth
        Anything starts from DINOv2, so does its stand-in from that of DINOv2."""
        file = self.file(what, 0)
        if not file.is_file():
            size = self.size
            height, width = size["size"]
            rooms = Rendered(
                "room", size["base_clips"], 8, 5_000_000, rate=1.0, height=height, width=width, classes=True
            )  # fmt: skip
            if what == "depth":
                rate = Optimiser(lr=size["base_lr"], weight_decay=0.05)
                method: Method = AffineInvariant(terms=SCRATCH, optimiser=rate, vit=self.semantics())
            else:
                method = Segmentation(optimiser=Optimiser(lr=size["semantic_lr"], weight_decay=0.05))
            train(method, rooms, self.budget("base_steps" if what == "depth" else "semantic_steps", 0), file)
        return file

    def rooms(self, seed: int) -> DataSet:
        height, width = self.size["size"]
        return Rendered("room", self.size["clips"], 8, 10_000 * seed, rate=1.0, height=height, width=width)

    def budget(self, steps: str, seed: int) -> FitOptions:
        return FitOptions(
            self.size[steps], batch_size=self.size["batch"], size=self.size["size"], seed=seed, device=self.device
        )

    def file(self, what: str, seed: int) -> Path:
        return kept("ablate-briges", what, seed, self.size, self.names)


if __name__ == "__main__":
    main()
