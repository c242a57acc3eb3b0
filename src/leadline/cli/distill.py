"""leadline distill: images and a teacher in, a small student out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leadline.cli import failed, make_parser, parse
from leadline.data.augmentation import Augmentation
from leadline.data.split import Holdout
from leadline.methods.optimiser import Optimiser
from leadline.training.options import FitOptions


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("distill")
    opens = (
        "a hub name or local folder of a transformers depth model, a leadline checkpoint or the name of a bundled one, "
    )
    opens += "or an .onnx, .tflite or .xml network with its card beside it"
    parser.add_argument("--teacher", required=True, help=opens)
    parser.add_argument(
        "--images", required=True, nargs="+", help="images, folders, globs, videos, or .txt lists of them"
    )
    parser.add_function_arguments(distill, skip={"teacher", "images", "fit"})
    parser.add_class_arguments(FitOptions)
    options = parse(parser, arguments)
    config = parser.instantiate_classes(options).as_dict()
    budget = {name: config.pop(name) for name in FitOptions.__dataclass_fields__}
    config.pop("config", None)
    return distill(fit=FitOptions(**budget), **config)


def distill(
    teacher: str,
    images: list[str],
    out: Path,
    fit: FitOptions,
    student: str = "swift",
    teacher_card: Path | None = None,
    teacher_kind: str | None = None,
    holdout: Holdout = Holdout(),
    augmentation: Augmentation = Augmentation(),
    optimiser: Optimiser = Optimiser(),
    labels: str = "cache",
    mask: str = "auto",
    drop_highlights: bool = False,
    video_step: int = 5,
) -> int:
    """Distil a teacher into a student (method LiteNet, distil-only).

    Args:
        teacher: the model to learn from.
        images: what to learn on.
        out: the checkpoint to write, a .safetensors file; the run is kept beside it in a folder ending in .run, and
            goes on where it was when the same command is given again.
        fit: budget, size, device.
        student: architecture: swift, swift-lite1, swift-lite2, litenet-tiny, litenet-small, litenet, litenet-8m.
        teacher_card: card of a network file, where none lies beside it.
        teacher_kind: kind of a transformers model leadline does not know, such as affine-invariant-disparity.
        holdout: which frames are kept apart for judging.
        augmentation: how training images are varied.
        optimiser: how the student is optimised; in a few minutes a higher learning rate gets further.
        labels: ``cache`` labels every image once and keeps the labels on disk, ``online`` asks the teacher at every
            step.
        mask: ``auto`` finds the dark surround of endoscope images, ``none`` uses every pixel, a file (white = use)
            also hides overlays.
        drop_highlights: leave wet highlights out of losses and figures, for endoscopy.
        video_step: one in so many frames of a video is used.

    Returns:
        The exit code: 1 where images had to be left out; the student is made of the others all the same.
    """
    from leadline.data.inputs import Inputs
    from leadline.errors import ConfigError
    from leadline.foundation import load
    from leadline.methods.base import StudentOptions
    from leadline.methods.litenet import LiteNet
    from leadline.training.run import run

    if labels not in ("cache", "online"):
        raise ConfigError(f"labels: 'cache' or 'online', not '{labels}'")
    model = load(teacher, card=teacher_card, kind=teacher_kind, device=fit.torch_device())
    method = LiteNet(model, StudentOptions(student), optimiser=optimiser, cache=labels == "cache")
    frames = Inputs(images, Path(out).with_suffix(".run") / "frames", video_step, mask, drop_highlights)
    settings: dict[str, Any] = {
        "method": "litenet, distil only",
        "teacher": model.name,
        "student": student,
        "labels": labels,
        "images": frames.fingerprint(),
        "mask": mask,
        "drop_highlights": drop_highlights,
        "fit": fit.settings(),
        "holdout": vars(holdout),
        "augmentation": vars(augmentation),
        "trinity": vars(method.trinity),
        "optimiser": vars(method.optimiser),
    }
    data = f"{len(frames)} images of {', '.join(images)}"
    outcome = run(method, frames, fit, Path(out), settings, holdout, augmentation, data[:500])
    return failed(outcome.failures, f"{len(frames)} images were left out")
