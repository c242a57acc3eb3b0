"""Image files as frames: what every data set begins with."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from leadline.data.masks import highlights, valid_area
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.io.images import image_size, read_image


class Images:
    """Image files as frames.

    Args:
        paths: the files.
        mask: which pixels carry picture, see :func:`open_mask`.
        drop_highlights: leave out wet highlights too, for endoscopy; elsewhere white things would be lost.
    """

    #: What models trained on them may be used for.
    licence: ClassVar[str] = "that of the data it was trained on"
    #: How processes begin that read frames ahead, see ``multiprocessing``; by default as the system begins them.
    start_method: ClassVar[str | None] = None

    def __init__(self, paths: Sequence[Path], mask: str = "none", drop_highlights: bool = False) -> None:
        self.paths = list(paths)
        self.mask = open_mask(mask, self.paths)
        self.drop_highlights = drop_highlights

    def __len__(self) -> int:
        return len(self.paths)

    def describe(self) -> str:
        """What they are, in words, for the card of a model."""
        return f"{len(self)} images"

    def fingerprint(self) -> str:
        """Number and names of the files, to tell whether a run that goes on has the same data."""
        return (
            f"{len(self.paths)} files, {hashlib.sha256('|'.join(p.name for p in self.paths).encode()).hexdigest()[:16]}"
        )

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image, without reading all of it."""
        return image_size(self.paths[index])

    def place(self, index: int) -> int:
        """Number of the place an image shows, where images of one place are cheap to get one after the other; by
        default every image is as cheap to get as any other."""
        return index

    def __getitem__(self, index: int) -> Frame:
        """The frame of one image.

        Raises:
            InputError: the file cannot be read, or the mask is not of its size.
        """
        path = self.paths[index]
        return self._framed(path, name=path.stem)

    def _framed(self, path: Path, mask: np.ndarray | None = None, **known: Any) -> Frame:
        """The frame of an image file, with what else is known of it, and the pixels masked that carry no picture."""
        image = np.divide(read_image(path), np.float32(255), dtype=np.float32)
        if self.mask is not None:
            if self.mask.shape != image.shape[:2]:
                mask_size = f"{self.mask.shape[1]}x{self.mask.shape[0]}"
                raise InputError(f"{path}: is {image.shape[1]}x{image.shape[0]} but the mask is {mask_size}")
            mask = self.mask if mask is None else self.mask & mask
        if self.drop_highlights:
            matt = ~highlights(torch.from_numpy(image).permute(2, 0, 1))[0].numpy()
            mask = matt if mask is None else matt & mask
        return Frame(image, mask=mask, **known)


def open_mask(spec: str, paths: Sequence[Path]) -> np.ndarray | None:
    """The pixels that carry picture in all of these images.

    Args:
        spec: ``none``: every pixel; ``auto``: without the dark surround of endoscope images, where all images have
            one size; else an image file, white = use, which can hide overlays too.
        paths: the images.

    Returns:
        (H, W) bool, or None for every pixel.

    Raises:
        InputError: the file cannot be read.
    """
    if spec == "none":
        return None
    if spec != "auto":
        return read_image(spec).min(axis=2) > 127
    chosen = paths[:: max(1, len(paths) // 40)]
    if len({image_size(path) for path in chosen}) != 1:
        return None
    area = valid_area((read_image(path) / 255).astype(np.float32) for path in chosen)
    return None if area.all() else area


def visible(folder: Path, pattern: str) -> list[Path]:
    """What a glob finds below a folder, by name, but hidden files: macOS puts a ``._NAME`` beside every other."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def numbered_images(folder: Path, prefix: str = "", ending: str = "") -> dict[int, Path]:
    """The PNG and JPEG images of a folder by their numbers, in order; where one is there as both, the PNG.

    Args:
        folder: it may be missing.
        prefix: what names have before the number.
        ending: what they have between the number and the suffix.
    """
    named = re.compile(rf"{re.escape(prefix)}(\d+){re.escape(ending)}\.(?:png|jpe?g)", re.IGNORECASE)
    paths = sorted(folder.iterdir(), key=lambda path: path.name.lower()) if folder.is_dir() else []
    found = {int(match[1]): path for path in paths if (match := named.fullmatch(path.name))}
    return dict(sorted(found.items()))


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it, each with the names of its files, in order of name.

    Links to folders are followed, but to each folder once; hidden files and folders are left out.
    """
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        state = Path(folder).stat()
        if (place := (state.st_dev, state.st_ino)) in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in names if not name.startswith("."))


def own_name(folder: Path) -> str:
    """The name of a folder, also of ``.`` and ``..``; a link has its own."""
    return Path(os.path.abspath(folder)).name  # noqa: PTH100
