"""Images in, depth maps out: any model, any size, kept aspect, original size restored."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from leadline.camera import Camera, Pinhole
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError, suggest
from leadline.foundation.base import DepthModel
from leadline.foundation.leadline_model import LeadlineModel
from leadline.foundation.long_video import STRATEGIES, as_tensor, watch_live, watch_video
from leadline.io.images import exif_focal, read_image
from leadline.losses.reflection import brightened
from leadline.networks.base import resize
from leadline.networks.decomposition import Decomposed
from leadline.runtime.calibration import METRIC, Calibration
from leadline.runtime.stabilise import Steadiness, stabilised

#: An image and its depth map.
Seen = tuple[np.ndarray, DepthMap]

#: Smaller pictures hold nothing to see depth in.
SMALLEST = 8


@dataclass(frozen=True)
class Decomposition:
    """An image taken apart, at its size: image = diffuse x residual.

    Args:
        diffuse: (H, W, 3) float32 in (0, 1), what looks the same from every side.
        residual: (H, W, 3) float32 > 0, what depends on the view; 1 where it is nothing.
        reflective: (H, W) bool, where the residual brightens, see :func:`leadline.losses.reflection.brightened`.
    """

    diffuse: np.ndarray
    residual: np.ndarray
    reflective: np.ndarray


@dataclass(frozen=True)
class Lens:
    """How to know the camera of an image that comes without one.

    Args:
        camera: a camera or a file of one, used for every image, resized to it where the aspect agrees.
        fov: horizontal field of view in degrees, where no camera is given.
    """

    camera: Camera | str | os.PathLike[str] | None = None
    fov: float | None = None

    def of(self, height: int, width: int, path: Path | None = None) -> Camera | None:
        """The camera of an image: the one given, that of the field of view, that of EXIF, or None.

        Raises:
            InputError: the given camera has another aspect than the image.
        """
        if isinstance(self.camera, Camera):
            return self.camera.fit(width, height)
        if self.camera is not None:
            return Camera.load(self.camera, width, height)
        if self.fov is not None:
            return Pinhole.from_fov(width, height, self.fov)
        if path is not None and (focal := exif_focal(path)) is not None:
            return Pinhole.from_focal(width, height, focal)
        return None


class Predictor:
    """A model, ready for pictures.

    Args:
        model: anything ``leadline.foundation.load`` gives.
        lens: where the camera of an image comes from.
        batch: images run together in :meth:`stream`, by models that see single images.
        strategy: how the windows of a model that sees video follow one another, a name of
            ``leadline.foundation.long_video.STRATEGIES``.
        calibration: makes metric depth of what the model says, see ``leadline calibrate``.
        steadiness: of the maps of :meth:`stream`, where a model that sees single images is to be stabilised: of what it
            says itself, whose shift flickers too where it has one, before that is calibrated.

    Raises:
        ConfigError: no such strategy; the calibration is of another model; or what would be stabilised sees video.

    Example:
        ``depth = Predictor(model).predict("image.jpg")``
    """

    def __init__(
        self,
        model: DepthModel,
        lens: Lens = Lens(),
        batch: int = 1,
        strategy: str = "vda",
        calibration: Calibration | None = None,
        steadiness: Steadiness | None = None,
    ) -> None:
        self.model = model
        self.lens = lens
        self.batch = batch
        if strategy not in STRATEGIES:
            raise ConfigError(
                f"strategy: '{strategy}' is not one of {', '.join(STRATEGIES)}{suggest(strategy, STRATEGIES)}"
            )
        self.strategy = strategy
        if calibration is not None:
            calibration.check(model)
        self.calibration = calibration
        self.steadiness = steadiness
        if steadiness is not None and model.remembers:
            raise ConfigError(
                f"{model.name}: sees video and is steady by itself; what is stabilised sees single images"
            )

    @property
    def kind(self) -> Kind:
        """Of the maps it gives: the model's, or metric depth where it is calibrated."""
        return METRIC if self.calibration else self.model.kind

    @property
    def unit(self) -> str:
        """Of the maps it gives."""
        return self.calibration.unit if self.calibration else self.model.unit

    def predict(
        self,
        image: str | os.PathLike[str] | np.ndarray,
        camera: Camera | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> DepthMap:
        """The depth map of an image, at the image's size.

        Args:
            image: a file, or an array: (H, W, 3) RGB, uint8 or float in [0, 1].
            camera: of the image, where it is known; else ``lens`` may know it.
            path: file an array came from, whose EXIF data may tell the focal length.

        Raises:
            InputError: the file cannot be read, or the image is too small; or the model's depth depends on the focal
                length and nothing tells it.
        """
        pixels = _pixels(image)
        if not isinstance(image, np.ndarray):
            path = image
        return self._calibrated(self._run([pixels], camera, Path(path) if path is not None else None)[0])

    def predict_batch(self, images: Sequence[str | os.PathLike[str] | np.ndarray]) -> list[DepthMap]:
        """The depth maps of images of any sizes, in their order; those of one size that follow one another are run
        together, up to ``batch`` at a time, by a model that sees single images.

        Raises:
            InputError: as :meth:`predict`.
        """
        answered = self._in_batches((_pixels(image) for image in images), self.batch)
        return [self._calibrated(depth) for _, depth in answered]

    def warm_up(self, height: int, width: int) -> None:
        """Show the model a grey image, so that what runtimes do at the first image of a size is done."""
        self.model(torch.full((1, 3, height, width), 0.5))

    def check_decomposes(self) -> None:
        """Refuse a model that gives depth only.

        Raises:
            ConfigError: it does.
        """
        if not (isinstance(self.model, LeadlineModel) and isinstance(self.model.student.network, Decomposed)):
            raise ConfigError(
                f"{self.model.name}: gives depth only and takes no image apart; a checkpoint that does, with runtime "
                "torch: leadline train intrinsic-room"
            )

    @torch.inference_mode()
    def decompose(self, image: np.ndarray) -> Decomposition:
        """Take an image apart.

        Args:
            image: (H, W, 3) RGB, uint8 or float in [0, 1].

        Raises:
            ConfigError: the model gives depth only.
        """
        self.check_decomposes()
        assert isinstance(self.model, LeadlineModel)
        network, seen = self.model.student.network, as_tensor([_pixels(image)]).to(self.model.device)
        assert isinstance(network, Decomposed)
        size = image.shape[0], image.shape[1]
        apart = network.decompose(self.model.resize(seen, self.model.input_size(*size)))
        diffuse, log_residual = (resize(values, size)[0].permute(1, 2, 0).cpu() for values in apart)
        reflective = brightened(log_residual.permute(2, 0, 1)[None])[0, 0]
        return Decomposition(diffuse.numpy(), log_residual.exp().numpy(), reflective.numpy())

    def look_around(
        self, images: Sequence[np.ndarray], cameras: Sequence[Camera | None], pairs: Sequence[tuple[int, int]]
    ) -> list[DepthMap]:
        """The depth map of every view of a rig, at its image's size, from a model that looks around.

        Args:
            images: (H, W, 3) RGB, uint8 or float in [0, 1].
            cameras: of the images, where they are known.
            pairs: who neighbours whom, see :func:`leadline.rig.ring`.

        Raises:
            InputError: as :meth:`predict`; or the views are of several sizes.
        """
        pixels = [_pixels(image) for image in images]
        if len({image.shape for image in pixels}) > 1:
            raise InputError(f"{self.model.name}: looks at all views of a rig together, which needs images of one size")
        answers = self.model.look_around(as_tensor(pixels), torch.tensor(pairs, dtype=torch.long).reshape(-1, 2))
        known = [camera or self.lens.of(*answers.shape[1:]) for camera in cameras]
        maps = zip(answers.cpu().numpy(), known, strict=True)
        return [self._calibrated(self._map(values, camera)) for values, camera in maps]

    def stream(self, images: Iterable[np.ndarray], live: bool = False) -> Generator[Seen, None, None]:
        """Each image of a video with its depth map; memory does not grow with their number.

        A model that sees single images sees ``batch`` of one size at a time. One that sees video looks ahead by up to a
        window and aligns its windows, see :func:`leadline.foundation.long_video.long_video`; where the video is live it
        sees each image when it comes, with what it remembers of those before.

        Args:
            images: (H, W, 3) RGB, uint8 or float in [0, 1]; for a model that sees video all of one size.
            live: give an image's map before the next image is read.

        Raises:
            InputError: an image is too small, or one of a video has another size.
        """
        pixels = (_pixels(image) for image in images)
        if self.model.remembers:
            shown, watched = itertools.tee(pixels)
            answers = watch_live(self.model, watched) if live else watch_video(self.model, watched, self.strategy)
            for values, image in zip(answers, shown, strict=True):
                camera = self.lens.of(*image.shape[:2])
                yield image, self._calibrated(DepthMap(values, self.model.kind, self.model.unit, camera=camera))
            return
        answered = self._in_batches(pixels, 1 if live else self.batch)
        steady = answered if self.steadiness is None else stabilised(answered, self.steadiness)
        with contextlib.closing(steady):
            for image, depth in steady:
                yield image, self._calibrated(depth)

    def _in_batches(self, images: Iterable[np.ndarray], batch: int) -> Generator[Seen, None, None]:
        for _, same in itertools.groupby(images, key=np.shape):
            while chunk := list(itertools.islice(same, batch)):
                yield from zip(chunk, self._run(chunk), strict=True)

    def _run(self, arrays: list[np.ndarray], camera: Camera | None = None, path: Path | None = None) -> list[DepthMap]:
        height, width = arrays[0].shape[:2]
        if min(height, width) < SMALLEST:
            where = f"{path}: " if path else ""
            raise InputError(f"{where}this image is {width}x{height} pixels; at least {SMALLEST}x{SMALLEST} are needed")
        camera = camera or self.lens.of(height, width, path)
        return [self._map(values, camera, path) for values in self.model(as_tensor(arrays)).cpu().numpy()]

    def _map(self, values: np.ndarray, camera: Camera | None, path: Path | None = None) -> DepthMap:
        """What the model said of an image of this camera."""
        if self.model.focal is not None:
            if camera is None:
                raise InputError(
                    f"{path or self.model.name}: this model's {self.model.unit} depend on the camera's focal length; "
                    "give --intrinsics FILE or --fov DEGREES"
                )
            values = values * np.float32(self.model.at_focal(camera))
        return DepthMap(values, self.model.kind, self.model.unit, camera=camera)

    def _calibrated(self, depth: DepthMap) -> DepthMap:
        return self.calibration.apply(depth) if self.calibration else depth


def _pixels(image: str | os.PathLike[str] | np.ndarray) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return read_image(image)
    if image.ndim != 3 or image.shape[2] != 3 or not (image.dtype == np.uint8 or image.dtype.kind == "f"):
        raise InputError(
            f"image: an array must be (H, W, 3) RGB, uint8 or float in [0, 1], not {image.shape} {image.dtype}"
        )
    dtype = np.uint8 if image.dtype == np.uint8 else np.float32
    return np.require(image, dtype, ["C", "W"])  # torch shares memory only with arrays that may be written to
