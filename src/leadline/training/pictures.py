"""Pictures of a run: what the student answers on the same few frames as it learns, and what it learns from."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from leadline.data.samples import Readable, Samples, to_device
from leadline.methods.base import Method
from leadline.view import colourise, robust_range


class Pictures(Callback):
    """After every look at the frames kept apart: image, target and answer of a few, to TensorBoard; beside them what
    the method's latest step saw.

    Args:
        samples: without augmentation.
        indices: which of them.
    """

    def __init__(self, samples: Samples, indices: list[int]) -> None:
        self.samples = samples
        self.indices = indices

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Draw."""
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not boards or not self.indices or not trainer.is_global_zero:
            return
        picture = draw(pl_module, self.samples, self.indices)
        board = boards[0].experiment
        board.add_image("kept_apart", picture, trainer.global_step, dataformats="HWC")
        for name, values in pl_module.pictures().items():
            board.add_image(f"training/{name}", mosaic(values[:4]), trainer.global_step, dataformats="HWC")


@torch.no_grad()
def draw(method: Method, samples: Samples, indices: list[int]) -> np.ndarray:
    """(H, W, 3) uint8: a row for each frame, with image, target and answer; target and answer in their own ranges."""
    batch = to_device(Readable(samples).batch([(0, index) for index in indices]), method.device)
    targets = method.targets(batch)[:, 0].float().cpu().numpy()
    training = method.training
    answers = method.eval().answer(batch["image"])[:, 0].cpu().numpy()
    method.train(training)
    rows = []
    for image, target, answer in zip(batch["clean"].cpu().numpy(), targets, answers, strict=True):
        cells = [(image.transpose(1, 2, 0) * 255).astype(np.uint8)]
        for values in (target, answer):
            valid = np.isfinite(values)
            cells.append(colourise(values, valid, *robust_range(values, valid), quantity=method.target_kind.quantity))
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def mosaic(values: Tensor) -> np.ndarray:
    """(B h, S w, 3) uint8 of (B, S, 3, h, w) in [0, 1] or (B, S, h, w) bool: a row for each of B, a column for each of
    S."""
    if values.ndim == 4:
        values = values[:, :, None].expand(-1, -1, 3, -1, -1)
    count, columns, _, height, width = values.shape
    levels = (values.float().clamp(0, 1) * 255).byte().permute(0, 3, 1, 4, 2)
    return levels.reshape(count * height, columns * width, 3).cpu().numpy()
