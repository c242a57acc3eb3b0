"""Engines run a network: arrays in, arrays out. One file a runtime, one :class:`Session`."""

from leadline.engines.session import Session, TensorSpec

__all__ = ["Session", "TensorSpec"]
