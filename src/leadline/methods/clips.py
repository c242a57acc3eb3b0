"""What methods share whose network sees whole clips."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leadline.geometry.poses import invert


def around(length: int) -> tuple[int, ...]:
    """Offsets, from the first of ``length`` frames to be judged, of all frames wanted: the others of them, and one more
    at each end, as sources.

    Example:
        >>> around(3)
        (-1, 1, 2, 3)
    """
    return (-1, *range(1, length + 1))


def in_order(batch: dict[str, Any], name: str) -> Tensor:
    """(B, T + 2, ...) of ``image``, ``clean``, ``mask`` or ``target``, all frames of clips with offsets :func:`around`
    in the order of time."""
    of_sources = {"image": "sources", "clean": "clean_sources", "mask": "source_masks", "target": "source_targets"}[
        name
    ]
    others = batch[of_sources]
    return torch.cat((others[:, :1], batch[name][:, None], others[:, 1:]), dim=1)


def each_with_neighbours(batch: dict[str, Any]) -> dict[str, Any]:
    """Clips as a batch of their T frames in the middle, each with the frame before and the one after it as sources,
    which is what :class:`leadline.methods.self_supervision.SelfSupervision` takes: (B T, ...).

    Args:
        batch: of clips with offsets :func:`around`.
    """
    frames = {name: in_order(batch, name) for name in ("image", "clean", "mask")}
    length = frames["image"].shape[1] - 2
    each: dict[str, Any] = {name: values[:, 1:-1].flatten(0, 1) for name, values in frames.items()}
    for name, source in (("image", "sources"), ("clean", "clean_sources")):
        values = frames[name]
        each[source] = torch.stack((values[:, :-2], values[:, 2:]), dim=2).flatten(0, 1)
    if "camera" in batch:
        first = torch.arange(len(batch["image"]))
        each["camera"] = batch["camera"].picked(first.repeat_interleave(length))
    if "motions" in batch:
        others = batch["motions"]  # from the first judged frame to each of the others
        still = torch.eye(4, dtype=others.dtype, device=others.device).expand(len(others), 1, 4, 4)
        to = torch.cat((others[:, :1], still, others[:, 1:]), dim=1)
        back = invert(to[:, 1:-1])
        each["motions"] = torch.stack((to[:, :-2] @ back, to[:, 2:] @ back), dim=2).flatten(0, 1)
    return each
