"""What methods share whose network sees whole clips."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from leadline.data.clips import usable
from leadline.data.dataset import DataSet
from leadline.data.images import Images
from leadline.errors import ConfigError, InputError
from leadline.geometry.poses import invert


def around(length: int, stride: int = 1) -> tuple[int, ...]:
    """Offsets, from the first of ``length`` frames to be judged, of all frames wanted: the others of them, and one more
    at each end, as sources; of each ``stride`` frames of the video one is taken.

    Example:
        >>> around(3), around(2, stride=5)
        ((-1, 1, 2, 3), (-5, 5, 10))
    """
    return (-stride, *range(stride, length * stride + 1, stride))


def with_neighbours(frames: Images, offsets: Sequence[int], poses: bool = False) -> list[int]:
    """Indices of the frames that have a neighbour at each of the offsets.

    Args:
        frames: a data set.
        offsets: of the neighbours.
        poses: the frame's and its neighbours' must be known, too: tracking is lost now and then.

    Raises:
        ConfigError: the frames are of no data set that knows neighbours.
        InputError: no frame has them.
    """
    if not isinstance(frames, DataSet):
        raise ConfigError("data: video is learned from, so a data set that knows what comes before and after is needed")
    found = usable(frames, offsets)
    if not found:
        raise InputError(f"{frames.root}: no frame has neighbours at {list(offsets)}")
    if not poses:
        return found
    known = functools.cache(lambda id: id is not None and frames.pose(id) is not None)
    found = [i for i in found if all(known(frames.neighbour(frames.ids[i], offset)) for offset in (0, *offsets))]
    if not found:
        raise InputError(f"{frames.root}: no frame has a pose and neighbours with poses at {list(offsets)}")
    return found


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
        with torch.autocast(
            to.device.type, enabled=False
        ):  # motions rounded to 16 bits would move far points by pixels
            back = invert(to[:, 1:-1])
            each["motions"] = torch.stack((to[:, :-2] @ back, to[:, 2:] @ back), dim=2).flatten(0, 1)
    return each
