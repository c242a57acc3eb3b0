"""What may go wrong while a network is trained: losses that are not numbers, too little memory, processes that die."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch import Tensor

from leadline.errors import InputError, LeadlineError
from leadline.training.options import FitOptions

#: So many steps in a row without a number end the run.
MOST = 10


class Guard(Callback):
    """Leave out steps whose loss or gradients are not finite: neither weights nor running means are changed by them.

    A gradient that is not finite in one process is so in all of them, as they are averaged; so all leave out the same
    steps. In fp16 mixed precision gradients may overflow, which the scaler of the loss handles; there only losses are
    looked at.

    Args:
        paths: of the frames, by the ``index`` of a batch, to say which ones it was, where they are known.
        most: steps in a row after which the run is given up.
    """

    def __init__(self, paths: Sequence[Path] | None = None, most: int = MOST) -> None:
        self.paths, self.most = paths, most
        self.row = 0
        self.loss: Tensor | None = None
        self.indices: Tensor | None = None
        self.say = Console(stderr=True, highlight=False, soft_wrap=True).print

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep what a forward pass changes: running means."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.buffers = [(buffer, buffer.clone()) for buffer in pl_module.buffers()]
        self.indices = batch.get("index")

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Tensor
    ) -> None:
        """Note the loss."""
        self.loss = loss.detach()

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradients.

        Raises:
            InputError: too many steps in a row were left out.
        """
        found = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if trainer.precision == "16-mixed":
            found = []
        assert self.loss is not None
        if bool(torch.isfinite(torch.stack([self.loss, *(gradient.sum() for gradient in found)])).all()):
            self.row = 0
            return
        # Without gradients an optimiser changes nothing, neither the weights nor its own means.
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, before in self.buffers:
                buffer.copy_(before)
        self.row += 1
        step = trainer.global_step + 1
        what = "loss" if not bool(torch.isfinite(self.loss)) else "gradient"
        shown = self._shown() if what == "loss" else []
        images = f" with {', '.join(shown)}" if shown else ""
        self.say(f"step {step} left out: its {what}{images} is not a number")
        if self.row >= self.most:
            raise InputError(
                f"training: steps {step - self.row + 1} to {step} had no finite loss{images}; look at these images and "
                "their depth, or lower --method.optimiser.lr and give another --out"
            )

    def _shown(self) -> list[str]:
        """Names of the frames of the latest batch; only asked for when one went wrong, as they are on the device."""
        if self.paths is None or self.indices is None:
            return []
        return [self.paths[index].name for index in self.indices.tolist()]


@contextmanager
def explained(options: FitOptions) -> Iterator[None]:
    """One line, with what helps, for what a run may die of; the run goes on from its last checkpoint when it is started
    again.

    Raises:
        InputError: the device has too little memory, a process that loads data died, or it could not read a file.
    """
    again = "start again: it goes on from the last checkpoint"
    try:
        yield
    except torch.OutOfMemoryError:
        smaller = f"--fit.batch_size {max(1, options.batch_size // 2)} --fit.accumulate {2 * options.accumulate}"
        raise InputError(
            f"training: the device has too little memory for {options.batch_size} images of "
            f"{'x'.join(map(str, options.size or ()))}; give {smaller}, which learns the same, or a smaller --fit.size"
        ) from None
    except LeadlineError as error:
        # From another process it comes with the traceback there in its message, itself last.
        *before, last = str(error).strip().splitlines()
        raise type(error)(re.sub(r"^[\w.]*Error: ", "", last) if before else last) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        first = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"training: a process that loads data died ({first}), mostly of too little memory: give fewer "
            f"--fit.workers, then {again}"
        ) from None
