"""Small, fast, trustworthy monocular depth.

>>> import leadline
>>> depth = leadline.load("student.safetensors").predict("image.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    import os

    from leadline.runtime.predictor import Predictor

#: Names of the vocabulary, each imported when it is asked for, so that ``import leadline`` costs nothing.
_WHERE = {
    "Camera": "leadline.camera",
    "DepthMap": "leadline.depth",
    "Kind": "leadline.depth",
    "Frame": "leadline.frame",
    "Clip": "leadline.frame",
    "Rig": "leadline.rig",
    "Predictor": "leadline.runtime.predictor",
    "Calibration": "leadline.runtime.calibration",
    "Lens": "leadline.runtime.predictor",
    "LeadlineError": "leadline.errors",
}

__all__ = ["__version__", "load", *_WHERE]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'leadline' has no attribute {name!r}")


def load(
    model: str,
    *,
    runtime: str = "torch",
    device: str = "cpu",
    threads: int | None = None,
    strategy: str = "vda",
    calibration: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Predictor:
    """A model ready to predict.

    Args:
        model: a leadline checkpoint or folder, the name of a bundled one, an exported .onnx or OpenVINO .xml file, a
            network file with a card beside it, a folder or hub name of a transformers depth model.
        runtime: ``torch``, ``onnx`` or ``openvino``; a checkpoint is exported for the latter two.
        device: of torch.
        threads: most threads to use; all cores by default.
        strategy: how the windows of a model that sees video follow one another, ``vda`` or ``endodav``, see
            ``leadline.foundation.long_video``.
        calibration: file that ``leadline calibrate`` made for this model; predictions are then metric depth.
        options: ``card`` and ``kind`` for models that do not say themselves what they are, see
            ``leadline.foundation.load``.

    Raises:
        LeadlineError: the model cannot be found or loaded; the message says what would be right.
    """
    from leadline.export.opening import open_model
    from leadline.runtime.calibration import Calibration
    from leadline.runtime.predictor import Predictor

    known = None if calibration is None else Calibration.load(calibration)
    return Predictor(open_model(model, runtime, device, threads, **options), strategy=strategy, calibration=known)
