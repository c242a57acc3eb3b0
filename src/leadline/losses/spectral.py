"""Spectral distillation: which spatial frequencies, and so how much detail, a depth map holds.

The whole is our choice: nothing is published. It follows Focal Frequency Loss (Jiang et al., ICCV 2021,
arXiv 2012.12821) and wavelet knowledge distillation (Zhang et al., CVPR 2022, arXiv 2203.06649).
:func:`fourier` and :func:`haar` take the same arguments; a method chooses one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from leadline.losses.reduce import image_mean

TINY = 1e-6
"""Bins whose product of magnitudes is below this have no phase to speak of."""


def _centred(values: Tensor, mask: Tensor) -> Tensor:
    """The map minus its mean over the mask; 0, the same for student and teacher, outside it."""
    values = torch.where(mask, values, 0.0)
    mean = values.sum(dim=(1, 2, 3), keepdim=True) / mask.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    return torch.where(mask, values - mean, 0.0)


def fourier(student: Tensor, teacher: Tensor, mask: Tensor, alpha: float = 1.0) -> Tensor:
    """Difference of magnitudes and phases of the two spectra, the bins that differ most counting most.

    With ``F = rfft2(hann * (x - mean(x)), norm="ortho")`` the mean over all bins of ::

        w * (|Fs| - |Ft|)**2 + w * (1 - cos(arg Fs - arg Ft)) * |Ft|
        w = (|Fs - Ft| / max|Fs - Ft|)**alpha

    with w per image and without gradient. Masked-out pixels are 0 in both centred maps, so that they add the
    same to both spectra; the window keeps the image's border from doing so. An offset between the maps costs
    nothing.

    Args:
        student, teacher: (B, 1, H, W), normalised, float32 or float64, H and W at least 3.
        mask: (B, 1, H, W) bool.
        alpha: how strongly the differing bins are preferred, 0 for not at all.

    Returns:
        A scalar without unit: both maps are normalised, so the squared and the plain magnitude may be added.
    """
    height, width = student.shape[-2:]
    rows = torch.hann_window(height, periodic=False, dtype=student.dtype, device=student.device)
    columns = torch.hann_window(width, periodic=False, dtype=student.dtype, device=student.device)
    window = rows[:, None] * columns
    fs = torch.fft.rfft2(window * _centred(student, mask), norm="ortho")
    ft = torch.fft.rfft2(window * _centred(teacher, mask), norm="ortho")
    with torch.no_grad():
        apart = (fs - ft).abs()
        largest = apart.amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(apart.dtype).tiny)
        weight = (apart / largest) ** alpha
    magnitude_s, magnitude_t = fs.abs(), ft.abs()
    product = magnitude_s * magnitude_t
    turned = torch.where(product > TINY, 1 - (fs * ft.conj()).real / product.clamp(min=TINY), 0.0)
    bins = weight * ((magnitude_s - magnitude_t) ** 2 + turned * magnitude_t)
    return image_mean(bins, mask.any(dim=(2, 3), keepdim=True).expand_as(bins))


def haar_transform(values: Tensor, levels: int = 3) -> tuple[Tensor, list[Tensor]]:
    """Orthonormal two-dimensional Haar transform.

    Args:
        values: (B, 1, H, W) of any size; an odd side is first lengthened by repeating its last row or column,
            which adds no detail.
        levels: how often the low-pass band is split again.

    Returns:
        The low-pass band (B, 1, h, w) and, finest first, the details (B, 3, h, w) of each level: difference
        along x, along y, and diagonal. For sides divisible by ``2**levels`` the sum of squares is that of the
        input.
    """
    details = []
    for _ in range(levels):
        height, width = values.shape[-2:]
        values = F.pad(values, (0, width % 2, 0, height % 2), mode="replicate")
        a, b = values[..., 0::2, 0::2], values[..., 0::2, 1::2]
        c, d = values[..., 1::2, 0::2], values[..., 1::2, 1::2]
        details.append(torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 2)
        values = (a + b + c + d) / 2
    return values, details


def haar(student: Tensor, teacher: Tensor, mask: Tensor, levels: int = 3) -> Tensor:
    """Mean absolute difference of the Haar coefficients, low-pass with weight 1, details of level l with
    ``2**-l``.

    Unlike :func:`fourier` it knows where a detail is. The means over the mask are removed first, and
    masked-out pixels are 0 in both maps, so that they differ nowhere; level 1 is the finest.

    Args:
        student, teacher: (B, 1, H, W), normalised.
        mask: (B, 1, H, W) bool.
        levels: how often the low-pass band is split again.

    Returns:
        A scalar, in the unit of the maps.
    """
    # The transform is linear: that of the difference is the difference of the transforms.
    low, details = haar_transform(_centred(student, mask) - _centred(teacher, mask), levels)
    judged = mask.any(dim=(2, 3), keepdim=True)
    loss = image_mean(low.abs(), judged.expand_as(low))
    for level, detail in enumerate(details, start=1):
        loss = loss + 2.0**-level * image_mean(detail.abs(), judged.expand_as(detail))
    return loss
