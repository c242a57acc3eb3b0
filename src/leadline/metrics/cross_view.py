"""Whether the cameras of a rig agree on what they see at one instant.

The functions take numpy arrays of two cameras and return floats. The overlap of two cameras is found from depth
itself: a pixel of the one lies in it where its point lands inside the other's image and is not hidden there, that is,
not behind the other's surface by more than the tolerance. A point *before* that surface cannot be hidden; it is a
disagreement. Where two views disagree by more than the tolerance, then, the one order of the pair leaves it out as
hidden and the other order has it in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from leadline.camera import Camera
from leadline.geometry.poses import relative
from leadline.metrics.collection import Means
from leadline.metrics.temporal import failed, landing
from leadline.rig import ring

#: A point is hidden where its depth exceeds that of the surface seen there by this part; delta1's ratio.
TOLERANCE = 0.25


class Consistency(NamedTuple):
    """How well two cameras agree.

    Args:
        difference: mean absolute difference, in the unit of the maps.
        relative: mean of the difference divided by the other camera's depth.
        overlap: whether the cameras see anything together; without it both are NaN.
    """

    difference: float
    relative: float
    overlap: bool


class OverlapError(NamedTuple):
    """How right one camera is where another sees the same.

    Args:
        abs_rel: mean |p - g| / g.
        overlap: whether there is truth in the overlap; without it NaN.
    """

    abs_rel: float
    overlap: bool


def consistency(
    depths: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    poses: Sequence[np.ndarray],
    tolerance: float = TOLERANCE,
) -> Consistency:
    """Difference of the depths two cameras of a rig give to the same surface; 0 is best.

    The first camera's depth is lifted, moved and projected into the second, where it says D' and the nearest pixel of
    the second D: the means of ``|D' - D|`` and ``|D' - D| / D`` over the overlap. At outlines a nearest pixel may be
    of another surface, so even the truth does not quite reach 0.

    Args:
        depths: two maps > 0 in one unit, (H, W) of their cameras.
        masks: bool, the pixels to judge: all but the rig's own body, for instance.
        cameras: of the maps.
        poses: (4, 4) camera-to-body (or to any axes they share) in the unit of the depths.
        tolerance: how far behind a surface a point is hidden by it, as a part of the surface's depth.

    Returns:
        NaN if a prediction is not finite and above zero inside its mask.
    """
    if failed(depths, masks):
        return Consistency(np.nan, np.nan, True)
    _, pixel, z = landing(depths[0], masks[0], cameras[0], relative(poses[0], poses[1]), cameras[1])
    there = depths[1].ravel()[pixel]
    seen = masks[1].ravel()[pixel]
    seen[seen] = ~_hidden(z[seen], there[seen], tolerance)
    if not seen.any():
        return Consistency(np.nan, np.nan, False)
    difference = np.abs(z - there)[seen]
    return Consistency(float(difference.mean()), float((difference / there[seen]).mean()), True)


def overlap_abs_rel(
    pred: np.ndarray,
    truths: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    poses: Sequence[np.ndarray],
    tolerance: float = TOLERANCE,
) -> OverlapError:
    """AbsRel of one camera on the true points that another camera sees, too.

    The overlap is that of the truths, so that it is the same for every model. What hides a point is known only where
    the second camera's truth is: with sparse lidar next to nothing is left out as hidden.

    Args:
        pred: depth > 0 of the first camera, aligned and clamped.
        truths: of both cameras, in the same unit.
        masks: bool, where the truths are valid.
        cameras: of the maps.
        poses: (4, 4) camera-to-body (or to any axes they share) in the unit of the depths.
        tolerance: how far behind a surface a point is hidden by it, as a part of the surface's depth.
    """
    own, pixel, z = landing(truths[0], masks[0], cameras[0], relative(poses[0], poses[1]), cameras[1])
    there = np.where(masks[1].ravel()[pixel], truths[1].ravel()[pixel], np.inf)
    own = own[~_hidden(z, there, tolerance)]
    if not own.size:
        return OverlapError(np.nan, False)
    p, g = pred.ravel()[own], truths[0].ravel()[own]
    return OverlapError(float(np.mean(np.abs(p - g) / g)), True)


def _hidden(z: np.ndarray, surface: np.ndarray, tolerance: float) -> np.ndarray:
    return z > surface * (1 + tolerance)


class CrossViewErrors(Means):
    """Means over the ordered neighbour pairs (:func:`leadline.rig.ring`) of all samples, each pair weighing the same.

    A pair without overlap is left out of the means, counted as ``without_overlap``, and named in ``unjudged`` if the
    sample's name was given. The AbsRel is over the pairs that have truth in their overlap, counted as
    ``pairs_with_truth``. Sums and counts are added over processes.

    Args:
        tolerance: of :func:`consistency`.
    """

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        super().__init__(("difference", "relative_difference", "overlap_abs_rel"))
        self.tolerance = tolerance

    def update(
        self,
        depths: Sequence[np.ndarray],
        masks: Sequence[np.ndarray],
        cameras: Sequence[Camera],
        poses: Sequence[np.ndarray],
        truths: Sequence[np.ndarray] | None = None,
        truth_masks: Sequence[np.ndarray] | None = None,
        name: str = "",
    ) -> None:
        """Add what all cameras of a rig see at one instant.

        Args:
            depths: predicted maps > 0 in one unit, (H, W) of their cameras.
            masks: bool, the predicted pixels to judge.
            cameras: of the maps.
            poses: (4, 4) camera-to-body, the body's axes x forward, y left, z up, in the unit of the depths.
            truths: maps of the same sizes and unit; without them there is no AbsRel.
            truth_masks: bool, where the truths are valid.
            name: what the sample is called.
        """
        for a, b in ring(poses):
            mounts = (cameras[a], cameras[b]), (poses[a], poses[b])
            found = consistency((depths[a], depths[b]), (masks[a], masks[b]), *mounts, self.tolerance)
            error = OverlapError(np.nan, False)
            if truths is not None and truth_masks is not None:
                known = (truths[a], truths[b]), (truth_masks[a], truth_masks[b])
                error = overlap_abs_rel(depths[a], *known, *mounts, self.tolerance)
            scores = torch.tensor([[found.difference, found.relative, error.abs_rel]], dtype=torch.float64)
            self._add(scores, torch.tensor([[found.overlap, found.overlap, error.overlap]]))
            if name and not found.overlap:
                self.unjudged.append(f"{name}: cameras {a} and {b}")

    def compute(self) -> dict[str, torch.Tensor]:
        """The means (NaN where no pair was judged): ``difference`` in the unit of the maps, ``relative_difference``
        and ``overlap_abs_rel``; and the counts ``pairs``, ``without_overlap`` and ``pairs_with_truth``.
        """
        counts = {"pairs": self.count[0], "without_overlap": self.missing[0], "pairs_with_truth": self.count[2]}
        return {**self._means(), **counts}
