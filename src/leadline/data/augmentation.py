"""How training images are varied; light, so that the command line can say it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """How a training image may differ from the one on disk.

    Args:
        crop: smallest part of the image's width and height a crop keeps; 1 switches cropping off.
        flip: probability of mirroring left and right.
        jitter: strength of brightness, contrast and saturation changes; hue gets a quarter of it.
        sensor: strength, 0 to 1, of what differs from camera to camera: tone curve, softness, noise, colour at all.
        light: strength, 0 to 1, of light that falls unevenly and leaves black; for rendered images, which are often lit
            from everywhere.
    """

    crop: float = 0.75
    flip: float = 0.5
    jitter: float = 0.2
    sensor: float = 0.0
    light: float = 0.0
