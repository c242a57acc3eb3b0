"""How numbers are made: one object holds everything that two results have to share to be comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from leadline import align
from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId
from leadline.data.transforms import Crop, nearest_pixels
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError
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
        """An answer at the size of the truth."""
        pick = nearest_pixels(answer.shape, size)
        return DepthMap(answer.values[pick], answer.kind, answer.unit, answer.valid[pick])

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

    def aligned(self, candidate: Candidate, data: DataSet, row: Mapping[str, Any]) -> tuple[Frame, DepthMap, DepthMap]:
        """The view, the truth and the aligned answer a row of a result was made from, for looking at them."""
        id = data.ids[row["index"]]
        view = self.seen(data, id)
        answer = candidate(id, view.image)
        truth = self.truth_of(data, id, view)
        if answer.shape != truth.shape:
            answer = self.resized(answer, truth.shape)
        depth = self.rule(answer.kind).apply(answer.values, answer.kind, row["scale"], row["shift"])
        return view, truth, DepthMap(np.clip(depth, self.min_depth, self.max_depth), truth.kind, truth.unit)

    def seen(self, data: DataSet, id: FrameId) -> Frame:
        """What the model sees of a frame, with its truth, camera and pose."""
        frame = data.load(id)
        window = self.view_of(id, frame.height, frame.width)
        if window is None:
            return frame
        rows, columns = window
        return Crop(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)(frame)

    def rule(self, kind: Kind) -> align.Alignment:
        """The alignment of predictions of a kind."""
        return align.alignment(self.alignment or align.default_for(kind))

    def counts(self, id: FrameId, view: Frame, truth: DepthMap) -> np.ndarray:
        """(H, W) bool, the pixels of the truth that are judged."""
        mask = truth.valid & (truth.values > self.min_depth) & (truth.values < self.max_depth)
        if view.mask is not None and view.mask.shape == mask.shape:
            mask &= view.mask
        if (window := self.judged_in(id, *truth.shape)) is not None:
            inside = np.zeros_like(mask)
            inside[window] = True
            mask &= inside
        return mask
