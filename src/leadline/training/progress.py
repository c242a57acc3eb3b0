"""A progress bar that says how fast and how long; plain lines where there is no terminal."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress(Callback):
    """Steps, images a second, time left, loss and the error on frames kept apart.

    Args:
        batch: images a step and device.
        every: seconds between two lines where the output is no terminal.
    """

    def __init__(self, batch: int, every: float = 15.0) -> None:
        self.batch = batch
        self.every = every
        self.console = Console(stderr=True)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the bar."""
        self.began = self.spoke = time.monotonic()
        self.first = trainer.global_step
        self.bar = Bar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[says]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=trainer.max_steps, completed=self.first, says="")
        self.bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar; without a terminal say a line now and then."""
        now = time.monotonic()
        done = trainer.global_step - self.first
        rate = done / max(1e-9, now - self.began)
        says = f"{rate * self.batch * trainer.world_size:.1f} images/s"
        for name, label in (("loss/total", "loss"), ("val/error", "kept-apart error")):
            if (value := trainer.callback_metrics.get(name)) is not None:
                says += f", {label} {float(value):.4f}"
        self.bar.update(self.task, completed=trainer.global_step, says=says)
        if not self.console.is_terminal and (now - self.spoke > self.every or trainer.global_step == trainer.max_steps):
            self.spoke = now
            left = (trainer.max_steps - trainer.global_step) / max(1e-9, rate)
            self.console.print(
                f"step {trainer.global_step}/{trainer.max_steps}, {says}, {left:.0f} s left",
                highlight=False,
                soft_wrap=True,
            )

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop the bar."""
        self.bar.stop()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        if hasattr(self, "bar"):
            self.bar.stop()
