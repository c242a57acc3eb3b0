"""Small networks under the field's protocols, on real images with measured depth: one table.

    python benchmarks/peers_by_protocol.py [--data ../shared/data] [--student FILE ...] [--out FOLDER]

The three public networks of ``DATA/peers``, the bundled models, any student named, and an answer that does not look at
all (nearer the lower in the image), judged by the rules of NYU v2, KITTI (Eigen) and endoscopy on the samples there
are: 7-Scenes (Kinect), KITTI raw (lidar), SimCol3D (rendered colon) and sinus endoscopy (structure from motion,
sparse). The samples are small and are not those benchmarks: figures are to be compared within a column only.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

import leadline
from leadline.checkpoint import bundled
from leadline.data.dataset import open_dataset
from leadline.depth import DepthMap
from leadline.protocols.candidate import Candidate, asked, calibrated
from leadline.protocols.endoscopy import SCARED_AF
from leadline.protocols.indoor import NYU
from leadline.protocols.kitti import KITTI_EIGEN
from leadline.protocols.report import write_report

CARDS = Path(__file__).parent / "cards"

#: Folder below the data, options of its loader, and the rules.
CASES = {
    "nyu-type: 7-Scenes": ("sevenscenes", {"every": 4}, replace(NYU, data="sevenscenes", published=())),
    "kitti-type: KITTI raw": ("kitti_raw", {}, replace(KITTI_EIGEN, published=())),
    "endoscopy-type: SimCol3D": (
        "simcol", {}, replace(SCARED_AF, data="simcol3d", max_depth=200, scores=("boundary_f1",), published=())
    ),
    "endoscopy-type: sinus": (
        "sinus_endoscopy", {}, replace(SCARED_AF, data="sfm", unit=None, min_depth=1e-9, max_depth=np.inf, published=())
    ),
}  # fmt: skip


def rows_as_disparity(image: np.ndarray) -> DepthMap:
    """The lower a pixel the nearer: what a network has to beat before it has learned anything."""
    height, width = image.shape[:2]
    return DepthMap(np.tile(np.arange(1.0, height + 1)[:, None] / height, (1, width)), "scale-invariant-disparity")


def peers(data: Path, folder: Path) -> Iterable[str]:
    """The public networks of ``data``, put into a folder beside their cards."""
    for card in sorted(CARDS.glob("*.card.yaml")):
        name = card.name.removesuffix(".card.yaml")
        for file in (card, data / "peers" / f"{name}.tflite"):
            Path(folder, file.name).symlink_to(file.resolve())
        yield f"{folder}/{name}.tflite"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--student", nargs="*", default=[], help="further models")
    parser.add_argument("--out", type=Path, help="folder of a page for each protocol")
    options = parser.parse_args()
    candidates = [asked("row position", rows_as_disparity, parallel=True)]
    with tempfile.TemporaryDirectory() as folder:
        public = list(peers(options.data, Path(folder)))
        for spec in [*reversed(public), *bundled(), *options.student]:
            predictor = leadline.load(spec)
            candidates.append(calibrated(Path(spec).stem, predictor.predict, predictor.model.parallel))
        print(f"{'':<28}" + "".join(f"{name:>26}" for name in CASES))
        print(f"{'':<28}" + f"{'AbsRel':>18}{'delta1':>8}" * len(CASES))
        columns = [judged(candidates, options.data, case, options.out) for case in CASES]
        for place, candidate in enumerate(candidates):
            figures = (column[place] for column in columns)
            print(f"{candidate.name:<28}" + "".join(f"{abs_rel:>18.3f}{delta:>8.3f}" for abs_rel, delta in figures))


def judged(candidates: list[Candidate], root: Path, case: str, out: Path | None) -> list[tuple[float, float]]:
    """AbsRel and delta1 of every candidate."""
    folder, settings, rules = CASES[case]
    data = open_dataset(rules.data, root / folder, split="all", truth=rules.truth, **settings)
    results = [rules.evaluate(candidate, data) for candidate in candidates]
    if out:
        write_report(out / folder, rules, results, candidates, data, 3)
    return [(result.means["abs_rel"], result.means["delta1"]) for result in results]


if __name__ == "__main__":
    main()
