"""leadline export: a model for another runtime."""

from __future__ import annotations

from pathlib import Path

from leadline.cli import make_parser, parse


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("export")
    parser.add_function_arguments(export)
    export(**parse(parser, arguments).as_dict())
    return 0


def export(model: str, out: Path, to: str = "onnx") -> None:
    """Write a model for another runtime and compare it with torch; a file that computes something else is not kept.

    Args:
        model: a leadline checkpoint or folder.
        out: file to write: .onnx, or .xml for OpenVINO.
        to: ``onnx`` or ``openvino``.
    """
    from leadline.errors import ConfigError, suggest
    from leadline.export import onnx
    from leadline.foundation.leadline_model import LeadlineModel
    from leadline.foundation.licences import is_restricted

    writers = {"onnx": (onnx.export_onnx, ".onnx"), "openvino": (onnx.export_openvino, ".xml")}
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
