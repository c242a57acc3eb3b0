"""Carrying a protocol out: decoding, network, alignment and metrics of different frames overlap, memory stays flat."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from leadline import align
from leadline.camera import Camera
from leadline.data.dataset import NONE, DataSet
from leadline.data.lists import FrameId, digest
from leadline.depth import LENGTHS, Kind
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.geometry.poses import relative
from leadline.metrics.boundary import boundary_f1
from leadline.metrics.cross_view import consistency, overlap_abs_rel
from leadline.metrics.depth import abs_rel, delta, depth_errors, l1, median_rel, rmse_log10
from leadline.metrics.pseudo_texture import pseudo_texture
from leadline.metrics.regions import in_region, near_borders, textureless, thin
from leadline.metrics.temporal import opw, temporal_alignment, tgm
from leadline.protocols.candidate import Candidate
from leadline.rig import ring

if TYPE_CHECKING:
    from leadline.protocols.protocol import Protocol

T = TypeVar("T")
U = TypeVar("U")
#: A row of figures: of an image, of a pair of frames, of an instant.
Row = dict[str, Any]

#: Scores of an image beside its depth errors: of aligned depth, truth (H, W), image (H, W, 3) and mask (H, W).
SCORES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "boundary_f1": lambda depth, truth, image, mask: boundary_f1(depth, truth, mask),
    "pseudo_texture": pseudo_texture,
    "l1": lambda depth, truth, image, mask: l1(depth, truth, mask),
    "median_rel": lambda depth, truth, image, mask: median_rel(depth, truth, mask),
    "rmse_log10": lambda depth, truth, image, mask: rmse_log10(depth, truth, mask),
    "abs_rel_borders": lambda depth, truth, image, mask: in_region(abs_rel, depth, truth, near_borders(truth, mask)),
    "delta1_borders": lambda depth, truth, image, mask: in_region(delta, depth, truth, near_borders(truth, mask)),
    "abs_rel_thin": lambda depth, truth, image, mask: in_region(abs_rel, depth, truth, thin(truth, mask)),
    "delta1_thin": lambda depth, truth, image, mask: in_region(delta, depth, truth, thin(truth, mask)),
    "abs_rel_textureless": lambda depth, truth, image, mask: in_region(abs_rel, depth, truth, textureless(image, mask)),
    "delta1_textureless": lambda depth, truth, image, mask: in_region(delta, depth, truth, textureless(image, mask)),
}


@dataclass(frozen=True)
class Result:
    """Figures of one candidate.

    Args:
        model: its name.
        kind: of its output.
        protocol: how the figures were made, in plain types.
        means: what is to be compared, with counts and statistics of the fitted scale.
        images: a row for each image judged.
        groups: means over single cameras, over single videos where each has its own alignment, and over the reflective
            pixels of images and over the others.
        pairs: a row for each pair of adjacent frames, or of neighbouring cameras, that was compared.
        without_truth: names of the images that have no valid truth.
        failures: what was wrong with the images that could not be judged, a line each.
    """

    model: str
    kind: str
    protocol: dict[str, Any]
    means: dict[str, float]
    images: list[Row]
    groups: dict[str, dict[str, float]] = field(default_factory=dict)
    pairs: list[Row] = field(default_factory=list)
    without_truth: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Answer:
    """A frame with what was answered: the pixels that count, and, where they are needed later, whole maps."""

    index: int
    id: FrameId
    predicted: np.ndarray  # (N,)
    true: np.ndarray  # (N,)
    groups: Mapping[str, np.ndarray]  # (N,) bool each
    camera: Camera | None
    pose: np.ndarray | None
    maps: _Maps | None


@dataclass(frozen=True)
class _Maps:
    predicted: np.ndarray  # (H, W)
    true: np.ndarray  # (H, W)
    mask: np.ndarray  # (H, W) bool, what counts
    usable: np.ndarray  # (H, W) bool, what carries picture
    image: np.ndarray  # (H, W, 3), or empty where nothing needs it
    flow: np.ndarray  # (H, W, 2), or empty


@dataclass(frozen=True)
class _Judged:
    id: FrameId
    row: Row | None  # None where there is no truth
    fit: align.Fit


class Evaluation:
    """One candidate under one protocol, once; see :meth:`Protocol.evaluate`."""

    def __init__(self, rules: Protocol, candidate: Candidate, data: DataSet, workers: int) -> None:
        if data.truth == NONE:
            raise ConfigError("truth: 'none' leaves nothing to judge by")
        if workers < 0:
            raise ConfigError(f"threads: at least 1, or 0 for one a core, not {workers}")
        self.rules, self.candidate, self.data = rules, candidate, data
        self.workers = workers or os.cpu_count() or 1
        self.failures: list[str] = []
        self.kind, self.unit = self._first()
        if self.unit in LENGTHS:  # that of the first frame is that of all
            self.rules = replace(rules, unit=self.unit)
        self.rule = rules.rule(self.kind)
        self.rule.check(self.kind)
        if rules.across:
            replace(rules, alignment=self.rule.name)  # refuses what does not go together

    def _first(self) -> tuple[Kind, str]:
        """Kind of the answers and unit of the truth; a frame that cannot be read is met, and reported, later."""
        problem = None
        for index in range(len(self.data)):
            try:
                id = self.data.ids[index]
                view = self.rules.seen(self.data, id)
                truth = self.rules.truth_of(self.data, id, view.frame)
                return self.rules.answer(self.candidate, id, view, truth)[1], truth.unit
            except InputError as error:
                problem = problem or error
        raise InputError(f"{self.data.root}: none of {len(self.data)} frames can be judged; the first: {problem}")

    def run(self) -> Result:
        """The figures.

        Raises:
            InputError: no image has valid truth.
        """
        judged: list[_Judged] = []
        pairs: list[Row] = []
        threads = torch.get_num_threads()
        try:
            with (
                tempfile.TemporaryDirectory() as folder,  # outlives the workers, which may still write when one failed
                # One thread a worker: several frames at a time keep cores busier than several threads at one frame.
                ThreadPoolExecutor(self.workers, initializer=torch.set_num_threads, initargs=(1,)) as self.pool,
            ):
                try:
                    for some, compared in self._progress(self._parts(Path(folder))):
                        judged += some
                        pairs += compared
                except BaseException:
                    self.pool.shutdown(cancel_futures=True)  # else all that was ahead would still be done
                    raise
        finally:
            torch.set_num_threads(threads)
        rows = [each.row for each in judged if each.row is not None]
        if not rows:
            raise InputError(
                f"{self.data.root}: none of {len(self.data)} images has true depth between {self.rules.min_depth:g} "
                f"and {self.rules.max_depth:g} {self.unit}; check the unit, --depth_scale and the range"
            )
        fits = {id(each.fit): each.fit for each in judged if each.row is not None}  # a video's frames share one
        means, groups = self._means(rows, pairs)
        without = [str(each.id) for each in judged if each.row is None]
        means |= {"images": len(rows), "without_truth": len(without)} | align.scale_statistics(fits.values())
        return Result(
            self.candidate.name,
            str(self.kind),
            described(self.rules, self.data, self.rule.name, self.unit)
            | {"judged_frames": len(rows), "judged_digest": digest(self.data.ids[row["index"]] for row in rows)},
            means,
            rows,
            groups,
            pairs,
            without,
            self.failures,
        )

    def _progress(self, parts: Iterable[T]) -> Iterator[T]:
        console = Console(stderr=True)
        yield from track(parts, self.candidate.name, console=console, disable=not console.is_terminal, transient=True)

    def _parts(self, folder: Path) -> Iterator[tuple[list[_Judged], list[Row]]]:
        """Frames judged, and pairs of them compared, as they become ready."""
        ids = self.data.ids
        if self.rule.per == "video" or self.rules.temporal:
            videos: dict[tuple[str, str], list[int]] = {}
            for index, id in enumerate(ids):
                videos.setdefault((id.sequence, id.camera), []).append(index)
            for number, indices in enumerate(videos.values()):
                yield from self._video(indices, folder / str(number))
        elif self.rules.across:
            yield from self._map(self._instant, self.data.instants())
        else:
            yield from self._map(lambda index: ([self._judge(self._ask(index))], []), range(len(ids)))

    def _map(self, function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
        """Results in order, computed ahead by the workers; what cannot be read is reported, the rest goes on."""

        def guarded(item: T) -> U | InputError:
            try:
                return function(item)
            except InputError as error:
                return error
            except SystemError:
                # Python 3.11 now and then confuses threads that parse numpy's headers at one time (cpython gh-106905).
                return function(item)

        for result in self.pool.map(guarded, items):
            if isinstance(result, InputError):
                self.failures.append(str(result))
            else:
                yield result

    def _ask(self, index: int, frame: Frame | None = None, maps: bool = False) -> _Answer:
        rules, id = self.rules, self.data.ids[index]
        view = rules.seen(self.data, id, frame)
        frame = view.frame
        truth = rules.truth_of(self.data, id, frame)
        values, kind = rules.answer(self.candidate, id, view, truth)
        if kind != self.kind:
            raise InputError(f"{id}: the prediction is {kind} but that of the first frame {self.kind}")
        mask = rules.counts(id, frame, truth)
        groups = {}
        if frame.reflective is not None:
            groups = {"reflective": frame.reflective[mask], "elsewhere": ~frame.reflective[mask]}
        kept = None
        if maps or rules.scores:
            usable = np.ones_like(mask) if frame.mask is None else frame.mask
            flow = np.empty(0) if frame.forward_flow is None else frame.forward_flow
            image = frame.image if rules.scores or flow.size else np.empty(0)
            kept = _Maps(values, truth.values, mask, usable, image, flow)
        return _Answer(index, id, values[mask], truth.values[mask], groups, frame.camera, frame.pose, kept)

    def _fit(self, answers: Sequence[_Answer]) -> align.Fit:
        """Over the pixels that count; answers may be read from disk one by one, several times."""
        predicted, true = (_Each(answers, partial(_array, name)) for name in ("predicted", "true"))
        return self.rule.fit(predicted, true, _Each(answers, _everywhere), self.kind)

    def _depth(self, values: np.ndarray, fit: align.Fit) -> np.ndarray:
        return self.rules.aligned(values, self.kind, *fit[0])

    def _judge(self, answer: _Answer, fit: align.Fit | None = None) -> _Judged:
        fit = fit or self._fit([answer])
        if not len(answer.true):
            return _Judged(answer.id, None, fit)
        depth, (scale, shift) = self._depth(answer.predicted, fit), fit[0]
        row: Row = {"name": str(answer.id), "index": answer.index, **_errors(depth, answer.true)}
        row |= {"scale": scale, "shift": shift, "unanswered": float(np.isnan(answer.predicted).mean())}
        for name, pixels in answer.groups.items():
            if pixels.any():
                errors = _errors(depth[pixels], answer.true[pixels])
                row |= {f"{name}/{key}": value for key, value in errors.items()}
        if self.rules.scores and answer.maps is not None:
            each = (self._depth(answer.maps.predicted, fit), answer.maps.true, answer.maps.image, answer.maps.mask)
            tensors = [torch.from_numpy(np.ascontiguousarray(values)) for values in each]
            row |= {name: float(SCORES[name](*tensors)) for name in self.rules.scores}
        return _Judged(answer.id, row, fit)

    def _instant(self, indices: Sequence[int]) -> tuple[list[_Judged], list[Row]]:
        """What several cameras saw at once, judged and compared; a camera that cannot be read is left out."""
        rig, _ = self.data.readable_rig(indices)  # what is wrong with the others is said when they are asked
        answers = []
        for index in indices:
            frame = rig.get(self.data.ids[index].camera) if rig else None
            try:
                answers.append(self._ask(index, frame, maps=True))
            except InputError as error:
                self.failures.append(str(error))
        judged = [self._judge(answer) for answer in answers]
        if rig is None or rig.pose is None or any(a.pose is None or a.camera is None for a in answers):
            return judged, []
        mounts = [relative(answer.pose, rig.pose) for answer in answers]
        depths = [self._depth(a.maps.predicted, each.fit) for a, each in zip(answers, judged, strict=True) if a.maps]
        rows = []
        for one, other in ring(mounts):
            pair = [answers[one], answers[other]]
            maps = [answer.maps for answer in pair if answer.maps]
            where = [answer.camera for answer in pair if answer.camera], [mounts[one], mounts[other]]
            found = consistency([depths[one], depths[other]], [each.usable for each in maps], *where)
            wrong = overlap_abs_rel(depths[one], [each.true for each in maps], [each.mask for each in maps], *where)
            row: Row = {"name": f"{pair[0].id} {pair[1].id.camera}"}
            row |= {"cross_view": found.difference, "cross_view_relative": found.relative} if found.overlap else {}
            row |= {"overlap_abs_rel": wrong.abs_rel} if wrong.overlap else {}
            rows.append(row)
        return judged, rows

    def _video(self, indices: Sequence[int], folder: Path) -> Iterator[tuple[list[_Judged], list[Row]]]:
        """Frames of one video; answers wait on disk until the alignment is known, so any length fits into memory."""
        folder.mkdir()

        def stored(index: int) -> _Answer:
            return _store(self._ask(index, maps=self.rules.temporal), folder)

        answers = list(self._map(stored, indices))
        fit = self._fit(answers) if self.rule.per == "video" and answers else None
        fits = {}
        for judged in self._map(lambda answer: self._judge(_restore(answer), fit), answers):
            fits[judged.id] = judged.fit
            yield [judged], []
        if self.rules.temporal:
            pairs = [(a, b) for a, b in itertools.pairwise(answers) if {a.id, b.id} <= fits.keys()]
            adjacent = [(a, b) for a, b in pairs if b.id.number == a.id.number + 1]
            yield from self._map(lambda pair: ([], self._adjacent(pair, fits)), adjacent)
        shutil.rmtree(folder)

    def _adjacent(self, pair: Sequence[_Answer], fits: Mapping[FrameId, align.Fit]) -> list[Row]:
        """How steady two frames of a video are; what needs poses or flow only where they are known."""
        one, other = pair = [_restore(answer) for answer in pair]
        maps = [answer.maps for answer in pair if answer.maps is not None]
        depths = [self._depth(each.predicted, fits[answer.id]) for each, answer in zip(maps, pair, strict=True)]
        masks = [each.mask for each in maps]
        row: Row = {"name": f"{one.id} {other.id.number:06d}"}
        if not all(mask.any() for mask in masks):
            return []
        if one.camera is not None and other.camera is not None and one.pose is not None and other.pose is not None:
            geometry = (one.camera, other.camera), (one.pose, other.pose)
            clean = temporal_alignment(depths, masks, *geometry)
            row |= {"tae": clean.tae, "tas": clean.tas} if clean.overlap else {}
            if one.camera.model == other.camera.model == "pinhole":
                published = temporal_alignment(depths, masks, *geometry, mode="depthcrafter")
                row |= (
                    {"tae_depthcrafter": published.tae, "tas_depthcrafter": published.tas} if published.overlap else {}
                )
        steady = {"tgm": tgm(depths, [each.true for each in maps], masks)}
        if maps[0].flow.size:
            steady["opw"] = opw(depths, masks, [each.image for each in maps], maps[0].flow)
        return [row | {name: value for name, value in steady.items() if not np.isnan(value)}]

    def _means(self, rows: Sequence[Row], pairs: Sequence[Row]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        groups: dict[str, dict[str, float]] = {}
        for name in ("reflective", "elsewhere"):
            own = [
                {key.removeprefix(f"{name}/"): row[key] for key in row if key.startswith(f"{name}/")} for row in rows
            ]
            if any(own):
                groups[name] = _mean(own) | {"images": sum(map(bool, own))}
        cameras: dict[str, list[Row]] = {}
        for row in rows:
            cameras.setdefault(self.data.ids[row["index"]].camera, []).append(row)
        if len(cameras) > 1:
            groups |= {camera: _mean(own) | {"images": len(own)} for camera, own in cameras.items()}
        if self.rule.per == "video":
            videos: dict[str, list[Row]] = {}
            for row in rows:
                videos.setdefault(self.data.ids[row["index"]].sequence, []).append(row)
            if len(videos) > 1:
                groups |= {video: _mean(own) | {"images": len(own)} for video, own in videos.items()}
        if self.rules.average == "cameras":
            each = [_mean(own) for own in cameras.values()]
            means = {name: float(np.mean([mean[name] for mean in each])) for name in each[0]}
        else:
            means = _mean(rows)
        means |= _mean(pairs)
        main = "cross_view" if self.rules.across else "tae"
        if any(main in pair for pair in pairs):
            without = sum(main not in pair for pair in pairs)
            means |= {"pairs": len(pairs) - without, "pairs_without_overlap": without}
        return means, groups


def described(rules: Protocol, data: DataSet, alignment: str, unit: str) -> dict[str, Any]:
    """How figures were made, in plain types: all that two results have to share to be comparable."""
    plain = {key: value for key, value in asdict(rules).items() if key != "published"}
    windows = {key: str(window) if (window := getattr(rules, key)) else "all" for key in ("view", "judged")}
    made = {
        "split": data.split, "frames": len(data), "incomplete": data.incomplete, "digest": data.digest,
        "truth": data.truth, "masks": data.masks, "alignment": alignment, "unit": unit, "clamped": "after alignment",
        "versions": {name: version(name) for name in ("leadline", "torch", "numpy")},
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }  # fmt: skip
    return plain | windows | made


class _Each(Sequence[U]):
    """A function of the items of a sequence, taken when asked for."""

    def __init__(self, items: Sequence[T], function: Callable[[T], U]) -> None:
        self._get, self._count = (lambda index: function(items[index])), len(items)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._get(range(self._count)[index])


def _errors(depth: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    pixels = torch.from_numpy(depth)[None], torch.from_numpy(truth)[None]
    return {
        name: float(value)
        for name, value in depth_errors(*pixels, torch.ones_like(pixels[0], dtype=torch.bool)).items()
    }


def _mean(rows: Sequence[Row]) -> dict[str, float]:
    """Of every figure over the rows that have it. A score that some images cannot have is the mean over the others; an
    error is never NaN but by the model's fault, and then the mean shows it."""
    names = dict.fromkeys(
        key for row in rows for key, value in row.items() if isinstance(value, float) and "/" not in key
    )
    found = {}
    for name in names:
        if name in ("scale", "shift"):
            continue
        values = np.array([row[name] for row in rows if name in row])
        if name in SCORES:
            values = values[~np.isnan(values)]
        found[name] = float(values.mean()) if len(values) else float("nan")
    return found


@dataclass(frozen=True)
class _Stored(_Answer):
    """An answer whose arrays wait in a file."""

    file: Path
    count: int  # of pixels


def _store(answer: _Answer, folder: Path) -> _Stored:
    arrays = {f"group/{name}": pixels for name, pixels in answer.groups.items()}
    if answer.maps is None:
        arrays |= {"predicted": answer.predicted, "true": answer.true}
    else:  # which hold those
        arrays |= {f"map/{name}": values for name, values in vars(answer.maps).items()}
    file, nothing = folder / f"{answer.index}.npz", np.empty(0)
    try:
        np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot keep the answers to a video until its alignment is known ({error.strerror}); "
            "TMPDIR=FOLDER puts them elsewhere"
        ) from None
    count = len(answer.true)
    return _Stored(answer.index, answer.id, nothing, nothing, {}, answer.camera, answer.pose, None, file, count)


def _restore(answer: _Answer) -> _Answer:
    if not isinstance(answer, _Stored):
        return answer
    with np.load(answer.file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    groups, maps = (
        {name.removeprefix(kind): values for name, values in arrays.items() if name.startswith(kind)}
        for kind in ("group/", "map/")
    )
    whole = _Maps(**maps) if maps else None
    predicted, true = (getattr(whole, key)[whole.mask] if whole else arrays[key] for key in ("predicted", "true"))
    return _Answer(answer.index, answer.id, predicted, true, groups, answer.camera, answer.pose, whole)


def _array(name: str, answer: _Answer) -> np.ndarray:
    """``predicted`` or ``true`` of an answer, without the rest of its file."""
    if not isinstance(answer, _Stored):
        return getattr(answer, name)
    with np.load(answer.file) as stored:
        return stored[name] if name in stored.files else stored[f"map/{name}"][stored["map/mask"]]


def _everywhere(answer: _Answer) -> np.ndarray:
    return np.ones(answer.count if isinstance(answer, _Stored) else len(answer.true), bool)
