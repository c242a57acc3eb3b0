from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage.data import astronaut

from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.foundation.transformers_depth import DepthPro, TransformersDepth, ZoeDepth

Make = Callable[..., Path]
FAMILIES = ["depth_anything", "dpt", "zoedepth", "glpn", "depth_pro"]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(astronaut()).crop((100, 0, 430, 220))


@pytest.fixture(scope="module")
def image(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)[None]


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "copy"))


@pytest.mark.parametrize(
    ("model_type", "options", "kind", "unit"),
    [
        ("depth_anything", {}, "affine-invariant-disparity", "arbitrary"),
        ("depth_anything", {"depth_estimation_type": "metric", "max_depth": 20}, "metric-depth", "m"),
        ("dpt", {}, "affine-invariant-disparity", "arbitrary"),
        ("zoedepth", {}, "metric-depth", "m"),
        ("glpn", {}, "metric-depth", "m"),
        ("depth_pro", {}, "metric-depth", "m"),
        ("depth_pro", {"use_fov_model": False}, "scale-invariant-depth", "arbitrary"),
    ],
)
def test_every_family_loads_says_its_kind_and_predicts_at_the_images_size(
    model_type: str, options: dict[str, object], kind: str, unit: str, hub_model: Make, image: torch.Tensor
) -> None:
    model = load(hub_model(model_type, **options))
    assert (str(model.kind), model.unit, model.licence) == (kind, unit, "unknown")
    prediction = model(torch.cat([image, image.flip(-1)]))
    assert prediction.shape == (2, *image.shape[-2:])
    assert prediction.dtype == torch.float32
    assert not prediction.requires_grad
    assert torch.isfinite(prediction).all()
    if "depth" in kind:
        assert (prediction > 0).all()
    torch.testing.assert_close(prediction[:1], model(image), rtol=1e-3, atol=1e-4)


def _processor(model_type: str, folder: Path) -> object:
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
    from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil
    from transformers.models.zoedepth.image_processing_pil_zoedepth import ZoeDepthImageProcessorPil

    classes = {"glpn": GLPNImageProcessorPil, "zoedepth": ZoeDepthImageProcessorPil}
    return classes.get(model_type, DPTImageProcessorPil).from_pretrained(folder)


@pytest.mark.parametrize("model_type", ["depth_anything", "dpt", "zoedepth", "glpn"])
def test_preprocessing_is_that_of_the_librarys_own_processor(
    model_type: str, hub_model: Make, picture: Image.Image, image: torch.Tensor
) -> None:
    folder = hub_model(model_type)
    model = load(folder)
    assert isinstance(model, TransformersDepth)
    expected = _processor(model_type, folder)(images=picture, return_tensors="pt")["pixel_values"]  # type: ignore[operator]
    source = image
    if model_type == "zoedepth":
        rows, columns = (int(math.sqrt(side / 2) * 3) for side in image.shape[-2:])
        source = F.pad(image, (columns, columns, rows, rows), mode="reflect")
    size = model.input_size(*source.shape[-2:])
    given = model.normalise(model.resize(source, size))
    assert given.shape == expected.shape
    # PIL rounds to uint8 after each of its two passes: a level or so, more where bicubic overshoot is cut off
    # between.
    level = 1 / 255 / min(model.preprocessing.std)
    difference = (given - expected).abs()
    assert difference.mean() < 0.5 * level
    assert difference.max() < (1e-4 if model_type == "zoedepth" else 4 * level)


@pytest.mark.parametrize("model_type", ["depth_anything", "dpt", "glpn"])
def test_prediction_is_the_networks_own(model_type: str, hub_model: Make, image: torch.Tensor) -> None:
    """The whole path against transformers alone, at a size that needs no resizing."""
    from transformers import AutoModelForDepthEstimation

    folder = hub_model(model_type)
    model = load(folder)
    assert isinstance(model, TransformersDepth)
    size = model.input_size(*image.shape[-2:])
    exact = F.interpolate(image, size, mode="area")
    assert model.input_size(*size) == size
    network = AutoModelForDepthEstimation.from_pretrained(folder).eval()
    mean, std = (torch.tensor(v)[:, None, None] for v in (model.preprocessing.mean, model.preprocessing.std))
    with torch.no_grad():
        expected = network((exact - mean) / std).predicted_depth
    assert expected.std() > 0.01
    torch.testing.assert_close(model.infer(exact), expected)


def test_zoedepth_cuts_its_margin_off(hub_model: Make) -> None:
    """A network that returns its input must give the image back in place."""
    model = load(hub_model("zoedepth"))
    assert isinstance(model, ZoeDepth)
    ramp = torch.linspace(0.1, 0.9, 96).expand(1, 3, 64, 96).contiguous()
    seen = []
    model.infer = lambda images: seen.append(images.shape) or images[:, 0]  # type: ignore[method-assign,func-returns-value]
    output = model(ramp)
    assert output.shape == (1, 64, 96)
    assert seen == [(1, 3, 64, 96)]
    # Inwards of the mirrored margin the ramp is back, to within the two filters' different pixel conventions.
    assert (output[0] - ramp[0, 0]).abs()[:, 4:-4].max() < 0.02


def test_depth_pro_turns_inverse_depth_and_field_of_view_into_metres() -> None:
    model = object.__new__(DepthPro)
    inverse = torch.tensor([[[0.5, 0.0]], [[0.25, 2.0]]])
    fov = torch.tensor([90.0, 60.0])
    found = model.quantity(SimpleNamespace(predicted_depth=inverse, field_of_view=fov))
    # depth = focal length / (inverse depth * width), focal length / width = 1 / (2 tan(fov / 2))
    expected = torch.tensor([[[1.0, 1e4]], [[4 * math.sqrt(3) / 2, math.sqrt(3) / 4]]])
    torch.testing.assert_close(found, expected)
    scaled = model.quantity(SimpleNamespace(predicted_depth=inverse, field_of_view=None))
    torch.testing.assert_close(scaled[0, 0, 0], torch.tensor(2.0))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(480, 640, (518, 686)), (1080, 1920, (518, 924)), (640, 480, (686, 518)), (518, 518, (518, 518))],
)
def test_depth_anything_input_sizes_are_the_published_ones(
    height: int, width: int, expected: tuple[int, int], hub_model: Make, tmp_path: Path
) -> None:
    folder = copy(hub_model("depth_anything"), tmp_path)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["size"] = {"height": 518, "width": 518}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    assert load(folder).input_size(height, width) == expected


def test_digest_names_weights_and_preprocessing(hub_model: Make, tmp_path: Path) -> None:
    folder = copy(hub_model("dpt"), tmp_path)
    original = load(folder).digest
    assert load(hub_model("dpt")).digest == original
    assert load(folder, kind="metric-depth").digest != original
    settings = folder / "preprocessor_config.json"
    kept = settings.read_text()
    settings.write_text(kept.replace("64", "96"))
    assert load(folder).digest != original
    settings.write_text(kept)
    weights = load_file(folder / "model.safetensors")
    key = sorted(weights)[0]
    save_file(weights | {key: weights[key] + 1}, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).digest != original


def test_the_readme_gives_the_licence(hub_model: Make, tmp_path: Path) -> None:
    folder = copy(hub_model("dpt"), tmp_path)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    assert load(folder).licence == "cc-by-nc-4.0"


def _error(folder: Path | str, **options: str) -> str:
    with pytest.raises((InputError, ConfigError)) as caught:
        load(folder, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_and_broken_files_are_one_clear_line(hub_model: Make, tmp_path: Path) -> None:
    folder = copy(hub_model("dpt"), tmp_path)
    weights, settings = folder / "model.safetensors", folder / "preprocessor_config.json"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    assert "its weights cannot be loaded" in _error(folder)
    tensors = load_file(hub_model("dpt") / "model.safetensors")
    key = next(name for name in sorted(tensors) if name.startswith("head."))
    save_file({name: tensor for name, tensor in tensors.items() if name != key}, weights, {"format": "pt"})
    assert key in _error(folder)
    save_file(tensors | {key: torch.zeros(7)}, weights, {"format": "pt"})
    assert key in _error(folder)
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    assert "no model.safetensors" in _error(folder)
    weights.write_bytes(whole)
    settings.write_text('{"resample": 77}')
    assert "not a depth model's preprocessing" in _error(folder)
    settings.write_text("{")
    assert "not JSON" in _error(folder)
    settings.unlink()
    assert "no preprocessor_config.json" in _error(folder)


def test_weights_that_no_network_uses_may_be_missing(hub_model: Make, tmp_path: Path) -> None:
    """Published DPT files lack the first fusion layer's first residual unit."""
    folder = copy(hub_model("dpt"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    unused = "fusion_stage.layers.0.residual_layer1."
    kept = {name: tensor for name, tensor in tensors.items() if unused not in name}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    assert isinstance(load(folder), TransformersDepth)


def test_what_cannot_be_known_is_asked_for(hub_model: Make, tmp_path: Path) -> None:
    assert "runs in torch, not in 'onnx'" in _error(hub_model("dpt"), runtime="onnx")
    folder = hub_model("dpt", add_projection=True)
    assert "--teacher-kind" in _error(folder)
    model = load(folder, kind="metric-depth")
    assert (str(model.kind), model.unit) == ("metric-depth", "m")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "depth_anythin"}')
    assert "did you mean 'depth_anything'" in _error(other)
    (other / "config.json").write_text('{"model_type": "prompt_depth_anything"}')
    assert "prompt" in _error(other)
    (other / "config.json").write_text("[]")
    assert "not a JSON object" in _error(other)


def test_a_hub_that_cannot_be_reached_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "the hub gives no such model" in _error("somebody/some-depth-model")
