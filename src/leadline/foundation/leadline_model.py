"""leadline's own checkpoints, as models to predict with, teach with, save and share."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.depth import Kind
from leadline.errors import ConfigError, InputError
from leadline.foundation.base import DepthModel, half_where_possible
from leadline.foundation.licences import is_restricted
from leadline.foundation.semantics import open_encoder
from leadline.foundation.transformers_depth import open_depth_anything
from leadline.io.atomic import writing
from leadline.networks.aggregation import Aggregated
from leadline.networks.base import VideoNetwork, resize
from leadline.networks.binned import Binned
from leadline.networks.bridging import Bridged
from leadline.networks.student import Student


def input_size(trained: tuple[int, int], stride: int, height: int, width: int) -> tuple[int, int]:
    """(height, width) to predict at: the image's aspect, about as many pixels as trained on, multiples of the stride.

    Example:
        >>> input_size((256, 320), 32, 480, 640)
        (256, 320)
        >>> input_size((256, 320), 32, 1080, 1920)
        (224, 384)
    """
    pixels = trained[0] * trained[1]
    # Of the shapes around the exact one, the one that bends the image least; then the one nearest in size.
    rows = math.sqrt(pixels * height / width) / stride
    shapes = [
        (max(1, r) * stride, max(1, c) * stride)
        for r in (math.floor(rows), math.ceil(rows))
        for c in (math.floor(r * width / height), math.ceil(r * width / height), round(pixels / max(1, r) / stride**2))
    ]

    def badness(shape: tuple[int, int]) -> float:
        bend = abs(math.log(shape[1] / shape[0] * height / width))
        return bend + 0.5 * abs(math.log(shape[0] * shape[1] / pixels))

    return min(shapes, key=badness)


class LeadlineModel(DepthModel):
    """A student with its card.

    Args:
        student: the network with its meaning, in eval mode.
        card: what it is.
        name: for messages and file names.
        device: where it runs.
    """

    parallel = True

    def __init__(self, student: Student, card: Card, name: str, device: str = "cpu") -> None:
        self.student = student.eval()
        self.card = card
        self.name = name
        self.kind = Kind.parse(card.kind)
        self.unit = card.unit
        self.licence = card.licence
        self.focal = card.focal
        self.to(device)

    @classmethod
    def open(cls, path: str | os.PathLike[str], device: str = "cpu") -> Self:
        """The model in a checkpoint file or folder.

        Raises:
            InputError: no such file, not a leadline checkpoint, or weights of another architecture; or a foundation
                model that it needs cannot be opened.
        """
        weights, card = checkpoint.load(path)
        file = checkpoint.locate(path)
        name = file.parent.name if file.name == checkpoint.FILE else file.stem
        student = Student.from_card(card, weights, str(file))
        try:
            if isinstance(student.network, Aggregated):
                student.network.attach(open_encoder(_beside(file, student.network.name)))
            if isinstance(student.network, Bridged):
                depth, semantics = student.network.depth_name, student.network.semantics_name
                models = open_depth_anything(_beside(file, depth)), open_encoder(_beside(file, semantics))
                student.network.attach(*models)
        except InputError as error:
            raise InputError(f"{file}: needs another model: {error}") from None
        return cls(student, card, name, device)

    @classmethod
    def from_pretrained(cls, name: str, device: str = "cpu") -> Self:
        """The model in a folder, or in a repository of the Hugging Face hub (fetched once, then cached).

        Raises:
            InputError: neither a folder nor a repository that can be reached.
        """
        if Path(name).exists():
            return cls.open(name, device)
        from huggingface_hub import hf_hub_download

        try:
            return cls.open(Path(hf_hub_download(name, checkpoint.FILE)).parent, device)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{name}: neither a folder here nor a repository of the hub that can be reached "
                f"({str(error).splitlines()[0]})"
            ) from None

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``model.safetensors`` and a README with the card, the form the hub takes.

        Raises:
            InputError: the folder cannot be written to.
        """
        folder = Path(folder)
        card = self._card_now()
        checkpoint.save(folder / checkpoint.FILE, self.student.network.state_dict(), card)
        with writing(folder / "README.md") as temporary:
            temporary.write_text(readme(card, self.name))

    def _card_now(self) -> Card:
        """Options, such as a temperature, may have been changed since it was opened."""
        return replace(self.card, options=self.student.network.options)

    def push_to_hub(self, repository: str, *, accept_licence: bool = False, **options: Any) -> str:
        """Upload to the Hugging Face hub.

        Args:
            repository: ``user/name``.
            accept_licence: needed for a model whose licence is restricted or not known, so that nobody publishes the
                student of a non-commercial teacher without having read so.
            options: passed to ``huggingface_hub.HfApi.create_repo`` (``private``, ``token``).

        Returns:
            The address of the commit.

        Raises:
            ConfigError: the licence is restricted and was not accepted.
        """
        if is_restricted(self.card.licence) and not accept_licence:
            raise ConfigError(
                f"{self.name}: licence: {self.card.licence}; to publish it under that licence pass accept_licence=True"
            )
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi(token=options.pop("token", None))
        api.create_repo(repository, exist_ok=True, **options)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return str(api.upload_folder(repo_id=repository, folder_path=folder))

    @property
    def digest(self) -> str:  # type: ignore[override]
        """Identifies weights and card."""
        state = hashlib.sha256(self._card_now().to_json().encode())
        for name, tensor in sorted(self.student.network.state_dict().items()):
            state.update(name.encode())
            state.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else b"")
        return state.hexdigest()

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """See :func:`input_size`; the size trained at is what the network saw of it. Of gates, that of the depth model
        they are in: what they add must not hang on another resolution."""
        network = self.student.network
        if isinstance(network, Bridged):
            return network.depth_source.input_size(height, width)
        return input_size(network.sees(*self.card.input_size), network.stride, height, width)

    def resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """See :meth:`DepthModel.resize`; of gates by the depth model's filter."""
        network = self.student.network
        return network.depth_source.resize(images, size) if isinstance(network, Bridged) else resize(images, size)

    @torch.inference_mode()
    def infer(self, images: Tensor) -> Tensor:
        """(B, H, W) in the card's kind and unit."""
        return self.student(images.to(self.device))[:, 0].float()

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """The encoder's features of all strides and what the finest head sees, side by side at a quarter of the size
        the network sees."""
        network, seen = self.student.network, []
        images = self.resize(images.to(self.device), self.input_size(images.shape[-2], images.shape[-1]))
        heads = network.heads()[:1]  # a network of bins has none
        hooks = [head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for head in heads]
        try:
            features = network.encode(images)
            network.decode(features, (images.shape[-2], images.shape[-1]))
        finally:
            for hook in hooks:
                hook.remove()
        grid = (images.shape[-2] // 4, images.shape[-1] // 4)
        return torch.cat([resize(each.float(), grid) for each in (*features, *seen)], dim=1)

    @property
    def window(self) -> int:  # type: ignore[override]
        """Frames it sees together."""
        network = self.student.network
        return network.longest if isinstance(network, VideoNetwork) else 1

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Whether it sees video."""
        return isinstance(self.student.network, VideoNetwork)

    @property
    def looks_around(self) -> bool:  # type: ignore[override]
        """Whether its network looks from one view of a rig at its neighbours."""
        return isinstance(self.student.network, Binned) and self.student.network.attention is not None

    @torch.inference_mode()
    def infer_rig(self, images: Tensor, pairs: Tensor) -> Tensor:
        """(N, H, W) of all views of a rig."""
        return self.student.surrounding(images.to(self.device), pairs.to(self.device))[:, 0].float()

    @torch.inference_mode()
    def infer_clip(self, images: Tensor) -> Tensor:
        """(T, H, W) of a clip's frames."""
        with half_where_possible(self.device):
            return self.student.clip(images[None].to(self.device))[0][:, 0].float()

    @torch.inference_mode()
    def infer_next(self, image: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """See :meth:`DepthModel.infer_next`."""
        with half_where_possible(self.device):
            output, memory = self.student.following(image.to(self.device), memory)
        return output[:, 0].float(), memory

    def to(self, device: str) -> Self:
        """Move to a device."""
        self.device = device
        self.student.to(device)
        return self


def _beside(file: Path, name: str) -> str:
    """Where a model is that a checkpoint names: a folder, or, where both were moved, one beside the checkpoint; else
    the name as it is, of the hub."""
    places = (Path(name), file.parent / name, file.parent / Path(name).name)
    return next((str(place) for place in places if place.is_dir()), name)


def readme(card: Card, name: str) -> str:
    """A model card in the hub's form (Markdown with YAML front matter)."""
    import yaml

    front = {
        "library_name": "leadline",
        "pipeline_tag": "depth-estimation",
        "license": "other",
        "license_name": "see-card",
    }
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False).strip(),
        "---",
        "",
        f"# {name}",
        "",
        f"Monocular depth by `{card.architecture}`: **{card.kind}**, unit {card.unit}, trained at "
        f"{card.input_size[0]}x{card.input_size[1]} (height x width).",
        "",
        f"**Licence**: {card.licence}",
        "",
    ]
    if card.teacher:
        lines += ["**Teacher**: " + ", ".join(f"{key} {value}" for key, value in card.teacher.items()), ""]
    if card.data:
        lines += [f"**Trained on**: {card.data}", ""]
    if card.metrics:
        lines += [
            "| figure | value |",
            "|---|---|",
            *(f"| {key} | {value} |" for key, value in card.metrics.items()),
            "",
        ]
    lines += [
        "```python",
        "import leadline",
        "",
        f'depth = leadline.load("{name}").predict("image.jpg")',
        "```",
        "",
        f"Made by leadline {card.version}.",
        "",
    ]
    return "\n".join(lines)
