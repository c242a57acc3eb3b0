"""How much steadier models of single images become, on real video with measured depth and poses.

    python benchmarks/stabilise.py [--data ../shared/data] [--models leadline-tract pydnet_pp fast_depth_224] [--choose]

480 frames of 7-Scenes. The constants of leadline.runtime.stabilise were chosen on frames 0 to 159 (--choose prints
their figures for other constants); all others are reported on frames 160 to 479, which nothing was chosen on. Every
model is judged as it is, and as a model known up to scale and shift: its disparity, less its median and by its mean
deviation in every frame. One alignment holds for the whole video (median-video, lsq-disparity-video); AbsRel is also
given with one for each image (median, lsq-disparity). TAE is that of leadline.metrics.temporal, that of the measured
depth beside it: a map that is steadier than the truth is smeared. At last two parts of the sequence are shown one after
the other: by how much the AbsRel of the frames after the cut differs from that without stabilisation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import leadline
from grounds import CARDS
from leadline.data.dataset import DataSet
from leadline.data.sevenscenes import SevenScenes
from leadline.depth import DepthMap
from leadline.protocols.candidate import asked, watched
from leadline.protocols.folder import FOLDER
from leadline.runtime.predictor import Predictor
from leadline.runtime.stabilise import Stabiliser, Steadiness, stabilised

RULES = replace(FOLDER, min_depth=0.3, max_depth=10.0, scores=())
CHOSEN_ON = 160
OTHERS = {
    "as it is": Steadiness(),
    "memory 6": Steadiness(memory=6),
    "memory 24": Steadiness(memory=24),
    "patience 15": Steadiness(patience=15),
    "patience 60": Steadiness(patience=60),
    "least 0.01": Steadiness(least=0.01),
    "keyframe 10": Steadiness(keyframe=10),
}
Answers = Sequence[tuple[np.ndarray, DepthMap]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", nargs="+", default=["leadline-tract", "pydnet_pp", "fast_depth_224"])
    parser.add_argument("--choose", action="store_true", help="other constants, on the part they are chosen on")
    parser.add_argument("--frames", type=int, default=480, help="fewer for a first look")
    options = parser.parse_args()
    room = SevenScenes(options.data / "sevenscenes", split="all")
    part = range(min(CHOSEN_ON, options.frames)) if options.choose else range(CHOSEN_ON, CHOSEN_ON + options.frames)
    data = room.only([index for index in part if index < len(room)])
    measured = figures(data, [(np.empty(0), frame.depth) for frame in data], "median-video", "median")
    print(f"{len(data)} frames; measured depth: TAE {measured['tae']:.2f}", flush=True)
    head = f"{'model':28} {'constants':12} {'TAE':>6} {'steady':>7} {'less by':>8}"
    print(f"{head} {'AbsRel':>7} {'steady':>7} {'by image':>9} {'steady':>7}")
    for name in options.models:
        for affine in (False, True):
            predictor = opened(name, options.data)
            answers = [(frame.image, one(predictor, frame.image, affine)) for frame in data]
            rules = ("lsq-disparity-video", "lsq-disparity") if affine else ("median-video", "median")
            before = figures(data, answers, *rules)
            for which, steadiness in (OTHERS if options.choose else {"as it is": Steadiness()}).items():
                after = figures(data, list(stabilised(answers, steadiness)), *rules)
                print(
                    f"{name + (' up to shift' if affine else ''):28} {which:12} {before['tae']:6.2f} "
                    f"{after['tae']:7.2f} {1 - after['tae'] / before['tae']:8.0%} {before['abs_rel']:7.4f} "
                    f"{after['abs_rel']:7.4f} {before['by_image']:9.4f} {after['by_image']:7.4f}",
                    flush=True,
                )
            if not options.choose:
                print(f"{'':28} after a cut: {cut(data, answers, rules[1])}", flush=True)


def opened(name: str, data: Path) -> Predictor:
    file = data / "peers" / f"{name}.tflite"
    return leadline.load(str(file), card=CARDS / f"{name}.card.yaml") if file.is_file() else leadline.load(name)


def one(predictor: Predictor, image: np.ndarray, affine: bool) -> DepthMap:
    depth = predictor.predict(image)
    if not affine:
        return depth
    disparity = depth.to_disparity()
    known = disparity.values[disparity.valid]
    middle = np.median(known)
    values = (disparity.values - middle) / np.abs(known - middle).mean()
    return DepthMap(values, "affine-invariant-disparity", valid=disparity.valid)


def figures(data: DataSet, answers: Answers, video: str, image: str) -> dict[str, float]:
    """TAE and AbsRel with one alignment for the video, and AbsRel with one for each image."""

    def watch(images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, DepthMap]]:
        yield from ((seen, depth) for seen, (_, depth) in zip(images, answers, strict=True))

    def judged(alignment: str, temporal: bool) -> dict[str, float]:
        rules = replace(RULES, alignment=alignment, temporal=temporal)
        return dict(rules.evaluate(watched("model", watch, data), data).means)

    whole = judged(video, True)
    return {**whole, "by_image": judged(image, False)["abs_rel"]}


def cut(data: DataSet, answers: Answers, image: str) -> str:
    """AbsRel of each of the first frames after a cut, stabilised and not, in per cent of each other."""
    middle = len(data) // 2
    stabiliser = Stabiliser()
    for shown, depth in answers[:20]:
        stabiliser(shown, depth)
    changes = []
    for index in range(middle, middle + 4):
        steady = stabiliser(*answers[index])
        frame = data.only([index])
        rules = replace(RULES, alignment=image)
        errors = [
            rules.evaluate(asked("model", lambda _, depth=depth: depth), frame).means["abs_rel"]
            for depth in (answers[index][1], steady)
        ]
        changes.append(f"{errors[1] / errors[0] - 1:+.1%}")
    return ", ".join(changes)


if __name__ == "__main__":
    main()
