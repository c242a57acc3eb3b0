"""How numbers are made: one object holds everything that two results have to share to be comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from leadline import align
from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId
from leadline.data.transforms import Crop, nearest_pixels
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.protocols.candidate import Candidate
from leadline.protocols.evaluation import SCORES, Evaluation, Result
from leadline.protocols.windows import Window


@dataclass(frozen=True)
class Published:
    """Figures others printed for a protocol, to stand beside one's own.

    Args:
        model: and what is to be known of it, such as its input size.
        figures: by the names of :attr:`Result.means`.
        source: where they were printed.
    """

    model: str
    figures: Mapping[str, float]
    source: str


class View(NamedTuple):
    """What a model sees of a frame.

    Args:
        frame: that part.
        whole: (height, width) of the whole image.
        window: rows and columns of the part; None for all.
    """

    frame: Frame
    whole: tuple[int, int]
    window: tuple[slice, slice] | None


@dataclass(frozen=True)
class Protocol:
    """A benchmark's rules.

    In this order: the model sees the frame, or :attr:`view` of it, and answers at its size; truth within the range and
    within :attr:`judged` counts; the answer is aligned to it, then clamped to the range; errors are taken image by
    image and averaged. Truth on the edges of the range does not count, as in the field's evaluators. A pixel without
    an answer (an invalid one of the prediction) gets the end of the range that a depth, or disparity, of 0 would be
    clamped to, and the share of such pixels is a figure, ``unanswered``; where a model answers nothing its figures are
    NaN.

    Args:
        name: what the command line calls it.
        about: in a sentence, whose rules they are and what they are known for.
        data: name of the data set.
        split: of the data set.
        truth: of the data set; by default its first.
        alignment: a name of ``leadline.align.ALIGNMENTS``; by default what the prediction's kind calls for.
        min_depth: truth at or below it does not count, in ``unit``.
        max_depth: truth at or above it does not count.
        unit: of truth, range and errors; by default the data set's own.
        view: what the model sees of an image; by default all.
        judged: which part of the view counts; by default all.
        average: ``images``: the mean over images; ``cameras``: the mean of the cameras' means.
        scores: further scores of an image, names of :data:`SCORES`; they need dense truth.
        temporal: whether adjacent frames are compared, TAE and TAS.
        across: whether neighbouring cameras of a rig are compared.
        published: figures of others.

    Raises:
        ConfigError: the range is empty, or a name is not known.
    """

    name: str
    about: str
    data: str
    split: str | None = None
    truth: str | None = None
    alignment: str | None = None
    min_depth: float = 1e-3
    max_depth: float = float("inf")
    unit: str | None = None
    view: Window | None = None
    judged: Window | None = None
    average: str = "images"
    scores: tuple[str, ...] = ()
    temporal: bool = False
    across: bool = False
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.min_depth < self.max_depth:
            raise ConfigError(f"range: 0 < min_depth < max_depth is needed, not {self.min_depth} and {self.max_depth}")
        if self.alignment is not None:
            align.alignment(self.alignment)
        if self.across and (self.temporal or (self.alignment and align.alignment(self.alignment).per == "video")):
            raise ConfigError(f"alignment: {self.name} compares cameras at one instant, which goes image by image only")
        if missing := set(self.scores) - set(SCORES):
            raise ConfigError(f"scores: {', '.join(sorted(missing))}: not known; there is {', '.join(SCORES)}")

    def view_of(self, id: FrameId, height: int, width: int) -> tuple[slice, slice] | None:
        """Rows and columns the model sees of a frame; None for all."""
        del id
        return self.view.of(height, width) if self.view else None

    def judged_in(self, id: FrameId, height: int, width: int) -> tuple[slice, slice] | None:
        """Rows and columns that count of a view; None for all."""
        del id
        return self.judged.of(height, width) if self.judged else None

    def truth_of(self, data: DataSet, id: FrameId, view: Frame) -> DepthMap:
        """What an answer to a view is compared with, nowhere valid for a frame without depth; an answer of another size
        is resized to it."""
        del data, id
        if view.depth is None:
            return DepthMap(np.zeros((view.height, view.width)), Kind("depth", "nothing"), self.unit or "m")
        depth = view.depth.to_depth()
        return depth.to_unit(self.unit) if self.unit and depth.kind.up_to == "nothing" else depth

    def resized(self, answer: DepthMap, size: tuple[int, int]) -> DepthMap:
        """An answer at the size of the truth: bilinear in its own quantity, as OpenCV has it; where pixels have no
        answer the nearest ones are looked up."""
        if not answer.valid.all():
            pick = nearest_pixels(answer.shape, size)
            return DepthMap(answer.values[pick], answer.kind, answer.unit, answer.valid[pick])
        values = torch.from_numpy(answer.values)[None, None]
        values = functional.interpolate(values, size, mode="bilinear", align_corners=False)
        return DepthMap(values[0, 0].numpy(), answer.kind, answer.unit)

    def answer(self, candidate: Candidate, id: FrameId, view: View, truth: DepthMap) -> tuple[np.ndarray, Kind]:
        """What a candidate says of a frame, at the truth's size and, where it is metric, in its unit; NaN where it
        says nothing. An answer to the whole image is cropped to the view.

        Raises:
            InputError: it has the shape neither of the view nor of the whole image.
        """
        answer = candidate(id, view.frame)
        size, whole = (view.frame.height, view.frame.width), view.whole
        if answer.shape != size and not _alike(answer.shape, size):
            if not _alike(answer.shape, whole):
                raise InputError(
                    f"{id}: the prediction is {answer.shape[1]}x{answer.shape[0]}, which is the shape neither of the "
                    f"image ({whole[1]}x{whole[0]}) nor of what this protocol shows of it ({size[1]}x{size[0]})"
                )
            if answer.shape != whole:
                answer = self.resized(answer, whole)
            if view.window:
                values, valid = answer.values[view.window], answer.valid[view.window]
                answer = DepthMap(values, answer.kind, answer.unit, valid)
        if answer.shape != truth.shape:
            answer = self.resized(answer, truth.shape)
        if answer.kind.up_to == truth.kind.up_to == "nothing":
            answer = answer.to_unit(truth.unit if answer.kind.quantity == "depth" else f"1/{truth.unit}")
        return np.where(answer.valid, answer.values, np.float32(np.nan)), answer.kind

    def aligned(self, values: np.ndarray, kind: Kind, scale: float, shift: float) -> np.ndarray:
        """An answer of any shape as depth, aligned and clamped, float32; pixels without an answer become the end of the
        range that a depth or a disparity of 0 is clamped to."""
        depth = self.rule(kind).apply(values, kind, scale, shift)
        depth = np.clip(depth, self.min_depth, self.max_depth).astype(np.float32)
        if np.isfinite(scale):  # else nothing was answered at all, and that is to be seen
            depth[np.isnan(depth)] = self.min_depth if kind.quantity == "depth" else self.max_depth
        return depth

    def evaluate(self, candidate: Candidate, data: DataSet, workers: int = 0) -> Result:
        """Judge a candidate.

        Decoding, network and metrics of different frames overlap: each worker takes a frame through all of them.

        Args:
            candidate: who answers.
            data: the frames.
            workers: threads; 0 takes one a core.

        Raises:
            KindError: the alignment does not fit the candidate's kind.
            InputError: no image has valid truth, or none can be read.
        """
        return Evaluation(self, candidate, data, workers).run()

    def seen(self, data: DataSet, id: FrameId, frame: Frame | None = None) -> View:
        """What the model sees of a frame, with its truth, camera and pose; the frame is loaded unless it is given."""
        frame = frame or data.load(id)
        whole = (frame.height, frame.width)
        window = self.view_of(id, *whole)
        if window is not None:
            rows, columns = window
            frame = Crop(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)(frame)
        return View(frame, whole, window)

    def rule(self, kind: Kind) -> align.Alignment:
        """The alignment of predictions of a kind."""
        return align.alignment(self.alignment or align.default_for(kind))

    def counts(self, id: FrameId, view: Frame, truth: DepthMap) -> np.ndarray:
        """(H, W) bool, the pixels of the truth that are judged."""
        mask = truth.valid & (truth.values > self.min_depth) & (truth.values < self.max_depth)
        if view.mask is not None:
            mask &= view.mask[nearest_pixels(view.mask.shape, mask.shape)]
        if (window := self.judged_in(id, *truth.shape)) is not None:
            inside = np.zeros_like(mask)
            inside[window] = True
            mask &= inside
        return mask


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have the same shape, but for rounding."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) < 0.02
