"""Supervised training of networks that see clips: true depth of every frame, and how it changes from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from leadline.data.augmentation import Augmentation
from leadline.data.clips import ClipSamples
from leadline.data.images import Images
from leadline.data.samples import Frames, Samples
from leadline.errors import ConfigError
from leadline.losses.normalise import affine_normalised
from leadline.losses.temporal import temporal_gradient
from leadline.methods.base import StudentOptions, as_depth
from leadline.methods.clips import around, in_order, with_neighbours
from leadline.methods.optimiser import Optimiser
from leadline.methods.supervised import Supervised


class SupervisedVideo(Supervised):
    """The losses of :class:`Supervised` on every frame of a clip, and temporal gradient matching (Video Depth Anything,
    Chen et al., CVPR 2025) of log depth, or of the affine map normalised over the clip.

    Args:
        student: which network; it sees clips.
        length: frames of a clip; one more at either end has to be there.
        kind: see :class:`Supervised`.
        gradient: weight of the gradient matching.
        temporal: weight of the temporal gradient matching.
        optimiser: how the student is optimised.

    Raises:
        ConfigError: see :class:`Supervised`; or the clips have fewer than two frames.
    """

    def __init__(
        self,
        student: StudentOptions = StudentOptions("vda-tiny"),
        length: int = 8,
        kind: str | None = None,
        gradient: float = 0.1,
        temporal: float = 1.0,
        optimiser: Optimiser = Optimiser(),
    ) -> None:
        super().__init__(student, kind, gradient, 0.5, optimiser)
        if length < 2:
            raise ConfigError(f"length: a clip has 2 frames or more, not {length}")
        self.length = length
        self.temporal = temporal

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of the frames of a clip."""
        return around(self.length)

    def usable(self, frames: Images) -> Sequence[int]:
        """The frames that a whole clip begins with."""
        return with_neighbours(frames, self.offsets)

    def samples(
        self, frames: Frames, size: tuple[int, int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> Samples:
        """Clips, with the depth of every frame."""
        return ClipSamples(frames, size, self.offsets, augmentation, seed, truths=True)  # type: ignore[arg-type]

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """See :meth:`Supervised.losses`, and ``temporal``."""
        images = in_order(batch, "image")[:, 1:-1]
        target = as_depth(in_order(batch, "target")[:, 1:-1], self.kind)
        mask = in_order(batch, "mask")[:, 1:-1] & torch.isfinite(target)
        target = torch.where(mask, target, 1.0)
        outputs = [output.float() for output in self.student.clip(images)]
        parts = self.losses(outputs, target.flatten(0, 1), mask.flatten(0, 1), images.flatten(0, 1))
        if self.temporal:
            found = outputs[0].unflatten(0, mask.shape[:2])[:, :, 0]
            wanted, known = target[:, :, 0], mask[:, :, 0]
            if self.student.kind.up_to == "affine":
                found, wanted = (
                    affine_normalised(values.flatten(1, 2)[:, None], known.flatten(1, 2)[:, None])[:, 0].unflatten(
                        1, known.shape[1:3]
                    )
                    for values in (found, wanted)
                )
            else:
                found, wanted = torch.log(found), torch.log(wanted)
            parts["temporal"] = self.temporal * temporal_gradient(found, wanted, known)
        return parts
