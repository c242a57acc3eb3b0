"""An image with what is known of it, and images in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as _replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from leadline.errors import InputError

if TYPE_CHECKING:
    from leadline.camera import Camera
    from leadline.depth import DepthMap


@dataclass(frozen=True)
class Frame:
    """One image with what is known of it.

    Args:
        image: (H, W, 3) floating point RGB in [0, 1]; kept as float32.
        depth: (H, W) truth or label of any kind.
        camera: of the image; its size must be the image's.
        pose: (4, 4) camera-to-world, OpenCV axes, rotation and translation; kept as float64. The translation
            is in the unit of metric depth where there is one.
        time: in seconds.
        sequence: what the frame belongs to; frames of one clip share it.
        name: unique within the sequence.
        mask: (H, W) bool, True where pixels may be used; None for all.
        normals: (H, W, 3) of the surfaces, unit length, camera axes; kept as float32.
        reflective: (H, W) bool, True where a highlight, a reflection or what is behind glass hides the surface's own
            colour.
        semantics: (H, W) integers, classes that the data set names.
        diffuse: (H, W, 3) the image without those: what surfaces throw back the same way to every side; kept as
            float32.
        residual: (H, W, 3) what ``diffuse`` is multiplied with to get the image, free of noise; 1 where it is all
            there is; kept as float32.
        forward_flow: (H, W, 2) in pixels, right and down, to where what is seen here is seen in the next frame; NaN
            where it is not seen there; kept as float32.
        backward_flow: the same to the frame before.

    Raises:
        InputError: shapes disagree, the image is not in [0, 1], or the pose is no rigid motion.
    """

    image: np.ndarray
    depth: DepthMap | None = None
    camera: Camera | None = None
    pose: np.ndarray | None = None
    time: float | None = None
    sequence: str | None = None
    name: str = ""
    mask: np.ndarray | None = None
    normals: np.ndarray | None = None
    reflective: np.ndarray | None = None
    semantics: np.ndarray | None = None
    diffuse: np.ndarray | None = None
    residual: np.ndarray | None = None
    forward_flow: np.ndarray | None = None
    backward_flow: np.ndarray | None = None

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        if image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise self._error(f"image is {image.shape}, not (height, width, 3)")
        if image.dtype.kind != "f":
            raise self._error(f"image is {image.dtype}, not floating point in [0, 1]; divide by 255")
        sample = image[::16, ::16]  # a wrong range shows everywhere, and large images are made often
        if not (sample.min() >= -1e-3 and sample.max() <= 1 + 1e-3):
            raise self._error(f"image has values from {sample.min():g} to {sample.max():g}, not in [0, 1]")
        object.__setattr__(self, "image", image.astype(np.float32, copy=False))
        size = image.shape[:2]
        for name in ("mask", "reflective"):
            flags = getattr(self, name)
            if flags is not None and (flags.dtype != bool or flags.shape != size):
                raise self._error(f"{name} is {flags.dtype} {flags.shape}, not bool {size}")
        if self.semantics is not None and (self.semantics.dtype.kind not in "iu" or self.semantics.shape != size):
            raise self._error(f"semantics is {self.semantics.dtype} {self.semantics.shape}, not integers {size}")
        for name in ("normals", "diffuse", "residual", "forward_flow", "backward_flow"):
            values, shape = getattr(self, name), (*size, 2 if name.endswith("flow") else 3)
            if values is not None:
                if values.shape != shape:
                    raise self._error(f"{name} is {values.shape}, not {shape}")
                object.__setattr__(self, name, values.astype(np.float32, copy=False))
        if self.depth is not None and self.depth.values.shape != size:
            raise self._error(f"depth is {self.depth.values.shape} but the image {size} (height, width)")
        if self.camera is not None and (self.camera.height, self.camera.width) != size:
            raise self._error(
                f"camera is of {self.camera.height}x{self.camera.width} pixels but the image has "
                f"{size[0]}x{size[1]} (height x width); see Camera.fit and Camera.resize"
            )
        if self.pose is not None:
            object.__setattr__(self, "pose", self._rigid(np.asarray(self.pose, np.float64)))

    def _rigid(self, pose: np.ndarray) -> np.ndarray:
        if pose.shape != (4, 4) or not np.isfinite(pose).all() or not np.allclose(pose[3], (0, 0, 0, 1)):
            raise self._error("pose is not a finite 4x4 camera-to-world matrix with last row 0 0 0 1")
        rotation = pose[:3, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2) or np.linalg.det(rotation) < 0:
            raise self._error("pose is not a rotation and a translation (scaled or mirrored axes?)")
        return pose

    def _error(self, problem: str) -> InputError:
        where = "/".join(part for part in (self.sequence, self.name) if part)
        return InputError(f"frame {where}: {problem}" if where else f"frame: {problem}")

    @property
    def height(self) -> int:
        """Rows of the image."""
        return self.image.shape[0]

    @property
    def width(self) -> int:
        """Columns of the image."""
        return self.image.shape[1]

    def replace(self, **changes: Any) -> Frame:
        """A copy with some fields changed, checked again."""
        return _replace(self, **changes)


@dataclass(frozen=True)
class Clip(Sequence[Frame]):
    """Frames of one sequence and one size in the order of time; indexing gives a frame, slicing a clip.

    Raises:
        InputError: there is no frame, or sequences, sizes or the order of known times disagree.
    """

    frames: Sequence[Frame]

    def __post_init__(self) -> None:
        frames = tuple(self.frames)
        object.__setattr__(self, "frames", frames)
        if not frames:
            raise InputError("clip: holds no frame")
        first, known = frames[0], [frame.time for frame in frames if frame.time is not None]
        for frame in frames:
            if frame.sequence != first.sequence:
                raise InputError(f"clip: frames of sequences {first.sequence!r} and {frame.sequence!r} do not mix")
            if frame.image.shape != first.image.shape:
                raise InputError(f"clip: frames of {first.image.shape} and {frame.image.shape} do not mix")
        if any(later <= earlier for earlier, later in pairwise(known)):
            raise InputError(f"clip: the times of sequence {first.sequence!r} do not increase")

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Clip: ...
    def __getitem__(self, index: int | slice) -> Frame | Clip:
        return Clip(self.frames[index]) if isinstance(index, slice) else self.frames[index]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def sequence(self) -> str | None:
        """The sequence all frames are of."""
        return self.frames[0].sequence


__all__ = ["Clip", "Frame"]
