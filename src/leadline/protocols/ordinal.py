"""Which of two points is nearer: the one question any depth map of any kind can answer."""

from __future__ import annotations

import numpy as np

from leadline.data.da2k import Da2k
from leadline.data.dataset import DataSet
from leadline.errors import ConfigError, InputError
from leadline.protocols.candidate import Candidate
from leadline.protocols.evaluation import Result, Row, described
from leadline.protocols.protocol import Protocol


class OrdinalProtocol(Protocol):
    """The share of pairs of points whose order the answer has right; equal or unknown depth is wrong.

    Nothing is aligned, so every kind is judged as it is.
    """

    def evaluate(self, candidate: Candidate, data: DataSet, workers: int = 0) -> Result:
        """See :meth:`Protocol.evaluate`; ``means`` holds ``accuracy`` over all pairs, as DA-2K counts it."""
        if not isinstance(data, Da2k):
            raise ConfigError(f"protocol: {self.name} judges data sets of ordered points (da2k), not {data.name}")
        rows: list[Row] = []
        failures: list[str] = []
        kind = None
        for index, id in enumerate(data.ids):
            try:
                answer = candidate(id, data[index])
            except InputError as error:
                failures.append(str(error))
                continue
            kind = answer.kind
            values = np.where(answer.valid, answer.values, np.nan) * (1 if kind.quantity == "disparity" else -1)
            if not (pairs := data.pairs(id)):
                continue
            height, width = answer.shape
            inside = [
                all(0 <= row < height and 0 <= column < width for row, column in (pair.nearer, pair.farther))
                for pair in pairs
            ]
            if not all(inside):
                failures.append(f"{data.image(id)}: annotations.json has points outside this {width}x{height} image")
                continue
            right = sum(bool(values[pair.nearer] > values[pair.farther]) for pair in pairs)
            rows.append({"name": id.sequence, "index": index, "accuracy": right / len(pairs), "pairs": len(pairs)})
        if not rows or kind is None:
            raise InputError(f"{data.root}: none of {len(data)} images can be judged; the first: {failures[0]}")
        pairs_judged = sum(row["pairs"] for row in rows)
        accuracy = sum(row["accuracy"] * row["pairs"] for row in rows) / pairs_judged
        means = {"accuracy": accuracy, "pairs": pairs_judged, "images": len(rows)}
        return Result(
            candidate.name, str(kind), described(self, data, "none", ""), means, rows, failures=failures
        )  # fmt: skip


DA2K = OrdinalProtocol(
    name="da-2k",
    about="Depth Anything V2's: which of two points is nearer, the share of all pairs answered right; no alignment.",
    data="da2k",
)
