"""leadline predict: depth of images, folders, videos, webcams, rigs of cameras."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.checkpoint import caveat
from leadline.cli import BUNDLED, check_at_least_one, failed, make_parser, parse
from leadline.errors import ConfigError

if TYPE_CHECKING:
    from leadline.data.rig_folder import Instant
    from leadline.io.inputs import VideoInput
    from leadline.runtime.predictor import Predictor
    from leadline.runtime.writing import ImageWriter

SWITCHES = ("decompose", "stabilise", "live", "letterbox")


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("predict")
    parser.add_argument(
        "inputs",
        nargs="+",
        help="images, folders, globs, videos, .txt lists, webcam numbers, stream URLs; folders of rigs (with rig.yaml)",
    )
    formats = "what to write: png (16-bit), npz, exr, colour (picture or video), ply (points)"
    parser.add_argument("--formats", nargs="+", default=["png", "colour"], help=formats)
    apart = (
        "also write the diffuse image, the residual (mid grey where it is 1) and the mask of reflections as pictures"
    )
    parser.add_argument("--decompose", action="store_true", help=apart)
    steady = "make the depth of videos and streams steady, of a model that sees single images"
    parser.add_argument("--stabilise", action="store_true", help=steady)
    played = "play video files as a camera would show them: frames that nobody is ready for are dropped"
    parser.add_argument("--live", action="store_true", help=played)
    boxed = "show a model of a fixed size images with their aspect, between bars, instead of stretched"
    parser.add_argument("--letterbox", action="store_true", help=boxed)
    parser.add_function_arguments(predict, skip={"inputs", "formats", *SWITCHES})
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
    dataset: str | None = None,
    decompose: bool = False,
    calibration: Path | None = None,
    stabilise: bool = False,
    live: bool = False,
    tile: int | None = None,
    letterbox: bool = False,
) -> int:
    """Predict depth and write it.

    Args:
        inputs: what to look at.
        model: a leadline checkpoint or folder, an exported .onnx or .xml, a network file with a card, a folder or
            hub name of a transformers depth model; by default leadline-general, which knows rooms and streets.
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
        limit: stop a video, webcam, stream or rig after so many frames of it.
        strategy: how the windows of a model that sees video follow one another: ``vda`` or ``endodav``.
        dataset: name of a data set, such as ddad or nuscenes, whose folders the inputs are; what its cameras saw at one
            instant is shown together, as of a rig.
        decompose: also write the diffuse image, the residual and the mask of reflections as pictures, of images and
            videos; the model is one that ``leadline train intrinsic-room`` makes.
        calibration: file that ``leadline calibrate`` made for this model; what is written is then metric depth.
        stabilise: make the depth of videos, webcams and streams steady, of a model that sees single images.
        live: play video files as a camera would show them, dropping frames that nobody is ready for.
        tile: show large images in overlapping tiles of so many pixels, each brought into the units of the whole image.
        letterbox: show a model of a fixed size images with their aspect, between bars, instead of stretched.

    Returns:
        The exit code: 1 where an input, or a camera of a rig, failed; the others are done all the same.
    """
    import leadline
    from leadline.data.rig_folder import is_rig
    from leadline.errors import InputError, LeadlineError
    from leadline.io.images import read_image
    from leadline.io.inputs import ImageInput, find_inputs
    from leadline.runtime.predictor import Lens, Predictor
    from leadline.runtime.rigs import check_fusable
    from leadline.runtime.stabilise import Steadiness
    from leadline.runtime.tiles import Letterboxed, Tiled
    from leadline.runtime.writing import ImageWriter, check_formats

    check_formats(formats)
    check_at_least_one(batch=batch, limit=limit, threads=threads)
    if note := caveat(model):
        print(f"leadline: note: {model}: {note}", file=sys.stderr)
    folders = inputs if dataset else [spec for spec in inputs if is_rig(spec)]
    rest = [spec for spec in inputs if spec not in folders]
    rigs = _rigs(folders, dataset)
    items = find_inputs(rest) if rest else []
    if intrinsics is not None and not Path(intrinsics).is_file():
        raise InputError(f"{intrinsics}: no such camera file")
    predictor = leadline.load(
        model, runtime=runtime, device=device, threads=threads, card=card, kind=kind, calibration=calibration
    )
    seen = Letterboxed(predictor.model) if letterbox else predictor.model
    seen = Tiled(seen, tile) if tile else seen
    line = predictor.calibration  # of this model, however images are shown to it
    predictor = Predictor(seen, Lens(intrinsics, fov), batch, strategy, None, Steadiness() if stabilise else None)
    predictor.calibration = line
    if decompose:
        predictor.check_decomposes()
        if rigs:
            raise ConfigError("decompose: of images and videos, not of rigs")
    if rigs and "ply" in formats:
        check_fusable(predictor.kind)
    writer = ImageWriter(Path(out), formats, colormap, predictor.decompose if decompose else None)
    done, code = _predict_rigs(predictor, rigs, writer, limit)
    failures: list[str] = []
    for item in items:
        try:
            if isinstance(item, ImageInput):
                image = read_image(item.path)
                writer.write(item.name, image, predictor.predict(image, path=item.path))
                done += 1
            else:
                done += _predict_video(predictor, item, writer, limit, live)
        except LeadlineError as error:
            failures.append(str(error))
            print(f"leadline: {error}", file=sys.stderr)
    print(f"{done} frames of {len(inputs)} inputs -> {out} ({predictor.kind}, unit {predictor.unit})")
    return failed(failures, f"{len(items)} inputs failed") or code


def _rigs(folders: list[str], dataset: str | None) -> Sequence[Iterable[Instant]]:
    """The instants of rigs in folders of one's own, or in those of a data set.

    Raises:
        ConfigError: the data set has no rigs, or what is written of two folders would lie in one.
        InputError: a folder does not hold a rig.
    """
    from leadline.data.dataset import NONE, open_dataset
    from leadline.data.images import own_name
    from leadline.data.rig_folder import RigFolder, dataset_instants

    names = [own_name(Path(folder)) for folder in folders]
    if len(set(names)) < len(names):
        raise ConfigError(f"inputs: of {', '.join(folders)} two have one name; predict them to different --out")
    if dataset is None:
        return [RigFolder(folder) for folder in folders]
    return [dataset_instants(open_dataset(dataset, folder, split="all", truth=NONE)) for folder in folders]


def _predict_video(predictor: Predictor, item: VideoInput, writer: ImageWriter, limit: int | None, live: bool) -> int:
    """How many frames of a video, webcam or stream were predicted."""
    from leadline.io.video import VideoReader
    from leadline.runtime.live import predict_live
    from leadline.runtime.writing import predict_video

    if live or not isinstance(item.source, Path):
        reader = VideoReader(item.source)
        if live or reader.endless:

            def report(line: str) -> None:
                print(f"leadline: {line}", file=sys.stderr)

            return predict_live(predictor, reader, item.name, writer, limit, report)
        reader.close()
    return predict_video(predictor, item.source, item.name, writer, limit)


def _predict_rigs(
    predictor: Predictor, rigs: Sequence[Iterable[Instant]], writer: ImageWriter, limit: int | None
) -> tuple[int, int]:
    """How many frames were predicted, and the exit code: 1 where something was left out."""
    import itertools

    from leadline.errors import LeadlineError
    from leadline.runtime.rigs import predict_rigs

    problems: list[str] = []
    done = 0

    def report(problem: str) -> None:
        problems.append(problem)
        print(f"leadline: {problem}", file=sys.stderr)

    for instants in rigs:
        try:
            done += predict_rigs(predictor, itertools.islice(instants, limit), writer, report)
        except LeadlineError as error:
            report(str(error))
    return done, failed(problems, f"{done + len(problems)} frames of rigs are left out")
