"""From a semantic encoder's tokens to the width of a student's features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RecurrentProjector(nn.Module):
    """A small convolutional GRU that reads the same tokens in every step.

    The hidden state starts at ``tanh(feature)``, where ``feature`` is the tokens projected by a 1x1 convolution, and
    is refined in two steps (as in DAE, CVPR 2026)::

        z, r = sigmoid(conv1x1[h, relu(feature)])
        h = (1 - z) h + z tanh(conv3x3[r h, relu(feature)])

    A 1x1 convolution then gives features of any range. The kernels, this last convolution, and that the channels of
    every token are first brought to mean 0 and variance 1, since encoders differ in scale, are our choice: nothing is
    published. It is needed in training only.

    Args:
        channels: of the tokens.
        width: of the student's features.
        steps: refinements of the hidden state.
    """

    def __init__(self, channels: int, width: int, steps: int = 2) -> None:
        super().__init__()
        self.steps = steps
        self.feature = nn.Conv2d(channels, width, 1)
        self.gates = nn.Conv2d(2 * width, 2 * width, 1)
        self.candidate = nn.Conv2d(2 * width, width, 3, padding=1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, width, h, w)."""
        normalised = F.layer_norm(tokens.movedim(1, -1), tokens.shape[1:2]).movedim(-1, 1)
        feature = self.feature(normalised)
        hidden, read = feature.tanh(), feature.relu()
        for _ in range(self.steps):
            update, reset = self.gates(torch.cat((hidden, read), dim=1)).sigmoid().chunk(2, dim=1)
            candidate = self.candidate(torch.cat((reset * hidden, read), dim=1)).tanh()
            hidden = (1 - update) * hidden + update * candidate
        projected: Tensor = self.out(hidden)
        return projected
