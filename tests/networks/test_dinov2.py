from __future__ import annotations

import torch

from leadline.foundation.semantics import open_encoder
from leadline.networks.dinov2 import DINOv2


def test_the_folder_opens_as_a_semantic_encoder_with_the_same_tokens(tmp_path):
    torch.manual_seed(0)
    network = DINOv2(width=16, blocks=2, heads=2, grid=4)
    network.save_folder(tmp_path / "folder", "mit")
    encoder = open_encoder(str(tmp_path / "folder"))
    assert (encoder.channels, encoder.stride, encoder.licence, encoder.name) == (16, 8, "mit", "folder")
    image = torch.rand(2, 3, 48, 64)
    tokens = network.eval()(image)
    assert tokens.shape == (2, 16, 6, 8)
    torch.testing.assert_close(encoder.tokens(image), tokens)
    again = DINOv2(**network.options)
    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }
