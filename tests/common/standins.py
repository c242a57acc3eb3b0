"""Tiny random foundation models, as folders of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from leadline.networks.depth_anything import DepthAnythingNetwork
from leadline.networks.dinov2 import DINOv2

WIDTH, PATCH = 16, 8


def depth_folder(folder: Path) -> Path:
    """A Depth Anything."""
    torch.manual_seed(0)
    network = DepthAnythingNetwork(WIDTH, 4, 2, PATCH, 8, (4, 8, 8, 8), 8)
    loud(network.network.backbone)
    network.save_folder(folder, (64, 96), "apache-2.0")
    return folder


def semantics_folder(folder: Path, width: int = WIDTH) -> Path:
    """A DINOv2."""
    torch.manual_seed(1)
    network = DINOv2(width, 3, 2, PATCH, 8)
    loud(network.network)
    network.save_folder(folder, "apache-2.0")
    return folder


def sam_folder(folder: Path) -> Path:
    """A SAM that sees squares of 128 pixels."""
    import transformers as t

    torch.manual_seed(2)
    network = t.SamModel(
        t.SamConfig(
            vision_config={
                "hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2, "output_channels": 8,
                "image_size": 128, "patch_size": 8, "window_size": 3, "global_attn_indexes": [2], "num_pos_feats": 4,
                "mlp_dim": 32,
            },
            prompt_encoder_config={"hidden_size": 8, "image_size": 128, "patch_size": 8, "mask_input_channels": 4},
            mask_decoder_config={"hidden_size": 8, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 8},
        )
    )  # fmt: skip
    loud(network).save_pretrained(folder)
    steps = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(steps))
    return folder


def loud(network: nn.Module) -> nn.Module:
    """With weights that let something of the image through, which transformers' own hardly do."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_uniform_(parameter, nonlinearity="linear")
    return network
