"""A checkpoint of half the size."""

from __future__ import annotations

import os

import numpy as np
import torch

from leadline import checkpoint
from leadline.export.graphs import graph_of
from leadline.export.parity import check_parity
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.atomic import writing

#: Sixteen bits change each weight by up to 1 / 2048 of itself.
TOLERANCE = 1e-2


def export_half(model: LeadlineModel, out: str | os.PathLike[str]) -> float:
    """Write ``model`` as a checkpoint whose matrices and filters are 16-bit floats; it still computes in 32 bits.

    Returns and raises as :func:`leadline.export.writing.write`.
    """
    # A window of frames is compared at one size.
    size = model.student.network.sees(*model.card.input_size) if model.window > 1 else None
    weights = model.student.network.state_dict()
    # Biases and statistics of norms are few, and their range is wide.
    small = {name: value.half() if value.ndim > 1 else value for name, value in weights.items()}
    with writing(out) as temporary:
        checkpoint.save(temporary, small, model.card)
        reread = LeadlineModel.open(temporary)

        def run(*inputs: np.ndarray) -> list[np.ndarray]:
            return [output.numpy() for output in again.run([torch.from_numpy(value) for value in inputs])]

        again = graph_of(reread, size)
        return check_parity(graph_of(model, size), run, str(out), tolerance=TOLERANCE)
