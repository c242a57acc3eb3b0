"""Trinity distillation: what a teacher knows, in three dimensions, spatial, spectral and gradient.

Zhu et al., "Beyond Foundation Models: Distilling Geometric Priors for Lightweight Monocular Depth Estimation in
Endoscopy", IEEE TMI 2026. The paper's losses are not public: each loss says what is known of it and what is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from leadline.depth import Kind
from leadline.losses.gradient import gradient_matching
from leadline.losses.normalise import normalised_pair
from leadline.losses.spatial import ranking, trimmed
from leadline.losses.spectral import fourier, haar
from leadline.methods.base import resized


@dataclass(frozen=True)
class Trinity:
    """Weights of the distillation losses; 0 switches one off.

    Args:
        spatial: trimmed mean of |student - teacher|.
        ranking: order of sampled pairs of pixels.
        spectral: difference of amplitude and phase, or of wavelet coefficients.
        gradient: difference of gradients over four scales.
        wavelet: use the Haar form of the spectral loss instead of the Fourier form.
        coarse: how much less the spatial loss weighs at each coarser output of the student.
    """

    spatial: float = 0.1
    ranking: float = 0.01
    spectral: float = 0.05
    gradient: float = 0.05
    wavelet: bool = False
    coarse: float = 0.5


def trinity_losses(
    weights: Trinity, outputs: list[Tensor], target: Tensor, mask: Tensor, kind: Kind, frames: int = 1
) -> dict[str, Tensor]:
    """The trinity at full size, the spatial loss alone at the coarser outputs (our choice: nothing is published).

    Args:
        weights: of the losses.
        outputs: (B, 1, h, w) of the student, finest first, the finest of the target's size.
        target: (B, 1, H, W) of the teacher, in the same quantity; no meaning outside the mask.
        mask: (B, 1, H, W) bool.
        kind: of both: what it leaves open is taken out before they are compared, of each image alone,
        frames: or of each clip of so many images as a whole, so that its frames keep one scale.

    Returns:
        Weighted parts, by name.
    """

    def normalised(output: Tensor, wanted: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        def tall(values: Tensor) -> Tensor:
            """The frames of a clip one below the other, as one image."""
            return values.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2, 3)

        def single(values: Tensor) -> Tensor:
            return values.unflatten(2, (frames, -1)).transpose(1, 2).flatten(0, 1)

        student, teacher = normalised_pair(tall(output), tall(wanted), tall(known), kind)
        return single(student), single(teacher)

    student, teacher = normalised(outputs[0], target, mask)
    parts: dict[str, Tensor] = {}
    if weights.spatial:
        spatial = trimmed(student, teacher, mask)
        for level, output in enumerate(outputs[1:], start=1):
            coarse_target, coarse_mask = resized(target, output.shape[-2:]), resized(mask, output.shape[-2:])
            pair = normalised(output, coarse_target, coarse_mask)
            spatial = spatial + weights.coarse**level * trimmed(*pair, coarse_mask)
        parts["spatial"] = weights.spatial * spatial
    if weights.ranking:
        parts["ranking"] = weights.ranking * ranking(student, teacher, mask)
    if weights.spectral:
        spectral = haar if weights.wavelet else fourier
        parts["spectral"] = weights.spectral * spectral(student, teacher, mask)
    if weights.gradient:
        parts["gradient"] = weights.gradient * gradient_matching(student, teacher, mask)
    return parts
