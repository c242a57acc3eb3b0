"""Images of a data set as a batch; here, where a process that loads them finds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadline.data.images import Images


def pixels(frames: Images, indices: Sequence[int]) -> np.ndarray:
    return np.stack([frames[index].image for index in indices])
