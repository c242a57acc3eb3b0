"""The images a model does worst on, as one picture."""

from __future__ import annotations

import numpy as np

from leadline.data.folder import Folder
from leadline.protocols.folder import FolderProtocol, Predict, Result
from leadline.view import colourise, contact_sheet, robust_range


def worst_cases(protocol: FolderProtocol, predict: Predict, frames: Folder, result: Result, count: int) -> np.ndarray:
    """(H, W, 3) uint8: a row an image, worst first: image, truth, aligned prediction, |error| / truth from 0 to 0.5."""
    rows = []
    for row in sorted(result.images, key=lambda row: -row["abs_rel"])[:count]:
        frame = frames[row["index"]]
        assert frame.depth is not None
        truth = frame.depth.to_depth()
        aligned = protocol.aligned(predict, frame, row)
        low, high = robust_range(truth.values, truth.valid)
        everywhere = np.ones_like(truth.valid)
        error = np.abs(aligned - truth.values) / np.where(truth.valid, truth.values, 1)
        rows.append(
            [
                (frame.image * 255).astype(np.uint8),
                colourise(truth.values, truth.valid, low, high, quantity="depth"),
                colourise(aligned, everywhere, low, high, quantity="depth"),
                colourise(error, truth.valid, 0, 0.5, colormap="magma"),
            ]
        )
    return contact_sheet(rows, ["image", "truth", "aligned prediction", "|error| / truth, 0..0.5"], height=200)
