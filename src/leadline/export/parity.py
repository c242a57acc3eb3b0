"""What was written computes what torch computes, or it is not kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from leadline.errors import LeadlineError
from leadline.foundation.leadline_model import LeadlineModel

#: Largest difference to torch that is allowed, as a part of the output's range.
TOLERANCE = 1e-3


class ParityError(LeadlineError):
    """A written file does not compute what torch computes."""


def check_parity(
    model: LeadlineModel, session: Callable[[np.ndarray], list[np.ndarray]], where: str, tolerance: float = TOLERANCE
) -> float:
    """Compare what was written with torch on images of several sizes and batches.

    Args:
        model: what was exported.
        session: what was written: (B, 3, H, W) to a list of (B, 1, H, W).
        where: the file, for messages.
        tolerance: largest difference allowed, as a part of the output's range.

    Returns:
        The largest difference, as a part of the output's range.

    Raises:
        ParityError: it is above ``tolerance``; the message names the size.
    """
    height, width = model.card.input_size
    worst = 0.0
    random = np.random.default_rng(0)
    for batch, h, w in ((1, height, width), (2, height + 32, width), (1, height - 5, width + 7)):
        # Smooth random pictures: white noise would hide errors of resizing.
        coarse = torch.from_numpy(random.random((batch, 3, 12, 16), np.float32))
        image = torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic").clamp(0, 1)
        with torch.inference_mode():
            expected = model.student(image).numpy()
        (given,) = session(image.numpy())
        difference = float(np.abs(given - expected).max() / max(1e-12, float(np.ptp(expected))))
        if given.shape != expected.shape or not difference <= tolerance:
            raise ParityError(
                f"{where}: not written: for an image of {w}x{h} the written network differs from torch by "
                f"{difference:.2e} of the output's range (at most {tolerance:g} is allowed)"
            )
        worst = max(worst, difference)
    return worst
