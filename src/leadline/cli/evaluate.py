"""leadline evaluate: how right a model is."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import make_parser, parse

if TYPE_CHECKING:
    from leadline.protocols.folder import Predict, Result

#: Columns of the table, with their headings; the file has all of them.
COLUMNS = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSElog", "silog": "SILog", "delta1": "delta1",
    "delta2": "delta2", "boundary_f1": "boundaryF1", "images": "images",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("evaluate")
    parser.add_argument("--model", required=True, nargs="+", help="models to judge: all that ``predict`` takes")
    parser.add_function_arguments(evaluate, skip={"model"})
    evaluate(**parse(parser, arguments).as_dict())
    return 0


def evaluate(
    model: list[str],
    data: Path,
    protocol: str = "folder",
    images: str = "images/*",
    depths: str = "depths/*",
    depth_kind: str = "metric-depth",
    depth_unit: str = "m",
    depth_scale: float | None = None,
    depth_invalid: list[float] | None = None,
    align: str | None = None,
    min_depth: float = 1e-3,
    max_depth: float = float("inf"),
    mask: str = "none",
    drop_highlights: bool = False,
    every: int = 1,
    baseline: Path | None = None,
    out: Path = Path("evaluation"),
    worst: int = 6,
    runtime: str = "torch",
    device: str = "cpu",
    threads: int | None = None,
    card: Path | None = None,
    kind: str | None = None,
) -> list[Result]:
    """Judge models on images with true depth: a table, ``result.json`` and the worst cases as pictures.

    Args:
        model: models to judge.
        data: folder of the data.
        protocol: ``folder``, one's own images with depth.
        images: glob of the images in the folder.
        depths: glob of the depth files; an image and a depth file belong together when what stands for the * is the
            same.
        depth_kind: what the depth files hold, where they do not say so themselves.
        depth_unit: their unit after scaling: m, cm, mm; arbitrary for kinds that are not metric.
        depth_scale: numbers in an integer file a unit: 1000 for millimetres read as m, 256 for KITTI.
        depth_invalid: numbers that mean "unknown"; 0 by default in integer files.
        align: alignment; by default what the model's kind calls for.
        min_depth: smallest true depth judged.
        max_depth: largest true depth judged.
        mask: ``none``, ``auto`` (dark surround of endoscope images) or an image file, white = judge.
        drop_highlights: leave wet highlights out, for endoscopy.
        every: judge one in so many images.
        baseline: folder of other images with depth, laid out like ``data``: their mean depth map is judged too, as an
            answer to every image. A model that does not beat it has learned nothing.
        out: folder to write to.
        worst: how many of the worst images become pictures.
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: of torch.
        threads: most threads to use.
        card: card of a network file, where none lies beside it.
        kind: kind of a transformers model leadline does not know.

    Returns:
        What was found: a result for each model, then the baseline's.
    """
    import leadline
    from leadline.data.folder import DepthFormat, Folder
    from leadline.errors import ConfigError
    from leadline.io.atomic import writing
    from leadline.io.images import write_image
    from leadline.protocols.baseline import MeanDepth
    from leadline.protocols.folder import FolderProtocol
    from leadline.protocols.worst import worst_cases

    if protocol != "folder":
        raise ConfigError(f"protocol: '{protocol}' is not known; there is folder")
    rules = FolderProtocol(align, min_depth, max_depth)
    form = DepthFormat(depth_kind, depth_unit, depth_scale, tuple(depth_invalid) if depth_invalid else None)
    layout = partial(Folder, images=images, depths=depths, depth=form, mask=mask, drop_highlights=drop_highlights)
    frames = layout(data, every=every)
    mean = None
    if baseline is not None:  # before the models, so that nothing they took is lost where it cannot be had
        mean = MeanDepth(layout(baseline), frames[0].depth.to_depth().unit)  # type: ignore[union-attr]
    results: list[Result] = []

    def judge(name: str, predict: Predict) -> Result:
        result = rules.evaluate(name, predict, frames)
        results.append(result)
        if worst:
            picture = worst_cases(rules, predict, frames, result, worst)
            write_image(out / f"worst-{name.replace('/', '_')}.png", picture)
        return result

    for spec in model:
        predictor = leadline.load(spec, runtime=runtime, device=device, threads=threads, card=card, kind=kind)
        judge(predictor.model.name, predictor.predict)
    if mean is not None:
        metric = all(result.protocol["alignment"] == "none" for result in results)
        judge("mean depth", mean.metric if metric else mean.relative)
    with writing(out / "result.json") as temporary:
        temporary.write_text(json.dumps([_plain(vars(result)) for result in results], indent=1))
    print(table(results))
    for result in results:
        if result.without_truth:
            print(
                f"without truth in range: {len(result.without_truth)} images, {', '.join(result.without_truth[:5])} ..."
            )
    print(f"{out}/result.json: every image; {out}/worst-*.png: the worst")
    return results


def table(results: list[Result]) -> str:
    """The figures side by side, with the protocol above them."""
    rules = results[0].protocol
    judged = f"{rules['min_depth']:g}..{rules['max_depth']:g} {rules['unit']}"
    lines = [f"protocol {rules['name']}: truth {judged}, {rules['averaging']}"]
    width = max(len(result.model) for result in results)
    lines.append(f"{'model':<{width}}  {'alignment':<15}" + "".join(f"{head:>11}" for head in COLUMNS.values()))
    for result in results:
        cells = (
            f"{result.means[name]:>11.4f}" if name != "images" else f"{int(result.means[name]):>11d}"
            for name in COLUMNS
        )
        lines.append(f"{result.model:<{width}}  {result.protocol['alignment']:<15}" + "".join(cells))
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """JSON knows neither infinity nor NaN: they become text."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
