"""How unlike two images are: what self-supervision minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from leadline.losses.reduce import image_mean

NOISE = 1e-5
"""Standard deviation of what is added to the error of a still camera, so that equal errors are not all masked."""


def ssim_error(one: Tensor, two: Tensor) -> Tensor:
    """Structural dissimilarity, (1 - SSIM) / 2 in [0, 1], over 3x3 windows (Wang et al., TIP 2004; the windows and
    reflected border of monodepth2, arXiv 1806.01260).

    Args:
        one, two: (B, C, H, W) in [0, 1].

    Returns:
        (B, C, H, W).
    """

    def mean(values: Tensor) -> Tensor:
        # Row sums, then column sums: on a CPU SSIM takes half the time it takes with avg_pool2d.
        padded = functional.pad(values, (1, 1, 1, 1), mode="reflect")
        rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
        return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9

    c1, c2 = 0.01**2, 0.03**2
    m1, m2 = mean(one), mean(two)
    v1, v2, both = mean(one * one) - m1 * m1, mean(two * two) - m2 * m2, mean(one * two) - m1 * m2
    ssim = (2 * m1 * m2 + c1) * (2 * both + c2) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))
    return torch.clamp((1 - ssim) / 2, 0, 1)


def photometric_error(one: Tensor, two: Tensor, alpha: float = 0.85) -> Tensor:
    """Photometric error ``alpha * (1 - SSIM) / 2 + (1 - alpha) * |one - two|`` (monodepth2, arXiv 1806.01260).

    Args:
        one, two: (B, C, H, W) in [0, 1].
        alpha: weight of structure against colour.

    Returns:
        (B, 1, H, W), the mean over the colours.
    """
    error = alpha * ssim_error(one, two) + (1 - alpha) * (one - two).abs()
    return error.mean(dim=1, keepdim=True)


def photometric_loss(
    errors: Tensor,
    visible: Tensor,
    still: Tensor | None = None,
    minimum: bool = True,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """One number of the errors against several sources (monodepth2, Godard et al., ICCV 2019, arXiv 1806.01260).

    - Minimum over sources: ``min_s e_s`` of each pixel over the sources that show it. Without it every source counts by
      itself, each over the pixels it shows.
    - Auto-mask: where a source that was *not* moved looks more alike than a warped one, ``e_still + noise <= e``, the
      error of the still one stands in, which teaches nothing: what moves along with the camera, and frames in which the
      camera rests. With the minimum, the most alike of the still sources decides.

    Args:
        errors: (B, S, H, W) :func:`photometric_error` against every source, warped.
        visible: (B, S, H, W) bool, which pixels may be judged by which source.
        still: (B, S, H, W) the same error against the sources as they are; without it nothing is auto-masked.
        minimum: over the sources; else each by itself.
        generator: source of the noise, torch's global one by default.

    Returns:
        A scalar: the mean over each image's visible pixels, then over images (and over sources without ``minimum``);
        and used (B, 1 or S, H, W) bool, the pixels that teach.
    """
    errors = torch.where(visible, errors, torch.inf)
    if minimum:
        errors, visible = errors.amin(dim=1, keepdim=True), visible.any(dim=1, keepdim=True)
    used = visible
    if still is not None:
        device = still.device if generator is None else generator.device
        noise = torch.randn(still.shape, generator=generator, device=device, dtype=still.dtype)
        still = still + NOISE * noise.to(still.device)
        if minimum:
            still = still.amin(dim=1, keepdim=True)
        used = visible & (errors < still)
        errors = torch.where(used, errors, still)
    return image_mean(errors.flatten(0, 1), visible.flatten(0, 1)), used
