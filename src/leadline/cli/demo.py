"""leadline demo: the whole job, shown on a page."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import make_parser, parse
from leadline.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from leadline.depth import DepthMap
    from leadline.protocols.evaluation import Result
    from leadline.runtime.predictor import Predictor

TEACHER = "leadline-tract"
#: Clips to learn from, their frames, and frames a second: about what a few minutes of training can look at.
LEARN = (40, 5, 1.0)
#: Size trained at, and learning rate: found on other places, for runs of two minutes.
SIZE, RATE = (192, 256), 3e-3
#: Clips of other places to judge on; their seeds start this far from those learned from.
JUDGE, ELSEWHERE = (16, 3, 0.7), 500_000
#: The clip that becomes a video.
SHOW = (1, 60, 15.0)
#: What the bundled teacher never saw when it learned: it cannot teach it.
UNSEEN: dict[str, Any] = {"pools": 0.0, "bubbles": 0.0, "tools": 0.0}
#: Rounds in which models are timed, and calls of each in a round.
TIMED = (5, 10)
#: Depth judged, in mm.
NEAREST, FARTHEST = 1.0, 150.0
#: Open photographs that scikit-image carries in its wheel.
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
#: Calibration of the Middlebury 2014 motorcycle at the size scikit-image carries: focal length in pixels, baseline in
#: metres, difference of the principal points in pixels.
FOCAL, BASELINE, OFFSET = 994.978, 0.193001, 31.086
RUNTIMES = {"torch": "student.safetensors", "onnx": "student.onnx", "openvino": "student.xml"}


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = make_parser("demo")
    parser.add_function_arguments(demo)
    demo(**parse(parser, arguments).as_dict())
    return 0


def demo(out: Path = Path("demo"), seed: int = 0, minutes: float = 2.5, steps: int = 0) -> None:
    """Render, distil, judge, predict, export, and write a page that shows it all.

    The bundled teacher, which learned the inside of tubes from thousands of rendered places, teaches the fast student
    on frames of a few new ones; the student is judged on places neither has seen. Then both look at photographs of
    quite other things, which shows what they do not know.

    Args:
        out: folder of everything; the page is index.html in it.
        seed: of the places; another one, another demo.
        minutes: for distilling.
        steps: make so many instead, whatever time they take.
    """
    from leadline.cli.evaluate import evaluate
    from leadline.cli.export import export

    try:
        import skimage.data
    except ImportError:
        raise ConfigError("the demo needs its photographs: pip install 'leadline[demo]'") from None
    here = Files(Path(out), seed)
    judged = learn(here, minutes, steps)

    step("4. a photograph with measured depth, for which none of them was made")
    here.photographs(skimage.data)
    models = [str(here.student), TEACHER]
    strange = evaluate(here.motorcycle, models, align="median", show=0, out=here.out / "evaluation-motorcycle")

    step("5. export to ONNX and OpenVINO, each compared with torch")
    export(here.out / RUNTIMES["onnx"], str(here.student))
    export(here.out / RUNTIMES["openvino"], str(here.student), "openvino")

    step("6. predict, in every runtime")
    page = show(here, judged, strange)
    print(f"\nlook at {page}; `leadline info {here.student}` says what was made")


def learn(here: Files, minutes: float, steps: int = 0) -> list[Result]:
    """Render, distil, judge.

    Returns:
        What was found on places nobody has trained on: of the student before it learned anything, of the student, of
        its teacher, and of the mean depth of the places learned from.
    """
    from leadline.cli.distill import distill
    from leadline.cli.evaluate import evaluate
    from leadline.methods.optimiser import Optimiser
    from leadline.training.options import FitOptions

    step("1. render places to learn from, others to judge on, and a clip")
    here.render()
    step(f"2. distil the bundled {TEACHER} into swift")
    budget = FitOptions(steps, 0 if steps else minutes, size=SIZE, seed=here.seed)
    distill(TEACHER, [str(here.learn / "images")], here.student, budget, optimiser=Optimiser(lr=RATE))
    here.forget()
    step("3. judge the student before and after, its teacher, and the mean depth, on places that none has seen")
    return evaluate(
        here.judge, [str(here.before), str(here.student), TEACHER], align="median", min_depth=NEAREST,
        max_depth=FARTHEST, baseline=here.learn, out=here.out / "evaluation",
    )  # fmt: skip


def step(text: str) -> None:
    """Say what comes next."""
    print(f"\n== {text}", flush=True)


@dataclass(frozen=True)
class Files:
    """Where the demo keeps what it makes.

    Args:
        out: its folder.
        seed: of its places.
    """

    out: Path
    seed: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed: {self.seed} is negative; seeds are 0 and above")

    @property
    def learn(self) -> Path:
        """Frames the student learns from; their true depth is used for the baseline alone."""
        return self.out / f"tract-seed{self.seed}" / "learn"

    @property
    def judge(self) -> Path:
        """Frames of other places."""
        return self.out / f"tract-seed{self.seed}" / "judge"

    @property
    def clip(self) -> Path:
        """Frames of the video."""
        return self.out / f"tract-seed{self.seed}" / "clip"

    @property
    def motorcycle(self) -> Path:
        """The photograph with measured depth."""
        return self.out / "motorcycle"

    @property
    def student(self) -> Path:
        """The student."""
        return self.out / RUNTIMES["torch"]

    @property
    def before(self) -> Path:
        """The same student before it learned anything."""
        return self.out / "student-before.safetensors"

    def render(self) -> None:
        """Render all clips."""
        from leadline import worlds
        from leadline.training.rendered import render

        for folder, (clips, frames, rate), first in (
            (self.learn, LEARN, 1000 * (self.seed + 1)),
            (self.judge, JUDGE, 1000 * (self.seed + 1) + ELSEWHERE),
            (self.clip, SHOW, 1000 * (self.seed + 1) + 2 * ELSEWHERE),
        ):
            world = worlds.create("tract", rate=rate, **UNSEEN)
            render(world, range(first, first + clips), frames, folder)

    def photographs(self, source: Any) -> None:
        """Write the photographs, one of them with its depth."""
        import numpy as np

        from leadline.depth import DepthMap, Kind
        from leadline.io.images import write_image

        left, _, disparity = source.stereo_motorcycle()
        depth = np.where(np.isfinite(disparity), FOCAL * BASELINE / (disparity + OFFSET), np.nan).astype(np.float32)
        write_image(self.motorcycle / "images" / "motorcycle.png", left)
        DepthMap(depth, Kind.parse("metric-depth"), "m").save(self.motorcycle / "depths" / "motorcycle.npz")
        for name in PHOTOGRAPHS:
            write_image(self.out / "photos" / f"{name}.png", getattr(source, name)())

    def forget(self) -> None:
        """Write a student that has learned nothing yet: features of ImageNet, and nearly one depth everywhere."""
        import torch

        from leadline import checkpoint
        from leadline.checkpoint import Card
        from leadline.networks.student import Student

        known = checkpoint.read_card(self.student)
        card = Card(known.architecture, known.kind, known.unit, known.input_size, known.depth_range,
                    known.options | {"pretrained": True}, "apache-2.0", version=known.version)  # fmt: skip
        torch.manual_seed(self.seed)
        student = Student.from_card(card)
        nearest, farthest = card.depth_range or (NEAREST, FARTHEST)
        student.start_at((nearest * farthest) ** 0.5)
        checkpoint.save(self.before, student.network.state_dict(), card)


def show(here: Files, judged: list[Result], strange: list[Result]) -> Path:
    """Predict whatever is to be seen, and write the page."""
    import leadline
    from leadline import checkpoint
    from leadline.page import Page

    before, student, teacher, mean = judged
    predictors = {name: leadline.load(str(here.out / file), runtime=name) for name, file in RUNTIMES.items()}
    taught = leadline.load(TEACHER)
    times = _latencies(predictors)
    size, steps = here.student.stat().st_size / 1e6, checkpoint.read_card(here.student).recipe["steps"]
    page = Page(
        here.out,
        "leadline: depth, distilled",
        f"A fast student learned depth from a larger teacher in {steps} steps on this machine, on frames of {LEARN[0]} "
        f"rendered places. Judged on {JUDGE[0]} other places, which neither has seen.",
    )
    page.facts(
        [
            (f"{student.means['abs_rel']:.3f}", "AbsRel of the student"),
            (f"{before.means['abs_rel']:.3f}", "before it learned"),
            (f"{mean.means['abs_rel']:.3f}", "of the mean depth, an answer without looking"),
            (f"{teacher.means['abs_rel']:.3f}", "of its teacher"),
            (f"{min(times['openvino']):.1f} ms", f"an image of {SIZE[0]}x{SIZE[1]} in OpenVINO, on this CPU"),
            (f"{size:.1f} MB", "on disk"),
        ]
    )

    page.heading("The world it learned from")
    page.text(
        "Procedural tubes with folds and polyps, ray-traced, lit by a lamp at the camera whose light falls with the "
        "square of distance. The same seed gives the same images; depth, cameras and poses are known, not measured. "
        "Pools, bubbles and tools, which the world also has, are left out: the bundled teacher never saw them."
    )
    page.picture("world.jpg", _world(here), "Image, depth (near is warm), surface normals.")
    page.command(f"leadline synth tract --frames 30 --seed {here.seed} --out my_tract")

    page.heading("Distil")
    page.text(
        f"The teacher, {checkpoint.read_card(TEACHER).architecture}, comes with leadline. It labelled the images once; "
        "the student learned from the labels, never from the truth."
    )
    page.plot(
        "learning.svg", _learning(here), "Loss of the student, and its error to the teacher on frames kept apart."
    )
    page.command(
        f"leadline distill --teacher {TEACHER} --images my_endoscopy.mp4 --out student.safetensors --minutes 10\n"
        "leadline distill --teacher depth-anything/Depth-Anything-V2-Small-hf --images my_photos "
        "--out student.safetensors --minutes 30"
    )

    page.heading("Judge")
    page.text(
        f"Median alignment, true depth from {NEAREST:g} to {FARTHEST:g} mm, {int(student.means['images'])} frames of "
        "places nobody has trained on. The mean depth is that of the true depths of the training places, the same "
        "answer to every image: a model that does not beat it has learned nothing."
    )
    page.table(*_figures(dict(zip(COLOURS, judged, strict=True))), best=1)
    page.plot("frames.svg", _by_frame(judged), "AbsRel of each frame, sorted: how bad the worst ones are.")
    page.picture(
        "judged.jpg", _judged(here, leadline.load(str(here.before)), predictors["torch"], taught),
        "Frames of places none has seen; all aligned by their median and coloured alike.",
    )  # fmt: skip
    page.video(
        _video(here, predictors["torch"]), "A way through another place: image, student, truth. One frame at a time."
    )
    page.command(
        "leadline evaluate --model student.safetensors --data my_data --align median --baseline my_training_data"
    )

    page.heading("What it does not know")
    page.text(
        "Student and teacher have seen the inside of tubes and nothing else. On a motorcycle (Middlebury 2014, "
        "measured depth) and on other photographs they are not to be trusted; this is what that looks like."
    )
    page.table(*_figures({"student": strange[0], "teacher": strange[1]}))
    page.picture(
        "motorcycle.jpg", _motorcycle(here, predictors["torch"], taught), "Measured depth, student and teacher."
    )
    photos, difference = _photographs(here, predictors)
    page.picture("photos.jpg", photos, "The student in three runtimes.")
    page.command(
        "leadline predict my_photos/ --model student.safetensors --out predictions --formats colour png ply --fov 60"
    )

    page.heading("Put it where it has to run")
    page.text(
        f"Every export is compared with torch and not kept if it computes something else. On the photographs above the "
        f"runtimes differ by at most {difference:.1e} of the map's range."
    )
    rows = [[name, f"{min(values):.2f}", f"{sorted(values)[len(values) // 2]:.2f}", f"{1000 / min(values):.0f}"]
            for name, values in times.items()]  # fmt: skip
    page.table(["runtime", "ms, least", "ms, median", "images a second"], rows)
    page.plot("runtimes.svg", _bars(times), f"One image of {SIZE[0]}x{SIZE[1]}, every core, no batching.")
    page.command(
        "leadline export --model student.safetensors --to onnx --out student.onnx\n"
        "leadline export --model student.safetensors --to openvino --out student.xml\n"
        "leadline info student.safetensors"
    )
    return page.write()


def _latencies(predictors: dict[str, Predictor]) -> dict[str, list[float]]:
    import torch

    from leadline.runtime.timing import measure

    image = torch.rand(1, 3, *SIZE)
    return measure({name: partial(p.model.infer, image) for name, p in predictors.items()}, *TIMED)


def _coloured(depth: DepthMap, truth: DepthMap | None = None) -> np.ndarray:
    """A map in colours; with a truth, aligned to it by the median and in its range of colours."""
    from leadline.runtime.writing import in_colour
    from leadline.view import colourise, robust_range

    shown = in_colour(depth.align_to(truth, "median") if truth is not None else depth)
    reference = shown if truth is None else in_colour(truth)
    low, high = robust_range(reference.values, reference.valid)
    return colourise(shown.values, shown.valid, low, high, quantity=shown.kind.quantity)


def _world(here: Files) -> np.ndarray:
    from leadline.data.folder import Folder
    from leadline.io.images import read_image
    from leadline.view import contact_sheet

    frames = Folder(here.learn)
    cells = []
    for index in range(LEARN[1] // 2, len(frames), LEARN[1])[:12]:
        path = frames.paths[index]
        normals = read_image(here.learn / "normals" / path.name)
        cells += [read_image(path), _coloured(frames[index].depth), normals]  # type: ignore[arg-type]
    return contact_sheet([cells[start : start + 6] for start in range(0, len(cells), 6)], height=192)


def _judged(here: Files, before: Predictor, student: Predictor, teacher: Predictor) -> np.ndarray:
    import numpy as np

    from leadline.data.folder import Folder
    from leadline.io.images import read_image
    from leadline.view import colourise, contact_sheet

    frames, rows = Folder(here.judge), []
    for index in range(1, len(frames), JUDGE[1] * 3):
        image, truth = read_image(frames.paths[index]), frames[index].depth
        assert truth is not None
        answer = student.predict(image)
        error = np.abs(answer.align_to(truth, "median").values - truth.values) / truth.values
        rows.append([image, _coloured(truth), *(_coloured(p.predict(image), truth) for p in (before, student, teacher)),
                     colourise(error, truth.valid, 0, 0.3, colormap="magma")])  # fmt: skip
    return contact_sheet(
        rows, ["image", "truth", "student before", "student", "teacher", "student's error, 0..30 %"], 192
    )


def _video(here: Files, student: Predictor) -> Path:
    from leadline.data.folder import Folder
    from leadline.io.images import read_image
    from leadline.io.video import write_video
    from leadline.runtime.writing import in_colour
    from leadline.view import RangeSketch, colourise, side_by_side

    frames, sketch = Folder(here.clip), RangeSketch()
    truths = [in_colour(frames[index].depth) for index in range(len(frames))]  # type: ignore[arg-type]
    for truth in truths:
        sketch.add(truth.values, truth.valid)
    low, high = sketch.range()

    def pictures() -> Iterator[np.ndarray]:
        for file, truth in zip(frames.paths, truths, strict=True):
            image = read_image(file)
            seen = in_colour(student.predict(image).align_to(truth, "median"))
            yield side_by_side([image, *(colourise(d.values, d.valid, low, high) for d in (seen, truth))])

    return write_video(here.out / "clip.mp4", SHOW[2], pictures())


def _motorcycle(here: Files, student: Predictor, teacher: Predictor) -> np.ndarray:
    from leadline.data.folder import Folder
    from leadline.io.images import read_image
    from leadline.view import side_by_side

    frames = Folder(here.motorcycle)
    image, truth = read_image(frames.paths[0]), frames[0].depth
    assert truth is not None
    answers = [_coloured(p.predict(image), truth) for p in (student, teacher)]
    return side_by_side([image, _coloured(truth), *answers], ["photograph", "measured", "student", "teacher"], 260)


def _photographs(here: Files, predictors: dict[str, Predictor]) -> tuple[np.ndarray, float]:
    """The photographs beside what each runtime says, and the largest difference to torch as a part of the range."""
    import numpy as np

    from leadline.io.images import read_image
    from leadline.view import contact_sheet

    rows, worst = [], 0.0
    for name in PHOTOGRAPHS:
        image = read_image(here.out / "photos" / f"{name}.png")
        maps = [predictor.predict(image) for predictor in predictors.values()]
        worst = max(worst, *(float(np.abs(m.values - maps[0].values).max() / np.ptp(maps[0].values)) for m in maps))
        rows.append([image, *map(_coloured, maps)])
    return contact_sheet(rows, ["photograph", *predictors], height=180), worst


def _figures(results: dict[str, Result]) -> tuple[list[str], list[list[str]]]:
    from leadline.protocols.report import COLUMNS, cells, headings

    shown = [name for name in headings(list(results.values())) if name not in ("images", "delta2", "delta3", "log10")]
    rows = [[name, *cells(result.means, shown)] for name, result in results.items()]
    return ["", *(COLUMNS[name] for name in shown)], rows


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


#: What is judged, in the order of the results, and its colour in plots.
COLOURS = {"student before": "#9aa1ad", "student": "#b4442f", "teacher": "#2f6db4", "mean depth": "#5d6678"}


def _learning(here: Files) -> Figure:
    """Loss and error over the steps, from the run's logs."""
    rows = []
    for log in sorted(here.student.with_suffix(".run").glob("logs/*/metrics.csv")):
        with log.open() as opened:
            rows += list(csv.DictReader(opened))

    def series(key: str) -> tuple[list[int], list[float]]:
        known = sorted((int(row["step"]), float(row[key])) for row in rows if row.get(key))
        return [step for step, _ in known], [value for _, value in known]

    figure, axes = _figure(8, 3)
    axes.plot(*series("loss/total"), color="#b8bcc6", label="loss")
    axes.plot(*series("val/error"), "o-", color=COLOURS["student"], label="AbsRel to the teacher, frames kept apart")
    axes.set(xlabel="step", yscale="log")
    axes.legend(frameon=False)
    return figure


def _by_frame(results: list[Result]) -> Figure:
    figure, axes = _figure(8, 3)
    for (name, colour), result in zip(COLOURS.items(), results, strict=True):
        axes.plot(sorted(row["abs_rel"] for row in result.images), color=colour, label=name, lw=2)
    axes.set(xlabel="frames, best first", ylabel="AbsRel", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def _bars(times: dict[str, list[float]]) -> Figure:
    figure, axes = _figure(8, 1.6)
    axes.barh(list(times)[::-1], [min(values) for values in times.values()][::-1], color=COLOURS["student"])
    axes.set(xlabel="ms an image")
    return figure
