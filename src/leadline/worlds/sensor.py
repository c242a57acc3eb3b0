"""From light to pixels: exposure, lens, noise, tone curve."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from leadline.errors import ConfigError
from leadline.geometry.blur import gaussian_blur
from leadline.geometry.warp import sample

#: Steps of the analogue-digital converter.
LEVELS = 1 << 14
#: The diffuse picture is nowhere darker, so that a residual exists everywhere.
DARKEST = 1 / 1024


def _srgb(linear: np.ndarray) -> np.ndarray:
    """The tone curve of IEC 61966-2-1, for values in [0, 1]."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


CURVE = _srgb(np.linspace(0, 1, LEVELS)).astype(np.float32)


@dataclass(frozen=True)
class Sensor:
    """A small video camera.

    Args:
        exposure: luminance that the brightest parts are brought to; 1 is where it saturates.
        adapt: how far exposure follows the light: 1 does at every frame, 0 stays with that of the first.
        hunting: how far automatic exposure wanders about the right one from frame to frame, in stops.
        blur: standard deviation of lens and Bayer filter together, in pixels.
        shutter: seconds that it is open: what moves is smeared so far.
        vignette: how much darker the corners are.
        noise: standard deviation of the photon noise at full brightness; read noise is a third of it.
        gamma: apply the sRGB tone curve.
        jpeg: quality that pictures are compressed with, 1..95; 0 does not.

    Raises:
        ConfigError: a part is outside its range.
    """

    exposure: float = 0.85
    adapt: float = 1.0
    hunting: float = 0.1
    blur: float = 0.5
    shutter: float = 0.006
    vignette: float = 0.25
    noise: float = 0.003
    gamma: bool = True
    jpeg: int = 95

    def __post_init__(self) -> None:
        for name in ("adapt", "vignette"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"sensor.{name}: {getattr(self, name):g} is not between 0 and 1")
        for name in ("hunting", "blur", "shutter", "noise"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"sensor.{name}: {getattr(self, name):g} is not 0 or more")
        if not 0 < self.exposure < np.inf:
            raise ConfigError(f"sensor.exposure: {self.exposure:g} shows nothing; give more than 0")
        if not 0 <= self.jpeg <= 95:
            raise ConfigError(f"sensor.jpeg: {self.jpeg} is not a quality from 1 to 95, or 0 for none")

    def gain(self, light: np.ndarray, first: np.ndarray) -> float:
        """What exposure multiplies linear light (H, W, 3) with, in a clip whose first frame had light ``first``."""
        now, then = (
            self.exposure / max(float(np.percentile(one.sum(axis=2), 92)) / 3, 1e-12) for one in (light, first)
        )
        return float(now**self.adapt * then ** (1 - self.adapt))

    def develop(
        self, body: np.ndarray, gloss: np.ndarray, rng: np.random.Generator, smear: np.ndarray | None = None
    ) -> Picture:
        """The picture.

        Args:
            body: (H, W, 3) linear light of what surfaces throw back the same way to every side, times :meth:`gain`.
            gloss: (H, W, 3) what is reflected, likewise.
            rng: of the noise.
            smear: (H, W, 2) pixels that what is seen moves while the shutter is open; NaN does not move.
        """
        clean = np.concatenate([body + gloss, body], axis=2).astype(np.float32)
        if self.blur or smear is not None:
            clean = np.minimum(clean, 4)  # highlights bloom a little, not without bounds
        if smear is not None:
            clean = _smeared(clean, np.nan_to_num(smear))
        if self.blur:
            planes = torch.from_numpy(np.ascontiguousarray(clean)).permute(2, 0, 1)
            clean = gaussian_blur(planes, self.blur).permute(1, 2, 0).numpy()
        if self.vignette:
            height, width = body.shape[:2]
            v, u = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
            clean *= (1 - self.vignette * np.add.outer(v * v, u * u) / 2)[..., None]
        light, diffuse = clean[..., :3], np.maximum(self._curved(clean[..., 3:]), DARKEST)
        whole = self._curved(light)
        if self.noise:
            spread = self.noise * np.sqrt(np.maximum(light, 0) + 1 / 9)
            image = self._curved(light + spread * rng.standard_normal(light.shape, np.float32))
        else:
            image = whole
        return Picture(self._stored(image), diffuse, whole / diffuse)

    def _curved(self, light: np.ndarray) -> np.ndarray:
        """(H, W, 3) brightness in [0, 1] of linear light."""
        x = np.clip(_shoulder(light), 0, 1)
        if not self.gamma:
            return x
        return CURVE[(x * (LEVELS - 1) + 0.5).astype(np.int32)]

    def _stored(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) in steps of 1/255, as a file holds it."""
        codes = np.rint(image * 255).astype(np.uint8)
        if self.jpeg:
            file = io.BytesIO()
            Image.fromarray(codes).save(file, "JPEG", quality=self.jpeg)
            codes = np.asarray(Image.open(file))
        return codes.astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Picture:
    """What a sensor makes of light.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1], in steps of 1/255.
        diffuse: (H, W, 3) the same without reflections, noise and compression, above 0.
        residual: (H, W, 3) what ``diffuse`` is multiplied with to get ``image`` without noise and compression.
    """

    image: np.ndarray
    diffuse: np.ndarray
    residual: np.ndarray


#: Everything that disturbs a picture left out.
PERFECT = Sensor(adapt=0, hunting=0, blur=0, shutter=0, vignette=0, noise=0, jpeg=0)


def _shoulder(image: np.ndarray, knee: float = 0.7) -> np.ndarray:
    """Light above ``knee`` is squeezed into what is left up to 1, in its own colour, as cameras' processors do."""
    strongest = np.maximum(np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2]), knee)
    squeezed = 1 - (1 - knee) * np.exp((knee - strongest) / (1 - knee))
    return image * (squeezed / strongest)[..., None]


def _smeared(image: np.ndarray, path: np.ndarray) -> np.ndarray:
    """The mean along a path (H, W, 2) of pixels that is centred on each pixel."""
    longest = float(np.percentile(np.abs(path[::4, ::4]), 95))
    if longest < 0.25:
        return image
    height, width = image.shape[:2]
    taps = min(5, 2 * int(np.ceil(longest / 2)) + 1)
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    v, u = np.meshgrid(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij")
    here, way = (torch.from_numpy(values.astype(np.float32))[None] for values in (np.stack([u, v], axis=-1), path))
    total = torch.zeros_like(x)
    for part in np.linspace(-0.5, 0.5, taps):
        total += sample(x, here + float(part) * way)
    return (total / taps)[0].permute(1, 2, 0).numpy()
