"""The protocol for one's own folder of images with depth."""

from __future__ import annotations

from leadline.protocols.protocol import Protocol

FOLDER = Protocol(
    name="folder",
    about="One's own images with depth, as they are; alignment and range as one says.",
    data="folder",
    scores=("boundary_f1", "pseudo_texture"),
)
