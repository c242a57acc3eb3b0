"""Appearance flow: brightness that changes between frames, as a lamp that moves with the camera makes it.

Shao et al., "Self-Supervised Monocular Depth and Ego-Motion Estimation in Endoscopy: Appearance Flow to the Rescue",
Medical Image Analysis 2022, arXiv 2112.08122, and its public code AF-SfMLearner.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.losses.reduce import image_mean
from leadline.losses.smoothness import edge_aware_smoothness


def refined(image: Tensor, appearance: Tensor, visible: Tensor) -> Tensor:
    """The image as the other frame's light shows it: ``clip(I + V A, 0, 1)``.

    Args:
        image: (B, 3, H, W) in [0, 1].
        appearance: (B, 3, H, W), what is added to each colour.
        visible: (B, 1, H, W) bool, the pixels that the other frame shows; the others keep their colour.

    Returns:
        (B, 3, H, W) in [0, 1]; without gradient where it is clipped.
    """
    return (image + torch.where(visible, appearance, 0.0)).clamp(0, 1)


def appearance_constraint(explained: Tensor, registered: Tensor, visible: Tensor) -> Tensor:
    """``mean_V |I' - I_reg|``: the refined image shall look as the other frame does.

    Args:
        explained: (B, 3, H, W), :func:`refined`.
        registered: (B, 3, H, W) the other frame, brought here by optical flow. The published code detaches it.
        visible: (B, 1, H, W) bool.

    Returns:
        A scalar, in the unit of the images.
    """
    return image_mean((explained - registered).abs(), visible.expand_as(explained))


def appearance_smoothness(appearance: Tensor, image: Tensor, registered: Tensor, visible: Tensor) -> Tensor:
    """``mean_V |dx A| exp(-|dx r|) + mean_V |dy A| exp(-|dy r|)`` with the residue ``r = I - I_reg``: light changes
    smoothly but where the residue itself steps.

    Both pixels of a step must be visible (in the published code the first of them). A constant added to the appearance
    or to an image changes nothing.

    Args:
        appearance: (B, 3, H, W).
        image: (B, 3, H, W) in [0, 1].
        registered: (B, 3, H, W) the other frame, brought here by optical flow. The published code detaches it.
        visible: (B, 1, H, W) bool.

    Returns:
        A scalar, in the unit of the images.
    """
    return edge_aware_smoothness(appearance, image - registered, visible)
