"""PyTorch itself, behind the same interface as the exported files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from leadline.engines.session import TensorSpec, conform


class TorchSession:
    """A module that takes images (B, 3, H, W) float32 and returns a tensor, or several.

    Args:
        module: put into evaluation mode and moved to ``device``.
        device: where it runs.
    """

    def __init__(self, module: torch.nn.Module, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.module = module.to(self.device).eval()
        self.inputs = [TensorSpec("image", (-1, 3, -1, -1), "float32")]
        self.outputs = [TensorSpec("output", (-1, -1, -1, -1), "float32")]
        self.metadata: dict[str, str] = {}

    @torch.no_grad()
    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See :class:`Session`."""
        ready = conform(arrays, self.inputs, type(self.module).__name__)
        result = self.module(*(torch.from_numpy(array).to(self.device) for array in ready))
        if isinstance(result, Mapping):
            result = list(result.values())
        outputs = [result] if isinstance(result, torch.Tensor) else list(result)
        return [output.cpu().numpy() for output in outputs]
