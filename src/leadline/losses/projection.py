"""Depths of neighbouring frames must be those of one place: what makes video depth steady."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.camera import Camera
from leadline.geometry.warp import synthesise
from leadline.losses.reduce import image_mean


def projection_loss(depth: Tensor, other: Tensor, camera: Camera, motion: Tensor, mask: Tensor) -> Tensor:
    """``mean |z_{s->t} - z_t(u)|``: every pixel of a frame s is lifted with its depth and moved to frame t, where it
    lands at pixel u with depth z_{s->t}; what t's depth map says at u should be the same.

    EndoDAV (Zhou et al., MICCAI 2025), whose public code is followed: the mean over the pixels that land inside the
    other frame, in the unit of depth, nothing normalised. Call it both ways round for a symmetric loss.

    Args:
        depth: (B, 1, H, W) z-depth > 0 of frame s.
        other: (B, 1, H, W) z-depth > 0 of frame t, in the same unit.
        camera: of both; may be stacked for the batch.
        motion: (B, 4, 4) from s's axes to t's, in the unit of depth.
        mask: (B, 1, H, W) bool, pixels of s that count.

    Returns:
        A scalar >= 0 in the unit of depth, at least float32; 0 with a gradient where nothing lands inside.
    """
    with torch.autocast(depth.device.type, enabled=False):
        said, valid, moved, _ = synthesise(other, depth, camera, motion)
        valid = valid & mask
        return image_mean((torch.where(valid, moved, 0.0) - torch.where(valid, said, 0.0)).abs(), valid)
