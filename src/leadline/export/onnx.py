"""Export to ONNX and OpenVINO: any batch, any size, the card inside, equal to torch or no file at all."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import torch

from leadline.checkpoint import KEY
from leadline.engines.onnx import OnnxSession
from leadline.engines.openvino import OpenVINOSession
from leadline.errors import ConfigError
from leadline.export.parity import check_parity
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.atomic import writing
from leadline.networks.aggregation import Aggregated
from leadline.networks.base import VideoNetwork
from leadline.networks.bridging import Bridged


def export_onnx(model: LeadlineModel, out: str | os.PathLike[str]) -> float:
    """Write ``model`` as ONNX.

    The graph takes ``image`` (B, 3, H, W) RGB in [0, 1] with any B, H, W and gives (B, 1, H, W) named after its
    quantity, in the card's kind and unit. The card lies in the metadata under ``leadline``.

    Returns:
        The largest difference to torch over several sizes and batches, as a part of the output's range.

    Raises:
        ParityError: the file computed something else; it is not kept.
        ConfigError: the packages for exporting are not installed; or the model is a teacher that needs a foundation
            model beside it, or sees video or rigs.
    """
    if isinstance(model.student.network, Aggregated):
        raise ConfigError(
            f"{model.name}: needs the semantic encoder {model.student.network.name}, which is no part of it, so it is "
            "not exported; a student of it is: leadline train vfm-street --method.teacher FILE"
        )
    if isinstance(model.student.network, Bridged):
        raise ConfigError(
            f"{model.name}: needs the depth model {model.student.network.depth_name} and the semantic encoder "
            f"{model.student.network.semantics_name}, which are no part of it, so it is not exported; a student of it "
            "is: leadline train briges-distil --method.teacher FILE"
        )
    if isinstance(model.student.network, VideoNetwork):
        raise ConfigError(
            f"{model.name}: sees video, and an exported graph would see single images and remember nothing; "
            "it predicts with --runtime torch"
        )
    if model.looks_around:
        raise ConfigError(
            f"{model.name}: looks from one view of a rig at its neighbours, and an exported graph would see single "
            "images; it predicts with --runtime torch"
        )
    try:
        import onnx
    except ImportError:
        raise ConfigError("exporting to ONNX needs: pip install 'leadline[export]'") from None
    example = torch.rand(2, 3, *model.card.input_size)
    dynamic = {"image": {0: torch.export.Dim("batch"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")}}
    student = model.student.cpu().eval()
    with writing(out) as temporary:
        with warnings.catch_warnings():
            # The exporter's deprecation notes and its list of absent packages are not the user's to act on.
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx._internal.exporter").setLevel(logging.ERROR)
            program = torch.onnx.export(
                student,
                (example,),
                dynamo=True,
                dynamic_shapes=dynamic,
                input_names=["image"],
                output_names=[model.kind.quantity],
                verbose=False,
            )
        assert program is not None
        proto = program.model_proto
        onnx.helper.set_model_props(proto, {KEY: model.card.to_json()})
        onnx.save(proto, temporary)
        return check_parity(model, OnnxSession(temporary), str(out))


def export_openvino(model: LeadlineModel, out: str | os.PathLike[str]) -> float:
    """Write ``model`` as an OpenVINO pair, ``out`` (.xml) and the weights beside it (.bin).

    Returns and raises as :func:`export_onnx`.
    """
    try:
        import openvino
    except ImportError:
        raise ConfigError("exporting to OpenVINO needs: pip install 'leadline[export]'") from None
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, Path(folder) / "model.onnx")
        network = openvino.Core().read_model(Path(folder) / "model.onnx")
        network.set_rt_info(model.card.to_json(), [KEY])
        with writing(Path(out).with_suffix(".bin")) as weights, writing(out) as temporary:
            openvino.serialize(network, str(temporary), str(weights))
            return check_parity(model, OpenVINOSession(temporary, weights=weights), str(out))
