"""Teacher labels kept on disk: a teacher is slow and its answers do not change."""

from __future__ import annotations

import hashlib
import os
import zipfile
from functools import cached_property
from pathlib import Path

import numpy as np

from leadline.depth import Kind
from leadline.errors import InputError
from leadline.foundation.base import DepthModel, digest
from leadline.io.atomic import writing


class LabelCache:
    """Labels of one teacher at one size.

    Stored as float16 with a scale (and, for affine kinds, a shift) of the label's own, so that neither a
    depth in millimetres overflows nor a disparity of 1000.0 to 1000.5 is crushed: the error stays below 1e-3
    of a value for depth and disparity known up to scale, of the label's largest deviation from its median for
    affine kinds. Any number of processes may read and write: files appear whole, and the last of two equal
    ones wins.

    Args:
        folder: made when first written to; one folder may serve any number of teachers and sizes.
        teacher: whose labels these are.
        size: (height, width) of the labels.
    """

    def __init__(self, folder: str | os.PathLike[str], teacher: DepthModel, size: tuple[int, int]) -> None:
        self.folder = Path(folder)
        self.size = (int(size[0]), int(size[1]))
        self._affine = Kind.parse(teacher.kind).up_to == "affine"
        self._teacher = teacher
        self._files: dict[tuple[str, int, int], str] = {}

    def key(self, path: str | os.PathLike[str], frame: int | None = None) -> str:
        """Identifies the label of an image file, or of one frame of a video, by content: a renamed file keeps
        its own.

        Raises:
            InputError: the file cannot be read.
        """
        return self._hash(self._file(Path(path)), "" if frame is None else str(frame))

    def get(self, key: str) -> np.ndarray | None:
        """The label (height, width) float32, NaN = invalid; None where there is none or it is damaged."""
        try:
            with self._path(key).open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
                label, scale, shift = stored["label"], stored["scale"], stored["shift"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if label.shape != self.size or label.dtype != np.float16:
            return None
        return (label.astype(np.float64) * scale + shift).astype(np.float32)

    def put(self, key: str, label: np.ndarray) -> None:
        """Keep a label.

        Args:
            key: from :meth:`key`.
            label: (height, width); whatever is not finite is kept as NaN.

        Raises:
            InputError: the label has another size, or the folder cannot be written to.
        """
        if label.shape != self.size:
            raise InputError(f"{self.folder}: labels here are {self.size} (height, width), not {label.shape}")
        values = np.where(np.isfinite(label), label, np.nan).astype(np.float64)
        known = values[np.isfinite(values)]
        shift = float(np.median(known)) if self._affine and known.size else 0.0
        largest = float(np.abs(known - shift).max(initial=0.0))
        # A power of two, so that scaling itself is exact; the largest value comes to lie in [2^14, 2^15).
        scale = 2.0 ** (np.frexp(largest)[1] - 15) if largest else 1.0
        with writing(self._path(key)) as temporary, temporary.open("wb") as opened:
            np.savez(opened, label=((values - shift) / scale).astype(np.float16), scale=scale, shift=shift)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:4] / f"{key}.npz"

    @cached_property
    def _digest(self) -> str:
        # Once, and only when asked for: a digest may take reading all weights.
        return self._teacher.digest

    def _hash(self, *parts: str) -> str:
        return hashlib.sha256("|".join([*parts, self._digest, *map(str, self.size)]).encode()).hexdigest()

    def _file(self, path: Path) -> str:
        """Content of a file; remembered, so that a video is not read again for every frame."""
        try:
            status = path.stat()
            identity = (str(path), status.st_size, status.st_mtime_ns)
            if identity not in self._files:
                self._files[identity] = digest([path])
            return self._files[identity]
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
