"""Semantic distribution alignment (SDA) of LiteNet (Zhu et al., IEEE TMI 2026), in two forms behind one interface.

What is published is that such an alignment suppresses pseudo-texture. ``dense`` follows DAE of the same group (CVPR
2026); ``global`` is our reading of a hint in LiteNet's repository, which exports the pooled vector of a frozen Swin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from leadline.errors import ConfigError, suggest
from leadline.foundation.semantics import SemanticEncoder, open_encoder
from leadline.losses.distribution import as_image, dense, mapping, pooled
from leadline.networks import DepthNetwork
from leadline.networks.projector import RecurrentProjector

KINDS = ("dense", "global")
STRIDE = 16  # of the student's features that are aligned


@dataclass(frozen=True)
class Alignment:
    """How the student is aligned with a semantic encoder.

    Args:
        kind: "dense" aligns the student's features at 1/16 with the tokens of the image, "global" the encoder's view
            of the student's depth with that of the teacher's.
        weight: of every part of the loss.
        encoder: what ``leadline.foundation.semantics.open_encoder`` opens.
        temperature: of the softmax over the channels.
    """

    kind: Literal["dense", "global"] = "dense"
    weight: float = 0.01
    encoder: str = "efficientnet-lite0"
    temperature: float = 1.0


class SemanticAlignment(nn.Module):
    """The loss, the frozen encoder, and for the dense form the projector, which is trained beside the student.

    Its parameters and its state dict are the projector's alone.

    Args:
        network: the student's network; only its widths are read.
        options: see :class:`Alignment`.
        encoder: the encoder, where it is open already.

    Raises:
        ConfigError: there is no such kind, the temperature is not positive, or the network has no features at 1/16.
        InputError: the encoder cannot be opened.
    """

    def __init__(self, network: DepthNetwork, options: Alignment, encoder: SemanticEncoder | None = None) -> None:
        super().__init__()
        if options.kind not in KINDS:
            raise ConfigError(f"kind: '{options.kind}' is neither dense nor global{suggest(options.kind, KINDS)}")
        if not options.temperature > 0:
            raise ConfigError(f"temperature: must be positive, not {options.temperature}")
        self.options = options
        self.encoder = encoder or open_encoder(options.encoder)
        self.projector: RecurrentProjector | None = None
        if options.kind == "dense":
            self.level = network.level(STRIDE)
            self.projector = RecurrentProjector(self.encoder.channels, network.widths[self.level])

    def losses(
        self,
        student_features: Sequence[Tensor],
        student_depth: Tensor,
        teacher_depth: Tensor,
        image: Tensor,
        mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Named, weighted parts of the loss.

        Args:
            student_features: what the network's ``encode`` gave of the image. Only for the dense form.
            student_depth: (B, 1, H, W), depth or disparity. Only for the global form.
            teacher_depth: (B, 1, H, W), in the same quantity. Only for the global form.
            image: (B, 3, H, W) RGB in [0, 1], aligned with what the student saw; without its colour changes the
                tokens are steadier. Only for the dense form.
            mask: (B, 1, H, W) bool, pixels where both depths mean something; by default all. Only for the global form.

        Returns:
            ``alignment``, whose gradient goes to the student only; of the dense form also ``mapping``, whose gradient
            goes to the projector only.
        """
        weight, temperature = self.options.weight, self.options.temperature
        if self.projector is None:
            mask = torch.ones_like(student_depth, dtype=torch.bool) if mask is None else mask
            with torch.no_grad():
                wanted = self.encoder.pooled(as_image(teacher_depth, mask))
            found = self.encoder.pooled(as_image(student_depth, mask))
            return {"alignment": weight * pooled(found, wanted, temperature)}
        features = student_features[self.level]
        with torch.no_grad():
            tokens = self.encoder.under(image, (features.shape[-2], features.shape[-1]), STRIDE)
        projected = self.projector(tokens)
        return {
            "alignment": weight * dense(projected, features, temperature),
            "mapping": weight * mapping(projected, features),
        }
