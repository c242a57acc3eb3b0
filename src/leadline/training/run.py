"""One run from frames to a checkpoint: split, label, plan, train, judge, save."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor

import leadline
from leadline.checkpoint import Card
from leadline.data.augmentation import Augmentation
from leadline.data.dataset import DataSet
from leadline.data.images import Images
from leadline.data.samples import Readable, Samples, to_device
from leadline.data.split import Holdout
from leadline.errors import ConfigError, InputError
from leadline.io.atomic import writing
from leadline.methods.base import Method
from leadline.training.fit import fit
from leadline.training.options import FitOptions
from leadline.training.report import Report, report
from leadline.training.trajectory import pose_report

#: About as many pixels as 256x320 are trained on unless a size is given.
PIXELS = 256 * 320
#: Sizes are multiples of this, the coarsest stride of any student.
STRIDE = 32
#: Part of a budget in minutes that training may fill; the rest is for loading, checkpoints and the report.
FILL = 0.93


@dataclass(frozen=True)
class Run:
    """Where a run keeps its things: beside the checkpoint it makes.

    Args:
        out: the checkpoint, a .safetensors file.
        settings: everything that makes the result; a folder with other settings is not resumed.
    """

    out: Path
    settings: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Checkpoints, logs and labels of the run."""
        return self.out.with_suffix(".run")

    @property
    def notes(self) -> Path:
        """The file with the settings."""
        return self.folder / "run.json"

    def open(self) -> dict[str, Any]:
        """What is known of an earlier start of this run, made if there was none.

        Raises:
            ConfigError: the folder holds a run with other settings.
            InputError: ``out`` is not a .safetensors file.
        """
        if self.out.suffix != ".safetensors":
            raise InputError(f"{self.out}: --out must name a .safetensors file")
        settings = json.loads(json.dumps(self.settings, default=str))
        if not self.notes.is_file():
            known = {"settings": settings}
            self.write(known)
            return known
        known = json.loads(self.notes.read_text())
        for key in settings.keys() | known["settings"].keys():
            now, then = settings.get(key), known["settings"].get(key)
            if now != then:
                raise ConfigError(
                    f"{self.folder}: holds a run with another '{key}' ({_short(then)}, now {_short(now)}); "
                    "give another --out, or delete that folder to start afresh"
                )
        return known

    def write(self, known: dict[str, Any]) -> None:
        """Keep what is known."""
        with writing(self.notes) as temporary:
            temporary.write_text(json.dumps(known, indent=1))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."


def automatic_size(frames: Images) -> tuple[int, int]:
    """(height, width) to train at: shaped like most of the images, about ``PIXELS`` pixels, multiples of ``STRIDE``."""
    step = max(1, len(frames) // 50)
    aspects = sorted(width / height for height, width in (frames.size(i) for i in range(0, len(frames), step)))
    aspect = aspects[len(aspects) // 2]
    shapes = [
        (row * STRIDE, column * STRIDE)
        for row in range(2, 17)
        for column in range(2, 33)
        if 0.8 <= row * column * STRIDE**2 / PIXELS <= 1.15
    ]
    return min(shapes, key=lambda shape: (abs(math.log(shape[1] / shape[0] / aspect)), -shape[0] * shape[1]))


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Args:
        report: on the frames kept apart; None where there were none, the run was finished before, or another process
            of it judges.
        failures: what was wrong with the images that had to be left out.
    """

    report: Report | None
    failures: list[str]


def run(
    method: Method,
    frames: Images,
    options: FitOptions,
    out: Path,
    settings: dict[str, Any],
    holdout: Holdout = Holdout(),
    augmentation: Augmentation = Augmentation(),
    data: str = "",
) -> Outcome:
    """Train a method's student and save it.

    Says first how long it will take; a run that was cut off goes on where it was when called again.

    Args:
        method: what is trained; its student is made here.
        frames: all frames, in order.
        options: budget, size, device.
        out: the checkpoint to write; ``out`` with suffix .run is the folder of the run.
        settings: what to compare with an earlier start, and to note in the card.
        holdout: which frames are kept apart.
        augmentation: of the training images.
        data: what the frames are, for the card.

    Raises:
        LeadlineError: as the parts say.
    """
    say = Console(stderr=True, highlight=False, soft_wrap=True).print
    began = time.monotonic()
    if weights := method.learned_from():
        settings = settings | {"learned_from": weights}
    where = Run(out, settings)
    known = where.open()
    if out.is_file() and known.get("finished"):
        say(f"{out} is finished; delete {where.folder} to make it again")
        return Outcome(None, [])
    train, kept = holdout.split(len(frames))
    usable = set(method.usable(frames))
    train = [index for index in train if index in usable]
    if kept and isinstance(frames, DataSet):
        judged_by = {frames.ids[index] for index in kept}
        train = [index for index in train if judged_by.isdisjoint(method.learned_with(frames, index))]
    size = options.size or automatic_size(frames)
    _check_size(size)
    say(f"{len(train)} images to learn from, {len(kept)} kept apart, {size[0]}x{size[1]} (height x width)")

    ready, failures = method.prepare(frames, train + kept, size, where.folder)
    for failure in failures.values():
        say(f"left out: {failure}")
    train, kept = ([index for index in part if index not in failures] for part in (train, kept))
    if not train:
        raise InputError(f"none of {len(frames)} images can be learned from")
    plain = Samples(ready, size)
    lightning.seed_everything(options.seed, verbose=False)
    _make_student(method, plain, train)
    samples = method.samples(ready, size, augmentation, options.seed)
    if "steps" not in known:
        left = options.minutes * 60 * FILL - (time.monotonic() - began)
        known["steps"] = _plan(method, samples, train, options, left, say)
        where.write(known)
    options = replace(options, steps=known["steps"], minutes=0)

    places = [frames.place(index) for index in train]
    fit(method, samples, train, plain, kept, options, where.folder, places)
    if rank_zero_only.rank:  # of several processes the first judges and saves
        return Outcome(None, [])
    judged = report(method, plain, train, kept) if kept and _known(method, plain, kept) else None
    figures = judged.figures() if judged else {}
    if method.pose_network is not None and isinstance(frames, DataSet):
        figures |= pose_report(method.pose_network, frames, plain, kept, method.pose_stride)
    card = Card(
        architecture=method.student.network.architecture,
        kind=str(method.student.kind),
        unit=method.student.unit,
        input_size=size,
        depth_range=method.student.depth_range,
        options=method.student.network.options,
        licence=method.licence(),
        teacher=method.teacher_card(),
        recipe=settings | {"steps": options.steps},
        data=data,
        metrics=figures,
        version=leadline.__version__,
        focal=method.focal,
    )
    method.save(out, card)
    where.write(known | {"finished": True})
    if judged:
        say(judged.lines())
    if ate := figures.get("pose ATE, 5 frames"):
        say(f"pose: ATE {ate:.4g} over 5 frames, rotation off by {figures['pose rotation error']:.3g} degrees")
    say(f"{out} written: {card.architecture}, {card.kind}, {options.steps} steps, {time.monotonic() - began:.0f} s")
    return Outcome(judged, list(failures.values()))


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < STRIDE or any(side % STRIDE for side in size):
        raise ConfigError(f"size: must be height and width, multiples of {STRIDE}, not {tuple(size)}")


def _make_student(method: Method, samples: Samples, train: list[int]) -> None:
    """Build the student from a look at the same few targets every time, so that a resumed run gets the very same
    one."""
    method.make_student(_targets(method, samples, train))


def _known(method: Method, samples: Samples, kept: list[int]) -> bool:
    """Whether there is anything to judge by."""
    return len(_targets(method, samples, kept)) > 0


def _targets(method: Method, samples: Samples, indices: list[int]) -> Tensor:
    """(N,) known targets of a few frames, always the same."""
    batch = Readable(samples).batch([(0, index) for index in indices[:: max(1, len(indices) // 16)][:16]])
    targets = method.targets(batch)
    return targets[torch.isfinite(targets) & batch["mask"]]


def _plan(method: Method, samples: Samples, train: list[int], options: FitOptions, left: float, say: Any) -> int:
    """Steps to make, those asked for or as many as fit into the seconds that are left, and how long they will take."""
    each = seconds_per_step(method, samples, train, options.batch_size, options.torch_device())
    steps = options.steps or int(left / each)
    if steps < 10 and not options.steps:
        raise ConfigError(
            f"minutes: too few: {max(0.0, left):.0f} s are left for training and a step takes {each:.2f} s; "
            "give more minutes or a smaller --size"
        )
    say(f"{steps} steps of {options.batch_size} images, {each:.2f} s each: about {steps * each / 60:.1f} min")
    return steps


def seconds_per_step(
    method: Method, samples: Samples, train: list[int], batch: int, device: str, rounds: int = 6
) -> float:
    """How long a training step takes here, images from disk included; the method is left as it was."""
    trial = copy.deepcopy(method).train().to(device)
    trial.student.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(trial.parameters())
    durations, readable = [], Readable(samples)
    for start in range(rounds):
        began = time.monotonic()
        keys = [(draw, train[draw % len(train)]) for draw in range(start * batch, (start + 1) * batch)]
        step = to_device(readable.batch(keys), trial.device)
        optimiser.zero_grad()
        torch.stack(list(trial.parts(step).values())).sum().backward()
        optimiser.step()
        durations.append(time.monotonic() - began)
    # The first steps allocate memory and choose algorithms; they are not what the others will take.
    return sorted(durations[-4:])[2]
