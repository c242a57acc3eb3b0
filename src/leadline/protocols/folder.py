"""The protocol for one's own folder of images with depth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leadline import align
from leadline.data.folder import Folder
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.metrics.boundary import boundary_f1
from leadline.metrics.collection import DepthErrors
from leadline.metrics.depth import depth_errors

Predict = Callable[[np.ndarray], DepthMap]


@dataclass(frozen=True)
class FolderProtocol:
    """How the numbers are made.

    Ground truth and its mask as the folder says; truth outside the range does not count; predictions are aligned, then
    clamped to the range; errors are means over images.

    Args:
        alignment: a name of ``leadline.align.ALIGNMENTS``, by default what the prediction's kind calls for. The -video
            ones take the whole folder as one video.
        min_depth: smallest true depth judged, in the truth's unit.
        max_depth: largest true depth judged.
    """

    alignment: str | None = None
    min_depth: float = 1e-3
    max_depth: float = float("inf")

    def __post_init__(self) -> None:
        if not 0 < self.min_depth < self.max_depth:
            raise ConfigError(f"range: 0 < min_depth < max_depth is needed, not {self.min_depth} and {self.max_depth}")
        if self.alignment is not None:
            align.alignment(self.alignment)

    def evaluate(self, name: str, predict: Predict, frames: Folder) -> Result:
        """Judge a model.

        Args:
            name: of the model.
            predict: gives the depth map of an image (H, W, 3) in [0, 1].
            frames: images with true depth.

        Raises:
            KindError: the alignment does not fit the model's kind.
            InputError: an image or depth file cannot be read, or no image has valid truth.
        """
        kind = predict(frames[0].image).kind
        rule = align.alignment(self.alignment or align.default_for(kind))
        rule.check(kind)
        errors = DepthErrors()
        rows: list[dict[str, Any]] = []
        fits: list[align.Fit] = []
        with tempfile.TemporaryDirectory() as folder:
            kept = _Kept(predict, frames, self, Path(folder))
            whole = rule.fit(kept.predictions, kept.truths, kept.masks, kind) if rule.per == "video" else None
            for index in range(len(frames)):
                frame, prediction = kept.frame(index), kept.predictions[index]
                truth, mask = kept.truths[index], kept.masks[index]
                fit = whole or rule.fit([prediction], [truth], [mask], kind)
                fits += [] if whole and index else [fit]
                scale, shift = fit[index]
                aligned = np.clip(rule.apply(prediction, kind, scale, shift), self.min_depth, self.max_depth)
                given, true, judged = (
                    torch.from_numpy(np.ascontiguousarray(a)) for a in (aligned.astype(np.float32), truth, mask)
                )
                errors.update(given, true, judged, names=[frame.name])
                if not mask.any():
                    continue
                row = {name: float(value) for name, value in depth_errors(given, true, judged).items()}
                rows.append({"name": frame.name, "index": index, **row, "scale": scale, "shift": shift,
                             "boundary_f1": float(boundary_f1(given, true, judged))})  # fmt: skip
        if not rows:
            raise InputError(
                f"{frames.paths[0].parent}: none of {len(frames)} images has true depth between {self.min_depth:g} and "
                f"{self.max_depth:g}; check the unit, --depth.scale and the range"
            )
        means = {name: float(value) for name, value in errors.compute().items()}
        contours = [row["boundary_f1"] for row in rows if np.isfinite(row["boundary_f1"])]
        means["boundary_f1"] = float(np.mean(contours)) if contours else float("nan")
        unit = frames[0].depth.to_depth().unit  # type: ignore[union-attr]
        protocol = asdict(self) | {
            "name": "folder", "alignment": rule.name, "unit": unit, "averaging": "mean over images",
            "size": "of the images", "clamped": "after alignment",
        }  # fmt: skip
        return Result(name, str(kind), protocol, means | align.scale_statistics(fits), rows, errors.unjudged)

    def aligned(self, predict: Predict, frame: Frame, row: dict[str, Any]) -> np.ndarray:
        """(H, W) the aligned prediction a row of a result was made from, for looking at it."""
        prediction = predict(frame.image)
        rule = align.alignment(self.alignment or align.default_for(prediction.kind))
        depth = rule.apply(prediction.values, prediction.kind, row["scale"], row["shift"])
        return np.clip(depth, self.min_depth, self.max_depth)


@dataclass(frozen=True)
class Result:
    """Figures of one model.

    Args:
        model: its name.
        kind: of its output.
        protocol: how the figures were made.
        means: over images, with counts and statistics of the fitted scale.
        images: a row for each image judged.
        without_truth: names of the images that have no valid truth.
    """

    model: str
    kind: str
    protocol: dict[str, Any]
    means: dict[str, float]
    images: list[dict[str, Any]]
    without_truth: list[str]


class _Kept:
    """Predictions on disk, truths and masks read when asked for: a long video fits, and is predicted once."""

    def __init__(self, predict: Predict, frames: Folder, protocol: FolderProtocol, folder: Path) -> None:
        self._predict, self._frames, self._protocol, self._folder = predict, frames, protocol, folder
        self._last: tuple[int, Frame] | None = None
        self.predictions = _Lazy(len(frames), self._prediction)
        self.truths = _Lazy(len(frames), self._truth)
        self.masks = _Lazy(len(frames), self._mask)

    def frame(self, index: int) -> Frame:
        if self._last is None or self._last[0] != index:
            self._last = (index, self._frames[index])
        return self._last[1]

    def _prediction(self, index: int) -> np.ndarray:
        file = self._folder / f"{index}.npy"
        if not file.is_file():
            np.save(file, self._predict(self.frame(index).image).values)
        return np.load(file)

    def _truth(self, index: int) -> np.ndarray:
        return self.frame(index).depth.to_depth().values  # type: ignore[union-attr]

    def _mask(self, index: int) -> np.ndarray:
        frame = self.frame(index)
        truth = frame.depth.to_depth()  # type: ignore[union-attr]
        inside = (truth.values >= self._protocol.min_depth) & (truth.values <= self._protocol.max_depth)
        return truth.valid & inside & (True if frame.mask is None else frame.mask)


class _Lazy(Sequence[np.ndarray]):
    def __init__(self, count: int, load: Any) -> None:
        self._count, self._load = count, load

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._load(index)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._load(index) for index in range(self._count))
