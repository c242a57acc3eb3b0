"""Metric depth from small networks that do not know it: calibrated on some frames, judged on others.

    python benchmarks/calibration.py [--data ../shared/data] [--every 10]

7-Scenes: a depth sensor's first 160 frames calibrate, the last 160 judge, with as many between them left alone. Stereo
Motorcycle (Middlebury 2014, comes with scikit-image): the pair and its baseline calibrate, the true disparity judges.
AbsRel of pixels with truth: of one constant depth (the truth's median where it was calibrated), of the calibrated
model, and of the model brought to each image's true median, which no user can have (there pixels count for which the
model says something). Beside it the scale with its 95 % interval, and the scale that would have been best where it is
judged.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray

import leadline
from leadline.camera import Pinhole
from leadline.cli.demo import BASELINE, FOCAL, OFFSET
from leadline.data.folder import DepthFormat, Folder
from leadline.depth import DepthMap
from leadline.foundation.network_file import NetworkCard
from leadline.io.images import write_image
from leadline.runtime.calibration import Calibration
from leadline.runtime.fitting import CalibrationRefused, find
from leadline.runtime.measured import Known, gather, sensor_frames, stereo_pairs
from leadline.runtime.predictor import Predictor

CARDS = Path(__file__).parent / "cards"
#: Of Motorcycle as scikit-image has it, a quarter of 2964x2000.
MOTORCYCLE = Pinhole(741, 500, FOCAL, FOCAL, 311.193, 254.877)

Judged = tuple[NDArray[np.uint8], NDArray[np.float32]]


@dataclass(frozen=True)
class Case:
    """What calibrates, and images with true depth in m (NaN where unknown) that judge."""

    known: Callable[[], Iterable[Known]]
    judged: Callable[[], Iterable[Judged]]


def sevenscenes(data: Path, every: int) -> Case:
    form = DepthFormat("metric-depth", "m", 1000, (0, 65535))
    frames = Folder(data / "sevenscenes" / "seq-01", "*.color.jpg", "*.depth.png", form)
    count = len(frames)

    def part(start: int, end: int) -> Folder:
        names = "\n".join(frames.paths[number].name for number in range(start, end, every))
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
            listed.write(names)
            listed.flush()
            return Folder(frames.root, "*.color.jpg", "*.depth.png", form, split=listed.name)

    def judged() -> Iterable[Judged]:
        for number in range(count - 160, count, every):
            frame = frames[number]
            assert frame.depth is not None
            yield frame.image, np.where(frame.depth.valid, frame.depth.values, np.nan)

    return Case(lambda: sensor_frames(part(0, 160), "m"), judged)


def motorcycle_depth() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Both images, and the true depth of the left one in m, NaN where unknown."""
    left, right, disparity = skimage.data.stereo_motorcycle()
    return left, right, np.where(np.isfinite(disparity), MOTORCYCLE.fx * BASELINE / (disparity + OFFSET), np.nan)


def motorcycle(folder: Path) -> Case:
    left, right, depth = motorcycle_depth()
    write_image(folder / "left.png", left)
    write_image(folder / "right.png", right)
    pair = [folder / "left.png"], [folder / "right.png"]
    return Case(lambda: stereo_pairs(*pair, BASELINE, lambda *_: MOTORCYCLE, OFFSET), lambda: [(left, depth)])


def abs_rel(depth: NDArray, truth: NDArray) -> float:
    keep = np.isfinite(truth) & np.isfinite(depth)
    return float((np.abs(depth - truth) / truth)[keep].mean())


def row(name: str, case: Case, predictor: Predictor) -> str:
    """A line of the table."""
    gathered = gather(predictor.predict, case.known(), "m")
    try:
        found = find(gathered.points, predictor.kind)
    except CalibrationRefused as refused:
        return f"{name:<14} {predictor.model.name:<20} {refused}"
    model = predictor.model
    line = Calibration(model.name, model.digest, str(model.kind), found.form.space, found.scale, found.shift, "m")
    usual = float(np.median(gathered.points.truth))
    errors, best = [], []
    for image, truth in case.judged():
        raw = predictor.predict(image)
        calibrated = line.apply(raw)
        depth = np.where(calibrated.valid, calibrated.values, usual)
        aligned = raw.align_to(DepthMap(np.nan_to_num(truth), "metric-depth", "m"), "median").values
        errors.append((abs_rel(np.full_like(truth, usual), truth), abs_rel(depth, truth), abs_rel(aligned, truth)))
        best.append(np.nanmedian(truth) / np.nanmedian(np.where(np.isfinite(truth), raw.to_depth().values, np.nan)))
    constant, after, oracle = np.mean(errors, axis=0)
    low, high = found.interval[0]
    scales = f"{found.scale:.4g} ({low:.4g} to {high:.4g})"
    there = f"{np.median(best):.4g}" if found.form.name == "scale" else "-"
    return (f"{name:<14} {model.name:<20} {found.form.name:<30} {constant:8.3f} {after:10.3f} {oracle:8.3f}  "
            f"{scales:<26} {there}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--every", type=int, default=10, help="one in so many frames of 7-Scenes")
    options = parser.parse_args()
    print(f"{'data':<14} {'model':<20} {'form':<30} {'constant':>8} {'calibrated':>10} {'median':>8}  "
          f"{'scale (95 %)':<26} best where judged")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        cases = {"7-Scenes": sevenscenes(options.data, options.every), "Motorcycle": motorcycle(Path(folder))}
        for name, case in cases.items():
            for peer in sorted((options.data / "peers").glob("*.tflite")):
                card = NetworkCard.read(CARDS / f"{peer.stem}.card.yaml")
                print(row(name, case, leadline.load(str(peer), card=card)), flush=True)
            print(row(name, case, leadline.load("leadline-tract")), flush=True)


if __name__ == "__main__":
    main()
