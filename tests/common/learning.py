"""Methods that learn from video, made ready to be asked for their losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from leadline.data.augmentation import Augmentation
from leadline.data.dataset import DataSet
from leadline.data.samples import collate
from leadline.methods.video import VideoMethod


def made_ready(
    method: VideoMethod,
    video: DataSet,
    size: tuple[int, int],
    folder: Path,
    augmentation: Augmentation | None = None,
) -> dict[str, Any]:
    """Make a method's student, and a batch of all that can be learned from."""
    frames, failures = method.prepare(video, range(len(video)), size, folder)
    assert failures == {}
    method.make_student(torch.ones(1))
    chosen = list(method.usable(video))
    samples = method.samples(frames, size, augmentation).subset(chosen)
    return collate([samples[0, place] for place in range(len(chosen))])
