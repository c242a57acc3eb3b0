"""leadline export: a model for another runtime."""

from __future__ import annotations

from pathlib import Path

from leadline.cli import BUNDLED, make_parser, parse


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("export")
    parser.add_function_arguments(export)
    export(**parse(parser, arguments).as_dict())
    return 0


def export(out: Path, model: str = BUNDLED, to: str = "onnx") -> None:
    """Write a model for another runtime and compare it with torch; a file that computes something else is not kept.

    Args:
        out: file to write: .onnx, .xml for OpenVINO, .safetensors for half.
        model: a leadline checkpoint, a folder with one, or the name of a bundled one.
        to: ``onnx``, ``openvino``, or ``half``: a checkpoint of half the size, its weights 16-bit floats.
    """
    from leadline.errors import ConfigError, suggest
    from leadline.export import onnx
    from leadline.export.half import export_half
    from leadline.foundation.leadline_model import LeadlineModel
    from leadline.foundation.licences import is_restricted

    writers = {
        "onnx": (onnx.export_onnx, ".onnx"),
        "openvino": (onnx.export_openvino, ".xml"),
        "half": (export_half, ".safetensors"),
    }
    if to not in writers:
        raise ConfigError(f"to: '{to}' is none of {', '.join(writers)}{suggest(to, writers)}")
    write, suffix = writers[to]
    if Path(out).suffix != suffix:
        raise ConfigError(f"out: {out} must end in {suffix} for --to {to}")
    loaded = LeadlineModel.open(model)
    if is_restricted(loaded.licence):
        print(f"note: {loaded.licence}")
    difference = write(loaded, out)
    print(f"{out} written: any batch and size, differs from torch by at most {difference:.1e} of the output's range")
