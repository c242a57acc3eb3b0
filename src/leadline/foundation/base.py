"""What every model that predicts depth looks like: a teacher, a rival, or one of leadline's own."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from leadline.camera import Camera
from leadline.depth import Kind
from leadline.errors import ConfigError
from leadline.networks.base import resize

#: Files up to this size are hashed whole; of larger ones the ends and evenly spaced blocks are.
WHOLE = 64 << 20
BLOCK = 1 << 16
BLOCKS = 64


class DepthModel(ABC):
    """Images in, depth or disparity of a stated kind out.

    Attributes:
        name: for messages and cards.
        kind: of the output; disparity is larger where nearer.
        unit: of the output, ``arbitrary`` unless the kind is metric.
        licence: of the weights, ``unknown`` where nothing is stated.
        parallel: several threads may ask at once.
        window: frames of a video it sees together.
        remembers: it sees video: what it says of a frame depends on those before, or, in a window, on those around.
        looks_around: it sees rigs: what it says of a view depends on the views beside it.
        focal: focal length, in pixels of the images the network sees, for which depth is told; depth in the images of
            another camera is :meth:`at_focal` times that. None where depth does not depend on the camera.
        digest: identifies weights and preprocessing: two models with the same digest give the same labels.
    """

    name: str
    kind: Kind
    unit: str
    licence: str
    digest: str
    parallel: bool = False
    window: int = 1
    remembers: bool = False
    looks_around: bool = False
    focal: float | None = None

    def at_focal(self, camera: Camera) -> float:
        """Depth in this camera's images, of one as in ``focal``: what is as large there is farther by the ratio of the
        focal lengths (Facil et al., "CAM-Convs", CVPR 2019; 1 where ``focal`` is None)."""
        if self.focal is None:
            return 1.0
        seen = self.input_size(camera.height, camera.width)[1]
        return float(camera.fx) * seen / camera.width / self.focal

    @abstractmethod
    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which the network should see an image of that size."""

    @abstractmethod
    def infer(self, images: Tensor) -> Tensor:
        """Run the network.

        Args:
            images: (B, 3, h, w) RGB in [0, 1], of ``input_size``.

        Returns:
            (B, h', w') float32, of the network's own output size; NaN where the network gives nothing that
            fits the kind, such as a depth that is not positive.
        """

    def features(self, images: Tensor) -> Tensor:
        """What the network knows of images when it is about to give depth, to learn from.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], of any size; no gradient.

        Returns:
            (B, C, h', w') float32, of the network's own size.

        Raises:
            ConfigError: this model gives depth only.
        """
        raise ConfigError(f"{self.name}: gives depth and no features to learn from")

    def infer_clip(self, images: Tensor) -> Tensor:
        """As :meth:`infer`, of up to ``window`` frames of one video, in order, which are seen together."""
        raise NotImplementedError(f"{self.name} sees single images")

    def infer_next(self, image: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """As :meth:`infer`, of the next frame (1, 3, h, w) of a live video, by what it remembers of those before.

        Args:
            image: the frame.
            memory: what this gave with the frame before; None at the start of a video. It does not grow for ever.

        Returns:
            (1, h', w') and the memory.
        """
        raise NotImplementedError(f"{self.name} sees single images")

    def infer_rig(self, images: Tensor, pairs: Tensor) -> Tensor:
        """As :meth:`infer`, of all views of a rig; ``pairs`` (P, 2) says who neighbours whom."""
        raise NotImplementedError(f"{self.name} sees single images")

    def described(self) -> dict[str, str]:
        """Name, licence and kind, for the card of a student."""
        return {"name": self.name, "licence": self.licence, "kind": str(self.kind)}

    def to(self, device: str) -> Self:
        """Move to a device; a model that runs on the CPU only stays there."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Itself: a teacher never changes, so the averaged copy of whoever holds it shares it."""
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Predict at the images' own size.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].

        Returns:
            (B, H, W) float32; see :meth:`infer`.
        """
        return self._at_its_size(images, self.infer)

    @torch.no_grad()
    def watch(self, images: Tensor) -> Tensor:
        """The same of frames of one video, in order, at most ``window``; see :meth:`infer_clip`."""
        return self._at_its_size(images, self.infer_clip)

    @torch.no_grad()
    def look_around(self, images: Tensor, pairs: Tensor) -> Tensor:
        """The same of all views of a rig; see :meth:`infer_rig`."""
        return self._at_its_size(images, lambda seen: self.infer_rig(seen, pairs))

    @torch.no_grad()
    def watch_next(self, image: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """The same of the next frame (1, 3, H, W) of a live video; see :meth:`infer_next`."""
        kept = [memory]

        def infer(image: Tensor) -> Tensor:
            output, kept[0] = self.infer_next(image, memory)
            return output

        return self._at_its_size(image, infer), kept[0]

    def _at_its_size(self, images: Tensor, infer: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``infer`` says of the images at the size the network sees, at their own."""
        height, width = images.shape[-2:]
        output = infer(self.resize(images, self.input_size(height, width)))
        return resize(output[:, None], (height, width))[:, 0]

    def resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Images at the size the network sees; overridden where a model was trained with another filter."""
        return resize(images, size)


def half_where_possible(device: str) -> torch.autocast:
    """16 bits inside a network where the device computes faster with them: a GPU; networks give float32 all the
    same."""
    kind = torch.device(device).type
    on = kind == "cuda"
    return torch.autocast(kind, torch.bfloat16 if on and torch.cuda.is_bf16_supported() else torch.float16, enabled=on)


def digest(files: Iterable[Path], *also: str) -> str:
    """sha256 of texts and files' contents; of large ones size, ends and samples, enough for weights."""
    state = hashlib.sha256()
    for text in also:
        state.update(f"{len(text)}:{text}".encode())
    for file in files:
        size = file.stat().st_size
        state.update(f"{size}:".encode())
        with file.open("rb") as opened:
            if size <= WHOLE:
                while block := opened.read(1 << 20):
                    state.update(block)
                continue
            for index in range(BLOCKS):
                opened.seek((size - BLOCK) * index // (BLOCKS - 1))
                state.update(opened.read(BLOCK))
    return state.hexdigest()
