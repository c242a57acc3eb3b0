"""Open a model for a runtime; a checkpoint is exported first where the runtime needs that."""

from __future__ import annotations

from typing import Any

from leadline.errors import ConfigError, suggest
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.cache import cache_folder

RUNTIMES = ("torch", "onnx", "openvino")


def open_model(
    spec: str, runtime: str = "torch", device: str = "cpu", threads: int | None = None, **options: Any
) -> DepthModel:
    """The model ``spec`` names, on a runtime.

    Args:
        spec: see ``leadline.foundation.load``.
        runtime: ``torch``, ``onnx`` (ONNX Runtime) or ``openvino``. Network files choose between the latter two.
        device: of torch.
        threads: most threads to use.
        options: further ones of ``leadline.foundation.load``.

    Raises:
        ConfigError: the runtime is unknown or cannot run this model.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime: '{runtime}' is none of {', '.join(RUNTIMES)}{suggest(runtime, RUNTIMES)}")
    model = load(spec, device=device, threads=threads, runtime=None if runtime == "torch" else runtime, **options)
    if runtime == "torch" or not isinstance(model, LeadlineModel):
        return model
    from leadline.export.onnx import export_onnx

    file = cache_folder() / f"{model.name}-{model.digest[:16]}.onnx"
    if not file.is_file():
        export_onnx(model, file)
    exported = load(str(file), threads=threads, runtime=runtime)
    exported.digest = model.digest  # the same model, compared when it was exported: what holds for one holds for both
    return exported
