"""ResNet-34 and -50 as five stages, with torchvision's layer names, so that its published weights fit by renaming.

Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016; the stride of a bottleneck lies in its
3 x 3 convolution, as in torchvision's version 1.5. Torchvision itself is not needed.
"""

from __future__ import annotations

from enum import Enum

from torch import Tensor, nn


class Backbone(Enum):
    """Depths of the four residual stages and the layout of their blocks."""

    RESNET34 = "resnet34"
    RESNET50 = "resnet50"


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, four times wider at the end, and a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _convolution(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _convolution(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


_BLOCKS = {Backbone.RESNET34: BasicBlock, Backbone.RESNET50: Bottleneck}
_DEPTHS = (3, 4, 6, 3)  # the same for both
_WIDTHS = (64, 128, 256, 512)


class ResNetStages(nn.Module):
    """The convolutional part of a ResNet: `stage0` (stem) to `stage4`."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        block = _BLOCKS[backbone]
        self.channels = tuple(width * block.expansion for width in _WIDTHS)
        self.stage0 = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        inputs = 64
        for number, (depth, width) in enumerate(zip(_DEPTHS, _WIDTHS, strict=True), start=1):
            blocks = []
            for position in range(depth):
                stride = 2 if position == 0 and number > 1 else 1
                blocks.append(block(inputs, width, stride))
                inputs = width * block.expansion
            setattr(self, f"stage{number}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features of (N, 3, S, S) images at 1/4, 1/8, 1/16 and 1/32 of their side, with `channels` channels."""
        features = []
        x = self.stage0(images)
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
            features.append(x)
        return tuple(features)
