"""What the parts of the intrinsic method are good for, in rendered rooms whose reflections are known, and a real one.

    python benchmarks/ablate_intrinsic.py --quick [--on room sevenscenes] [--networks litenet] [--seeds 0 1 2]
    python benchmarks/ablate_intrinsic.py --paper --device cuda

One network of each kind is trained by self-supervision alone (base), with a decomposition beside it that depth does not
heed (so that what comes of more frames and a shared encoder is seen), with one that keeps reflections from depth, found
by Mahalanobis distance or by triplets, and by distillation from the base and the third. In rendered rooms also with the
true reflections kept from depth (oracle), which no mask can do better than. Poses are known, places, steps, size and
order are the same. Judged after median alignment on places kept apart: AbsRel of all pixels, on reflective ones, on
those of them that are polished but no mirrors, and elsewhere; metric AbsRel, not aligned; then the ratios to the base
within each seed. In rendered rooms also the mask of reflections, as training makes it, over all judged frames:
precision, recall and F1, beside the F1 of the brightness threshold that is best on these very frames, that of the one
that flags as many pixels, and that of the same rule and decomposition with true depth; and the errors of the diffuse
image and the residual, beside those of no decomposition, L = I and R = 1. In the real room (7-Scenes) there is no such
truth, and depth is the sensor's. The second network, and the real room, go by base, mask and distillation alone. With
--jobs 2, --quick is 52 minutes of two cores on room, rendering included, 25 more on sevenscenes. Every run writes its
figures to a file of its own and is skipped while that is there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablation import Figures, every_run, kept, parser, print_table, train
from grounds import Room as RealRoom
from leadline import worlds
from leadline.data.clips import ClipSamples
from leadline.data.dataset import DataSet
from leadline.data.folder import Folder
from leadline.data.lists import FrameId
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.cache import cache_folder
from leadline.losses.reflection import DETECTORS
from leadline.methods.base import Method, StudentOptions
from leadline.methods.intrinsic import Decomposition, Intrinsic, IntrinsicDistilled, all_frames, compare
from leadline.methods.litenet import LiteNet
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import MONODEPTH2, SelfSupervision
from leadline.metrics.collection import MeanScores
from leadline.metrics.decomposition import MaskScores, diffuse_error, residual_error
from leadline.networks.decomposition import Decomposed
from leadline.protocols.candidate import calibrated
from leadline.protocols.folder import FOLDER
from leadline.runtime.predictor import Predictor
from leadline.training.options import FitOptions
from leadline.training.rendered import Rendered, render

BASE, BESIDE, DISTILLED = "base", "+decomposition, no mask", "+distillation"
ORACLE = "base, true reflections left out"
MASKS = {"+mask": "mahalanobis", "+mask by triplets": "triplets"}
ROWS = [BASE, ORACLE, BESIDE, *MASKS, DISTILLED]
DEPTH = ("reflective", "polished", "elsewhere", "abs_rel", "metric")
REAL = ("abs_rel", "metric")
MASK = ("f1", "precision", "recall", "flagged", "reflective_share")
OTHERS = ("f1", "brightness_f1", "as_many_brightest_f1", "f1_true_depth")
PARTS = ("diffuse", "diffuse_none", "residual", "residual_none")
PARTS = (*PARTS, *(f"{part}_reflective" for part in PARTS[:2]))
SIZES: dict[str, dict[str, Any]] = {
    "quick": {
        "networks": ["litenet", "monodepth2-resnet18"], "steps": 200, "batch": 8, "lr": 1e-3, "clips": 80,
        "room": (64, 96), "sevenscenes": (64, 96),
    },
    "paper": {
        "networks": ["litenet", "monodepth2-resnet18"], "steps": 40_000, "batch": 12, "lr": 1e-4, "clips": 640,
        "room": (288, 384), "sevenscenes": (288, 384),
    },
}  # fmt: skip


class Rooms:
    """Rendered rooms with mirrors, glass and polish, other places for every seed, as a hand-held camera sees them three
    times a second."""

    name = "room"
    depth_range = (0.2, 12.0)
    base = replace(MONODEPTH2, pose="known", scales=3)
    rules = replace(FOLDER, alignment="median", min_depth=0.1, max_depth=10.0, scores=())

    def __init__(self, size: tuple[int, int], clips: int) -> None:
        self.size, self.clips = size, clips

    def learned(self, seed: int, reflections: bool = True) -> DataSet:
        """What is learned from, with or without what is truly a reflection."""
        root = self.rendered(1000 * seed, self.clips)
        return Learned(root) if reflections else Diffuse(root)

    def judged(self, seed: int, polish: bool = False) -> DataSet:
        """Places kept apart, by all their reflections or by polish alone."""
        root = self.rendered(90_000 + 1000 * seed, 12)
        return Polished(root, extras=True) if polish else Folder(root, extras=True)

    def rendered(self, first: int, clips: int) -> Path:
        """Clips with all that is known of them."""
        height, width = self.size
        world = worlds.create("room", height=height, width=width, rate=3.0)
        root = cache_folder() / f"room-{world.version}-{height}x{width}-{clips}x8-truth-seed{first}"
        render(world, range(first, first + clips), 8, root)
        return root


class Learned(Folder):
    """Rendered images and poses, nothing else of what is known of them."""

    licence = Rendered.licence


class Diffuse(Learned):
    """Images whose masks leave out reflections."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, extras=True)
        # The rest is not learned from, and would be read with every frame.
        self._beside = {kind: self._beside[kind] for kind in ("masks", "poses", "reflective")}

    def more(self, id: FrameId) -> dict[str, Any]:
        """The mask alone."""
        more = super().more(id)
        return {"mask": ~more["reflective"] & more.get("mask", True)}


class Polished(Folder):
    """Judged by polish alone, which changes a surface's own light by less than a factor of two; mirrors do by more."""

    def more(self, id: FrameId) -> dict[str, Any]:
        """The mask of reflections without mirrors."""
        more = super().more(id)
        gain = np.abs(np.log(more["residual"])).mean(axis=-1)
        return more | {"reflective": more["reflective"] & (gain < np.log(2))}


class SevenScenes(RealRoom):
    """The real room."""

    name = "sevenscenes"
    rules = replace(RealRoom.rules, scores=())


Ground = Rooms | SevenScenes


def main() -> None:
    known = parser(__doc__, "intrinsic")
    known.add_argument("--on", choices=["room", "sevenscenes"], nargs="+", default=["room"])
    known.add_argument("--networks", nargs="+", help="backbones; by default two")
    known.add_argument("--steps", type=int, help="instead of the size's")
    known.add_argument("--rows", nargs="+", choices=ROWS[1:], default=ROWS[1:], help="those alone, beside the base")
    known.add_argument("--clips", type=int, help="rendered places to learn from, instead of the size's")
    options = known.parse_args()
    other = {key: value for key in ("steps", "clips") if (value := getattr(options, key))}
    name = "-".join([options.scale, *(f"{value}{key}" for key, value in other.items())])
    size = SIZES[options.scale] | other
    for on in options.on:
        ground = Rooms(size["room"], size["clips"]) if on == "room" else SevenScenes(options.data)
        for place, network in enumerate(options.networks or size["networks"]):
            whole = on == "room" and place == 0
            rows = ROWS if whole else [BASE, "+mask", DISTILLED]
            rows = [row for row in rows if row in (BASE, *options.rows)]
            bench = Bench(ground, network, size, size[on], options.device)
            figures = every_run(options.out / name / on / network, rows, options.seeds, bench.figures, options.jobs)
            title = f"{name}, {on}, {network}"
            if on == "sevenscenes":
                print_table(figures, REAL, BASE, title)
                continue
            print_table(figures, DEPTH, BASE, title)
            masks = {key: figures[key] for key in MASKS if key in figures}
            print_table(masks, MASK, title=f"{title}, reflections")
            print_table(masks, OTHERS, title=f"{title}, beside other masks")
            print_table(masks, PARTS, title=f"{title}, decomposition")


class Bench:
    """One ground, one network, one size."""

    def __init__(self, ground: Ground, network: str, size: dict[str, Any], shape: tuple[int, int], device: str) -> None:
        self.ground, self.network, self.size, self.shape, self.device = ground, network, size, shape, device

    def figures(self, name: str, seed: int) -> Figures:
        """Train one network, unless another run needed it already, and judge it."""
        model, frames = LeadlineModel.open(self.trained(name, seed)), self.ground.judged(seed)
        candidate = calibrated("model", Predictor(model).predict, model.parallel)
        figures: Figures = {}
        for key, alignment in (("abs_rel", "median"), ("metric", "none")):
            rules = replace(self.ground.rules, alignment=alignment)
            result = rules.evaluate(candidate, frames)
            figures[key] = result.means["abs_rel"]
            if alignment == "median":
                figures |= {group: means["abs_rel"] for group, means in result.groups.items()}
        if isinstance(self.ground, Rooms):
            polished = self.ground.rules.evaluate(candidate, self.ground.judged(seed, polish=True))
            figures["polished"] = polished.groups["reflective"]["abs_rel"]
        if name in MASKS and isinstance(frames, Folder):
            figures |= judge_decomposition(model, frames, self.ground, self.shape, MASKS[name])
        return figures

    def trained(self, name: str, seed: int) -> Path:
        file = kept("ablate-intrinsic", name, seed, self.ground.name, self.network, self.shape, self.size)
        if not file.is_file():
            size = self.size
            budget = FitOptions(size["steps"], batch_size=size["batch"], size=self.shape, seed=seed, device=self.device)
            oracle = name == ORACLE and isinstance(self.ground, Rooms)
            frames = self.ground.learned(seed, reflections=False) if oracle else self.ground.learned(seed)
            train(self.method(name, seed), frames, budget, file)
        return file

    def method(self, name: str, seed: int) -> Method:
        network, base = StudentOptions(self.network, depth_range=self.ground.depth_range), self.ground.base
        rate = Optimiser(lr=self.size["lr"])
        if name in (BASE, ORACLE):
            return LiteNet(None, network, optimiser=rate, base=base)
        if name == DISTILLED:
            plain, intrinsic = (str(self.trained(teacher, seed)) for teacher in (BASE, "+mask"))
            return IntrinsicDistilled(plain, intrinsic, network, base, optimiser=rate)
        if name == BESIDE:
            return Intrinsic(network, base, Decomposition(warm_up=1.0), rate)
        return Intrinsic(network, base, Decomposition(mask=MASKS[name]), rate)


@torch.inference_mode()
def judge_decomposition(
    model: LeadlineModel, frames: Folder, ground: Ground, shape: tuple[int, int], mask: str
) -> Figures:
    """The mask, the diffuse image and the residual of frames of this shape whose reflections are known."""
    network, geometry = model.student.network, SelfSupervision(ground.base)
    assert isinstance(network, Decomposed)
    samples = ClipSamples(frames, shape, ground.base.offsets, poses=True)
    found, right, errors, bright, true = MaskScores(), MaskScores(), MeanScores(PARTS), [], []
    told = DETECTORS[mask]
    for index, id in enumerate(frames.ids):
        if None in (frames.neighbour(id, offset) for offset in ground.base.offsets):
            continue
        batch, truth = samples.collate([samples[0, index]]), frames[index]
        assert truth.reflective is not None
        assert truth.diffuse is not None
        assert truth.residual is not None
        images = all_frames(batch["clean"], batch["clean_sources"])
        diffuse, residual = (
            values.unflatten(0, images.shape[:2]) for values in network.decompose(images.flatten(0, 1))
        )
        depth = model.student(batch["clean"])
        reflective = torch.from_numpy(truth.reflective)[None, None]
        known = batch["mask"] & torch.isfinite(batch["target"])
        true_depth = torch.where(known, batch["target"], 1.0)
        motion = geometry.geometry(batch)
        for scores, seen, usable in ((right, true_depth, known), (found, depth, batch["mask"])):
            evidence = compare(images, diffuse, residual, seen, usable, *motion, told.times).evidence
            scores.update(told(evidence), reflective, evidence.seen)
        bright.append(batch["clean"].mean(dim=1, keepdim=True)[evidence.seen])
        true.append(reflective[evidence.seen])
        judged = batch["mask"]
        own, light = (torch.from_numpy(v).permute(2, 0, 1)[None] for v in (truth.diffuse, np.log(truth.residual)))
        scores = {
            "diffuse": diffuse_error(diffuse[:, 0], own, judged),
            "diffuse_none": diffuse_error(batch["clean"], own, judged),
            "residual": residual_error(residual[:, 0], light, judged),
            "residual_none": residual_error(torch.zeros_like(light), light, judged),
        }
        shiny = judged & reflective
        scores["diffuse_reflective"] = diffuse_error(diffuse[:, 0], own, shiny)
        scores["diffuse_none_reflective"] = diffuse_error(batch["clean"], own, shiny)
        errors.update({key: score.item() for key, score in scores.items()})
    scored, means = found.compute(), errors.compute()
    brightness, reflections = torch.cat(bright), torch.cat(true)
    best = max(threshold_f1(brightness > level / 20, reflections) for level in range(20))
    figures = {key: scored[key] for key in ("f1", "precision", "recall", "flagged")}
    figures |= {key: means[key] for key in PARTS} | {"reflective_share": scored["reflective"]}
    as_many = brightness > torch.quantile(brightness, 1 - scored["flagged"])
    figures |= {"brightness_f1": best, "as_many_brightest_f1": threshold_f1(as_many, reflections)}
    figures["f1_true_depth"] = right.compute()["f1"]
    return {key: float(value) for key, value in figures.items()}


def threshold_f1(found: torch.Tensor, true: torch.Tensor) -> float:
    scores = MaskScores()
    scores.update(found, true)
    return float(scores.compute()["f1"])


if __name__ == "__main__":
    main()
