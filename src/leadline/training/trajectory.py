"""How well a pose network that was trained beside a student knows the way of the camera."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId
from leadline.data.samples import Samples
from leadline.geometry.poses import relative
from leadline.metrics.trajectory import snippet_errors
from leadline.networks.pose import PoseNetwork


@torch.no_grad()
def pose_report(
    network: PoseNetwork, frames: DataSet, samples: Samples, indices: Sequence[int], stride: int = 1
) -> dict[str, float]:
    """Errors of snippets of five frames, see :func:`leadline.metrics.trajectory.snippet_errors`.

    Args:
        network: of pose.
        frames: with poses; those without are passed over.
        samples: of the same frames, without augmentation.
        indices: of the frames to judge on; those are used that follow one another among them.
        stride: frames of the video from one to the next, as the network was trained.

    Returns:
        ``pose ATE, 5 frames`` in the unit of the poses, ``pose rotation error`` in degrees, and how many ``pose
        snippets`` they are means over; nothing where there is not one.
    """
    network.eval()
    device = next(network.parameters()).device
    ates, rotations = [], []
    for run in _runs(frames, indices, stride):
        images = [samples[0, index]["clean"][None].to(device) for index in run]
        poses = [frames.pose(frames.ids[index]) for index in run]
        known = np.stack([pose for pose in poses if pose is not None])
        true = relative(known[:-1], known[1:])
        motions = [network(one, other).matrix.double().cpu().numpy() for one, other in pairwise(images)]
        predicted = np.concatenate(motions)
        found = snippet_errors(predicted, true)
        ates += found.ate.tolist()
        rotations += found.rotation.tolist()
    if not ates:
        return {}
    return {
        "pose ATE, 5 frames": float(np.mean(ates)),
        "pose rotation error": float(np.degrees(np.mean(rotations))),
        "pose snippets": len(ates),
    }


def _runs(frames: DataSet, indices: Sequence[int], stride: int) -> list[list[int]]:
    """Stretches of at least three frames, each ``stride`` after the one before, whose poses are known."""
    places = {frames.ids[index]: index for index in indices if frames.pose(frames.ids[index]) is not None}
    runs = []
    while places:
        id: FrameId | None = next(iter(places))
        run = []
        while id in places:
            run.append(places.pop(id))
            id = frames.neighbour(id, stride)
        runs.append(run)
    return [run for run in runs if len(run) > 2]
