"""BriGeS: gates that bridge a depth and a semantic foundation model, both frozen.

After "Bridging Geometric and Semantic Foundation Models for Generalized Monocular Depth Estimation" (arXiv 2505.23400)
and its public code; :mod:`leadline.networks.bridging` says what is whose. A student that keeps the gain at a light
network's cost is distilled from the gates' checkpoint like from any teacher (:mod:`leadline.methods.litenet`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from leadline.errors import ConfigError
from leadline.foundation.licences import joined
from leadline.foundation.semantics import open_encoder
from leadline.foundation.transformers_depth import open_depth_anything
from leadline.methods.affine import V2, AffineInvariant, Terms
from leadline.methods.base import StudentOptions
from leadline.methods.optimiser import Optimiser
from leadline.networks.bridging import Bridged

#: Part of a run after which the learning rate falls.
CONSTANT = 0.7


@dataclass(frozen=True)
class Gates:
    """What the gates are like.

    Args:
        heads: of each attention.
        temperature: of cross- and of self-attention; above 1 flattens.
        learned: train the temperatures from there.
        zero: start with gates that change nothing, bit for bit.
    """

    heads: int = 16
    temperature: tuple[float, float] = (1.0, 1.0)
    learned: bool = False
    zero: bool = True


class BriGeS(AffineInvariant):
    """Trains the gates and nothing else; the checkpoint holds them alone, and the names and digests of the two models.

    Args:
        depth: a Depth Anything V1 or V2 of relative disparity: a folder, or a name on the hub.
        semantics: what ``leadline.foundation.semantics.open_encoder`` opens: a SAM, DINOv2 or another.
        gates: what is trained.
        start: a checkpoint of gates to go on from; their form is then its.
        terms: see :class:`AffineInvariant`.
        sets: see there.
        optimiser: the learning rate is constant (after a warm-up, if there is one) for 70 % of the run, then falls
            linearly to 0.

    Raises:
        InputError: a model cannot be opened, or is of another kind.
        ConfigError: the gates cannot be made so.
    """

    def __init__(
        self,
        depth: str = "depth-anything/Depth-Anything-V2-Small-hf",
        semantics: str = "facebook/dinov2-small",
        gates: Gates = Gates(),
        start: str | None = None,
        terms: Terms = V2,
        sets: Mapping[str, Terms] | None = None,
        optimiser: Optimiser = Optimiser(lr=5e-5, weight_decay=1e-5, warmup=0.0, clip=1.0),
    ) -> None:
        self.depth, self.semantics = open_depth_anything(depth), open_encoder(semantics)
        self.bridged = {"depth": depth, "semantics": semantics}
        bridged = (
            asdict(gates)
            | self.bridged
            | {
                "width": self.depth.width,
                "channels": self.semantics.channels,
                "patch": self.depth.patch,
                "temperature": list(gates.temperature),
                "depth_digest": self.depth.digest,
                "semantics_digest": self.semantics.digest,
            }
        )
        super().__init__(StudentOptions("briges", start, options=bridged), terms, sets, optimiser)

    def make_student(self, targets: Tensor) -> None:
        """The gates, between the two models."""
        super().make_student(targets)
        network = self.student.network
        if not isinstance(network, Bridged):
            raise ConfigError(f"start: {self.student_options.start} holds a {network.architecture} and no gates")
        network.attach(self.depth, self.semantics)
        network.options = network.options | self.bridged  # not where the gates it started from once found the two

    def licence(self) -> str:
        """That of the data; what both models know went in, so their terms are named too, where they are others."""
        own, models = super().licence(), (self.depth, self.semantics)
        needed = [f"needs {m.name}, whose licence is {m.licence}" for m in models if m.licence != own]
        return joined(own, *needed)

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return f"{self.depth.digest} {self.semantics.digest}"

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate is that of :func:`constant_linear`."""
        configured = super().configure_optimizers()
        steps, warmup = max(1, int(self.trainer.estimated_stepping_batches)), self.optimiser.warmup
        configured["lr_scheduler"]["scheduler"] = torch.optim.lr_scheduler.LambdaLR(
            configured["optimizer"], lambda step: constant_linear(step, steps, warmup)
        )
        return configured


def constant_linear(step: int, steps: int, warmup: float = 0.0) -> float:
    """Factor of the learning rate: linear from 0 over ``warmup`` of the steps, 1 until 70 % of them, then linear to 0
    (BriGeS, public code, without a warm-up).

    Example:
        >>> [round(constant_linear(step, 100), 2) for step in (0, 69, 70, 85, 100)]
        [1.0, 1.0, 1.0, 0.5, 0.0]
    """
    rising = (step + 1) / max(1, round(steps * warmup)) if warmup else 1.0
    falling = (steps - step) / max(1, steps - round(steps * CONSTANT))
    return max(0.0, min(1.0, rising, falling))
