"""Solid noise: smooth random functions of a point in space; no surface needs texture coordinates or has seams."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Lattice points along each side of the periodic volume.
PERIOD = 32
#: Each octave is twice as fine and looks at the lattice from another side, so that lattices do not line up.
TURN = 2 * torch.tensor([[2.0, -1.0, 2.0], [2.0, 2.0, -1.0], [-1.0, 2.0, 2.0]]) / 3


class Noise:
    """Value noise (Perlin, "Improving Noise", SIGGRAPH 2002, with his fade curve): random values on a lattice, blended
    smoothly.

    Args:
        rng: decides the values on the lattice.
        channels: independent functions evaluated together, at little more than the cost of one.
    """

    def __init__(self, rng: np.random.Generator, channels: int = 1) -> None:
        values = rng.uniform(-1, 1, (channels, PERIOD, PERIOD, PERIOD)).astype(np.float32)
        # The first layer once more behind the last makes the volume periodic.
        self.volume = torch.from_numpy(np.pad(values, ((0, 0), *[(0, 1)] * 3), mode="wrap"))[None]

    def __call__(self, points: Tensor) -> Tensor:
        """(N, channels) values in [-1, 1] at points (N, 3) in lattice units, about one feature a unit."""
        cell = points.floor()
        t = points - cell
        faded = (t * 6).sub_(15).mul_(t).add_(10).mul_(t).mul_(t).mul_(t)
        # Wrapped as whole cells, so that no point slips over the far side by rounding.
        grid = faded.add_(cell).sub_(cell.div_(PERIOD).floor_().mul_(PERIOD)).mul_(2 / PERIOD).sub_(1)
        sampled = F.grid_sample(self.volume, grid[None, None, None], align_corners=True, padding_mode="border")
        return sampled[0, :, 0, 0].T

    def fractal(
        self, points: np.ndarray, size: float, octaves: int, footprint: np.ndarray | None = None, gain: float = 0.5
    ) -> np.ndarray:
        """(N, channels) sum of octaves, each of half the size and ``gain`` times the height of the one before.

        Args:
            points: (N, 3).
            size: of the coarsest features, in the unit of ``points``.
            octaves: how many.
            footprint: (N,) size of a pixel on the surface; finer octaves fade out, as their mean would be seen.
            gain: see above.
        """
        place = torch.from_numpy(points.astype(np.float32, copy=False)) / size
        seen = None if footprint is None else torch.from_numpy(footprint.astype(np.float32, copy=False))[:, None]
        total = torch.zeros(len(points), self.volume.shape[1])
        for octave in range(octaves):
            faded = None if seen is None else (1.5 - seen * (1.5 * 2**octave / size)).clamp_(0, 1)
            if faded is not None and not faded.any():
                break  # finer ones have faded everywhere, too
            layer = self(place) * gain**octave
            total += layer if faded is None else layer.mul_(faded)
            place = place @ TURN + 17.3
        return total.numpy()
