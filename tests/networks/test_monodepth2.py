from __future__ import annotations

import pytest
import torch

from common.network_tester import NetworkTester
from leadline.errors import InputError
from leadline.networks import create
from leadline.networks.monodepth2 import Monodepth2


class TestMonodepth2(NetworkTester):
    variant = "monodepth2-resnet18"


def test_has_the_size_that_the_paper_says():
    """14.3 M parameters without ResNet's classifier (table 6 of Lite-Mono, CVPR 2023, among others)."""
    count = sum(parameter.numel() for parameter in create("monodepth2-resnet18").parameters())
    assert count == pytest.approx(14.33e6, rel=1e-3)


def test_public_files_load_as_they_are(tmp_path):
    torch.manual_seed(0)
    network = create("monodepth2-resnet18").eval()
    encoder = {f"encoder.{name}": value for name, value in network.encoder.state_dict().items()}
    classifier = {"encoder.fc.weight": torch.zeros(1000, 512), "encoder.fc.bias": torch.zeros(1000)}
    torch.save(encoder | classifier | {"height": 192, "width": 640, "use_stereo": False}, tmp_path / "encoder.pth")
    depth = network.decoder.state_dict()
    assert {"decoder.0.conv.conv.weight", "decoder.10.conv.weight", "decoder.13.conv.bias"} <= set(depth)
    torch.save(depth, tmp_path / "depth.pth")
    loaded = Monodepth2.load_public(tmp_path).eval()
    image = torch.rand(1, 3, 64, 96)
    assert torch.equal(loaded(image), network(image))
    assert loaded.architecture == "monodepth2-resnet18"
    with pytest.raises(InputError, match=r"encoder\.pth: lacks"):
        Monodepth2.load_public(tmp_path / "encoder.pth", tmp_path / "encoder.pth")
