"""Tiny random models of every transformers family, saved as the hub has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
RESCALE = {"do_rescale": True, "rescale_factor": 0.00392156862745098}

# The keys and values of the hub's files, with smaller sizes.
PROCESSORS: dict[str, dict[str, Any]] = {
    "depth_anything": {
        "do_normalize": True, "do_pad": False, "do_resize": True, "ensure_multiple_of": 14,
        "keep_aspect_ratio": True, "image_processor_type": "DPTImageProcessor", "resample": 3,
        "size": {"height": 70, "width": 70}, "size_divisor": None, **IMAGENET, **RESCALE,
    },
    "dpt": {
        "do_normalize": True, "do_resize": True, "feature_extractor_type": "DPTFeatureExtractor",
        "image_processor_type": "DPTImageProcessor", "resample": 3, "size": 64, **HALF,
    },
    "zoedepth": {
        "do_normalize": True, "do_pad": True, "do_resize": True, "ensure_multiple_of": 32,
        "keep_aspect_ratio": True, "image_processor_type": "ZoeDepthImageProcessor", "resample": 2,
        "size": {"height": 64, "width": 96}, **HALF, **RESCALE,
    },
    "glpn": {
        "do_rescale": True, "do_resize": True, "feature_extractor_type": "GLPNFeatureExtractor",
        "image_processor_type": "GLPNImageProcessor", "resample": 2, "size_divisor": 32,
    },
    "depth_pro": {
        "do_normalize": True, "do_resize": True, "image_processor_type": "DepthProImageProcessorFast",
        "resample": 2, "size": {"height": 64, "width": 64}, **HALF, **RESCALE,
    },
}  # fmt: skip


def _dinov2(**options: Any) -> Any:
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=70, patch_size=14,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False, apply_layernorm=True, **options,
    )  # fmt: skip


def _network(model_type: str, **options: Any) -> torch.nn.Module:
    import transformers as t

    if model_type == "depth_anything":
        return t.DepthAnythingForDepthEstimation(
            t.DepthAnythingConfig(
                backbone_config=_dinov2(), reassemble_hidden_size=16, neck_hidden_sizes=[4, 8, 8, 8],
                fusion_hidden_size=8, head_hidden_size=4, patch_size=14, **options,
            )
        )  # fmt: skip
    if model_type == "dpt":
        return t.DPTForDepthEstimation(
            t.DPTConfig(
                hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
                image_size=64, patch_size=16, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[4, 8, 8,
                8], fusion_hidden_size=8, head_in_index=-1, **options,
            )
        )  # fmt: skip
    if model_type == "zoedepth":
        backbone = t.BeitConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64,
            patch_size=16, out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
            use_relative_position_bias=True,
        )  # fmt: skip
        return t.ZoeDepthForDepthEstimation(
            t.ZoeDepthConfig(
                backbone_config=backbone, neck_hidden_sizes=[4, 8, 8, 8], fusion_hidden_size=8,
                bottleneck_features=8, bin_embedding_dim=8, num_relative_features=4, num_attractors=[4, 2, 2,
                1], bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}], **options,
            )
        )  # fmt: skip
    if model_type == "glpn":
        return t.GLPNForDepthEstimation(
            t.GLPNConfig(
                depths=[1, 1, 1, 1], hidden_sizes=[4, 8, 8, 8], num_attention_heads=[1, 1, 2, 2],
                decoder_hidden_size=8, **options,
            )
        )  # fmt: skip
    small = {
        "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2,
        "mlp_ratio": 2, "image_size": 16, "patch_size": 8,
    }  # fmt: skip
    return t.DepthProForDepthEstimation(
        t.DepthProConfig(
            fusion_hidden_size=16, patch_size=16, intermediate_hook_ids=[1, 0], intermediate_feature_dims=[8,
            8], scaled_images_ratios=[0.25, 0.5, 1.0], scaled_images_overlap_ratios=[0.0, 0.5, 0.25],
            scaled_images_feature_dims=[8, 8, 8], image_model_config=dict(small),
            patch_model_config=dict(small), fov_model_config=dict(small), **{"use_fov_model": True,
            **options},
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def hub_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``hub_model(model_type, **config)`` gives the folder of a tiny random model."""
    made: dict[str, Path] = {}

    def make(model_type: str, **options: Any) -> Path:
        key = f"{model_type}-{json.dumps(options, sort_keys=True)}"
        if key not in made:
            torch.manual_seed(0)
            network = _network(model_type, **options)
            # transformers' own initialisation is so small that nothing of the image reaches the output.
            for name, parameter in network.named_parameters():
                if parameter.ndim > 1:
                    torch.nn.init.kaiming_uniform_(parameter, nonlinearity="linear")
                elif name.startswith("head.") and name.endswith("bias"):
                    torch.nn.init.constant_(parameter, 0.5)  # keeps the ReLU at the end open
            folder = tmp_path_factory.mktemp(model_type)
            network.save_pretrained(folder)
            (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[model_type]))
            made[key] = folder
        return made[key]

    return make
