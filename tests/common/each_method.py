"""Every method at a small size with something to learn from, for what has to hold for all of them; as a script, what
one of several processes of torchrun learns."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.rigs import rigs
from common.standins import depth_folder, semantics_folder
from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.data.augmentation import Augmentation
from leadline.data.ddad import Ddad, DdadLayout
from leadline.data.folder import DepthFormat, Folder
from leadline.data.images import Images
from leadline.data.split import Holdout
from leadline.depth import DepthMap, Kind
from leadline.io.images import write_image
from leadline.methods.affine import AffineInvariant
from leadline.methods.base import Method, StudentOptions
from leadline.methods.briges import BriGeS, Gates
from leadline.methods.endodav import EndoDAV
from leadline.methods.intrinsic import KNOWN, Intrinsic
from leadline.methods.litenet import LiteNet
from leadline.methods.segmentation import Encoder, Segmentation
from leadline.methods.self_supervision import MONODEPTH2
from leadline.methods.supervised import Supervised
from leadline.methods.surround import Distillation, Surround
from leadline.methods.trinity import Trinity
from leadline.methods.vfm import VFMTeacher
from leadline.networks import create
from leadline.training.options import FitOptions
from leadline.training.rendered import Rendered
from leadline.training.run import run

SIZE = (64, 96)
STEPS = 4
TINY = StudentOptions("litenet-tiny", pretrained=False)
VIDEO = replace(TINY, depth_range=(0.2, 400.0))
BASE = replace(MONODEPTH2, pose="known", scales=2, automask=False)
RIG = StudentOptions("swift-bins", pretrained=False, depth_range=(0.5, 80.0), options={"bins": 16, "width": 32})
SMALL = {"width": 16, "blocks": 4, "attention_heads": 2, "grid": 8, "channels": [4, 8, 8, 8], "fused": 8}

PLACE = {"frames": 6, "height": 72, "width": 108, "processes": 1}

Made = tuple[Method, Images]


def room(folder: Path) -> Rendered:
    """Video with classes; rendered where it is not there yet."""
    return Rendered("room", clips=2, seed=3, rate=3, root=folder / "room", poses=True, classes=True, **PLACE)


def tract(folder: Path) -> Rendered:
    """Video of an endoscope; likewise."""
    return Rendered("tract", clips=2, seed=3, rate=8, root=folder / "tract", poses=True, **PLACE)


def write_data(folder: Path) -> None:
    """What the methods learn from."""
    room(folder)
    tract(folder)
    ramp = np.linspace(1, 5, SIZE[1], dtype=np.float32) * np.ones(SIZE, np.float32)
    for number in range(8):
        noise = np.random.default_rng(number).random((*SIZE, 3), np.float32)
        write_image(folder / "disparity" / "images" / f"{number}.png", noise)
        DepthMap(ramp + noise[..., 0], Kind("disparity", "affine")).save(folder / "disparity/depths" / f"{number}.npz")
    layout = DdadLayout()
    layout.write_clip(folder / "ddad", 0, rigs(layout.mounts(), 4, 0.06, lidar=layout.lidar, drives=True))
    layout.finish(folder / "ddad", 1)
    depth_folder(folder / "depth")
    semantics_folder(folder / "semantics")
    torch.manual_seed(0)
    video = create("vda-tiny")
    video.start_at(0.05)
    card = Card("vda-tiny", "metric-depth", "mm", SIZE, depth_range=(1.0, 400.0), licence="apache-2.0")
    checkpoint.save(folder / "video.safetensors", video.state_dict(), card)
    card = Card("litenet-tiny", "affine-invariant-disparity", "arbitrary", SIZE, licence="mit")
    checkpoint.save(folder / "teacher.safetensors", create("litenet-tiny").state_dict(), card)


def methods(folder: Path) -> dict[str, Callable[[], Made]]:
    """By name, what makes one of them anew. Losses that draw pairs of pixels at random are left out: of several
    processes each draws its own."""
    disparity = DepthFormat("affine-invariant-disparity", "arbitrary")

    def known() -> Folder:
        return Folder(folder / "disparity", depth=disparity)

    teacher = str(folder / "teacher.safetensors")
    return {
        "supervised": lambda: (Supervised(TINY), known()),
        "affine": lambda: (AffineInvariant(StudentOptions("depth-anything-tiny", options=SMALL)), known()),
        "segmentation": lambda: (Segmentation(Encoder(16, 2, 2, grid=4)), room(folder)),
        "litenet": lambda: (LiteNet(teacher, TINY, Trinity(ranking=0.0)), known()),
        "litenet on video": lambda: (LiteNet(None, VIDEO, base=BASE), tract(folder)),
        "vfm": lambda: (VFMTeacher(VIDEO, BASE), tract(folder)),
        "endodav": lambda: (EndoDAV(str(folder / "video.safetensors"), length=2, base=BASE), tract(folder)),
        "intrinsic": lambda: (Intrinsic(VIDEO, replace(KNOWN, scales=2, automask=False)), room(folder)),
        "surround": lambda: (Surround(None, RIG, Distillation(0, 0, 0)), Ddad(folder / "ddad", split="all")),
        "briges": lambda: (BriGeS(str(folder / "depth"), str(folder / "semantics"), Gates(4)), known()),
    }


def steady(method: Method) -> None:
    """Let no layer look at the batch or draw at random."""
    for module in method.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.Dropout) or "Drop" in type(module).__name__:
            module.eval()


def learned(made: Made, out: Path, batch: int, **options: object) -> list[float]:
    """The loss of each step of a short run."""
    method, frames = made
    # The first steps of AdamW are as long for the rounding error of a gradient as for a gradient.
    method.optimiser = replace(method.optimiser, lr=1e-5)
    method.on_train_batch_start = lambda batch, batch_idx: steady(method)
    budget = FitOptions(STEPS, batch_size=batch, size=SIZE, workers=0, device="cpu", average=False, **options)
    run(method, frames, budget, out, {}, Holdout(0), Augmentation(crop=0.9, jitter=0.2))
    return losses(out)


def losses(out: Path) -> list[float]:
    """The loss of each step of the run that made a checkpoint."""
    with (out.with_suffix(".run") / "logs" / "from-step-0" / "metrics.csv").open() as file:
        return [float(row["loss/total"]) for row in csv.DictReader(file) if row.get("loss/total")]


def main() -> None:
    folder = Path(sys.argv[1])
    for name, make in methods(folder).items():
        learned(make(), folder / "two" / f"{name}.safetensors", 1, devices=2)


if __name__ == "__main__":
    main()
