"""Which pixels show a reflection, told from several views. Masks: nothing here has a gradient.

What a mirror or a polished floor shows does not lie on its surface: no depth of the surface makes two views of it
agree. Detectors have one form, see :data:`DETECTORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: Squared Mahalanobis distance that 95 % of normally distributed pairs stay below: chi square, two degrees of freedom.
CHI_SQUARE = 5.99
#: Least difference of photometric errors that counts, whatever is usual in the image. Ours: with 0.05 a camera's noise
#: alone makes up to 2.5 % of a scene without reflections count, with 0.1 at most 0.3 % (rendered rooms, true depth).
LEAST = 0.1
#: Times the depth of a pixel that its positives lie at (ours), all that a depth which is still being learned may be
#: wrong by: what is said to be too near must not be taken for something that shows what lies behind it.
NEAR = (0.5, 0.6, 0.7, 0.85, 1.0, 1.18)
#: Times the depth that its negatives lie at (ours): a mirror shows at twice its own depth what stands as far before it
#: as the camera does, and what stands elsewhere nearer or farther.
BEHIND = (1.6, 2.1, 3.0)
#: Pixels of the sides of the window that errors of triplets are averaged over (ours): one pixel's are mostly noise.
WINDOW = 9
#: Least difference of these averages that counts; 0.4 % of a scene without reflections have it (rendered rooms).
CLEARER = 0.0075
#: Added to the variances of errors, where all are equal: a standard deviation of 0.001 (ours).
RIDGE = 1e-6
#: The residual above which a pixel of a single image counts as reflective, as a logarithm: 1.22 times (ours).
BRIGHTER = 0.2


@dataclass(frozen=True)
class Evidence:
    """How badly other views, the sources, explain each pixel of a view: photometric errors
    (:func:`leadline.losses.photometric.photometric_error`), the least over the sources that show it.

    Args:
        image: (B, 1, H, W), E_I of the sources' images, brought to the view by its depth.
        diffuse: (B, 1, H, W), E_L of their diffuse images, brought there likewise.
        swept: (B, K, H, W), of their images brought there by multiples of its depth, those the detector wants, and
            averaged, see :func:`averaged`.
        seen: (B, 1, H, W) bool, pixels that a source shows and that may be judged; what the errors are elsewhere does
            not matter.
    """

    image: Tensor
    diffuse: Tensor
    swept: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Detector:
    """What tells reflections.

    Args:
        tell: from evidence to (B, 1, H, W) bool, true on reflections; false where nothing was seen.
        times: the depth, at which :attr:`Evidence.swept` is wanted.
    """

    tell: Callable[[Evidence], Tensor]
    times: tuple[float, ...] = ()

    def __call__(self, evidence: Evidence) -> Tensor:
        """See ``tell``."""
        return self.tell(evidence)


@torch.no_grad()
def mahalanobis(evidence: Evidence) -> Tensor:
    """Pixels whose images disagree while their diffuse images agree, more than is usual in the image (Choi et al.,
    "Intrinsic Image Decomposition for Robust Self-supervised Monocular Depth Estimation on Reflective Surfaces", AAAI
    2025, arXiv 2503.22209)::

        (x - m)^T S^-1 (x - m) > 5.99  with  x = (E_I, E_L),   E_I - E_L > its mean,   E_I - E_L > 0.1

    with mean m and covariance S over the seen pixels of each image. The two conditions on the difference are ours: the
    distance alone flags pairs that are unusual in any way, and without the last one some 2.5 % of a scene that has no
    reflection.
    """
    seen = evidence.seen
    first, second = (_centred(errors, seen) for errors in (evidence.image, evidence.diffuse))
    own, other, both = (_mean(a * b, seen) for a, b in ((first, first), (second, second), (first, second)))
    own, other = own + RIDGE, other + RIDGE
    distance = (other * first**2 - 2 * both * first * second + own * second**2) / (own * other - both**2)
    return seen & (distance > CHI_SQUARE) & (first > second) & (evidence.image - evidence.diffuse > LEAST)


@torch.no_grad()
def triplets(evidence: Evidence) -> Tensor:
    """Pixels that look less like what the sources show near their depth than like what they show farther behind::

        min_n E_n - min_f E_f > 0.0075,   n in 0.5 .. 1.18,   f in 1.6 .. 3

    of triplets anchor (the pixel), positive (the source at n times the pixel's depth) and negative (the source at f
    times that depth), with errors averaged over 9 x 9 pixels. On a surface that looks the same from all sides the
    positive is the more alike; what a mirror shows lies behind it. After "Self-supervised Monocular Depth Estimation
    Robust to Reflective Surface Leveraged by Triplet Mining" (Choi et al., ICLR 2025, arXiv 2502.14573), whose abstract
    speaks of triplets guided by the geometry of the cameras; which they are, the window and the margin are ours.
    """
    near, behind = evidence.swept.split([len(NEAR), len(BEHIND)], dim=1)
    clearer = near.amin(dim=1, keepdim=True) - behind.amin(dim=1, keepdim=True) > CLEARER
    return evidence.seen & clearer


def averaged(errors: Tensor) -> Tensor:
    """(B, K, H, W) errors, averaged over a window of :data:`WINDOW` pixels about each, the border reflected."""
    return F.avg_pool2d(F.pad(errors, 4 * [WINDOW // 2], mode="reflect"), WINDOW, stride=1)


DETECTORS: dict[str, Detector] = {"mahalanobis": Detector(mahalanobis), "triplets": Detector(triplets, NEAR + BEHIND)}
"""The detectors by name."""


@torch.no_grad()
def brightened(log_residual: Tensor) -> Tensor:
    """Reflective pixels of an image alone, which has no other view: where the residual brightens by more than 1.22, the
    mean of the colours' logarithms being above 0.2. Ours; the paper masks in training only.

    Args:
        log_residual: (B, 3, H, W).

    Returns:
        (B, 1, H, W) bool.
    """
    return log_residual.mean(dim=1, keepdim=True) > BRIGHTER


def _centred(values: Tensor, seen: Tensor) -> Tensor:
    """Values (B, 1, H, W) less their mean over the seen pixels of each image; 0 elsewhere."""
    values = torch.where(seen, values, 0.0).to(torch.promote_types(values.dtype, torch.float32))
    return torch.where(seen, values - _mean(values, seen), 0.0)


def _mean(values: Tensor, seen: Tensor) -> Tensor:
    """(B, 1, 1, 1), of values that are 0 on what is not seen."""
    return values.sum(dim=(1, 2, 3), keepdim=True) / seen.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
