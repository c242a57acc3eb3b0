"""leadline info: what a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leadline.cli import make_parser, parse


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("info")
    parser.add_argument("model", nargs="+", help="checkpoints, exported files, folders or hub names")
    parser.add_argument("--json", action="store_true", help="the whole card as JSON, one model a line")
    config = parse(parser, arguments)
    for model in config.model:
        print(info(model, config.json))
    return 0


def info(model: str, json: bool = False) -> str:
    """The card of a model as text.

    Args:
        model: anything ``leadline.foundation.load`` opens.
        json: one line of JSON instead.
    """
    from leadline import checkpoint
    from leadline.foundation import is_checkpoint, load
    from leadline.foundation.exported import ExportedModel

    path = Path(model)
    if path.suffix == ".safetensors" or is_checkpoint(path):
        card = checkpoint.read_card(path)
        if json:
            return card.to_json()
        entries = {
            "architecture": card.architecture, "kind": card.kind, "unit": card.unit,
            "trained at": f"{card.input_size[0]}x{card.input_size[1]} (height x width)",
            "depth range": " to ".join(f"{depth:.4g} {card.unit}" for depth in card.depth_range or ()),
            "licence": card.licence,
            "teacher": ", ".join(f"{key} {value}" for key, value in card.teacher.items()),
            "data": card.data, "size on disk": f"{checkpoint.locate(path).stat().st_size / 1e6:.1f} MB",
            "leadline": card.version, **card.metrics,
        }  # fmt: skip
    else:
        loaded = load(model)
        told: dict[str, Any] = {
            "name": loaded.name, "kind": str(loaded.kind), "unit": loaded.unit, "licence": loaded.licence,
        }  # fmt: skip
        if isinstance(loaded, ExportedModel):
            interface = loaded.interface
            words = interface.metadata(loaded.card)
            told |= {"architecture": loaded.card.architecture, "input": words["input"], "output": words["output"]}
            told |= {"int8": interface.int8, "layers in float": list(interface.floats)}
        if json:
            import json as encoder

            return encoder.dumps(told)
        told["int8"] = "yes" if told.get("int8") else ""
        told["layers in float"] = ", ".join(told.get("layers in float", []))
        entries = told
    width = max(map(len, entries))
    return "\n".join([str(path), *(f"  {key:<{width}}  {value}" for key, value in entries.items() if value != "")])
