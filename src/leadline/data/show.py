"""A page of random frames of a data set, with their depth drawn over them: what a loader made of the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leadline.data.dataset import DataSet
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.page import Page
from leadline.view import colour_bar, colourise, overlay, robust_range, side_by_side, thickened

#: Height of the pictures in pixels.
HEIGHT = 320


def chosen(data: DataSet, count: int, seed: int) -> list[int]:
    """Indices of random frames, in order; where several cameras took a frame together, all of them."""
    instants = data.instants()
    picked = np.random.default_rng(seed).permutation(len(instants))
    indices: list[int] = []
    for place in picked:
        if len(indices) >= count:
            break
        indices += instants[place]
    return sorted(indices)


def write_samples(data: DataSet, indices: Sequence[int], out: Path) -> tuple[Path, list[str]]:
    """Write the page.

    Args:
        data: the frames.
        indices: of those to show.
        out: folder of the page.

    Returns:
        The page, and what was wrong with frames that could not be read.

    Raises:
        InputError: none could be read, or the page cannot be written.
    """
    page = Page(out, f"{data.name}: {data.split}", f"{data.describe()}. {data.source}. Terms: {data.licence}.")
    failures = []
    for index in indices:
        try:
            frame = data[index]
        except InputError as error:
            failures.append(str(error))
            continue
        page.heading(str(data.ids[index]))
        page.picture(f"{index:06d}.jpg", picture(frame), facts(frame))
    if indices and len(failures) == len(indices):
        raise InputError(f"{data.root}: none of {len(indices)} frames can be read; the first: {failures[0]}")
    return page.write(), failures


def picture(frame: Frame) -> np.ndarray:
    """(H, W, 3) uint8: the image, its depth, and both, with a legend; the image alone where there is no depth."""
    image = (frame.image * 255).astype(np.uint8)
    if frame.mask is not None:
        image = np.where(frame.mask[..., None], image, image // 3)
    if frame.depth is None or not frame.depth.valid.any():
        return side_by_side([image], ["image"], HEIGHT)
    values, valid = frame.depth.values, frame.depth.valid
    quantity = frame.depth.kind.quantity
    low, high = robust_range(values, valid)
    drawn = values if quantity == "depth" else -values
    near, far = (low, high) if quantity == "depth" else (-high, -low)
    # small pictures: what is thinner than one of their pixels would be lost
    thick, where = thickened(drawn, valid, max(0, round(frame.height / HEIGHT / 2)))
    colours = colourise(thick, where, near, far, quantity="depth")
    legend = colour_bar(low, high, HEIGHT, quantity=quantity, unit=frame.depth.unit)
    both = overlay(image, drawn, valid, near, far)
    return side_by_side([image, colours, both, legend], ["image", "depth", "depth over image", ""], HEIGHT)


def facts(frame: Frame) -> str:
    """What is known of a frame, in a line."""
    parts = [f"{frame.width}x{frame.height}"]
    if frame.depth is not None and frame.depth.valid.any():
        known = frame.depth.values[frame.depth.valid]
        parts.append(
            f"{frame.depth.kind} {known.min():.3g} to {known.max():.3g} {frame.depth.unit}, "
            f"{100 * frame.depth.valid.mean():.1f} % of the pixels"
        )
    if frame.camera is not None:
        matrix = frame.camera.K
        parts.append(
            f"{frame.camera.model} fx {matrix[0, 0]:.5g} fy {matrix[1, 1]:.5g} cx {matrix[0, 2]:.5g} "
            f"cy {matrix[1, 2]:.5g}"
        )
    if frame.pose is not None:
        parts.append(f"at {' '.join(f'{value:.4g}' for value in frame.pose[:3, 3])}")
    if frame.time is not None:
        parts.append(f"{frame.time:.3f} s")
    others = ("mask", "normals", "reflective", "semantics", "diffuse", "residual", "forward_flow", "backward_flow")
    parts += [name.replace("_", " ") for name in others if getattr(frame, name) is not None]
    return "; ".join(parts)
