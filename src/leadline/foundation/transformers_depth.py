"""Depth models of the transformers library: Depth Anything, DPT, ZoeDepth, Depth Pro, GLPN, and others on
request.

Weights come from a folder or from the Hugging Face hub, as safetensors only, and no code from there is ever
run. The library's image processors need torchvision and uint8 images; here the same steps, read from the
model's ``preprocessor_config.json``, are done on float tensors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.depth import ARBITRARY, Kind
from leadline.errors import ConfigError, InputError, suggest
from leadline.foundation.base import DepthModel, digest
from leadline.foundation.licences import licence_of
from leadline.foundation.transformers_files import fetch, first_line, load_network, read_config
from leadline.networks.depth_anything import joined, tapped

METRES = {"depth": "m", "disparity": "1/m"}
#: PIL's numbers of the filters processors name.
FILTERS = {2: "bilinear", 3: "bicubic"}
#: Weights the networks own but never use, which some published files therefore lack: the first fusion layer
#: has no second input.
UNUSED = re.compile(r"fusion_stage\.layers\.0\.residual_layer1\.")


@dataclass(frozen=True)
class Preprocessing:
    """The steps of a processor, in the field's order: resize, scale, normalise.

    Args:
        size: (height, width) to resize to, None to keep the image's.
        keep_aspect: scale both sides by the factor nearer to one.
        multiple: sides become multiples of this.
        down: round down to the multiple instead of to the nearest.
        filter: ``bilinear`` or ``bicubic``.
        scale: what RGB [0, 1] is multiplied by.
        mean: subtracted after that.
        std: divided by after that.
        pad: mirror a margin around the image first (ZoeDepth).
    """

    size: tuple[int, int] | None
    keep_aspect: bool
    multiple: int
    down: bool
    filter: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: bool

    @classmethod
    def read(cls, path: Path, defaults: dict[str, Any]) -> Preprocessing:
        """From ``preprocessor_config.json``; what it leaves out is the processor's default.

        Raises:
            InputError: no such file, not JSON, or values that no depth processor has.
        """
        entries = defaults | {key: value for key, value in read_config(path).items() if value is not None}
        try:
            divisor = entries.get("size_divisor")
            multiple = int(divisor if divisor else max(1, entries.get("ensure_multiple_of", 1)))
            normalise = entries["do_normalize"]
            return cls(
                size=_size(entries["size"]) if entries["do_resize"] and entries["size"] else None,
                keep_aspect=bool(entries.get("keep_aspect_ratio", False)),
                multiple=multiple,
                down=entries.get("down", False),
                filter=FILTERS[entries["resample"]],
                scale=255 * float(entries["rescale_factor"]) if entries["do_rescale"] else 255.0,
                mean=tuple(map(float, entries["image_mean"])) if normalise else (0.0, 0.0, 0.0),
                std=tuple(map(float, entries["image_std"])) if normalise else (1.0, 1.0, 1.0),
                pad=bool(entries["do_pad"]) and not divisor,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: not a depth model's preprocessing ({type(error).__name__}: {error})") from None

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) the network sees of an image of that size."""
        rows, columns = 1.0, 1.0
        if self.size is not None:
            rows, columns = self.size[0] / height, self.size[1] / width
            if self.keep_aspect:
                rows = columns = columns if abs(1 - columns) < abs(1 - rows) else rows
        return self._fit(rows * height), self._fit(columns * width)

    def _fit(self, side: float) -> int:
        count = math.floor(side / self.multiple) if self.down else round(side / self.multiple)
        return max(1, count) * self.multiple


class TransformersDepth(DepthModel):
    """Any depth model of transformers; the subclasses know what their family's numbers mean.

    Args:
        network: the loaded network.
        preprocessing: what its images go through.
        kind: of its output.
        name: for messages and cards.
        licence: of the weights.
        weights: digest of the weights' content.
    """

    parallel = True

    #: ``model_type`` in config.json.
    model_type: ClassVar[str] = ""
    #: What the family's processor does where preprocessor_config.json says nothing.
    defaults: ClassVar[dict[str, Any]] = {
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_pad": False,
        "size": {"height": 384, "width": 384},
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }

    def __init__(
        self,
        network: torch.nn.Module,
        preprocessing: Preprocessing,
        kind: Kind,
        name: str,
        licence: str,
        weights: str,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.preprocessing = preprocessing
        self.kind = kind
        self.unit = METRES[kind.quantity] if kind.up_to == "nothing" else ARBITRARY
        self.name = name
        self.licence = licence
        self.digest = digest([], weights, type(self).__name__, str(kind), json.dumps(asdict(preprocessing)))
        self._device = torch.device("cpu")

    @classmethod
    def kind_of(cls, config: Any) -> Kind | None:
        """The kind of this family's output for a config; None where the config does not tell."""
        return None

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """See :meth:`DepthModel.input_size`; the size the model's own processor gives."""
        return self.preprocessing.input_size(height, width)

    def infer(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.infer`; values that are not positive become NaN unless the kind is affine."""
        output = self.quantity(self.network(pixel_values=self.normalise(images.to(self._device)))).float()
        if self.kind.up_to != "affine":
            output = torch.where(output > 0, output, math.nan)
        return output.to(images.device)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """The finest fused map of a dense prediction transformer, which its head turns into depth.

        Raises:
            ConfigError: this family's head is another.
        """
        head = getattr(self.network, "head", None)
        index = getattr(self.network.config, "head_in_index", None)
        if head is None or index is None:
            return super().features(images)
        seen: list[Tensor] = []
        hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][index]))
        try:
            self(images)
        finally:
            hook.remove()
        return seen[0].float().to(images.device)

    def quantity(self, output: Any) -> Tensor:
        """(B, h, w) in the sense of ``kind``, from what the network returns."""
        return output.predicted_depth

    def normalise(self, images: Tensor) -> Tensor:
        """RGB [0, 1] to what the network was trained on."""
        steps = self.preprocessing
        mean = images.new_tensor(steps.mean)[:, None, None]
        std = images.new_tensor(steps.std)[:, None, None]
        return (images * steps.scale - mean) / std

    def resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """By the model's own filter, antialiased as PIL does it; overshoot is cut off as uint8 does."""
        resized = F.interpolate(images, size=size, mode=self.preprocessing.filter, antialias=True, align_corners=False)
        return resized.clamp(0, 1)

    def to(self, device: str) -> Self:
        """Move to a device."""
        self._device = torch.device(device)
        self.network.to(self._device)
        return self


class DepthAnything(TransformersDepth):
    """Depth Anything V1 and V2 (Yang et al., CVPR and NeurIPS 2024); V2's metric fine-tunes give metres."""

    model_type = "depth_anything"
    defaults = TransformersDepth.defaults | {
        "size": {"height": 518, "width": 518},
        "ensure_multiple_of": 14,
        "keep_aspect_ratio": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }

    @classmethod
    def kind_of(cls, config: Any) -> Kind | None:
        """Told by ``depth_estimation_type``."""
        return Kind("depth", "nothing") if config.depth_estimation_type == "metric" else Kind("disparity", "affine")

    @property
    def width(self) -> int:
        """Channels of the tokens."""
        config: Any = self.network.config
        return int(config.backbone_config.hidden_size)

    @property
    def patch(self) -> int:
        """Pixels that a token stands for, along each side."""
        config: Any = self.network.config
        return int(config.patch_size)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Tokens of the blocks that its head joins; the network follows the images to their device.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], sides multiples of the patch.

        Returns:
            (B, C, h, w) each, normalised, without the class token.
        """
        if images.device != self._device:
            self.to(str(images.device))
        return tapped(self.network, self.normalise(images))

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, H, W) float32 of such tokens, differentiable: what :meth:`infer` says where they are not changed."""
        return joined(self.network, maps)


class DPT(TransformersDepth):
    """DPT and MiDaS 3 (Ranftl et al., ICCV 2021)."""

    model_type = "dpt"

    @classmethod
    def kind_of(cls, config: Any) -> Kind | None:
        """MiDaS's affine-invariant disparity.

        A head with a projection is DINOv2's, which may give metric depth; the files do not tell, so None.
        """
        return None if config.add_projection else Kind("disparity", "affine")


class GLPN(TransformersDepth):
    """GLPN (Kim et al., 2022): metres, trained on NYU v2 or KITTI."""

    model_type = "glpn"
    defaults = TransformersDepth.defaults | {
        "do_normalize": False,
        "size": None,  # never resized further than to the divisor
        "resample": 2,
        "size_divisor": 32,
        "down": True,
    }

    @classmethod
    def kind_of(cls, config: Any) -> Kind | None:
        """Metric: the network multiplies a sigmoid by ``max_depth`` metres."""
        return Kind("depth", "nothing")


class ZoeDepth(TransformersDepth):
    """ZoeDepth (Bhat et al., 2023): metres. A mirrored margin keeps border artefacts out."""

    model_type = "zoedepth"
    defaults = TransformersDepth.defaults | {
        "do_pad": True,
        "size": {"height": 384, "width": 512},
        "keep_aspect_ratio": True,
        "ensure_multiple_of": 32,
        "resample": 2,
    }

    @classmethod
    def kind_of(cls, config: Any) -> Kind | None:
        """Metric."""
        return Kind("depth", "nothing")

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.__call__`."""
        if not self.preprocessing.pad:
            return super().__call__(images)
        # Never more than the image has to mirror.
        rows, columns = (min(int(math.sqrt(side / 2) * 3), side - 1) for side in images.shape[-2:])
        padded = super().__call__(F.pad(images, (columns, columns, rows, rows), mode="reflect"))
        return padded[:, rows : padded.shape[1] - rows, columns : padded.shape[2] - columns]

    def resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Corners correspond and nothing is antialiased: the network was trained on such images."""
        resized = F.interpolate(images, size=size, mode=self.preprocessing.filter, align_corners=True)
        return resized.clamp(0, 1)


class DepthPro(TransformersDepth):
    """Depth Pro (Bochkovskii et al., ICLR 2025): metres, from inverse depth and an estimated field of view.

    Without its field-of-view head it is right up to scale only.
    """

    model_type = "depth_pro"
    defaults = TransformersDepth.defaults | {"size": {"height": 1536, "width": 1536}, "resample": 2}

    @classmethod
    def kind_of(cls, config: Any) -> Kind | None:
        """Metric where the field of view is estimated."""
        return Kind("depth", "nothing" if config.use_fov_model else "scale")

    def quantity(self, output: Any) -> Tensor:
        """Depth: 1 / (inverse depth * width / focal length), within 1e-4 to 1e4."""
        inverse = output.predicted_depth.float()
        if output.field_of_view is not None:
            inverse = inverse * (2 * torch.tan(torch.deg2rad(output.field_of_view.float()) / 2))[:, None, None]
        return 1 / inverse.clamp(1e-4, 1e4)

    def resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Without antialiasing, as its processor does."""
        return F.interpolate(images, size=size, mode=self.preprocessing.filter, align_corners=False).clamp(0, 1)


FAMILIES: dict[str, type[TransformersDepth]] = {
    family.model_type: family for family in (DepthAnything, DPT, GLPN, ZoeDepth, DepthPro)
}


def load_transformers(spec: str, kind: str | Kind | None = None) -> TransformersDepth:
    """A depth model from a folder with ``config.json`` and safetensors, or from the hub (fetched once, then
    cached).

    Args:
        spec: the folder, or ``owner/name``.
        kind: of the output, for models whose family leadline does not know, or fine-tunes that mean something
            else.

    Raises:
        InputError: nothing there, files missing or unreadable, or weights of another network.
        ConfigError: the kind is not known and was not given.
    """
    folder = Path(spec)
    if not folder.is_dir():
        folder = fetch(spec)
    name = folder.name if Path(spec).is_dir() else spec
    config, family = _config(folder, spec)
    stated = Kind.parse(kind) if kind is not None else family.kind_of(config)
    if stated is None:
        raise ConfigError(
            f"{spec}: nothing tells what a {config.model_type!r} network of this form gives; say so with "
            "--teacher-kind (in Python kind=), for example affine-invariant-disparity or metric-depth"
        )
    preprocessing = Preprocessing.read(folder / "preprocessor_config.json", family.defaults)
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise InputError(f"{spec}: no model.safetensors in it; weights in other formats are not loaded")
    from transformers import AutoModelForDepthEstimation

    network = load_network(AutoModelForDepthEstimation, folder, spec, UNUSED.search, config=config)
    return family(network, preprocessing, stated, name, licence_of(folder, spec), digest(files))


def open_depth_anything(spec: str) -> DepthAnything:
    """A Depth Anything that knows disparity up to scale and shift; see :func:`load_transformers`.

    Raises:
        InputError: see there; or it is a model of another family, or gives metres.
    """
    model = load_transformers(spec)
    if not isinstance(model, DepthAnything) or model.kind.up_to != "affine":
        raise InputError(
            f"{spec}: a Depth Anything V1 or V2 that gives relative disparity is needed, such as "
            f"depth-anything/Depth-Anything-V2-Small-hf; this is {type(model).__name__} and gives {model.kind}"
        )
    return model


def _config(folder: Path, spec: str) -> tuple[Any, type[TransformersDepth]]:
    """The network's configuration and the family it belongs to."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES as loadable

    model_type = str(read_config(folder / "config.json").get("model_type"))
    if model_type not in loadable:
        raise InputError(
            f"{spec}: model type {model_type!r} is no depth model of transformers"
            f"{suggest(model_type, loadable)} (there are {', '.join(loadable)})"
        )
    if model_type == "prompt_depth_anything":
        raise InputError(f"{spec}: this network needs a depth map as prompt beside the image, which is not supported")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{spec}: its config.json cannot be read ({first_line(error)})") from None
    return config, FAMILIES.get(model_type, TransformersDepth)


def _size(value: Any) -> tuple[int, int]:
    """Old processors give one number or two, newer ones a dictionary."""
    if isinstance(value, dict):
        return int(value["height"]), int(value["width"])
    if isinstance(value, list | tuple):
        return int(value[0]), int(value[1])
    return int(value), int(value)
