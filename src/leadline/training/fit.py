"""Run any method with Lightning: precision, averaging, checkpoints, resume, logs, progress."""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from leadline.data.samples import Draws, Samples, judging_loader, training_loader
from leadline.errors import InputError
from leadline.methods.base import Method
from leadline.training.guard import Guard, explained
from leadline.training.options import FitOptions
from leadline.training.pictures import Pictures
from leadline.training.progress import Progress


def automatic_precision(device: str) -> str:
    """Lightning's name of the best training precision of a torch device."""
    if device != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def loading_workers(device: str) -> int:
    """Processes that load data: on the CPU few, the network needs the cores itself."""
    cores = os.cpu_count() or 1
    return cores // 4 if device == "cpu" else min(16, cores)


def fit(
    method: Method,
    samples: Samples,
    train: list[int],
    judged: Samples,
    kept: list[int],
    options: FitOptions,
    folder: Path,
    places: list[int] | None = None,
) -> None:
    """Train ``method`` for ``options.steps`` steps; a run that was cut off goes on where it was.

    Args:
        method: with its student made.
        samples: augmented frames.
        train: indices of the frames trained on.
        judged: the same frames without augmentation.
        kept: indices of the frames kept apart, looked at now and then.
        options: see :class:`FitOptions`; ``steps`` must be set.
        folder: where checkpoints and logs go.
        places: what each frame trained on shows, see :class:`Draws`.
    """
    last = folder / "last.ckpt"
    start = _step_of(last)
    if start >= options.steps:
        _take_weights(method, last)
        return
    method.student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    workers = options.workers if options.workers >= 0 else loading_workers(options.torch_device())
    batches = options.accumulate
    draws = Draws(len(train), options.batch_size, options.steps * batches, options.seed, start * batches, places)
    samples = samples.subset(train)
    every = options.judge_every or max(50, options.steps // 10)
    shown = kept[:: max(1, len(kept) // 64)] or train[:8]
    callbacks: list[Callback] = [
        Reseed(options.seed),
        ModelCheckpoint(
            folder,
            filename="last",
            every_n_train_steps=options.save_every or max(25, options.steps // 20),
            enable_version_counter=False,
        ),
        Guard(getattr(samples.frames, "paths", None)),
        Progress(options.batch_size * options.accumulate),
        Pictures(judged, shown[:: max(1, len(shown) // 4)][:4]),
    ]
    if options.average:
        # A horizon of a twentieth of the run: shorter runs must not drag their first weights along.
        callbacks.append(WeightAveraging(avg_fn=Towards(1 - min(0.9998, max(0.5, 1 - 20 / options.steps)))))
    precision = options.precision if options.precision != "auto" else automatic_precision(options.torch_device())
    with quiet():
        trainer = lightning.Trainer(
            accelerator=options.device,
            devices=options.devices,
            num_nodes=options.nodes,
            strategy=_strategy(method, options),
            precision=precision,
            max_steps=options.steps,
            max_epochs=-1,
            val_check_interval=min(every, options.steps),
            check_val_every_n_epoch=None,
            gradient_clip_val=method.optimiser.clip,
            accumulate_grad_batches=options.accumulate,
            callbacks=callbacks,
            # A name of its own for each start: the CSV logger deletes what it finds under its own.
            logger=[
                CSVLogger(folder, name="logs", version=f"from-step-{start}"),
                TensorBoardLogger(str(folder), name="events", version=""),
            ],
            log_every_n_steps=max(1, min(20, options.steps // 10)),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # Draws does that
        )
        with explained(options):
            trainer.fit(
                method,
                training_loader(samples, draws, workers),
                judging_loader(judged, shown, options.batch_size),
                ckpt_path=last if start else None,
                weights_only=True,
            )
        trainer.save_checkpoint(last)


class Towards:
    """An exponential moving average, one step: a part of the way towards the new value. Written so that what does not
    change, such as frozen weights, stays what it is to the bit.

    Args:
        share: of the way.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, averaged: Tensor, new: Tensor, count: Tensor) -> Tensor:
        """The new average; how many steps it is of does not matter."""
        return averaged + self.share * (new - averaged)


class Reseed(Callback):
    """Make whatever a step draws (pairs of pixels, dropped paths) a function of seed, step and process alone, so that a
    resumed run draws what it would have drawn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed."""
        batches = trainer.accumulate_grad_batches
        number = trainer.global_step * batches + batch_idx % batches
        torch.manual_seed((self.seed * 1_000_003 + number) * trainer.world_size + trainer.global_rank)


def _strategy(method: Method, options: FitOptions) -> str:
    """Lightning's name of how several processes work together; one that does not mind if some parameters rest, where
    the method lets them."""
    if options.strategy != "auto":
        return options.strategy
    more = options.devices not in (1, "1") and (options.devices != "auto" or torch.cuda.device_count() > 1)
    several = more or options.nodes > 1
    return "ddp_find_unused_parameters_true" if several and method.rests else "auto"


def _step_of(checkpoint: Path) -> int:
    """The optimiser step a checkpoint was written at, 0 where there is none."""
    if not checkpoint.is_file():
        return 0
    return int(_read(checkpoint)["global_step"])


def _take_weights(method: Method, checkpoint: Path) -> None:
    """Load the (averaged) weights of a finished run."""
    method.load_state_dict(_read(checkpoint)["state_dict"])


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{checkpoint}: cannot go on from it ({str(error).splitlines()[0]}); delete it") from None


class quiet(warnings.catch_warnings):
    """Keep Lightning's banners and its advice about workers and logging intervals out of a user's terminal."""

    def __enter__(self) -> None:
        super().__enter__()
        for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
            logging.getLogger(name).setLevel(logging.ERROR)
        for words in (
            "does not have many workers",
            "your dataloader is not resumable",
            "smaller than the logging interval",
            "Checkpoint directory",
            "GPU available but not used",
            "LeafSpec",
            "isinstance.treespec",
            "Precision 16-mixed",
        ):
            warnings.filterwarnings("ignore", f".*{words}.*")
