"""leadline's own exports as models: .onnx, .xml and .pt2 files that say themselves what they take and give."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leadline.camera import Camera
from leadline.checkpoint import KEY, Card
from leadline.depth import Kind
from leadline.engines.openvino import OpenVINOSession
from leadline.engines.session import Session
from leadline.errors import ConfigError, InputError
from leadline.foundation.base import DepthModel, digest
from leadline.foundation.interface import Interface
from leadline.foundation.leadline_model import input_size
from leadline.foundation.network_file import NetworkCard, NetworkFileModel, open_session
from leadline.networks import create

#: Shapes of images that a file is kept ready for: pictures of a phone, upright and lying, and of a camera or two.
SHAPES = 4


def open_network(
    path: str | os.PathLike[str],
    card: NetworkCard | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    runtime: str | None = None,
) -> DepthModel:
    """The model in a network file: by its own card where leadline wrote it, else by the one given or beside it.

    Args:
        path: .onnx, .tflite, .pt2, or .xml with its .bin beside it.
        card: see :class:`NetworkFileModel`.
        threads: None lets the runtime choose.
        runtime: see :func:`open_session`.

    Raises:
        InputError, ConfigError: see :class:`NetworkFileModel`.
    """
    session = open_session(path, threads, runtime)
    if card is None and KEY in session.metadata:
        return ExportedModel(path, session, threads)
    return NetworkFileModel(path, card, threads, runtime, session)


class ExportedModel(DepthModel):
    """A file that leadline wrote, run on the CPU, one image at a time.

    Args:
        path: the file.
        session: it, opened.
        threads: None lets the runtime choose.

    Attributes:
        card: leadline's, from inside the file.
        interface: what the file takes and gives.
        session: the file, open.

    Raises:
        InputError: its card or interface cannot be read, or is not that of the file.
    """

    def __init__(self, path: str | os.PathLike[str], session: Session, threads: int | None = None) -> None:
        self._path, self.session, self._threads = Path(path), session, threads
        self._fixed: dict[tuple[tuple[int, ...], ...], OpenVINOSession] = {}
        self.card = Card.from_json(session.metadata[KEY], str(path))
        interface = Interface.from_metadata(session.metadata, str(path))
        if interface is None:  # written before files said so
            interface = Interface(stride=create(self.card.architecture, **self.card.options).stride)
        self.interface = interface
        self.name = self._path.name.removesuffix(self._path.suffix)
        self.kind, self.unit, self.licence = Kind.parse(self.card.kind), self.card.unit, self.card.licence
        self.window = interface.frames
        self.remembers = interface.form in ("stream", "window")
        self.looks_around = interface.form == "rig"
        self.focal = self.card.focal
        self._takes_focal = interface.raw and self.focal is not None
        expected = 1 + (interface.form in ("stream", "rig")) + self._takes_focal
        if len(session.inputs) != expected:
            given = "; ".join(map(str, session.inputs))
            raise InputError(f"{path}: its card speaks of {expected} inputs, but it takes {given}")
        beside = self._path.with_suffix(".bin")
        files = [self._path] + [beside for _ in range(self._path.suffix == ".xml" and beside.is_file())]
        self.digest = digest(files, self.card.to_json())

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """The file's own size; where any goes, that of the image for raw files, else what the checkpoint would use."""
        if self.interface.size is not None:
            return self.interface.size
        if self.interface.raw:
            return height, width
        return input_size(self.card.input_size, self.interface.stride, height, width)

    def at_focal(self, camera: Camera) -> float:
        """See :meth:`DepthModel.at_focal`; of a raw file ``focal`` is in pixels of what the network inside sees."""
        if self.focal is None or self.interface.seen is None:
            return super().at_focal(camera)
        return float(camera.fx) * self.interface.seen[1] / camera.width / self.focal

    def running(self, session: Session) -> ExportedModel:
        """The same model on another session, of a network changed a little."""
        other = copy.copy(self)
        other.session, other._fixed = session, {}
        return other

    def infer(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.infer`; values that are not positive become NaN unless the kind is affine."""
        if self.interface.form == "window":
            return torch.cat([self.infer_clip(image[None]) for image in images])
        return torch.cat([self._ask(image[None])[0] for image in images])

    def infer_next(self, image: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """See :meth:`DepthModel.infer_next`."""
        if self.interface.form != "stream":
            raise ConfigError(
                f"{self._path}: looks at {self.interface.frames} frames together, so it is not for live video; "
                "a checkpoint with --runtime torch is"
            )
        if memory is not None and tuple(memory.shape) != self.interface.state_shape(len(image), *image.shape[-2:]):
            raise InputError(f"{self._path}: a frame of {image.shape[-1]}x{image.shape[-2]} in a video of another size")
        output, (memory,) = self._ask(image, memory)
        return output, memory

    def infer_clip(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.infer_clip`. Where there are fewer frames than the file takes, the last one is shown
        again; a stream starts anew."""
        if self.interface.form == "stream":
            return self.infer(images)
        missing = self.interface.frames - len(images)
        shown = torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing > 0 else images
        return self._ask(shown)[0][: len(images)]

    def infer_rig(self, images: Tensor, pairs: Tensor) -> Tensor:
        """See :meth:`DepthModel.infer_rig`."""
        return self._ask(images, pairs)[0]

    def _ask(self, images: Tensor, other: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Maps (B, H, W) of images, and what else the file gives; ``other`` is the state or the pairs."""
        array = images.detach().cpu().float().numpy()
        if self.interface.raw:
            array = np.rint(np.clip(array, 0, 1).transpose(0, 2, 3, 1) * 255).astype(np.uint8)
        given: list[np.ndarray] = [array]
        if self.interface.form == "stream" and other is None:
            other = torch.zeros(self.interface.state_shape(len(images), *images.shape[-2:]))
        if self.interface.form == "rig" and other is None:  # each view alone
            other = torch.zeros(0, 2, dtype=torch.long)
        if other is not None:
            given.append(other.cpu().numpy())
        if self._takes_focal:
            assert self.focal is not None
            assert self.interface.seen is not None
            # As wide a view as the network inside is told for: :meth:`at_focal` multiplies by the rest.
            given.append(np.array([self.focal * images.shape[-1] / self.interface.seen[1]], np.float32))
        maps, *rest = self._ready(given)(*given)
        result = torch.from_numpy(maps.astype(np.float32)).flatten(0, -3)
        if self.kind.up_to != "affine":
            result = torch.where(result > 0, result, math.nan)
        return result.to(images.device), [torch.from_numpy(value) for value in rest]

    def _ready(self, given: list[np.ndarray]) -> Session:
        """The session for inputs of these shapes; OpenVINO is fastest with fixed ones, and those of the last few shapes
        are kept. The pairs of a rig stay free: their number changes little else."""
        shapes = [value.shape for value in given]
        free = [spec.shape for spec in self.session.inputs]
        if not isinstance(self.session, OpenVINOSession) or free == shapes or self.interface.form == "rig":
            return self.session
        fixed = self._fixed.pop(tuple(shapes), None) or OpenVINOSession(self._path, self._threads, shapes)
        self._fixed[tuple(shapes)] = fixed
        if len(self._fixed) > SHAPES:
            del self._fixed[next(iter(self._fixed))]
        return fixed
