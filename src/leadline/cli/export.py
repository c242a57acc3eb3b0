"""leadline export: a model for another runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.cli import BUNDLED, make_parser, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.export.gate import Gate
    from leadline.export.parity import Pictures
    from leadline.foundation.exported import ExportedModel
    from leadline.foundation.leadline_model import LeadlineModel

HALF = "half"


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("export")
    sizes = "height and width of what goes in, such as 256 320; by default any size goes in"
    parser.add_argument("--size", nargs="+", default=["dynamic"], help=sizes)
    frames = (
        "images, folders, globs, videos of your camera: the file is compared with torch on them, and int8 is made for "
        "what they show; by default the file is compared on bundled frames"
    )
    parser.add_argument("--calibration", nargs="+", default=[], help=frames)
    inside = (
        "put resizing and normalising into the file: pictures go in as they are, uint8 (B, H, W, 3), and depth comes "
        "out at their size"
    )
    parser.add_argument("--raw", action="store_true", help=inside)
    integers = "compute with 8-bit integers where depth stays right; with --to openvino or onnx"
    parser.add_argument("--int8", action="store_true", help=integers)
    parser.add_function_arguments(export, skip={"size", "calibration", "raw", "int8"})
    export(**parse(parser, arguments).as_dict())
    return 0


def export(
    out: Path,
    model: str = BUNDLED,
    to: str = "onnx",
    size: Sequence[str] = ("dynamic",),
    raw: bool = False,
    int8: bool = False,
    calibration: Sequence[str] = (),
    truth: Path | None = None,
    protocol: str = "folder",
) -> None:
    """Write a model for another runtime and compare it with torch; a file that computes something else is not kept.

    Args:
        out: file to write: .onnx, .xml for OpenVINO, .pt2, .pte for ExecuTorch, .engine for TensorRT, .safetensors for
            half.
        model: a leadline checkpoint, a folder with one, or the name of a bundled one.
        to: ``onnx``, ``openvino``, ``pt2``, ``executorch``, ``tensorrt``, or ``half``: a checkpoint of half the size,
            its weights 16-bit floats.
        size: height and width of what goes in; by default any size goes in.
        raw: put resizing and normalising into the file: pictures go in as they are, uint8 (B, H, W, 3), and depth comes
            out at their size.
        int8: compute with 8-bit integers where depth stays right; with --to openvino or onnx.
        calibration: frames of your camera.
        truth: a folder with images and depth: int8 is judged by it, instead of by what the model says in float.
        protocol: how it is judged by ``truth``, as in ``leadline evaluate``.
    """
    from leadline.errors import ConfigError
    from leadline.export.calibration import read_frames
    from leadline.export.half import export_half
    from leadline.export.int8 import write_int8
    from leadline.export.targets import target_of
    from leadline.export.writing import write
    from leadline.foundation.leadline_model import LeadlineModel
    from leadline.foundation.licences import is_restricted

    suffix = ".safetensors" if to == HALF else target_of(to, (HALF,)).suffix
    if Path(out).suffix != suffix:
        raise ConfigError(f"out: {out} must end in {suffix} for --to {to}")
    given = _size(size)
    if to == HALF and (int8 or raw or given):
        raise ConfigError(f"to: {HALF} writes a checkpoint, which takes any size; it has no --int8, --raw and --size")
    if int8 and not calibration and truth is None:
        raise ConfigError("int8: give frames of your camera with --calibration; ranges of activations hang on them")
    if truth is not None and not int8:
        raise ConfigError("truth: judges int8; give --int8, too")
    loaded = LeadlineModel.open(model)
    if is_restricted(loaded.licence):
        print(f"note: {loaded.licence}")
    pictures = read_frames(calibration, loaded.remembers) if calibration else None
    if to == HALF:
        difference = export_half(loaded, out)
    elif int8:
        frames, gate = _gate(loaded, pictures, truth, protocol)
        report = write_int8(target_of(to), loaded, out, frames, gate, given, raw)
        print(report.table())
        difference = report.difference
    else:
        difference = write(target_of(to), loaded, out, given, raw, pictures)
    takes = "any batch and size" if given is None else f"images of {given[1]}x{given[0]}"
    what = f"{'in float it ' if int8 else ''}differs from torch by at most {difference:.1e} of the output's range"
    print(f"{out} written: {takes}, {what}")


def _size(words: Sequence[str]) -> tuple[int, int] | None:
    """(height, width), None for any.

    Raises:
        ConfigError: neither.
    """
    from leadline.errors import ConfigError

    if list(words) == ["dynamic"]:
        return None
    if len(words) != 2 or not all(word.isdigit() for word in words):
        raise ConfigError(f"size: a height and a width, such as 256 320, or dynamic; not {' '.join(words)}")
    return int(words[0]), int(words[1])


def _gate(
    model: LeadlineModel, pictures: Pictures | None, truth: Path | None, protocol: str
) -> tuple[Pictures, Callable[[ExportedModel], Gate]]:
    """Frames that give the ranges of int8, and the gate, on other frames."""
    from leadline.data.dataset import open_dataset
    from leadline.data.split import Holdout
    from leadline.errors import ConfigError
    from leadline.export.calibration import MOST, split_frames
    from leadline.export.gate import against_float, against_truth
    from leadline.export.parity import shown
    from leadline.io.images import read_image
    from leadline.protocols import open_protocol

    if truth is None:
        assert pictures is not None
        seen, judged = split_frames(pictures, model.remembers)
        return seen, lambda exported: against_float(
            exported, [shown([each], exported.input_size(*each.shape[:2])) for each in judged]
        )
    rules = open_protocol(protocol)
    data = open_dataset(rules.data, truth, split=rules.split, truth=rules.truth)
    if pictures is None:
        indices, kept = Holdout(4).split(len(data))
        pictures = [read_image(data.paths[index]) for index in indices[:: -(-len(indices) // MOST)]]
        data = data.only(kept)
    if not len(data):
        raise ConfigError(f"truth: {truth} has too few frames to keep some apart; give others with --calibration")
    frames, judged_by = pictures, data
    return frames, lambda exported: against_truth(exported, rules, judged_by)
