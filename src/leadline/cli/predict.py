"""leadline predict: depth of images, folders, videos, webcams."""

from __future__ import annotations

import sys
from pathlib import Path

from leadline.cli import BUNDLED, failed, make_parser, parse


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("predict")
    parser.add_argument(
        "inputs", nargs="+", help="images, folders, globs, videos, .txt lists, webcam numbers or stream URLs"
    )
    formats = "what to write: png (16-bit), npz, exr, colour (picture or video), ply (points)"
    parser.add_argument("--formats", nargs="+", default=["png", "colour"], help=formats)
    parser.add_function_arguments(predict, skip={"inputs", "formats"})
    return predict(**parse(parser, arguments).as_dict())


def predict(
    inputs: list[str],
    model: str = BUNDLED,
    out: Path = Path("predictions"),
    formats: list[str] = ["png", "colour"],  # noqa: B006 - never changed
    runtime: str = "torch",
    device: str = "cpu",
    threads: int | None = None,
    batch: int = 1,
    intrinsics: Path | None = None,
    fov: float | None = None,
    colormap: str = "turbo",
    card: Path | None = None,
    kind: str | None = None,
    limit: int | None = None,
    strategy: str = "vda",
) -> int:
    """Predict depth and write it.

    Args:
        inputs: what to look at.
        model: a leadline checkpoint or folder, an exported .onnx or .xml, a network file with a card, a folder or
            hub name of a transformers depth model; by default the bundled one, which knows the inside of tubes only.
        out: folder to write to.
        formats: what to write.
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: of torch, such as cpu or cuda.
        threads: most threads to use.
        batch: images run together.
        intrinsics: camera file (3x3 matrix, YAML or JSON), for point clouds.
        fov: horizontal field of view in degrees, for point clouds where no intrinsics are known.
        colormap: of the pictures, a matplotlib name; near is warm and bright.
        card: card of a network file, where none lies beside it.
        kind: kind of a transformers model leadline does not know.
        limit: stop a video, webcam or stream after so many frames.
        strategy: how the windows of a model that sees video follow one another: ``vda`` or ``endodav``.

    Returns:
        The exit code: 1 where an input failed; the others are done all the same.
    """
    import leadline
    from leadline.errors import InputError, LeadlineError
    from leadline.io.images import read_image
    from leadline.io.inputs import ImageInput, find_inputs
    from leadline.runtime.predictor import Lens
    from leadline.runtime.writing import ImageWriter, check_formats, predict_video

    check_formats(formats)
    if model == BUNDLED:
        note = "learned from rendered endoscopy alone; what it says of anything else is not to be trusted"
        print(f"leadline: note: {BUNDLED} {note}", file=sys.stderr)
    items = find_inputs(inputs)
    if intrinsics is not None and not Path(intrinsics).is_file():
        raise InputError(f"{intrinsics}: no such camera file")
    predictor = leadline.load(
        model, runtime=runtime, device=device, threads=threads, card=card, kind=kind, strategy=strategy
    )
    predictor.lens, predictor.batch = Lens(intrinsics, fov), batch
    writer = ImageWriter(Path(out), formats, colormap)
    failures: list[str] = []
    done = 0
    for item in items:
        try:
            if isinstance(item, ImageInput):
                image = read_image(item.path)
                writer.write(item.name, image, predictor.predict(image, item.path))
                done += 1
            else:
                done += predict_video(predictor, item.source, item.name, writer, limit)
        except LeadlineError as error:
            failures.append(str(error))
            print(f"leadline: {error}", file=sys.stderr)
    print(f"{done} frames of {len(items)} inputs -> {out} ({predictor.model.kind}, unit {predictor.model.unit})")
    return failed(failures, f"{len(items)} inputs failed")
