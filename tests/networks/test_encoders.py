from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
import torch
from safetensors.torch import save_file
from torch import Tensor

from leadline.errors import ConfigError, InputError
from leadline.networks.encoders import pair_encoder
from leadline.networks.resnet import ResNet18
from leadline.networks.swift import EfficientNetLite


def images(count: int = 2, batch: int = 2, size: tuple[int, int] = (64, 96)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(size))
    return [torch.rand(batch, 3, *size, generator=generator) for _ in range(count)]


def torchvision_names() -> set[str]:
    """What torchvision calls the tensors of its ResNet-18, but the classifier's: fc.weight and fc.bias."""

    def norm(name: str) -> set[str]:
        return {f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}

    names = {"conv1.weight"} | norm("bn1")
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            prefix = f"layer{layer}.{block}"
            names |= {f"{prefix}.conv1.weight", f"{prefix}.conv2.weight"} | norm(f"{prefix}.bn1")
            names |= norm(f"{prefix}.bn2")
        if layer > 1:
            names |= {f"layer{layer}.0.downsample.0.weight"} | norm(f"layer{layer}.0.downsample.1")
    return names


def varied(network: ResNet18) -> ResNet18:
    """Weights under which every tensor shows in the output."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(1 + 0.1 * noise.abs())
            elif value.ndim == 1:
                value.add_(0.1 * noise)
    return network.eval()


@pytest.mark.parametrize("size", [(64, 96), (97, 131), (20, 70)])
@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet18"])
def test_features_of_images_of_any_size_halve_exactly(name: str, size: tuple[int, int]) -> None:
    encoder = pair_encoder(name, pretrained=False).eval()
    with torch.no_grad():
        features = encoder(*images(size=size))
    height, width = (max(64, -(-length // 32) * 32) for length in size)
    strides = (2, 4, 8, 16, 32)
    shapes = [(2, channels, height // s, width // s) for channels, s in zip(encoder.channels, strides, strict=True)]
    assert [tuple(feature.shape) for feature in features] == shapes


@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet18"])
def test_gradients_reach_every_parameter_and_both_images(name: str) -> None:
    torch.manual_seed(0)
    encoder = pair_encoder(name, pretrained=False).train()
    first, second = (image.requires_grad_() for image in images())
    sum((feature * torch.rand_like(feature)).sum() for feature in encoder(first, second)).backward()
    tensors = {**dict(encoder.named_parameters()), "first": first, "second": second}
    assert [name for name, tensor in tensors.items() if tensor.grad is None or not tensor.grad.any()] == []


@pytest.mark.parametrize("count", [2, 3])
def test_pretrained_features_of_equal_images_are_those_of_one(count: int) -> None:
    photo = torch.from_numpy(skimage.data.chelsea()).permute(2, 0, 1)[None, :, :256, :320].float() / 255
    single = EfficientNetLite(0).eval()
    single.load_imagenet()
    torch.manual_seed(0)
    random = pair_encoder(images=count, pretrained=False).eval()
    with torch.no_grad():
        several = pair_encoder(images=count).eval()(*[photo] * count)
        for feature, one, other in zip(several, single(photo), random(*[photo] * count), strict=True):
            torch.testing.assert_close(feature, one, atol=1e-3, rtol=1e-3)
            assert (feature - other).abs().mean() > 0.1 * one.abs().mean()


def test_resnet_has_torchvisions_names_and_size() -> None:
    network = pair_encoder("resnet18", images=1, pretrained=False).network
    assert set(network.state_dict()) == torchvision_names()
    assert sum(p.numel() for p in network.parameters()) == 11_689_512 - 513_000  # torchvision's, less the classifier


@torch.no_grad()
def test_resnet_is_the_function_that_others_compute() -> None:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
    other, own = ResNetModel(config).eval(), varied(ResNet18())
    public = {}
    for name, value in own.state_dict().items():
        stage, _, rest = name.partition(".")
        if not stage.startswith("layer"):
            public["embedder.embedder." + {"conv1": "convolution", "bn1": "normalization"}[stage] + "." + rest] = value
            continue
        block, part, end = rest.split(".", 2)
        if part == "downsample":
            kind, end = end.split(".", 1)
            part = "shortcut." + ("convolution", "normalization")[int(kind)]
        else:
            part = f"layer.{int(part[-1]) - 1}." + {"conv": "convolution", "bn": "normalization"}[part[:-1]]
        public[f"encoder.stages.{int(stage[-1]) - 1}.layers.{block}.{part}.{end}"] = value
    other.load_state_dict(public)
    (image,) = images(1, size=(97, 131))
    stages = other((image - 0.45) / 0.225, output_hidden_states=True).hidden_states[1:]
    for feature, expected in zip(own(image)[1:], stages, strict=True):
        torch.testing.assert_close(feature, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("form", ["torchvision", "folder", "monodepth2-depth", "monodepth2-pose"])
@torch.no_grad()
def test_public_resnet_weights_load(form: str, tmp_path: Path) -> None:
    source = varied(ResNet18(2 if form == "monodepth2-pose" else 1))
    stored = {**source.state_dict(), "fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}
    file = tmp_path / ("model.safetensors" if form == "folder" else "encoder.pth")
    if form == "folder":
        save_file(stored, file)
    elif form == "torchvision":  # its first files do not count batches
        torch.save({k: v for k, v in stored.items() if not k.endswith("num_batches_tracked")}, file)
    else:
        notes = {"height": 192, "width": 640, "use_stereo": False} if form == "monodepth2-depth" else {}
        torch.save({**{f"encoder.{k}": v for k, v in stored.items()}, **notes}, file)
    encoder = pair_encoder("resnet18", weights=tmp_path if form == "folder" else file).eval()
    first, second = images()
    if form == "monodepth2-pose":
        expected, actual = source(torch.cat((first, second), dim=1)), encoder(first, second)
    else:
        expected, actual = source(first), encoder(first, first)
    for one, other in zip(expected, actual, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_wrong_weights_are_told(tmp_path: Path) -> None:
    file, whole = tmp_path / "resnet.pth", ResNet18().state_dict()

    def told(message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            pair_encoder("resnet18", weights=file)
        assert "\n" not in str(error.value)

    told(r"resnet\.pth: no such file")
    file.write_bytes(b"not a checkpoint")
    told(r"resnet\.pth: not a PyTorch state dict")
    torch.save(ResNet18(), file)  # a pickled module may run code when it is loaded
    told(r"resnet\.pth: not a PyTorch state dict")
    torch.save([1, 2], file)
    told(r"resnet\.pth: holds a list")
    torch.save({k: v for k, v in whole.items() if k != "bn1.weight"}, file)
    told(r"resnet\.pth: lacks 'bn1\.weight' \(1 such\), expected the weights of a ResNet-18 for 2 images")
    torch.save({**whole, "layer1.2.conv1.weight": torch.zeros(1)}, file)
    told(r"resnet\.pth: has an unknown 'layer1\.2\.conv1\.weight'")
    torch.save({**whole, "conv1.weight": torch.zeros(64, 9, 7, 7)}, file)
    told(r"'conv1\.weight' is \(64, 9, 7, 7\), in a ResNet-18 for 2 images it is \(64, 6, 7, 7\)")
    file = tmp_path / "resnet.safetensors"
    file.write_bytes(b"not a checkpoint")
    told(r"resnet\.safetensors: not a readable safetensors file")


def test_names_on_the_hub_that_cannot_be_reached_are_told() -> None:
    with pytest.raises(InputError, match="nobody/nothing: neither a file here nor a repository") as error:
        pair_encoder("resnet18", weights="nobody/nothing")  # tests run offline
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet-18"}, r"encoder: no 'resnet-18'.*did you mean 'resnet18'"),
        ({"name": "resnet18"}, r"weights: resnet18 comes without"),
        ({"name": "efficientnet-lite0", "weights": "some.pth"}, r"weights: efficientnet-lite0 takes none"),
    ],
)
def test_impossible_options_are_told(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pair_encoder(**options)


def test_weights_that_are_not_wanted_are_not_read() -> None:
    pair_encoder("resnet18", pretrained=False, weights="no-such-file.pth")
