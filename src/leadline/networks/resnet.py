"""ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) as a pyramid of features.

Names of modules follow torchvision's, so that its ImageNet weights, and those of the pose, flow and depth encoders of
monodepth2's lineage, load as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from leadline.checkpoint import FILE
from leadline.errors import InputError
from leadline.networks.public import for_images, load_weights, read_weights


class ResNet18(nn.Module):
    """Features of ResNet-18 at 1/2 to 1/32, without the classifier.

    The input is normalised by one mean and one deviation for all colours, as monodepth2 does. AF-SfMLearner's encoders
    were trained without: their weights load, and adapt in training.

    Args:
        images: how many images (B, 3, H, W) come side by side in the channels.
    """

    widths: ClassVar[tuple[int, ...]] = (64, 64, 128, 256, 512)

    def __init__(self, images: int = 1) -> None:
        super().__init__()
        self.images = images
        self.conv1 = nn.Conv2d(3 * images, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, stride=1)
        self.layer2 = _stage(64, 128, stride=2)
        self.layer3 = _stage(128, 256, stride=2)
        self.layer4 = _stage(256, 512, stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features, finest first, of (B, 3 images, H, W) in [0, 1]; sizes round up at each halving."""
        x = F.relu(self.bn1(self.conv1((image - 0.45) / 0.225)))
        features = [x]
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features

    def load(self, weights: str | Path) -> None:
        """Load public weights: a classifier is left out, those of one image are repeated for more.

        Args:
            weights: a ``.safetensors`` or PyTorch file, a folder with ``model.safetensors``, or a repository of the
                Hugging Face hub, such as ``timm/resnet18.tv_in1k`` (ImageNet), which is fetched once.

        Raises:
            InputError: there is no such file or repository, or it holds another network.
        """
        path = _file(weights)
        # The public trainers keep the network as the member "encoder" of their encoder.
        stored = {key.removeprefix("encoder."): value for key, value in read_weights(path).items()}
        stored = {key: value for key, value in stored.items() if not key.startswith("fc.")}
        first = stored.get("conv1.weight")
        if isinstance(first, Tensor) and first.ndim == 4 and first.shape[1] == 3:
            stored["conv1.weight"] = for_images(first, self.images)
        load_weights(self, stored, path, f"a ResNet-18 for {self.images} images")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions on a residual path; the other path is projected where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H / stride, W / stride), rounded up."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def _stage(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels, out, stride), BasicBlock(out, out, 1))


def _file(weights: str | Path) -> Path:
    path = Path(weights)
    if path.is_dir():
        return path / FILE
    # A hub's name is owner/name; whatever else looks like a path is one.
    if path.exists() or path.suffix in (".safetensors", ".pth", ".pt", ".bin") or str(weights).count("/") != 1:
        return path
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(str(weights), FILE))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{weights}: neither a file here nor a repository of the hub that can be reached "
            f"({str(error).splitlines()[0]})"
        ) from None
