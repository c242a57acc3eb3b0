"""Depth learned from real video alone, judged against a depth sensor and against structure from motion.

    python benchmarks/self_supervised_video.py [--data ../shared/data] [--seeds 0 1 2] [--steps 300]

- room, known pose and learned pose: 7-Scenes, monodepth2's losses, sources five frames away, every third block of 40
  frames judged against the Kinect.
- endoscopy, known pose and learned pose: 35 frames of a sinus, AF-SfMLearner's losses (with known pose without its
  flow), sources three frames away. Too few frames to keep some apart: trained and judged on all, but nothing of the
  reconstruction's depth is seen in training, and with learned pose nothing of its poses.

Depth is judged after median alignment; depth from known poses of the room also as it is, in metres. For comparison one
depth for all pixels, and in the room the mean depth map of the frames learned from, which no network that learns from
video alone has seen. Learned pose is judged by the absolute trajectory error (ATE) of five of its frames and by the
rotation's error in degrees. Every run writes its figures to a file of its own and is skipped while that is there.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ablation import Figures, every_run, judged, print_table, train
from grounds import Room
from leadline.data.dataset import DataSet
from leadline.data.samples import Samples
from leadline.data.sfm import Sfm
from leadline.depth import DepthMap
from leadline.foundation import load
from leadline.methods.base import StudentOptions
from leadline.methods.litenet import LiteNet
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import AF_SFM, MONODEPTH2, SelfSupervisionOptions
from leadline.networks.pose import Motion, PoseNetwork
from leadline.protocols.baseline import MeanDepth
from leadline.protocols.candidate import asked
from leadline.protocols.folder import FOLDER
from leadline.training.options import FitOptions
from leadline.training.trajectory import pose_report

FIGURES = ("abs_rel", "delta1", "rmse")
METRIC, ATE, ROTATION = "metric abs_rel", "ATE, 5 frames", "rotation error"
CONSTANT, MEAN = "constant depth", "mean depth"
#: Depth up to scale of the sinus is about 1.5.
NEAR, FAR = 0.2, 20.0


class Sinus:
    """35 frames of sinus endoscopy with their reconstruction."""

    name = "endoscopy"
    without: tuple[str, ...] = ()
    depth_range = (NEAR, FAR)
    size, batch = (96, 160), 4
    rules = replace(FOLDER, alignment="median", min_depth=1e-9, scores=())
    bases = {
        "known pose": replace(MONODEPTH2, offsets=(-3, 3), pose="known", scales=3, smoothness=1e-2),
        "learned pose": replace(AF_SFM, offsets=(-3, 3), scales=3, pose_scale=1e-2),
    }

    def __init__(self, data: Path) -> None:
        self.frames = Sfm(data / "sinus_endoscopy", mask="auto", drop_highlights=True)

    def learned(self, seed: int) -> DataSet:
        del seed
        return self.frames

    judged = learned


class Kinect(Room):
    """The room, by known and by learned pose."""

    without = (MEAN,)
    size, batch = (128, 160), 8
    rules = replace(Room.rules, scores=())
    bases = {"known pose": Room.base, "learned pose": replace(Room.base, pose="learned")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "self_supervised_video")
    options = parser.parse_args()
    for ground in (Kinect(options.data), Sinus(options.data)):
        bench = Bench(ground, options.steps)
        out = options.out / f"{options.steps}-steps" / ground.name
        figures = every_run(out, [CONSTANT, *ground.without, *ground.bases], options.seeds, bench.figures)
        print_table(figures, (*FIGURES, METRIC, ATE, ROTATION), CONSTANT, f"{ground.name}, {options.steps} steps")
        still = bench.pose(StandingStill(), ground.bases["learned pose"].offsets[-1], 0)
        print(f"a camera that stands still: ATE {still[ATE]:.4f}, rotation {still[ROTATION]:.4f}")


class Bench:
    """One ground."""

    def __init__(self, ground: Kinect | Sinus, steps: int) -> None:
        self.ground, self.steps = ground, steps

    def figures(self, name: str, seed: int) -> Figures:
        """Train one student by one way to learn, and judge it."""
        ground = self.ground
        if name in (CONSTANT, MEAN):
            answer = one_depth if name == CONSTANT else MeanDepth(ground.learned(seed)).relative
            return _chosen(ground.rules.evaluate(asked(name, answer, parallel=True), ground.judged(seed)).means)
        base: SelfSupervisionOptions = ground.bases[name]
        method = LiteNet(
            student=StudentOptions("swift", depth_range=ground.depth_range), base=base, optimiser=Optimiser(lr=5e-4)
        )
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "student.safetensors"
            budget = FitOptions(self.steps, batch_size=ground.batch, size=ground.size, seed=seed)
            train(method, ground.learned(seed), budget, out)
            model = load(str(out))
        figures = _chosen(judged(model, ground.judged(seed), ground.rules))
        if model.kind.up_to == "nothing":
            metric = judged(model, ground.judged(seed), replace(ground.rules, alignment="none"))
            figures[METRIC] = metric["abs_rel"]
        return figures | (self.pose(method.pose_network, method.pose_stride, seed) if method.pose_network else {})

    def pose(self, network: PoseNetwork | StandingStill, stride: int, seed: int) -> Figures:
        """Judge a network of pose."""
        frames = self.ground.judged(seed)
        found = pose_report(network, frames, Samples(frames, self.ground.size), range(len(frames)), stride)  # type: ignore[arg-type]
        return {ATE: found["pose ATE, 5 frames"], ROTATION: found["pose rotation error"]}


class StandingStill(nn.Module):
    """What a network of pose has to beat: it says that the camera hardly moves ahead, whatever it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = nn.Parameter(torch.full((3,), 1e-6))

    def forward(self, first: Tensor, second: Tensor) -> Motion:
        matrix = torch.eye(4).repeat(len(first), 1, 1)
        matrix[:, 2, 3] = -self.ahead[2]
        return Motion(torch.zeros(len(first), 3), matrix[:, :3, 3], matrix)


def one_depth(image: np.ndarray) -> DepthMap:
    """The same depth everywhere."""
    return DepthMap(np.ones(image.shape[:2]), "scale-invariant-depth")


def _chosen(means: Figures) -> Figures:
    return {figure: means[figure] for figure in (*FIGURES, "images")}


if __name__ == "__main__":
    main()
