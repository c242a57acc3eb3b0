"""Semantic features kept on disk: a frozen encoder gives the same of the same image."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from leadline.io.atomic import writing


class TokenCache:
    """Features of one encoder of the frames of one data set, at one size, as float16; a file for each frame and for
    whether it is mirrored. Files appear whole, so that processes may share them.

    Args:
        folder: made when first written to; of one data set.
        key: identifies the encoder, and what of it is kept.
        size: (height, width) of the images.
    """

    def __init__(self, folder: str | os.PathLike[str], key: str, size: tuple[int, int]) -> None:
        self.folder = Path(folder) / f"{key}-{size[0]}x{size[1]}"

    def tokens(self, index: Tensor, mirrored: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Features of a batch, those that are missing made and kept. All come as they are kept, rounded, whether they
        were kept before or not.

        Args:
            index: (B,) of the frames.
            mirrored: (B,) bool.
            make: gives the features (N, C, h, w) of the N frames for which (B,) bool is true.

        Returns:
            (B, C, h, w) float32.

        Raises:
            InputError: the folder cannot be written to.
        """
        files = [self._file(*key) for key in zip(index.tolist(), mirrored.tolist(), strict=True)]
        missing = torch.tensor([not file.is_file() for file in files], device=index.device)
        if missing.any():
            made = make(missing).half().cpu().numpy()
            for file, values in zip(
                (f for f, new in zip(files, missing.tolist(), strict=True) if new), made, strict=True
            ):
                with writing(file) as temporary, temporary.open("wb") as opened:
                    np.save(opened, values)
        kept = torch.from_numpy(np.stack([np.load(file, allow_pickle=False) for file in files]))
        return kept.to(index.device).float()

    def _file(self, index: int, mirrored: bool) -> Path:
        return self.folder / f"{index:08d}{'-mirrored' * mirrored}.npy"
