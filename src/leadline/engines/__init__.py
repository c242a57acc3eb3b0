"""Engines run a network: arrays in, arrays out. One file a runtime, one :class:`Session`."""

import sys

# OpenVINO and NNCF report to their makers over the network whenever they are imported, by a forked process that may
# never end where there is no network. Without this module, which only does that, they are silent.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

from leadline.engines.session import Session, TensorSpec  # noqa: E402

__all__ = ["Session", "TensorSpec"]
