"""How long, on what and how a run trains; light, so that the command line can say it without loading torch."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

from leadline.errors import ConfigError


@dataclass(frozen=True)
class FitOptions:
    """Budget, size and device.

    Args:
        steps: optimiser steps; or give ``minutes``.
        minutes: time for everything (labels, training, report); as many steps are made as fit in.
        batch_size: images of a batch, on each device.
        accumulate: batches whose gradients are added up for one step.
        size: height and width trained at, multiples of 32; by default shaped like the images, about 256x320 pixels.
        seed: of everything random.
        workers: processes that load data; -1 chooses by the machine.
        device: ``auto``, ``cpu``, ``cuda`` or another of Lightning's accelerators.
        devices: how many of them; ``auto`` takes all there are.
        nodes: machines that have so many each, started by SLURM or torchrun.
        strategy: how several devices work together, one of Lightning's names: ``auto`` is DDP; ``fsdp`` divides what
            is trained among them, where one cannot hold it.
        precision: ``auto`` is bf16 or fp16 mixed precision where the device has it, else float32.
        average: keep an exponential moving average of the weights, and save that.
        judge_every: steps between two looks at the frames kept apart; 0 makes ten looks a run.
        save_every: steps between two checkpoints to go on from; 0 makes twenty a run, at least 25 steps apart.
    """

    steps: int = 0
    minutes: float = 0
    _: KW_ONLY
    batch_size: int = 8
    accumulate: int = 1
    size: tuple[int, int] | None = None
    seed: int = 0
    workers: int = -1
    device: str = "auto"
    devices: int | str = "auto"
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    average: bool = True
    judge_every: int = 0
    save_every: int = 0

    def __post_init__(self) -> None:
        if bool(self.steps) == bool(self.minutes) or self.steps < 0 or self.minutes < 0:
            raise ConfigError("give a budget: either --steps N or --minutes M, one of the two, above 0")
        for name in ("batch_size", "accumulate", "nodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: must be at least 1, not {getattr(self, name)}")

    def torch_device(self) -> str:
        """The torch device this process computes on."""
        import torch

        if self.device not in ("auto", "gpu"):
            try:
                torch.device(self.device)
            except RuntimeError:
                raise ConfigError(f"device: '{self.device}' is none; give auto, cpu, cuda or cuda:1") from None
        if self.device in ("auto", "cuda", "gpu") and torch.cuda.is_available():
            return "cuda"
        return "cpu" if self.device in ("auto", "gpu") else self.device

    def settings(self) -> dict[str, Any]:
        """What of it makes the result: not where and by how many processes it was computed."""
        every = asdict(self)
        known = {key: every[key] for key in ("steps", "minutes", "batch_size", "size", "seed", "average")}
        return known | ({"accumulate": self.accumulate} if self.accumulate > 1 else {})
