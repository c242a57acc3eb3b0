from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from skimage.data import astronaut, coffee
from torch import Tensor

from leadline.errors import ConfigError, InputError
from leadline.foundation.semantics import DINO, SAM, SemanticEncoder, Swin, open_encoder

Open = Callable[..., SemanticEncoder]
STEPS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "size": {"shortest_edge": 256}, "resample": 3}
DINOS = ["dinov2", "dinov2_with_registers", "dinov3_vit"]
ALL = [*DINOS, "swin", "sam", "efficientnet-lite0"]


def _network(model_type: str) -> torch.nn.Module:
    import transformers as t

    small = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    if model_type == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(**small, mlp_ratio=2, image_size=56, patch_size=14))
    if model_type == "dinov2_with_registers":
        return t.Dinov2WithRegistersModel(
            t.Dinov2WithRegistersConfig(**small, mlp_ratio=2, image_size=56, patch_size=14, num_register_tokens=4)
        )
    if model_type == "dinov3_vit":
        return t.DINOv3ViTModel(
            t.DINOv3ViTConfig(**small, intermediate_size=32, image_size=64, patch_size=16, num_register_tokens=4)
        )
    if model_type == "swin":
        return t.SwinModel(
            t.SwinConfig(image_size=64, patch_size=4, embed_dim=8, depths=[2, 2, 2], num_heads=[1, 2, 2], window_size=4)
        )
    return t.SamModel(
        t.SamConfig(
            vision_config={
                **small, "output_channels": 8, "image_size": 128, "patch_size": 16, "window_size": 3,
                "global_attn_indexes": [2], "num_pos_feats": 4, "mlp_dim": 32,
            },
            prompt_encoder_config={"hidden_size": 8, "image_size": 128, "patch_size": 16, "mask_input_channels": 4},
            mask_decoder_config={
                "hidden_size": 8, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 8,
            },
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``folder(model_type)`` gives a tiny random model as the hub has it."""
    made: dict[str, Path] = {}

    def make(model_type: str) -> Path:
        if model_type not in made:
            torch.manual_seed(0)
            network = _network(model_type)
            # transformers' own initialisation is so small that nothing of the image reaches the output.
            for name, parameter in network.named_parameters():
                if parameter.ndim == 1:
                    torch.nn.init.normal_(parameter, mean=float("norm" in name and "weight" in name), std=0.1)
                elif "pos" in name or "token" in name:
                    torch.nn.init.normal_(parameter, std=0.1)
                else:
                    torch.nn.init.kaiming_uniform_(parameter, nonlinearity="linear")
            made[model_type] = tmp_path_factory.mktemp(model_type)
            network.save_pretrained(made[model_type])
            (made[model_type] / "preprocessor_config.json").write_text(json.dumps(STEPS))
        return made[model_type]

    return make


@pytest.fixture(scope="module")
def encoders(folder: Callable[[str], Path]) -> Open:
    opened: dict[str, SemanticEncoder] = {}

    def get(name: str) -> SemanticEncoder:
        if name not in opened:
            opened[name] = open_encoder(name if name.startswith("efficientnet") else str(folder(name)))
        return opened[name]

    return get


def picture(height: int, width: int, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(128, 128), (70, 131), (160, 96)])
def test_tokens_and_vectors_of_any_size(name: str, size: tuple[int, int], encoders: Open) -> None:
    encoder = encoders(name)
    images = picture(*size, batch=2)
    tokens, vectors = encoder.tokens(images), encoder.pooled(images)
    assert tokens.shape[:2] == vectors.shape == (2, encoder.channels)
    assert encoder.tokens(images, (5, 7)).shape == (2, encoder.channels, 5, 7)
    rows, columns = tokens.shape[-2:]
    if name not in ("sam", "swin"):  # these have sizes of their own
        assert (rows, columns) == tuple(max(1, round(side / encoder.stride)) for side in size)
    assert columns / rows == pytest.approx(size[1] / size[0], rel=0.5 / min(rows, columns))
    assert tokens.dtype == vectors.dtype == torch.float32
    assert tokens.isfinite().all()
    torch.testing.assert_close(tokens[1:], encoder.tokens(images[1:]), rtol=1e-3, atol=1e-4)
    assert (tokens[0] - tokens[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("height", "width"), [(192, 192), (192, 384), (384, 192)])
def test_a_square_that_moves_moves_the_response(name: str, height: int, width: int, encoders: Open) -> None:
    encoder = encoders(name)

    def centre(left: int, top: int) -> tuple[float, float]:
        """Of the response, as shares of width and height."""
        blank = torch.full((1, 3, height, width), 0.4)
        image = blank.clone()
        image[..., top : top + 48, left : left + 48] = 1.0
        response = (encoder.tokens(image) - encoder.tokens(blank)).square().sum(dim=1)[0]
        rows, columns = response.shape
        x = (response.sum(0) * (torch.arange(columns) + 0.5)).sum() / response.sum() / columns
        y = (response.sum(1) * (torch.arange(rows) + 0.5)).sum() / response.sum() / rows
        return float(x), float(y)

    near, right, down = centre(16, 16), centre(width - 64, 16), centre(16, height - 64)
    middle = 40 / width, 40 / height
    # Attention spreads a part of the response over the image; most stays where the square is.
    assert right[0] - near[0] > 0.4 * (width - 80) / width
    assert down[1] - near[1] > 0.4 * (height - 80) / height
    assert abs(down[0] - near[0]) < 0.15
    assert abs(right[1] - near[1]) < 0.15
    assert near == pytest.approx(middle, abs=0.25)


@pytest.mark.parametrize("name", ALL)
def test_it_is_frozen_but_can_be_differentiated_by_its_input(name: str, encoders: Open) -> None:
    encoder = encoders(name)
    before = [parameter.clone() for parameter in encoder.network.parameters()]
    images = picture(96, 128).requires_grad_()
    (encoder.tokens(images).sin().sum() + encoder.pooled(images).sin().sum()).backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert (images.grad != 0).float().mean() > 0.5
    assert not any(module.training for module in encoder.network.modules())
    for parameter, value in zip(encoder.network.parameters(), before, strict=True):
        assert parameter.grad is None
        assert not parameter.requires_grad
        assert torch.equal(parameter, value)
    assert copy.deepcopy(encoder) is encoder
    assert not isinstance(encoder, torch.nn.Module)


@pytest.mark.parametrize("name", DINOS)
def test_dino_tokens_are_the_networks_patches(name: str, encoders: Open) -> None:
    encoder = encoders(name)
    assert isinstance(encoder, DINO)
    images = picture(3 * encoder.stride, 5 * encoder.stride)
    mean, std = (torch.tensor(STEPS[key])[:, None, None] for key in ("image_mean", "image_std"))
    output = encoder.network((images - mean) / std)
    tokens = encoder.tokens(images)
    for row, column in ((0, 0), (0, 4), (2, 1)):
        torch.testing.assert_close(tokens[0, :, row, column], output.last_hidden_state[0, 5 * row + column - 15])
    torch.testing.assert_close(encoder.pooled(images), output.pooler_output)


@pytest.mark.parametrize("name", DINOS)
def test_blocks_end_in_the_tokens(name: str, encoders: Open) -> None:
    encoder = encoders(name)
    images = picture(64, 96)
    first, last = encoder.blocks(images, (0, 2), grid=(4, 6))
    assert first.shape == last.shape == (1, 16, 4, 6)
    torch.testing.assert_close(last, encoder.tokens(images, (4, 6)))
    assert (first - last).abs().max() > 0.01
    with pytest.raises(ConfigError, match="has blocks 0 to 2, none 3"):
        encoder.blocks(images, (1, 3))


def test_a_grid_is_met_by_resizing_the_image_for_dino(encoders: Open) -> None:
    assert encoders("dinov2").input_size(192, 640, (12, 40)) == (168, 560)
    with pytest.raises(ConfigError, match="last layer only"):
        encoders("swin").blocks(picture(64, 64), (0,))


def test_swin_does_not_remember_the_images_before(folder: Callable[[str], Path]) -> None:
    encoder = open_encoder(str(folder("swin")))
    assert isinstance(encoder, Swin)
    assert encoder.input_size(40, 80) == (64, 128)  # a window of the last stage is 4 * 16 pixels
    large = picture(128, 160)
    before = encoder.tokens(large)
    encoder.tokens(picture(64, 64, seed=1))
    assert torch.equal(encoder.tokens(large), before)
    torch.testing.assert_close(
        encoder.pooled(large), encoder.network(encoder.prepared(large, (128, 160))).pooler_output
    )


def test_sam_gives_its_last_block_and_only_of_the_image(encoders: Open, folder: Callable[[str], Path]) -> None:
    from transformers import SamModel

    encoder = encoders("sam")
    assert isinstance(encoder, SAM)
    whole = SamModel.from_pretrained(folder("sam")).eval().vision_encoder
    seen = []
    whole.neck.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = picture(80, 128)
    mean, std = (torch.tensor(STEPS[key])[:, None, None] for key in ("image_mean", "image_std"))
    with torch.no_grad():
        whole(F.pad((images - mean) / std, (0, 0, 0, 48)))
    tokens = encoder.tokens(images)
    assert tokens.shape == (1, 16, 5, 8)
    torch.testing.assert_close(tokens, seen[0].permute(0, 3, 1, 2)[:, :, :5])
    assert encoder.input_size(370, 1226) == (32, 128)  # 38.6 rows, nearest to 2 patches


def test_the_class_of_what_is_seen_outweighs_how_it_is_seen(encoders: Open) -> None:
    """With real ImageNet features."""
    one, other = (
        F.interpolate(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None] / 255, (256, 320))
        for image in (astronaut(), coffee())
    )
    encoder = encoders("efficientnet-lite0")
    assert (encoder.name, encoder.licence, encoder.channels) == ("efficientnet-lite0", "apache-2.0", 320)
    vector, changed, different = (encoder.pooled(image) for image in (one, 0.8 * one.flip(-1), other))
    assert F.cosine_similarity(vector, changed) > F.cosine_similarity(vector, different) + 0.2


def test_name_licence_and_digest(folder: Callable[[str], Path], tmp_path: Path) -> None:
    place = Path(shutil.copytree(folder("dinov2"), tmp_path / "mine"))
    (place / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    encoder = open_encoder(str(place))
    assert (encoder.name, encoder.licence) == ("mine", "apache-2.0")
    assert encoder.digest == open_encoder(str(folder("dinov2"))).digest
    (place / "preprocessor_config.json").write_text(json.dumps(STEPS | {"image_std": [1, 1, 1]}))
    assert open_encoder(str(place)).digest != encoder.digest
    assert open_encoder("efficientnet-lite1").digest != open_encoder("efficientnet-lite0").digest


def _error(spec: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        open_encoder(str(spec))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_wrong_is_one_clear_line(folder: Callable[[str], Path], tmp_path: Path) -> None:
    assert "did you mean 'efficientnet-lite0'" in _error("eficientnet-lite0")
    place = Path(shutil.copytree(folder("swin"), tmp_path / "swin"))
    weights, steps = place / "model.safetensors", place / "preprocessor_config.json"

    def settings(**changes: Any) -> None:
        stored = json.loads((folder("swin") / "config.json").read_text())
        (place / "config.json").write_text(json.dumps(stored | changes))

    settings(model_type="swim")
    assert "'swim' is no semantic encoder; did you mean 'swin'" in _error(place)
    settings(depths=[2, 2, 4])
    assert "do not fit its config.json" in _error(place)
    settings()
    steps.write_text('{"image_mean": 0.5}')
    assert "image_mean in preprocessor_config.json should be three numbers" in _error(place)
    steps.write_text("{}")
    assert open_encoder(str(place)).mean == (0.485, 0.456, 0.406)
    tensors = load_file(weights)
    lost = sorted(tensors)[0]
    save_file({key: tensor for key, tensor in tensors.items() if key != lost}, weights, {"format": "pt"})
    assert f"such as {lost}" in _error(place)
    weights.write_bytes(b"junk")
    assert "cannot be loaded" in _error(place)
    weights.unlink()
    assert "no model.safetensors" in _error(place)
