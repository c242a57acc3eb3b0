"""What ablations share: one student trained and judged, a file for every run, a table over seeds.

Seeds go one after the other, so that a part of the table is whole early; with --jobs several runs go at a time, which
uses the cores better. What has a file is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

import leadline
from leadline.data.augmentation import Augmentation
from leadline.data.dataset import DataSet
from leadline.data.split import Holdout
from leadline.foundation.base import DepthModel
from leadline.io.atomic import write_json
from leadline.io.reading import read_json
from leadline.methods.base import Method
from leadline.protocols.candidate import calibrated
from leadline.protocols.protocol import Protocol
from leadline.runtime.predictor import Predictor
from leadline.training.options import FitOptions
from leadline.training.run import run as fit

Figures = dict[str, float]


def parser(description: str | None, results: str) -> argparse.ArgumentParser:
    """The options that every ablation has; ``results`` names its folder."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    scale = made.add_mutually_exclusive_group(required=True)
    scale.add_argument("--quick", dest="scale", action="store_const", const="quick", help="two cores")
    scale.add_argument("--paper", dest="scale", action="store_const", const="paper", help="the paper's size, for a GPU")
    made.add_argument("--data", type=Path, default=Path("../shared/data"))
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    made.add_argument("--device", default="auto")
    made.add_argument("--jobs", type=int, default=1, help="runs at a time, by default 1")
    made.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / results)
    return made


def every_run(
    out: Path,
    names: Iterable[str],
    seeds: Sequence[int],
    made: Callable[[str, int], Figures],
    jobs: int = 1,
    shared: Callable[[], object] | None = None,
) -> dict[str, list[Figures]]:
    """Figures by name, one a seed, of OUT/NAME-seedN.json; runs without a file are made.

    Args:
        out: folder of the files.
        names: of the runs of every seed, in order.
        seeds: of the runs.
        made: makes one run; with more than one job it is sent to other processes.
        jobs: runs at a time, each in a process with its part of the cores: name by name; else seed by seed.
        shared: makes what all runs need, before several are made at a time.
    """
    files = {name: [out / f"{name.replace(' ', '-')}-seed{seed}.json" for seed in seeds] for name in names}
    runs = [(file, name, seed) for name, each in files.items() for file, seed in zip(each, seeds, strict=True)]
    runs = [run for run in runs if not run[0].is_file()]
    if jobs > 1 and runs:
        if shared:
            shared()
        cores = max(1, (os.cpu_count() or 1) // jobs)
        spawn = multiprocessing.get_context("spawn")  # what has rendered does not survive a fork
        with ProcessPoolExecutor(jobs, spawn, torch.set_num_threads, (cores,)) as pool:
            list(pool.map(partial(_one_run, made), *zip(*runs, strict=True)))
    else:
        for run in sorted(runs, key=lambda run: seeds.index(run[2])):
            _one_run(made, *run)
    return {name: [read_json(file) for file in each] for name, each in files.items()}


def _one_run(made: Callable[[str, int], Figures], file: Path, name: str, seed: int) -> None:
    torch.manual_seed(seed)  # networks that learn motion are made before the run seeds everything
    write_json(file, made(name, seed))


def kept(script: str, what: str, seed: int, *settings: object) -> Path:
    """Where a network is kept that several runs of a script need: in the temporary folder, told apart by all of the
    settings and by the code of leadline, so that none of them is taken for another."""
    state = hashlib.sha256(repr(settings).encode())
    for file in sorted(Path(leadline.__file__).parent.rglob("*.py")):
        state.update(file.read_bytes())
    name = f"{what.replace(' ', '-')}-seed{seed}-{state.hexdigest()[:12]}.safetensors"
    return Path(tempfile.gettempdir()) / f"leadline-{script}" / name


def train(method: Method, frames: DataSet, budget: FitOptions, out: Path) -> None:
    """Train a method's student on all of the frames, unless another process has done so meanwhile."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_suffix(".lock")):
        if not out.is_file():
            fit(method, frames, budget, out, {}, Holdout(0), Augmentation(crop=1.0, jitter=0.2))


def judged(model: DepthModel, frames: DataSet, rules: Protocol) -> Figures:
    """Mean figures of a model."""
    return dict(rules.evaluate(calibrated("model", Predictor(model).predict, model.parallel), frames).means)


def print_table(
    figures: Mapping[str, Sequence[Figures]], columns: Sequence[str], base: str | None = None, title: str = ""
) -> None:
    """Mean and standard deviation over the seeds; then those of the ratios to ``base`` within each seed."""
    _print(figures, columns, f"{title}: mean and standard deviation over {len(next(iter(figures.values())))} seeds")
    if base:
        ratios = {
            name: [
                {column: one[column] / other[column] for column in columns if column in one and column in other}
                for one, other in zip(each, figures[base], strict=True)
            ]
            for name, each in figures.items()
        }
        _print(ratios, columns, f"{title}: ratio to {base} within each seed")


def _print(figures: Mapping[str, Sequence[Figures]], columns: Sequence[str], title: str) -> None:
    width = max(map(len, figures)) + 2
    print(f"\n{title}")
    print(" " * width + "".join(f"{column:>22}" for column in columns))
    for name, each in figures.items():
        cells = [_spread([one.get(column, float("nan")) for one in each]) for column in columns]
        print(f"{name:<{width}}" + "".join(cells))


def _spread(values: Sequence[float]) -> str:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return f"{np.mean(values):>14.4f} {deviation:>7.4f}"
