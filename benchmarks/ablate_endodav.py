"""What the parts of EndoDAV's method are good for, on rendered tubes and in a real room.

    python benchmarks/ablate_endodav.py --quick [--on tract room] [--seeds 0 1 2] [--data ../shared/data]
    python benchmarks/ablate_endodav.py --quick --network video_depth_anything_vits.pth
    python benchmarks/ablate_endodav.py --paper --network depth-anything/Video-Depth-Anything-Small --device cuda

One after the other: the network as it is (frozen), + spatial adapters, + temporal adapters in turn with them, + the
projection loss, each shown a video in windows of 32 frames that know nothing of one another; + aligned inference (the
same network, windows aligned as EndoDAV does, and as Video Depth Anything does). Then the same network shown each frame
when it comes, and its light student (swift-video) likewise. Poses are known. Judged on videos kept
apart, each with one scale: AbsRel, delta1, TAE in both modes. The last column is the mean of the ratios of AbsRel to
the frozen network's within each seed.

Without --network a small one is first trained on true depth of rendered video of rooms, once for all: what it is then
tuned on without depth, tubes and a real room, it has never seen. Every run writes its figures to a file of its own and
is skipped while that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ablation import Figures, every_run, kept, parser, print_table, train
from grounds import Room, Tract
from leadline.checkpoint import Card
from leadline.data.dataset import DataSet
from leadline.depth import DepthMap
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.leadline_model import LeadlineModel
from leadline.foundation.long_video import as_tensor, watch_live, watch_video
from leadline.foundation.video_depth_anything import PublicVideoDepth
from leadline.methods.base import StudentOptions
from leadline.methods.clips import around
from leadline.methods.distilled_video import DistilledVideo
from leadline.methods.endodav import EndoDAV, Phases
from leadline.methods.optimiser import Optimiser
from leadline.methods.supervised_video import SupervisedVideo
from leadline.networks.student import Student
from leadline.protocols.candidate import watched
from leadline.training.options import FitOptions
from leadline.training.rendered import Rendered

FROZEN = "frozen"
#: Name, phases, weight of the projection loss; None: nothing is tuned.
TUNED: dict[str, tuple[Phases, float]] = {
    "+spatial": (Phases(temporal=0), 0.0),
    "+temporal": (Phases(), 0.0),
    "+projection": (Phases(), 1e-2),
}
#: Name, the network that is asked, and how its windows follow one another; live, there are none.
LIVE, DISTILLED = "live", "distilled, live"
INFERENCE = {
    "+aligned (endodav)": ("+projection", "endodav"),
    "+aligned (vda)": ("+projection", "vda"),
    "live": ("+projection", LIVE),
    DISTILLED: (DISTILLED, LIVE),
}
FIGURES = ("abs_rel", "delta1", "tae", "tae_depthcrafter")
SIZES: dict[str, dict[str, Any]] = {
    "quick": {"base": 800, "steps": 70, "batch": 2, "length": 8, "size": (128, 160), "lr": 3e-2, "clips": 40},
    "paper": {"base": 20_000, "steps": 20_000, "batch": 1, "length": 16, "size": (256, 320), "lr": 1e-4, "clips": 640},
}


class TractVideo(Tract):
    """Rendered tubes, fifteen frames a second; judged are four videos of 54 frames."""

    stride = 1
    rules = replace(Tract.rules, alignment="median-video", scores=(), temporal=True)

    def learned(self, seed: int) -> DataSet:
        return self._video(self.clips, 14, 1000 * seed)

    def judged(self, seed: int) -> DataSet:
        return self._video(4, 54, 90_000 + 1000 * seed)

    def _video(self, clips: int, frames: int, seed: int) -> Rendered:
        height, width = self.size
        return Rendered("tract", clips, frames, seed, rate=15.0, height=height, width=width, poses=True)


class RoomVideo(Room):
    """7-Scenes at 30 frames a second; clips to learn from take every third frame, and show none that is judged."""

    stride = 3
    rules = replace(Room.rules, alignment="median-video", scores=(), temporal=True)

    def __init__(self, data: Path, length: int) -> None:
        super().__init__(data)
        judged = {self.frames.ids[index] for index in self.parts[1]}
        offsets = around(length, self.stride)
        ids = self.frames.ids
        whole = [i for i in self.parts[0] if judged.isdisjoint(self.frames.neighbour(ids[i], o) for o in offsets)]
        self.parts = whole, self.parts[1]


Video = TractVideo | RoomVideo


def main() -> None:
    known = parser(__doc__, "endodav")
    known.add_argument("--on", choices=["tract", "room"], nargs="+", default=["tract", "room"])
    known.add_argument("--network", help="what is tuned: a checkpoint, or a name on the hub")
    options = known.parse_args()
    name = options.scale
    size = SIZES[name]
    for on in options.on:
        tract = on == "tract"
        ground = TractVideo(size["size"], size["clips"]) if tract else RoomVideo(options.data, size["length"])
        bench = Bench(ground, options.network, size, options.device)
        network = Path(options.network or "vda-tiny").stem
        figures = every_run(
            options.out / name / network / on, [FROZEN, *TUNED, *INFERENCE], options.seeds, bench.figures, options.jobs,
            bench.network,
        )  # fmt: skip
        print_table(figures, FIGURES, FROZEN, f"{name}, {on}")


class Bench:
    """One ground, one size."""

    def __init__(self, ground: Video, network: str | None, size: dict[str, Any], device: str) -> None:
        self.ground, self.named, self.size, self.device = ground, network, size, device
        self.torch_device = self.budget(0, 1).torch_device()

    def figures(self, name: str, seed: int) -> Figures:
        """Tune one network, where it has to be, and judge it."""
        tuned, strategy = INFERENCE.get(name, (name, None))
        model = load(str(self.network() if tuned == FROZEN else self.tuned(tuned, seed)), device=self.torch_device)
        if tuned == FROZEN:  # judged as what tuning starts from: depth, read off by the range
            assert isinstance(model, PublicVideoDepth | LeadlineModel)
            network = model.network if isinstance(model, PublicVideoDepth) else model.student.network
            student = Student(network, "scale-invariant-depth", depth_range=self.ground.depth_range)
            card = Card(network.architecture, str(student.kind), student.unit, self.size["size"])
            model = LeadlineModel(student, card, model.name, self.torch_device)
        data = self.ground.judged(seed)
        candidate = watched(name, lambda images: shown(model, images, strategy), data)
        means = self.ground.rules.evaluate(candidate, data).means
        return {figure: means[figure] for figure in (*FIGURES, "images")}

    def network(self) -> str | Path:
        """What is tuned."""
        if self.named:
            return self.named
        (height, width), budget = self.size["size"], self.budget(0, self.size["base"])
        file = kept("ablate-endodav", "before", 0, self.size["clips"], self.size["length"], budget)
        if not file.is_file():
            rooms = Rendered("room", 2 * self.size["clips"], 14, 50_000, rate=10.0, height=height, width=width)
            student = StudentOptions("vda-tiny", depth_range=(0.2, 12.0))
            method = SupervisedVideo(student, self.size["length"], optimiser=Optimiser(lr=5e-4))
            train(method, rooms, budget, file)
        return file

    def tuned(self, name: str, seed: int) -> Path:
        """The network with adapters of its own ground."""
        file = self.kept(name, seed)
        if not file.is_file() and name == DISTILLED:
            student = DistilledVideo(
                str(self.tuned("+projection", seed)), StudentOptions("swift-video"), length=self.size["length"],
                optimiser=Optimiser(lr=1e-3),
            )  # fmt: skip
            train(student, self.ground.learned(seed), self.budget(seed, 2 * self.size["steps"]), file)
        elif not file.is_file():
            phases, projection = TUNED[name]
            method = EndoDAV(
                str(self.network()), self.ground.depth_range, phases=phases, length=self.size["length"],
                stride=self.ground.stride, projection=projection, base=replace(self.ground.base, offsets=(-1, 1)),
                optimiser=Optimiser(lr=self.size["lr"]),
            )  # fmt: skip
            train(method, self.ground.learned(seed), self.budget(seed, self.size["steps"]), file)
        return file

    def kept(self, what: str, seed: int) -> Path:
        return kept("ablate-endodav", what, seed, self.ground.name, self.size, self.named)

    def budget(self, seed: int, steps: int) -> FitOptions:
        return FitOptions(steps, batch_size=self.size["batch"], size=self.size["size"], seed=seed, device=self.device)


def shown(
    model: DepthModel, images: Iterable[np.ndarray], strategy: str | None
) -> Iterator[tuple[np.ndarray, DepthMap]]:
    """Each image of a video with its map: live, by windows that are aligned, or that know nothing of one another."""
    seen = list(images)
    if strategy == LIVE:
        maps = watch_live(model, seen)
    else:
        maps = watch_video(model, seen, strategy) if strategy else _windows(model, seen)
    for image, values in zip(seen, maps, strict=True):
        yield image, DepthMap(values, model.kind, model.unit)


def _windows(model: DepthModel, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    left = iter(images)
    while window := list(islice(left, model.window)):
        yield from model.watch(as_tensor(window)).cpu().numpy()


if __name__ == "__main__":
    main()
