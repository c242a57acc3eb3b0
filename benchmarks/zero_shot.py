"""Bundled models on real frames that they never saw, beside small published networks: one table.

    python benchmarks/zero_shot.py [--data ../shared/data] [--models leadline-general ...] [--show FOLDER]

Rooms: 7-Scenes (Kinect, one frame in four), Motorcycle (Middlebury 2014, structured light, comes with scikit-image);
streets: KITTI raw and object, nuScenes, DDAD (lidar, all cameras). Every answer is brought to truth by least squares
in disparity, image by image, and judged from 0.1 to 10 m in rooms, from 1 to 80 m in streets; a mean over images, then
over the sets. Beside the models stand the three public networks of ``DATA/peers``, trained on real images, FastDepth in
rooms and PyDNet mobile in streets, and an answer that does not look at all (nearer the lower in the image). The samples
are small: figures are to be compared within a column only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import leadline
from calibration import MOTORCYCLE, motorcycle_depth
from leadline.data.dataset import DataSet, open_dataset
from leadline.data.folder import Folder, write_frames
from leadline.depth import DepthMap
from leadline.frame import Frame
from leadline.io.atomic import write_json
from leadline.io.images import write_image
from leadline.protocols.candidate import Candidate, asked, calibrated
from leadline.protocols.folder import FOLDER
from leadline.runtime.writing import in_colour
from leadline.view import colourise, robust_range
from peers_by_protocol import peers, rows_as_disparity

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from common.nuscenes_sample import as_dataset  # the sample is no data set; the tests lay it out as one

ROOMS, STREETS = "rooms", "streets"
RULES = {
    ROOMS: replace(FOLDER, alignment="lsq-disparity", min_depth=0.1, max_depth=10.0, scores=()),
    STREETS: replace(FOLDER, alignment="lsq-disparity", min_depth=1.0, max_depth=80.0, scores=()),
}


def sets(data: Path, folder: Path) -> dict[str, tuple[str, DataSet]]:
    """What is judged on: by name, whether rooms or streets, and the frames."""
    return {
        "7-Scenes": (ROOMS, open_dataset("sevenscenes", data / "sevenscenes", split="all", every=4)),
        "Motorcycle": (ROOMS, motorcycle(folder / "motorcycle")),
        "KITTI raw": (STREETS, open_dataset("kitti", data / "kitti_raw", split="all")),
        "KITTI object": (STREETS, open_dataset("kitti-object", data / "kitti_object")),
        "nuScenes": (
            STREETS,
            open_dataset("nuscenes", as_dataset(data / "nuscenes_sample", folder / "n"), split="all"),
        ),
        "DDAD": (STREETS, open_dataset("ddad", data / "ddad_dgp", split="all")),
    }


def motorcycle(root: Path) -> Folder:
    """The left image and its depth."""
    left, _, depth = motorcycle_depth()
    known = np.isfinite(depth)
    image, values = (left / 255).astype(np.float32), np.where(known, depth, 0).astype(np.float32)
    write_frames(root, [Frame(image, DepthMap(values, "metric-depth", "m", known, MOTORCYCLE), name="0")])
    return Folder(root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", nargs="+", default=["leadline-general"])
    parser.add_argument("--no-peers", action="store_true", help="the models alone")
    parser.add_argument("--show", type=Path, help="folder for what the models see in a frame of each set")
    parser.add_argument("--out", type=Path, help="file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        candidates = [] if options.no_peers else [asked("row position", rows_as_disparity, parallel=True)]
        for spec in [*(() if options.no_peers else peers(options.data, folder)), *options.models]:
            predictor = leadline.load(spec)
            candidates.append(calibrated(Path(spec).stem, predictor.predict, predictor.model.parallel))
        frames = sets(options.data.resolve(), folder)
        figures = {name: judged(candidates, *known) for name, known in frames.items()}
        print_table(
            [candidate.name for candidate in candidates], figures, {name: kind for name, (kind, _) in frames.items()}
        )
        if options.out:
            write_json(options.out, figures)
        if options.show:
            show(candidates, {name: known for name, (_, known) in frames.items()}, options.show)


def judged(candidates: list[Candidate], kind: str, frames: DataSet) -> dict[str, dict[str, float]]:
    """AbsRel and delta1 of every candidate."""
    results = [RULES[kind].evaluate(candidate, frames) for candidate in candidates]
    return {
        candidate.name: {key: result.means[key] for key in ("abs_rel", "delta1")}
        for candidate, result in zip(candidates, results, strict=True)
    }


def print_table(names: list[str], figures: dict[str, dict[str, dict[str, float]]], kinds: dict[str, str]) -> None:
    columns = [*figures, *(f"mean of {kind}" for kind in RULES)]
    print(f"{'AbsRel / delta1':<24}" + "".join(f"{column:>18}" for column in columns))
    for name in names:
        rows = [figures[column][name] for column in figures]
        for kind in RULES:
            own = [figures[column][name] for column in figures if kinds[column] == kind]
            rows.append({key: float(np.mean([row[key] for row in own])) for key in own[0]})
        print(f"{name:<24}" + "".join(f"{row['abs_rel']:>10.3f} / {row['delta1']:.3f}" for row in rows))


def show(candidates: list[Candidate], frames: dict[str, DataSet], folder: Path) -> None:
    """The middle frame of every set beside what each candidate sees in it, as disparity."""
    for name, known in frames.items():
        middle = len(known) // 2
        frame = known[middle]
        pictures = [np.rint(frame.image * 255).astype(np.uint8)]
        for candidate in candidates:
            depth = in_colour(candidate.answer(known.ids[middle], frame))
            low, high = robust_range(depth.values, depth.valid)
            pictures.append(colourise(depth.values, depth.valid, low, high, quantity=depth.kind.quantity))
        step = max(1, frame.width // 400)
        row = np.concatenate([picture[::step, ::step] for picture in pictures], axis=1)
        write_image(folder / f"{name.replace(' ', '-').lower()}.png", row)


if __name__ == "__main__":
    main()
