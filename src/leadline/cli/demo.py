"""leadline demo: the whole job on real photographs that need no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from leadline.cli import make_parser, parse

if TYPE_CHECKING:
    import numpy as np

#: Open photographs that scikit-image carries in its wheel.
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
#: Calibration of the Middlebury 2014 motorcycle at the size scikit-image carries: focal length in pixels, baseline in
#: metres, difference of the principal points in pixels.
FOCAL, BASELINE, OFFSET = 994.978, 0.193001, 31.086


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("demo")
    parser.add_function_arguments(demo)
    demo(**parse(parser, arguments).as_dict())
    return 0


def demo(out: Path = Path("demo"), minutes: float = 2.0) -> None:
    """Teach, distil, judge, predict and export, on real photographs, and draw what came of it.

    A teacher is made on the spot: a larger student fine-tuned on the left three fifths of the one photograph with
    measured depth, a Middlebury stereo pair. It shows every step of the job; nobody should expect it to know the
    world.

    Args:
        out: folder of everything.
        minutes: for distilling.
    """
    import numpy as np

    import leadline
    from leadline.cli.distill import distill
    from leadline.cli.evaluate import evaluate
    from leadline.cli.export import export
    from leadline.data.folder import Folder
    from leadline.data.split import Holdout
    from leadline.depth import DepthMap, Kind
    from leadline.errors import ConfigError
    from leadline.io.images import read_image, write_image
    from leadline.methods.base import StudentOptions
    from leadline.methods.supervised import Supervised
    from leadline.runtime.writing import in_colour
    from leadline.training.options import FitOptions
    from leadline.training.run import run
    from leadline.view import colourise, contact_sheet, robust_range

    try:
        import skimage.data
    except ImportError:
        raise ConfigError("the demo needs its photographs: pip install 'leadline[demo]'") from None

    def step(text: str) -> None:
        print(f"\n== {text}", flush=True)

    step("1. photographs, one of them with measured depth")
    left, right, disparity = skimage.data.stereo_motorcycle()
    depth = np.where(np.isfinite(disparity), FOCAL * BASELINE / (disparity + OFFSET), np.nan).astype(np.float32)
    photos = {name: getattr(skimage.data, name)() for name in PHOTOGRAPHS} | {
        "motorcycle": left,
        "motorcycle-right": right,
    }
    for name, photo in photos.items():
        write_image(out / "photos" / f"{name}.png", photo)
        for number, part in enumerate(parts(photo)):
            write_image(out / "parts" / f"{name}-{number:02d}.png", part)
    border = left.shape[1] * 3 // 5
    metric = Kind.parse("metric-depth")
    for name, columns in (("measured", slice(0, border)), ("apart", slice(border, None))):
        for number, (image, truth) in enumerate(zip(parts(left[:, columns]), parts(depth[:, columns]), strict=True)):
            write_image(out / name / "images" / f"{number:02d}.png", image)
            DepthMap(truth, metric, "m").save(out / name / "depths" / f"{number:02d}.npz")

    step("2. a teacher made on the spot: swift-lite2, fine-tuned on the measured part of one photograph")
    teacher = out / "teacher.safetensors"
    budget = FitOptions(steps=60, batch_size=4, size=(256, 256))
    method = Supervised(StudentOptions("swift-lite2"))
    run(method, Folder(out / "measured"), budget, teacher, {"demo": "teacher"}, Holdout(0))

    step("3. distil it into swift, on every photograph")
    student = out / "student.safetensors"
    distill(str(teacher), [str(out / "parts")], student, FitOptions(minutes=minutes))

    step("4. judge both on the part of the photograph that neither was given depth for")
    evaluate([str(student), str(teacher)], out / "apart", align="median", out=out / "evaluation")

    step("5. export to ONNX and OpenVINO, each compared with torch")
    export(str(student), out / "student.onnx")
    export(str(student), out / "student.xml", "openvino")

    step("6. predict with each runtime")
    models = {"torch": student, "onnx": out / "student.onnx", "openvino": out / "student.xml"}
    rows = []
    predictors = {name: leadline.load(str(path), runtime=name) for name, path in models.items()}
    for name in photos:
        image = read_image(out / "photos" / f"{name}.png")
        maps = {runtime: in_colour(predictor.predict(image)) for runtime, predictor in predictors.items()}
        span = robust_range(maps["torch"].values, maps["torch"].valid)
        pictures = [colourise(m.values, m.valid, *span, quantity=m.kind.quantity) for m in maps.values()]
        rows.append([image, *pictures])
    write_image(out / "overview.png", contact_sheet(rows, ["photograph", *models], height=220))
    print(f"\nlook at {out}/overview.png; leadline info {student} says what was made")


def parts(photo: np.ndarray, size: int = 288, step: int = 96) -> list[np.ndarray]:
    """Overlapping squares of a photograph (H, W, ...): a handful of photographs becomes a small data set."""
    side = min(size, *photo.shape[:2])
    return [
        photo[top : top + side, left : left + side]
        for top in range(0, photo.shape[0] - side + 1, step)
        for left in range(0, photo.shape[1] - side + 1, step)
    ]
