"""leadline calibrate: metric depth from a model that does not know it, by a few known distances."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import make_parser, parse
from leadline.errors import ConfigError

if TYPE_CHECKING:
    from leadline.runtime.calibration import Calibration
    from leadline.runtime.fitting import Found
    from leadline.runtime.measured import Gathered, Known


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("calibrate")
    pairs = "left images of rectified stereo pairs: files, folders, globs"
    parser.add_argument("--left", nargs="+", default=[], help=pairs)
    parser.add_argument("--right", nargs="+", default=[], help="their right images, in the same order")
    parser.add_function_arguments(calibrate, skip={"left", "right"})
    calibrate(**parse(parser, arguments).as_dict())
    return 0


def calibrate(
    model: str,
    points: Path | None = None,
    frames: Path | None = None,
    left: list[str] = [],  # noqa: B006 - never changed
    right: list[str] = [],  # noqa: B006
    baseline: float | None = None,
    offset: float = 0.0,
    out: Path = Path("calibration.yaml"),
    unit: str = "m",
    intrinsics: Path | None = None,
    fov: float | None = None,
    images: str = "images/*",
    depths: str = "depths/*",
    depth_unit: str = "m",
    depth_scale: float | None = None,
    depth_invalid: list[float] | None = None,
    every: int = 1,
    runtime: str = "torch",
    device: str = "cpu",
    threads: int | None = None,
    card: Path | None = None,
    kind: str | None = None,
) -> Calibration:
    """Fit scale, and shift where that is better, to known distances; refused where cross-validation shows no gain.

    Args:
        model: all that ``predict`` takes, but models that see video: those know each clip up to a scale of its own.
        points: measured by hand: a YAML or .csv file, a point a line: image, u, v and depth (along the optical axis) or
            range (from the camera); or u, v, u2, v2 and length, of an object of known size that faces the camera.
        frames: folder of a depth sensor's frames: images with measured depth of the same names.
        left: left images of rectified stereo pairs.
        right: their right images.
        baseline: between the two cameras, in ``unit``.
        offset: how much farther right the right camera's principal point lies, in pixels (Middlebury's doffs).
        out: file to write, for ``predict --calibration``.
        unit: of the calibrated depth: m, cm or mm.
        intrinsics: camera file (3x3 matrix, YAML or JSON); ranges, lengths and stereo need the camera.
        fov: horizontal field of view in degrees, where no intrinsics are known.
        images: for ``frames``: glob of the images in the folder.
        depths: for ``frames``: glob of the depth files in it; what stands for the * is the same.
        depth_unit: for ``frames``: unit of the depth files after scaling, where they do not say so themselves.
        depth_scale: for ``frames``: numbers in an integer file a unit: 1000 for millimetres read as m.
        depth_invalid: for ``frames``: numbers that mean "unknown"; 0 by default in integer files.
        every: for ``frames``: use one in so many.
        runtime: ``torch``, ``onnx`` or ``openvino``; what is found holds for all of them.
        device: of torch.
        threads: most threads to use.
        card: card of a network file, where none lies beside it.
        kind: kind of a transformers model leadline does not know.
    """
    import leadline
    from leadline.data.folder import DepthFormat, Folder
    from leadline.depth import LENGTHS
    from leadline.io.atomic import check_folder
    from leadline.runtime.calibration import Calibration
    from leadline.runtime.fitting import find
    from leadline.runtime.measured import gather, measured_points, sensor_frames, stereo_pairs
    from leadline.runtime.predictor import Lens

    if unit not in LENGTHS:
        raise ConfigError(f"unit: one of {', '.join(LENGTHS)}, not {unit!r}")
    check_folder(out.parent)
    lens = Lens(intrinsics, fov)
    sources: list[Iterable[Known]] = []
    if points is not None:
        sources.append(measured_points(points, unit))
    if frames is not None:
        form = DepthFormat("metric-depth", depth_unit, depth_scale, tuple(depth_invalid) if depth_invalid else None)
        sources.append(sensor_frames(Folder(frames, images, depths, form, intrinsics, every=every), unit))
    if left or right:
        if baseline is None:
            raise ConfigError("baseline: a stereo pair needs --baseline, the distance between its cameras")
        sources.append(stereo_pairs(_pictures(left), _pictures(right), baseline, lens.of, offset))
    if not sources:
        raise ConfigError("nothing is known; give --points FILE, --frames FOLDER, or --left, --right and --baseline")
    predictor = leadline.load(model, runtime=runtime, device=device, threads=threads, card=card, kind=kind)
    predictor.lens, asked = lens, predictor.model
    if asked.remembers and asked.kind.up_to != "nothing":
        raise ConfigError(
            f"model: {asked.name} sees video, and what it says of a clip is known up to a scale of that clip; "
            "calibrate a model of single images, or one that is metric"
        )
    gathered = gather(predictor.predict, itertools.chain.from_iterable(sources), unit)
    found = find(gathered.points, asked.kind)
    calibration = Calibration(
        asked.name, asked.digest, str(asked.kind), found.form.space, found.scale, found.shift, unit,
        evidence(found, gathered),
    )  # fmt: skip
    calibration.save(out)
    print(describe(calibration, found, gathered))
    print(f"{out}: leadline predict ... --model {model} --calibration {out}")
    return calibration


def evidence(found: Found, gathered: Gathered) -> dict[str, Any]:
    """What the calibration rests on, as plain values."""
    truth = gathered.points.truth
    return {
        "form": found.form.name,
        "distances": {"count": len(truth), "images": gathered.images, **gathered.sources},
        "range": [_short(float(truth.min())), _short(float(truth.max()))],
        "standard_error": dict(zip(("scale", "shift"), map(_short, found.standard_error), strict=True)),
        "interval_95": {
            name: [_short(low), _short(high)]
            for name, (low, high) in zip(("scale", "shift"), found.interval, strict=True)
        },
        "depth_interval_95": [{"depth": _short(depth), "relative": _short(part)} for depth, part in found.doubt],
        "cross_validation": {
            "folds": len(found.chosen.errors),
            "relative_error": {trial.form.name: _short(trial.error) for trial in found.trials},
        },
    }


def describe(calibration: Calibration, found: Found, gathered: Gathered) -> str:
    """What was found, for people."""
    unit, truth = calibration.unit, gathered.points.truth
    sources = ", ".join(f"{count} {name}" for name, count in gathered.sources.items())
    lines = [
        f"{calibration.model}: {calibration.kind}",
        f"{len(truth)} known distances ({sources}) in {gathered.images} images, "
        f"{truth.min():.3g} to {truth.max():.3g} {unit}",
        f"mean relative error in cross-validation, {len(found.chosen.errors)} folds:",
    ]
    for trial in found.trials:
        lines.append(f"  {trial.form.name:<30} {trial.error:.3f}{'  <- chosen' if trial is found.chosen else ''}")
    said, both = calibration.kind.split("-")[-1], found.form.free == "both"
    x = said if said == calibration.space else f"1 / {said}"
    made, of = ("depth", unit) if calibration.space == "depth" else ("1 / depth", f"1/{unit}")
    shift = f" {calibration.shift:+.4g}" if both else ""
    lines.append(f"{made} = {calibration.scale:.4g} x{shift}, in {of}, where x is the model's {x}")
    spans = [
        f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in zip(("scale", "shift"), found.interval, strict=True)
    ]
    sure = (
        [f"{part:.1%} at {depth:.3g} {unit}" for depth, part in found.doubt] if both else [f"{found.doubt[0][1]:.1%}"]
    )
    lines.append(f"95 %: {', '.join(spans if both else spans[:1])}; so the line is known to {', '.join(sure)}")
    lines.append("(single pixels err as cross-validation shows)")
    return "\n".join(lines)


def _pictures(specs: list[str]) -> list[Path]:
    """Image files, in order.

    Raises:
        ConfigError: one is a video or stream.
    """
    from leadline.io.inputs import ImageInput, find_inputs

    found = find_inputs(specs)
    for item in found:
        if not isinstance(item, ImageInput):
            raise ConfigError(f"{item.source}: stereo pairs are made of images")
    return [item.path for item in found if isinstance(item, ImageInput)]


def _short(value: float) -> float:
    """With six digits: more would be noise."""
    return float(f"{value:.6g}")
