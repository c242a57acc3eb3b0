"""leadline evaluate: how right a model is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import failed, make_parser, parse

if TYPE_CHECKING:
    from leadline.data.dataset import DataSet
    from leadline.protocols.candidate import Candidate
    from leadline.protocols.evaluation import Result
    from leadline.protocols.protocol import Protocol


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("evaluate")
    parser.add_argument("--model", nargs="+", default=[], help="models to judge: all that ``predict`` takes")
    parser.add_argument(
        "--predictions", nargs="+", type=Path, default=[],
        help="predictions made elsewhere, to judge: a folder with a depth file for each frame, named as the .csv or as "
        "the image, or one .npy (N, H, W) in the order of the split; of whole images, or of what the protocol shows",
    )  # fmt: skip
    parser.add_function_arguments(evaluate, skip={"model", "predictions"})
    results = evaluate(**parse(parser, arguments).as_dict())
    failures = [f"{result.model}: {line}" for result in results for line in result.failures]
    asked = sum(result.protocol["frames"] for result in results)
    return failed(failures, f"{asked} answers could not be judged")


def evaluate(
    data: Path,
    model: Sequence[str] = (),
    predictions: Sequence[Path] = (),
    protocol: str = "folder",
    split: str | None = None,
    truth: str | None = None,
    align: str | None = None,
    min_depth: float | None = None,
    max_depth: float | None = None,
    images: str | None = None,
    depths: str | None = None,
    depth_kind: str | None = None,
    depth_unit: str | None = None,
    depth_scale: float | None = None,
    depth_invalid: list[float] | None = None,
    mask: str = "none",
    drop_highlights: bool = False,
    every: int = 1,
    baseline: Path | None = None,
    baseline_split: str | None = None,
    out: Path = Path("evaluation"),
    show: int = 4,
    runtime: str = "torch",
    device: str = "cpu",
    threads: int | None = None,
    strategy: str = "vda",
    card: Path | None = None,
    kind: str | None = None,
    unit: str = "arbitrary",
    calibration: Path | None = None,
) -> list[Result]:
    """Judge models on images with true depth: a table, ``result.json``, a .csv an image a line, and a page.

    Args:
        data: folder of the data, or of shards that ``leadline data pack`` made of it.
        model: models to judge.
        predictions: folders or .npy files of predictions to judge.
        protocol: rules of a benchmark, such as kitti-eigen; ``folder`` for one's own images with depth.
        split: another split of the data set than the protocol's, or a file that lists frames.
        truth: another truth than the protocol's.
        align: another alignment than the protocol's; for ``folder`` by default what the model's kind calls for.
        min_depth: another smallest depth than the protocol's.
        max_depth: another largest depth than the protocol's.
        images: for ``folder``: glob of the images in the folder, by default images/*.
        depths: for ``folder``: glob of the depth files, by default depths/*; an image and a depth file belong together
            when what stands for the * is the same.
        depth_kind: for ``folder``: what the depth files hold, where they do not say so themselves; by default
            metric-depth.
        depth_unit: for ``folder``: their unit after scaling: m (by default), cm, mm; arbitrary for kinds that are not
            metric.
        depth_scale: for ``folder``: numbers in an integer file a unit: 1000 for millimetres read as m, 256 for KITTI.
        depth_invalid: for ``folder``: numbers that mean "unknown"; 0 by default in integer files.
        mask: ``none``, ``auto`` (dark surround of endoscope images) or an image file, white = judge.
        drop_highlights: leave wet highlights out, for endoscopy.
        every: judge one in so many images.
        baseline: folder of other images with depth, laid out like ``data``: their mean depth map is judged too, as an
            answer to every image. A model that does not beat it has learned nothing.
        baseline_split: split of a named data set the baseline is made of.
        out: folder to write to.
        show: how many of the worst, the median and the best images the page shows; 0 writes no page.
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: of torch.
        threads: most threads to use.
        strategy: how the windows of a model that sees video follow one another: ``vda`` or ``endodav``.
        card: card of a network file, where none lies beside it.
        kind: kind of a transformers model leadline does not know, and of predictions that do not say it themselves.
        unit: of predictions of a metric kind that do not say it themselves.
        calibration: file that ``leadline calibrate`` made for the one model that is judged, which then is metric.

    Returns:
        What was found: a result for each model, each set of predictions, then the baseline's.
    """
    import leadline
    from leadline.errors import ConfigError
    from leadline.io.atomic import check_folder
    from leadline.protocols import open_protocol
    from leadline.protocols.baseline import MeanDepth
    from leadline.protocols.candidate import asked, calibrated, made_elsewhere, surrounded, watched
    from leadline.protocols.report import write_report
    from leadline.runtime.rigs import predict_rig

    if not model and not predictions:
        raise ConfigError("model: name a model with --model, or a folder of predictions with --predictions")
    if calibration is not None and len(model) != 1:
        raise ConfigError(f"calibration: holds for one model, and {len(model)} are judged")
    if show < 0:
        raise ConfigError(f"show: {show} is not a number of images")
    check_folder(out)
    rules = changed(
        open_protocol(protocol), align=align, min_depth=min_depth, max_depth=max_depth, split=split, truth=truth
    )
    options: dict[str, Any] = {"mask": mask, "drop_highlights": drop_highlights}
    own = {
        "images": images, "depths": depths, "depth_kind": depth_kind, "depth_unit": depth_unit,
        "depth_scale": depth_scale, "depth_invalid": depth_invalid,
    }  # fmt: skip
    given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if rules.data == "folder":
        options |= _folder_options(**given)
    elif given:
        raise ConfigError(
            f"{next(iter(given))}: is for --protocol folder; {rules.name} knows the files of {rules.data}"
        )
    frames = _opened(rules.data, data, options | {"split": rules.split, "truth": rules.truth, "every": every})
    mean = None
    if baseline is not None:  # before the models, so that nothing they took is lost where it cannot be had
        if rules.data != "folder" and baseline_split is None:
            raise ConfigError(f"baseline_split: name the split of {rules.data} whose mean depth is the baseline")
        others = _opened(rules.data, baseline, options | {"split": baseline_split, "truth": rules.truth})
        if {path.resolve() for path in others.paths} & {path.resolve() for path in frames.paths}:
            raise ConfigError(
                f"baseline: {baseline} holds images that are judged; their mean depth would know the answers"
            )
        mean = MeanDepth(others, rules.unit)
    candidates = [made_elsewhere(path, frames, kind, unit) for path in predictions]
    for spec in model:
        predictor = leadline.load(
            spec, runtime=runtime, device=device, threads=threads, card=card, kind=kind, strategy=strategy,
            calibration=calibration,
        )  # fmt: skip
        name, rule = predictor.model.name, rules.rule(predictor.kind)
        if predictor.model.remembers and (rules.temporal or rule.per == "video"):
            candidates.append(watched(name, predictor.stream, frames))
        elif predictor.model.looks_around:
            candidates.append(surrounded(name, partial(predict_rig, predictor), frames))
        else:
            candidates.append(calibrated(name, predictor.predict, predictor.model.parallel))
    candidates = _told_apart(candidates)
    results = [rules.evaluate(candidate, frames, threads or 0) for candidate in candidates]
    if mean is not None:
        metric = all(result.protocol["alignment"] == "none" for result in results)
        candidates.append(asked("mean depth", mean.metric if metric else mean.relative, parallel=True))
        results.append(rules.evaluate(candidates[-1], frames, threads or 0))
    page = write_report(out, rules, results, candidates, frames, show)
    print(describe(rules, results))
    print(f"{page}; {out}/result.json, {out}/*.csv: every image")
    return results


def describe(rules: Protocol, results: list[Result]) -> str:
    """The figures side by side, with the protocol above them and what has no truth below."""
    from leadline.protocols.report import table

    made = results[0].protocol
    span = f"{made['min_depth']:g}..{made['max_depth']:g} {made['unit']}"
    lines = [
        f"protocol {rules.name}: {rules.about}",
        f"{made['frames']} frames, split {made['split']} ({made['digest']}), truth {made['truth']}, {span}",
    ]
    if made["incomplete"]:
        lines.append(f"not the whole benchmark: {made['incomplete']}")
    rows = table(rules, results)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        first, *rest = (cell.ljust(width) if place < 2 else cell.rjust(width)
                        for place, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        lines.append("  ".join([first, *rest]).rstrip())
    for result in results:
        if result.without_truth:
            names = ", ".join(result.without_truth[:5])
            lines.append(f"{result.model}: {len(result.without_truth)} images without truth in range: {names} ...")
    return "\n".join(lines)


def changed(rules: Protocol, **changes: Any) -> Protocol:
    """The protocol with what the user said otherwise; its name then says so, for it is another one."""
    said = {("alignment" if key == "align" else key): value for key, value in changes.items() if value is not None}
    if not said:
        return rules
    name = rules.name if rules.data == "folder" else f"{rules.name} ({', '.join(f'{k} {v}' for k, v in said.items())})"
    return replace(rules, **said, name=name, published=())


def _folder_options(
    images: str = "images/*",
    depths: str = "depths/*",
    depth_kind: str = "metric-depth",
    depth_unit: str = "m",
    depth_scale: float | None = None,
    depth_invalid: list[float] | None = None,
) -> dict[str, Any]:
    from leadline.data.folder import DepthFormat

    form = DepthFormat(depth_kind, depth_unit, depth_scale, tuple(depth_invalid) if depth_invalid else None)
    return {"images": images, "depths": depths, "depth": form}


def _opened(name: str, root: Path, options: dict[str, Any]) -> DataSet:
    """The data set in a folder, or what was packed of it."""
    from leadline.data.dataset import open_dataset
    from leadline.data.packing import INDEX
    from leadline.data.shards import Shards
    from leadline.errors import ConfigError, InputError

    if not (root / INDEX).is_file():
        return open_dataset(name, root, **options)
    kept = {key: options[key] for key in ("mask", "drop_highlights", "every") if key in options}
    shards = Shards(root, **kept)
    if shards.index["data"] != name:
        raise InputError(f"{root}: holds shards of {shards.index['data']}, but this protocol judges {name}")
    for key in ("split", "truth"):
        if options.get(key) not in (None, shards.index[key]):
            raise ConfigError(f"{key}: {root} holds {key} '{shards.index[key]}', not '{options[key]}'")
    return shards


def _told_apart(candidates: list[Candidate]) -> list[Candidate]:
    """Those that are called alike get a number: their files would be one another's."""
    names = Counter(candidate.name for candidate in candidates)
    seen: Counter[str] = Counter()
    renamed = []
    for candidate in candidates:
        seen[candidate.name] += 1
        name = f"{candidate.name} {seen[candidate.name]}" if names[candidate.name] > 1 else candidate.name
        renamed.append(replace(candidate, name=name))
    return renamed
