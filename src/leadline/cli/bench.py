"""leadline bench: how fast models are, and what they need, side by side."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import check_at_least_one, failed, make_parser, parse
from leadline.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from leadline.foundation.base import DepthModel
    from leadline.runtime.bench import Pipeline, Row, Size
    from leadline.runtime.machine import EnergyMeter

RUNTIMES = ("torch", "onnx", "openvino")


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("bench")
    models = "all that predict takes, and architectures, such as swift: those get random weights"
    parser.add_argument("model", nargs="+", help=models)
    sizes = "heights x widths the networks see, such as 256x320 384x640; by default what each model chooses"
    parser.add_argument("--sizes", nargs="+", default=[], help=sizes)
    parser.add_argument(
        "--runtimes", nargs="+", default=list(RUNTIMES), help="of torch, onnx, openvino; by default all"
    )
    parser.add_function_arguments(bench, skip={"model", "sizes", "runtimes"})
    return bench(**parse(parser, arguments).as_dict())


def bench(
    model: list[str],
    sizes: list[str] = [],  # noqa: B006 - never changed
    runtimes: list[str] = list(RUNTIMES),  # noqa: B006
    image: str = "720x1280",
    rounds: int = 5,
    iterations: int = 10,
    batch: int = 4,
    seconds: float = 1.0,
    memory: bool = True,
    out: Path = Path("bench"),
    device: str = "cpu",
    threads: int | None = None,
    card: Path | None = None,
    kind: str | None = None,
) -> int:
    """Time models in turns: a table, ``bench.json`` and ``bench.png``.

    Args:
        model: what to measure.
        sizes: that the networks see.
        runtimes: to try; a model that cannot run in one is listed with the reason.
        image: height x width of the image that goes in.
        rounds: how often each is come back to, so that a machine that slows down slows all.
        iterations: images a round, after one that is not counted.
        batch: images in one call, for images a second.
        seconds: that images a second, and energy, are measured for, each.
        memory: measure the most memory, each model in a process of its own.
        out: folder to write to.
        device: of torch.
        threads: most threads to use; by default all cores this process may use.
        card: card of a network file, where none lies beside it.
        kind: kind of a transformers model leadline does not know.

    Returns:
        The exit code: 1 where a model ran nowhere.
    """
    import torch

    from leadline.io.atomic import check_folder
    from leadline.runtime.bench import time_in_turns
    from leadline.runtime.machine import EnergyMeter, alone, cores, describe

    for runtime in runtimes:
        if runtime not in RUNTIMES:
            raise ConfigError(f"runtimes: '{runtime}' is none of {', '.join(RUNTIMES)}")
    check_at_least_one(rounds=rounds, iterations=iterations, batch=batch)
    picture = _picture(_size("image", image))
    wanted: list[Size | None] = [_size("sizes", size) for size in sizes]
    check_folder(out)
    threads = threads or cores()
    torch.set_num_threads(threads)
    settings: dict[str, Any] = {
        "image": image,
        "rounds": rounds,
        "iterations": iterations,
        "batch": batch,
        "device": device,
        "threads": threads,
    }
    with tempfile.TemporaryDirectory() as folder:
        subjects = [
            Subject(name, spec, runtime, size, device, threads, card, kind)
            for name, spec in _found(model, Path(folder))
            for runtime in runtimes
            for size in wanted or [None]
        ]
        running, left_out = opened(subjects, picture)
        rows = [run.row for run in running]
        _say(f"timing {len(running)} in turns")
        time_in_turns([run.pipeline for run in running], rows, rounds, iterations)
        meter = EnergyMeter()
        for run in running:
            _say(f"{run.row.model}, {run.row.runtime}: images a second{', memory' if memory else ''}")
            run.measure(picture, batch, meter, seconds)
            if memory:
                run.row.peak_mb = alone(peak, run.subject, picture)
    settings["energy"] = ", ".join(meter.names) or f"not readable: {meter.why_not}"
    report(out, rows, left_out, settings, describe())
    ran = {run.subject.name for run in running}
    nowhere = sorted({subject.name for subject in subjects} - ran)
    return failed(nowhere, f"{len({subject.name for subject in subjects})} models ran nowhere")


@dataclass(frozen=True)
class Subject:
    """A model in a runtime, at a size the network sees, or None for what it chooses."""

    name: str
    spec: str
    runtime: str
    size: Size | None
    device: str
    threads: int
    card: Path | None
    kind: str | None

    def open(self) -> DepthModel:
        """The model.

        Raises:
            LeadlineError: this runtime does not run it.
        """
        from leadline.export.opening import open_model
        from leadline.foundation.network_file import NetworkFileModel

        model = open_model(self.spec, self.runtime, self.device, self.threads, card=self.card, kind=self.kind)
        if self.runtime == "torch" and isinstance(model, NetworkFileModel):
            raise ConfigError("a network file, which runs in openvino or onnx")
        return model


@dataclass
class Running:
    """A subject that runs."""

    subject: Subject
    pipeline: Pipeline
    row: Row

    def measure(self, picture: np.ndarray, batch: int, meter: EnergyMeter, seconds: float) -> None:
        """Fill in images a second and energy."""
        from leadline.runtime.bench import Pipeline, energy, rate

        model, size = self.pipeline.model, self.pipeline.size
        self.row.joules = energy(meter, self.pipeline, seconds)
        if not model.remembers:
            self.row.batch = batch * rate([Pipeline(model, picture, size, batch)], seconds)
        if self.subject.device == "cpu":
            one = replace(self.subject, threads=1)
            models = [model if model.parallel else one.open() for _ in range(self.subject.threads)]
            self.row.at_once = rate([Pipeline(each, picture, size) for each in models], seconds)


def opened(subjects: Sequence[Subject], picture: np.ndarray) -> tuple[list[Running], list[dict[str, str]]]:
    """Those that run, and the others with the reason."""
    from leadline.runtime.bench import Pipeline, Row, weights_mb

    running, left_out = [], []
    for subject in subjects:
        _say(f"opening {subject.name} in {subject.runtime}")
        try:
            pipeline = Pipeline(subject.open(), picture, subject.size)
        except Exception as error:  # the runtimes' own share no base class
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            size = "" if subject.size is None else _text(subject.size)
            left_out.append({"model": subject.name, "runtime": subject.runtime, "size": size, "reason": reason[:300]})
            continue
        row = Row(subject.name, subject.runtime, pipeline.size, weights_mb=weights_mb(pipeline.model))
        running.append(Running(subject, pipeline, row))
    return running, left_out


def peak(subject: Subject, picture: np.ndarray) -> float:
    """MB that a process takes that predicts with one model and does nothing else."""
    import torch

    from leadline.runtime.bench import Pipeline
    from leadline.runtime.machine import peak_memory

    torch.set_num_threads(subject.threads)
    Pipeline(subject.open(), picture, subject.size)
    return peak_memory()


def report(
    out: Path,
    rows: Sequence[Row],
    left_out: Sequence[dict[str, str]],
    settings: dict[str, Any],
    machine: dict[str, Any],
) -> None:
    """Print the table, write ``bench.json`` and ``bench.png``."""
    from leadline.io.atomic import write_json
    from leadline.runtime.bench import draw

    measured = {"machine": machine, "settings": settings, "rows": [row.plain() for row in rows], "left_out": left_out}
    write_json(out / "bench.json", measured, indent=1)
    used = f"{settings['threads']} of {machine['cores']} cores"
    title = f"{machine['processor']}, {used}, {machine.get('memory_gb', '?')} GB; image {settings['image']}"
    print(f"{title}; {machine['system']}\nenergy: {settings['energy']}")
    if rows:
        print(table(rows))
        draw(rows, title, out / "bench.png")
    for entry in left_out:
        at = entry["size"] and f" at {entry['size']}"
        print(f"left out: {entry['model']} in {entry['runtime']}{at}: {entry['reason']}")
    print(f"{out}/bench.json" + (f", {out}/bench.png" if rows else ""))


def table(rows: Sequence[Row]) -> str:
    """The figures side by side; milliseconds an image, images a second, MB."""
    counters = sorted({name for row in rows for name in row.joules})
    lines = [["model", "runtime", "size", "pre", "network", "post", "min", "p50", "p90", "p99", "batch/s", "at once/s",
              "weights MB", "peak MB", *(f"J {name}" for name in counters)]]  # fmt: skip
    for row in rows:
        times = row.milliseconds
        numbers = [times["pre"]["p50"], times["network"]["p50"], times["post"]["p50"], *times["whole"].values(),
                   row.batch, row.at_once, row.weights_mb]  # fmt: skip
        peak_mb = "-" if row.peak_mb is None else f"{row.peak_mb:.0f}"
        energy = [f"{row.joules[name]:.3g}" if name in row.joules else "-" for name in counters]
        lines.append([row.model, row.runtime, _text(row.size), *("-" if n != n else f"{n:.1f}" for n in numbers),
                      peak_mb, *energy])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [
        "  ".join(cell.ljust(width) if place < 3 else cell.rjust(width)
                  for place, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]  # fmt: skip
    what = "ms an image: median of each part, then least, median and percentiles of the whole; images a second"
    return "\n".join([what, *shown])


def _say(what: str) -> None:
    print(f"leadline: {what}", file=sys.stderr)


def _found(names: Sequence[str], folder: Path) -> list[tuple[str, str]]:
    """What models are called, and what opens them; an architecture becomes a checkpoint with random weights."""
    from leadline.checkpoint import bundled
    from leadline.networks import names as architectures
    from leadline.runtime.bench import untrained

    found = []
    for name in names:
        if not Path(name).exists() and name not in bundled() and name in architectures():
            found.append((f"{name} (random weights)", str(untrained(name, folder))))
        else:
            alike = [other for other in names if Path(other).name == Path(name).name]
            found.append((name if len(alike) > 1 else Path(name).name, name))
    return found


def _size(key: str, text: str) -> Size:
    """(height, width) of ``256x320``."""
    if not (match := re.fullmatch(r"(\d+)x(\d+)", text)) or min(size := (int(match[1]), int(match[2]))) < 8:
        raise ConfigError(f"{key}: HEIGHTxWIDTH such as 256x320, not '{text}'")
    return size


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _picture(size: Size) -> np.ndarray:
    """A smooth coloured picture: what is in it does not change what a network costs."""
    import numpy as np

    v, u = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(u / width + v / 31) for width in (17, 43, 71)]
    return (127.5 + 127 * np.stack(waves, axis=-1)).astype(np.uint8)
