"""What models cost: time of each part, images a second, memory, energy; in turns, so that all meet the same machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.depth import DepthMap
from leadline.foundation.base import DepthModel
from leadline.foundation.long_video import as_tensor
from leadline.foundation.network_file import NetworkFileModel
from leadline.io.atomic import writing
from leadline.networks import create
from leadline.networks.base import resize
from leadline.runtime.machine import EnergyMeter
from leadline.runtime.timing import interleaved, percentiles

Size = tuple[int, int]

#: What an image goes through.
PARTS = ("pre", "network", "post")
#: Size of bare architectures, where none is asked for.
DEFAULT = (256, 320)


class Pipeline:
    """A model on one image, part by part: from an RGB array to a :class:`DepthMap` of its size.

    ``pre`` is the array as a tensor of the size the network sees; ``network`` what runs there, with what the runtime
    does around it; ``post`` the answer at the image's size. A model that sees video answers frame by frame, with what
    it remembers.

    Args:
        model: what is measured.
        image: (H, W, 3) uint8.
        size: (height, width) the network sees; by default what the model chooses for the image.
        batch: so many images at a time.

    Raises:
        Exception: the model does not run at this size; whatever its runtime raises.
    """

    def __init__(self, model: DepthModel, image: np.ndarray, size: Size | None = None, batch: int = 1) -> None:
        self.model, self.images = model, [image] * batch
        self.shape = image.shape[0], image.shape[1]
        self.size = size or model.input_size(*self.shape)
        self.memory: Any = None
        for _ in range(2):
            self()

    def pre(self) -> Tensor:
        """(B, 3, h, w)."""
        return self.model.resize(as_tensor(self.images), self.size)

    def network(self, images: Tensor) -> Tensor:
        """(B, h', w'), waited for."""
        if self.model.remembers:
            answer, self.memory = self.model.infer_next(images, self.memory)
        else:
            answer = self.model.infer(images)
        if answer.is_cuda:
            torch.cuda.synchronize()
        return answer

    def post(self, answer: Tensor) -> list[DepthMap]:
        """A map an image."""
        values = resize(answer[:, None], self.shape)[:, 0].cpu().numpy()
        return [DepthMap(each, self.model.kind, self.model.unit) for each in values]

    @torch.inference_mode()
    def __call__(self) -> tuple[float, float, float]:
        """Milliseconds of each part."""
        marks = [time.perf_counter()]
        seen = self.pre()
        marks.append(time.perf_counter())
        answer = self.network(seen)
        marks.append(time.perf_counter())
        self.post(answer)
        marks.append(time.perf_counter())
        before, network, after = (1000 * float(step) for step in np.diff(marks))
        return before, network, after


@dataclass
class Row:
    """What one model costs in one runtime at one size.

    Args:
        model, runtime: which.
        size: (height, width) the network sees.
        milliseconds: "pre", "network", "post" and "whole", each with "min", "p50", "p90" and "p99".
        batch: images a second, several of them in one call.
        at_once: images a second, a model with one thread on every core.
        weights_mb: of the weights or the file.
        peak_mb: most memory of a process that does nothing else; None where it was not measured.
        joules: an image takes, by counter; empty where none can be read.
    """

    model: str
    runtime: str
    size: Size
    milliseconds: dict[str, dict[str, float]] = field(default_factory=dict)
    batch: float = math.nan
    at_once: float = math.nan
    weights_mb: float = math.nan
    peak_mb: float | None = None
    joules: dict[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For JSON, which has no NaN."""
        return {key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in asdict(self).items()}  # fmt: skip


def time_in_turns(pipelines: Sequence[Pipeline], rows: Sequence[Row], rounds: int, iterations: int) -> None:
    """Fill in the milliseconds of rows, one a pipeline."""
    times = interleaved(dict(enumerate(pipelines)), rounds, iterations)
    for number, row in enumerate(rows):
        parts = np.array(times[number])
        columns = dict(zip(PARTS, parts.T, strict=True)) | {"whole": parts.sum(axis=1)}
        row.milliseconds = {name: percentiles(column.tolist()) for name, column in columns.items()}


def rate(runs: Sequence[Callable[[], object]], span: float) -> float:
    """Calls a second of all together, each again and again in a thread of its own, for so many seconds."""
    threads = torch.get_num_threads()

    def work(run: Callable[[], object]) -> int:
        run()
        count, end = 0, time.perf_counter() + span
        while time.perf_counter() < end:
            run()
            count += 1
        return max(count, 1)

    if len(runs) == 1:
        start = time.perf_counter()
        done = 1 + work(runs[0])
        return done / (time.perf_counter() - start)
    with ThreadPoolExecutor(len(runs), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        start = time.perf_counter()
        done = sum(1 + count for count in pool.map(work, runs))
        taken = time.perf_counter() - start
    torch.set_num_threads(threads)
    return done / taken


def energy(meter: EnergyMeter, run: Callable[[], object], span: float) -> dict[str, float]:
    """Joules a call takes, by counter."""
    if not meter.names:
        return {}
    calls = 0

    def work() -> None:
        nonlocal calls
        end = time.perf_counter() + span
        while not calls or time.perf_counter() < end:
            run()
            calls += 1

    return {name: joules / calls for name, joules in meter.measure(work).items()}


def weights_mb(model: DepthModel) -> float:
    """MB of a network's weights as they are held, or of the file that holds them."""
    if isinstance(model, NetworkFileModel):
        return sum(file.stat().st_size for file in model.files) / 1e6
    modules = [value for value in vars(model).values() if isinstance(value, nn.Module)]
    return sum(tensor.nbytes for module in modules for tensor in module.state_dict().values()) / 1e6


def untrained(architecture: str, folder: Path, size: Size = DEFAULT) -> Path:
    """A checkpoint of an architecture with random weights, the same every time: they do not change what it costs."""
    generator = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = create(architecture)
    torch.random.set_rng_state(generator)
    path = folder / f"{architecture}.safetensors"
    card = Card(architecture, "affine-invariant-disparity", "arbitrary", size, data="nothing: its weights are random")
    checkpoint.save(path, network.state_dict(), card)
    return path


def draw(rows: Sequence[Row], machine: str, path: Path) -> None:
    """A picture: time an image takes, part by part, beside images a second.

    Raises:
        InputError: it cannot be written there.
    """
    from matplotlib.figure import Figure

    names = [f"{row.model}  {row.runtime}  {row.size[0]}x{row.size[1]}" for row in rows]
    figure = Figure(figsize=(12, 1.8 + 0.5 * len(rows)), layout="constrained")
    times, rates = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = np.arange(len(rows))
    start = np.zeros(len(rows))
    for part, colour in zip(PARTS, ("#8fb8de", "#1f4e79", "#c7d5a0"), strict=True):
        middle = np.array([row.milliseconds[part]["p50"] for row in rows])
        times.barh(places, middle, 0.62, start, color=colour, label=part)
        start += middle
    whole = [row.milliseconds["whole"] for row in rows]
    reach = [max(0.0, each["p99"] - each["p50"]) for each in whole]
    times.errorbar(
        start, places, xerr=[np.zeros(len(rows)), reach], fmt="none", ecolor="#555", capsize=3, label="to p99"
    )
    for place, each in enumerate(whole):
        times.annotate(f"{each['p50']:.1f}", (start[place] + reach[place], place), (6, 0), textcoords="offset points",
                       va="center", fontsize=8)  # fmt: skip
    times.set_yticks(places, names, fontsize=9)
    times.invert_yaxis()
    times.set_xlim(0, 1.12 * float(np.max(start + reach)))
    times.set_xlabel("ms an image, median of each part")
    times.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    kinds = {"one by one": [1000 / each["p50"] for each in whole], "batch": [row.batch for row in rows],
             "several at once": [row.at_once for row in rows]}  # fmt: skip
    for number, ((name, values), colour) in enumerate(
        zip(kinds.items(), ("#1f4e79", "#8fb8de", "#e0a458"), strict=True)
    ):
        rates.barh(places + 0.24 * (number - 1), np.nan_to_num(values), 0.22, color=colour, label=name)
    rates.set_xlabel("images a second")
    rates.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    for axes in (times, rates):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    figure.suptitle(machine, fontsize=9)
    with writing(path) as temporary:
        figure.savefig(temporary, dpi=110)
