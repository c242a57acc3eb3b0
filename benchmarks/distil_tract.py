"""How well a few minutes of distilling go on rendered tubes: what `leadline demo` does, for several seeds.

    python benchmarks/distil_tract.py [--seeds 0 1 2] [--minutes 2.5] [--out distil_tract]

Every seed renders other places to learn from and others to judge on; the bundled teacher has seen none of them. Each
seed writes its figures to OUT/seed<N>/figures.json and is not run again while they are there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from leadline.cli.demo import COLOURS, Files, learn
from leadline.io.atomic import writing


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--out", type=Path, default=Path("distil_tract"))
    arguments = parser.parse_args()
    figures = {seed: figures_of(arguments.out / f"seed{seed}", seed, arguments.minutes) for seed in arguments.seeds}
    print(f"\n{'':<16}" + "".join(f"{f'seed {seed}':>10}" for seed in figures) + f"{'mean':>10}{'spread':>10}")
    for metric in ("abs_rel", "delta1"):
        print(metric)
        for name in COLOURS:
            line(name, [of_seed[name][metric] for of_seed in figures.values()])
    print("ratios")
    for label, above, below, metric in (
        ("AbsRel to mean", "student", "mean depth", "abs_rel"),
        ("AbsRel to before", "student", "student before", "abs_rel"),
        ("delta1 to teach.", "student", "teacher", "delta1"),
    ):
        line(label, [of_seed[above][metric] / of_seed[below][metric] for of_seed in figures.values()])


def figures_of(folder: Path, seed: int, minutes: float) -> dict[str, dict[str, float]]:
    """Mean errors by model, computed or read."""
    file = folder / "figures.json"
    if not file.is_file():
        results = learn(Files(folder, seed), minutes)
        with writing(file) as temporary:
            temporary.write_text(
                json.dumps({name: r.means for name, r in zip(COLOURS, results, strict=True)}, indent=1)
            )
    loaded: dict[str, dict[str, float]] = json.loads(file.read_text())
    return loaded


def line(label: str, values: list[float]) -> None:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    print(f"{label:<16}" + "".join(f"{value:>10.4f}" for value in [*values, float(np.mean(values)), spread]))


if __name__ == "__main__":
    main()
