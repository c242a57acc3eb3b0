"""How a student is optimised; light, so that the command line can say it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Optimiser:
    """AdamW with a linear warm-up and a cosine to zero.

    Args:
        lr: highest learning rate.
        weight_decay: of matrices and filters; biases and norms have none.
        warmup: part of the steps that warm up.
        clip: largest norm of the gradient.
        encoder: factor of the learning rate for the network's encoder. Below 1, as where it starts from features that
            are to be kept, its batch normalisation keeps its statistics, too.
    """

    lr: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    clip: float = 1.0
    encoder: float = 1.0
