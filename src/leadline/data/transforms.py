"""What is done to frames before a network sees them: image, depth, camera, pose and mask change together.

A transform draws its parameters from a random generator (``sample``) and applies them (``apply``); called on
a clip, all frames get the parameters drawn for the first. Draws depend on nothing but the seed.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from leadline.camera import Camera
from leadline.depth import DepthMap
from leadline.errors import ConfigError
from leadline.frame import Clip, Frame
from leadline.geometry.blur import gaussian_blur
from leadline.geometry.poses import mirror

#: Depth known at less than this share of the pixels was measured point by point.
SPARSE = 0.25


class Transform(ABC):
    """One change of a frame."""

    def sample(self, rng: np.random.Generator, frame: Frame) -> Any:
        """Parameters for ``frame``; None where nothing is random."""
        return None

    @abstractmethod
    def apply(self, frame: Frame, parameters: Any) -> Frame:
        """The changed frame."""

    @overload
    def __call__(self, frames: Frame, rng: np.random.Generator | None = ...) -> Frame: ...
    @overload
    def __call__(self, frames: Clip, rng: np.random.Generator | None = ...) -> Clip: ...
    def __call__(self, frames: Frame | Clip, rng: np.random.Generator | None = None) -> Frame | Clip:
        """The changed frame, or the clip, frames changed alike; without ``rng`` draws do not repeat."""
        rng = np.random.default_rng(rng)  # a generator passes through
        if isinstance(frames, Frame):
            return self.apply(frames, self.sample(rng, frames))
        parameters = self.sample(rng, frames[0])
        return Clip([self.apply(frame, parameters) for frame in frames])


class Compose:
    """Transforms one after the other."""

    def __init__(self, transforms: Sequence[Transform | Compose]) -> None:
        self.transforms = tuple(transforms)

    @overload
    def __call__(self, frames: Frame, rng: np.random.Generator | None = ...) -> Frame: ...
    @overload
    def __call__(self, frames: Clip, rng: np.random.Generator | None = ...) -> Clip: ...
    def __call__(self, frames: Frame | Clip, rng: np.random.Generator | None = None) -> Frame | Clip:
        """The frame or clip after all transforms."""
        rng = np.random.default_rng(rng)
        for transform in self.transforms:
            frames = transform(frames, rng)
        return frames


def _move(
    frame: Frame,
    image: Callable[[np.ndarray], np.ndarray],
    labels: Callable[[np.ndarray], np.ndarray],
    camera: Callable[[Camera], Camera],
    stretch: tuple[float, float] = (1, 1),
    depth: Callable[[DepthMap], tuple[np.ndarray, np.ndarray]] | None = None,
    **changes: Any,
) -> Frame:
    """``frame`` with its images (H, W, 3), its labels (H, W, ...) and cameras moved, its optical flow stretched in u
    and v, and further fields changed; ``depth`` moves values and validity of depth where they do not go with the
    labels."""
    known = frame.depth
    if known is not None:
        values, valid = depth(known) if depth else (labels(known.values), labels(known.valid))
        known = dataclasses.replace(
            known, values=values, valid=valid, camera=None if known.camera is None else camera(known.camera)
        )
    moved = {
        "image": image(frame.image),
        "depth": known,
        "camera": None if frame.camera is None else camera(frame.camera),
    }
    for name in ("mask", "normals", "reflective", "semantics"):
        label = getattr(frame, name)
        moved[name] = None if label is None else labels(label)
    for name in ("forward_flow", "backward_flow"):
        label = getattr(frame, name)
        moved[name] = None if label is None else labels(label) * np.array(stretch, np.float32)
    if frame.diffuse is not None:
        diffuse = moved["diffuse"] = image(frame.diffuse)
        if frame.residual is not None:  # their product is an image too, and stays their product
            moved["residual"] = image(frame.diffuse * frame.residual) / np.maximum(diffuse, np.float32(1e-6))
    return frame.replace(**moved | changes)


def _size(height: int, width: int) -> tuple[int, int]:
    if height < 1 or width < 1:
        raise ConfigError(f"size: {height}x{width} (height x width) is no image")
    return height, width


def nearest_pixels(old: tuple[int, int], new: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Index that picks from an array of size ``old`` (height, width), for each pixel of size ``new``, the one in which
    its centre lies: (i + 0.5) * old / new, in integers."""
    return np.ix_(*((2 * np.arange(n) + 1) * o // (2 * n) for o, n in zip(old, new, strict=True)))


class Resize(Transform):
    """To ``height`` x ``width``: the image antialiased bilinear, depth and mask by the nearest pixel.

    Depth values do not change and do not mix across edges; invalid pixels stay invalid. Of depth that is known at less
    than :data:`SPARSE` of the pixels, as lidar's, every point goes to the pixel it lies in, of several in one the
    nearest: by the nearest pixel, most would be lost.

    Raises:
        ConfigError: the size is not positive.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = _size(height, width)

    def apply(self, frame: Frame, parameters: Any = None) -> Frame:
        """The resized frame."""
        height, width = self.height, self.width
        if (frame.height, frame.width) == (height, width):
            return frame
        pick = nearest_pixels((frame.height, frame.width), (height, width))
        return _move(
            frame,
            image=lambda image: _from_tensor(
                functional.interpolate(
                    _to_tensor(image)[None],
                    (height, width),
                    mode="bilinear",
                    antialias=True,
                    align_corners=False,
                )[0]
            ),
            labels=lambda labels: labels[pick],
            camera=lambda camera: camera.resize(height, width),
            stretch=(width / frame.width, height / frame.height),
            depth=partial(_points, size=(height, width)) if _is_sparse(frame.depth) else None,
        )


def _is_sparse(depth: DepthMap | None) -> bool:
    return depth is not None and bool(depth.valid.mean() < SPARSE)


def _points(depth: DepthMap, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Values and validity at another size, each known point in the pixel its centre lies in; of several the nearest."""
    known = np.nonzero(depth.valid)
    values = depth.values[known]
    order = np.argsort(values, kind="stable")  # the last that is written wins
    if depth.kind.quantity == "depth":
        order = order[::-1]
    rows, columns = (
        ((2 * at[order] + 1) * new // (2 * old)) for at, new, old in zip(known, size, depth.valid.shape, strict=True)
    )
    moved = np.zeros(size, depth.values.dtype), np.zeros(size, bool)
    moved[0][rows, columns], moved[1][rows, columns] = values[order], True
    return moved


class _Window(Transform):
    """Cuts out a window; ``parameters`` are its top row and left column."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = _size(height, width)

    def apply(self, frame: Frame, parameters: tuple[int, int]) -> Frame:
        """The window of the frame."""
        return _crop(frame, *parameters, self.height, self.width)

    def _slack(self, frame: Frame) -> tuple[int, int]:
        """How many rows and columns are cut off.

        Raises:
            ConfigError: the window is larger than the image.
        """
        if self.height > frame.height or self.width > frame.width:
            raise ConfigError(
                f"crop: a window of {self.height}x{self.width} does not fit into an image of "
                f"{frame.height}x{frame.width} (height x width)"
            )
        return frame.height - self.height, frame.width - self.width


def _crop(frame: Frame, top: int, left: int, height: int, width: int) -> Frame:
    if min(top, left) < 0 or top + height > frame.height or left + width > frame.width:
        raise ConfigError(
            f"crop: rows {top}:{top + height}, columns {left}:{left + width} do not lie inside an image of "
            f"{frame.height} rows, {frame.width} columns"
        )

    def cut(array: np.ndarray) -> np.ndarray:
        return array[top : top + height, left : left + width]

    return _move(frame, cut, cut, lambda camera: camera.crop(top, left, height, width))


class Crop(_Window):
    """Rows top:top+height, columns left:left+width.

    Raises:
        ConfigError: the size is not positive; when applied, the window does not lie inside the image.
    """

    def __init__(self, top: int, left: int, height: int, width: int) -> None:
        super().__init__(height, width)
        self.top, self.left = top, left

    def sample(self, rng: np.random.Generator, frame: Frame) -> tuple[int, int]:
        """Top row and left column."""
        return self.top, self.left


class CentreCrop(_Window):
    """The middle of the image.

    Raises:
        ConfigError: the size is not positive; when applied, larger than the image.
    """

    def sample(self, rng: np.random.Generator, frame: Frame) -> tuple[int, int]:
        """Top row and left column."""
        rows, columns = self._slack(frame)
        return rows // 2, columns // 2


class RandomCrop(_Window):
    """A window anywhere in the image.

    Raises:
        ConfigError: the size is not positive; when applied, larger than the image.
    """

    def sample(self, rng: np.random.Generator, frame: Frame) -> tuple[int, int]:
        """Top row and left column."""
        rows, columns = self._slack(frame)
        return int(rng.integers(rows + 1)), int(rng.integers(columns + 1))


class RandomResizedCrop(Transform):
    """A window of the output's aspect ratio anywhere in the image, resized to ``height`` x ``width``.

    Args:
        height: of the output.
        width: of the output.
        scale: least and greatest side of the window, as parts of the largest window that fits.

    Raises:
        ConfigError: the size is not positive, or not 0 < least <= greatest <= 1.
    """

    def __init__(self, height: int, width: int, scale: tuple[float, float] = (0.5, 1.0)) -> None:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ConfigError(f"scale: {scale} is not 0 < least <= greatest <= 1")
        self.scale, self.resize = scale, Resize(height, width)

    def sample(self, rng: np.random.Generator, frame: Frame) -> tuple[int, int, int, int]:
        """Top row, left column, height and width of the window."""
        fits = min(frame.height / self.resize.height, frame.width / self.resize.width)
        scale = fits * rng.uniform(*self.scale)
        height, width = (max(1, round(side * scale)) for side in (self.resize.height, self.resize.width))
        top, left = rng.integers(frame.height - height + 1), rng.integers(frame.width - width + 1)
        return int(top), int(left), height, width

    def apply(self, frame: Frame, parameters: tuple[int, int, int, int]) -> Frame:
        """The window, resized."""
        return self.resize.apply(_crop(frame, *parameters))


class Pad(Transform):
    """Adds black borders; their depth is invalid and their mask False, also where there was no mask.

    Raises:
        ConfigError: a border is negative.
    """

    def __init__(self, top: int, bottom: int, left: int, right: int) -> None:
        if min(top, bottom, left, right) < 0:
            raise ConfigError(f"pad: {(top, bottom, left, right)} has a negative border (top, bottom, left, right)")
        self.top, self.bottom, self.left, self.right = top, bottom, left, right

    def apply(self, frame: Frame, parameters: Any = None) -> Frame:
        """The padded frame."""
        borders = (self.top, self.bottom), (self.left, self.right)
        if frame.mask is None:
            frame = frame.replace(mask=np.ones(frame.image.shape[:2], bool))
        return _move(
            frame,
            image=lambda image: np.pad(image, (*borders, (0, 0))),
            labels=lambda labels: np.pad(labels, (*borders, (0, 0))[: labels.ndim]),
            camera=lambda camera: camera.pad(self.top, self.bottom, self.left, self.right),
        )


class HorizontalFlip(Transform):
    """Mirrors left to right, with a probability; the pose moves into the mirrored world.

    Raises:
        ConfigError: the probability is not in [0, 1].
    """

    def __init__(self, probability: float = 0.5) -> None:
        if not 0 <= probability <= 1:
            raise ConfigError(f"probability: {probability} is not between 0 and 1")
        self.probability = probability

    def sample(self, rng: np.random.Generator, frame: Frame) -> bool:
        """Whether to flip."""
        return bool(rng.random() < self.probability)

    def apply(self, frame: Frame, parameters: bool) -> Frame:
        """The frame, mirrored if ``parameters`` is True."""
        if not parameters:
            return frame

        def flip(array: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(array[:, ::-1])

        pose = None if frame.pose is None else mirror(frame.pose)
        flipped = _move(frame, flip, flip, lambda camera: camera.flip(), (-1, 1), pose=pose)
        if flipped.normals is None:
            return flipped
        return flipped.replace(normals=flipped.normals * np.array([-1, 1, 1], np.float32))


class ColourJitter(Transform):
    """Changes brightness, contrast, saturation and hue of the image, in random order.

    Args:
        brightness: factor drawn from [max(0, 1 - brightness), 1 + brightness].
        contrast: likewise.
        saturation: likewise.
        hue: shift drawn from [-hue, hue] in turns of the colour circle; at most 0.5.

    Raises:
        ConfigError: a strength is negative, or hue is above 0.5.
    """

    def __init__(
        self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.1
    ) -> None:
        if min(brightness, contrast, saturation, hue) < 0 or hue > 0.5:
            raise ConfigError(
                f"colour jitter: brightness {brightness}, contrast {contrast}, saturation {saturation} must "
                f"be 0 or more and hue {hue} in [0, 0.5]"
            )
        self.strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        self.hue = hue

    def sample(self, rng: np.random.Generator, frame: Frame) -> list[tuple[str, float]]:
        """Names and amounts of the adjustments, in the order they are applied."""
        amounts = {name: rng.uniform(max(0.0, 1 - s), 1 + s) for name, s in self.strengths.items()}
        amounts["hue"] = rng.uniform(-self.hue, self.hue)
        return [list(amounts.items())[i] for i in rng.permutation(len(amounts))]

    def apply(self, frame: Frame, parameters: list[tuple[str, float]]) -> Frame:
        """The frame with its image recoloured; it is no longer diffuse times residual, which are left out."""
        image = _to_tensor(frame.image)
        for name, amount in parameters:
            image = ADJUSTMENTS[name](image, amount)
        return frame.replace(image=_from_tensor(image), diffuse=None, residual=None)


@dataclasses.dataclass(frozen=True)
class Lit:
    """How light falls on what a picture shows.

    Args:
        black: the shade, in [0, 1), that becomes black.
        stops: height of the hills and valleys of light, in stops.
        waves: (K, 3) of each wave: how often it goes up and down over the picture's width and height, and its phase, in
            turns.
    """

    black: float
    stops: float
    waves: tuple[tuple[float, float, float], ...]


class LightJitter(Transform):
    """Lets light fall unevenly and takes a part of the darkest shade for black, on all frames of a clip alike.

    Rendered pictures are often lit from everywhere. Cameras' have black somewhere, and bright and dark parts for which
    nothing they show is to blame.

    Args:
        strength: in [0, 1]; with 1 up to all of the first frame's darkest shade (2 % of its pixels are darker) becomes
            black, and light differs by up to two stops about its mean.

    Raises:
        ConfigError: the strength is not in [0, 1].
    """

    def __init__(self, strength: float = 0.5) -> None:
        self.strength = _strength("light", strength)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Lit:
        """The light."""
        waves = np.column_stack([rng.uniform(-1.2, 1.2, (3, 2)), rng.random(3)])
        part, stops = self.strength * rng.random(2) * (1, 2)
        darkest = float(_luminance(_to_tensor(frame.image))[:, ::2, ::2].flatten().quantile(0.02))
        return Lit(min(float(part) * darkest, 0.9), float(stops), tuple(map(tuple, waves.tolist())))

    def apply(self, frame: Frame, parameters: Lit) -> Frame:
        """The frame in that light; its image is no longer diffuse times residual, which are left out."""
        image = ((_to_tensor(frame.image) - parameters.black) / (1 - parameters.black)).clamp(min=0)
        v, u = (torch.linspace(0, 1, side) for side in image.shape[-2:])
        height = image.new_zeros(image.shape[-2:])
        for across, down, phase in parameters.waves:
            height += torch.cos(2 * torch.pi * (across * u + down * v[:, None] + phase))
        # sRGB's curve is about the root of light, so that half of a stop is one of light.
        image = image * 2 ** (parameters.stops / 2 * height / len(parameters.waves))
        return frame.replace(image=_from_tensor(image.clamp(0, 1)), diffuse=None, residual=None)


@dataclasses.dataclass(frozen=True)
class Taken:
    """How a camera takes a picture.

    Args:
        gamma: exponent of the brightness.
        blur: standard deviation of its softness, in pixels.
        noise: standard deviation of its noise, full brightness being 1.
        grey: whether it sees no colour.
        seed: of the noise.
    """

    gamma: float
    blur: float
    noise: float
    grey: bool
    seed: int


class SensorJitter(Transform):
    """Takes the picture with another camera: another tone curve, half of the time softer, noisier, now and then
    without colour. Frames of a clip are taken by one camera, with the same noise.

    Args:
        strength: in [0, 1]; with 1 gamma is from 1/2 to 2, blur up to 2 pixels, noise up to 0.08, one picture in five
            grey.

    Raises:
        ConfigError: the strength is not in [0, 1].
    """

    def __init__(self, strength: float = 0.5) -> None:
        self.strength = _strength("sensor", strength)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Taken:
        """The camera."""
        tone, soft, blur, noise, grey = rng.uniform(-1, 1), rng.random(), *rng.random(3)
        blur = 2 * self.strength * blur if soft < 0.5 else 0.0
        gamma = float(2 ** (self.strength * tone))
        return Taken(gamma, blur, 0.08 * self.strength * noise, grey < 0.2 * self.strength, int(rng.integers(2**31)))

    def apply(self, frame: Frame, parameters: Taken) -> Frame:
        """The frame with its image taken so; it is no longer diffuse times residual, which are left out."""
        image = _to_tensor(frame.image) ** parameters.gamma
        if parameters.grey:
            image = _luminance(image).repeat(3, 1, 1)
        if parameters.blur:
            image = gaussian_blur(image, parameters.blur)
        if parameters.noise:
            rng = np.random.default_rng(parameters.seed)
            image = image + parameters.noise * torch.from_numpy(rng.standard_normal(tuple(image.shape), np.float32))
        return frame.replace(image=_from_tensor(image.clamp(0, 1)), diffuse=None, residual=None)


def adjust_brightness(image: Tensor, factor: float) -> Tensor:
    """(..., 3, H, W) RGB in [0, 1] times ``factor``, clamped."""
    return (image * factor).clamp(0, 1)


def adjust_contrast(image: Tensor, factor: float) -> Tensor:
    """(..., 3, H, W) RGB in [0, 1] moved from (factor > 1) or to the image's mean luminance, clamped."""
    mean = _luminance(image).mean((-2, -1), keepdim=True)
    return (image * factor + mean * (1 - factor)).clamp(0, 1)


def adjust_saturation(image: Tensor, factor: float) -> Tensor:
    """(..., 3, H, W) RGB in [0, 1] moved from (factor > 1) or to each pixel's luminance, clamped."""
    grey = _luminance(image)
    return (image * factor + grey * (1 - factor)).clamp(0, 1)


def adjust_hue(image: Tensor, turns: float) -> Tensor:
    """(..., 3, H, W) RGB in [0, 1] with its hue (HSV) shifted by ``turns`` of the colour circle."""
    if turns == 0:
        return image
    red, green, blue = image.unbind(-3)
    value, low = image.amax(-3), image.amin(-3)
    chroma = value - low
    safe = torch.where(chroma > 0, chroma, 1)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sector = sector + 6 * turns
    # HSV to RGB without cases: each channel is value - chroma * f(hue), f a trapezium around the circle
    channels = []
    for n in (5, 3, 1):
        k = (n + sector) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, -3).clamp(0, 1)


ADJUSTMENTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def _strength(jitter: str, strength: float) -> float:
    """The strength of a jitter, refused where it is not in [0, 1]."""
    if not 0 <= strength <= 1:
        raise ConfigError(f"{jitter} jitter: strength {strength} is not between 0 and 1")
    return strength


def _luminance(image: Tensor) -> Tensor:
    """(..., 1, H, W), ITU-R BT.601."""
    red, green, blue = image.split(1, -3)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def _from_tensor(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())
