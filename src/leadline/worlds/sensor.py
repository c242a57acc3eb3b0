"""From light to pixels: exposure, lens, noise, tone curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

#: Steps of the analogue-digital converter.
LEVELS = 1 << 14


@dataclass(frozen=True)
class Sensor:
    """A small video camera.

    Args:
        exposure: luminance that the brightest parts are brought to, by automatic exposure; 1 is where it saturates.
        blur: standard deviation of lens and Bayer filter together, in pixels.
        vignette: how much darker the corners are.
        noise: standard deviation of the photon noise at full brightness; read noise is a third of it.
        gamma: apply the sRGB tone curve.
    """

    exposure: float = 0.85
    blur: float = 0.5
    vignette: float = 0.25
    noise: float = 0.012
    gamma: bool = True

    def gain(self, light: np.ndarray) -> float:
        """What automatic exposure multiplies linear light (H, W, 3) with."""
        bright = float(np.percentile(light[::2, ::2].sum(axis=2), 92)) / 3
        return self.exposure / max(bright, 1e-12)

    def expose(self, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The picture.

        Args:
            light: (H, W, 3) linear light, already multiplied by :meth:`gain`.
            rng: of the noise.

        Returns:
            (H, W, 3) float32 RGB in [0, 1], in steps of 1/255 as a file would hold it.
        """
        height, width = light.shape[:2]
        x: np.ndarray = light.astype(np.float32)
        if self.blur:
            x = _blurred(np.minimum(x, 4), self.blur)  # highlights bloom a little, not without bounds
        if self.vignette:
            v, u = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
            x = x * (1 - self.vignette * np.add.outer(v * v, u * u) / 2)[..., None]
        if self.noise:
            spread = self.noise * np.sqrt(np.maximum(x, 0) + 1 / 9)
            x = x + spread * rng.standard_normal(x.shape, np.float32)
        x = np.clip(_shoulder(x), 0, 1)
        curve = _srgb(np.linspace(0, 1, LEVELS)) if self.gamma else np.linspace(0, 1, LEVELS)
        grey = np.rint(curve * 255).astype(np.float32) / np.float32(255)
        return grey[(x * (LEVELS - 1) + 0.5).astype(np.int32)]


def _srgb(linear: np.ndarray) -> np.ndarray:
    """The tone curve of IEC 61966-2-1, for values in [0, 1]."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _shoulder(image: np.ndarray, knee: float = 0.7) -> np.ndarray:
    """Light above ``knee`` is squeezed into what is left up to 1, in its own colour, as cameras' processors do."""
    strongest = np.maximum(np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2]), knee)
    squeezed = 1 - (1 - knee) * np.exp((knee - strongest) / (1 - knee))
    return image * (squeezed / strongest)[..., None]


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    radius = max(1, round(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    x = F.pad(x, (radius,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, kernel, groups=3), kernel.transpose(2, 3), groups=3)
    return x[0].permute(1, 2, 0).numpy()
