"""Small convolutional building blocks of the trained branch."""

from __future__ import annotations

from collections.abc import Generator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...stepwise import run_through

_GROUP_WIDTH = 8


def norm(width: int) -> nn.GroupNorm:
    """Group norm: the same for one plane as for many, in training as in use, on any number of devices."""
    return nn.GroupNorm(width // _GROUP_WIDTH, width)


class ResidualBlock(nn.Module):
    """Two normalised 3 x 3 convolutions beside the identity. (N, C, H, W) to the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = norm(width)
        nn.init.zeros_(self.norm2.weight)  # starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(inner)))


class Down(nn.Module):
    """Halve the resolution and change the width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Up(nn.Module):
    """Double the resolution, change the width, add the skip connection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = norm(outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        # Nearest: bilinear's backward is slow on CPUs, and the blocks that follow smooth the steps.
        return F.relu(F.interpolate(self.norm(self.conv(x)), scale_factor=2, mode="nearest") + skip)


class UNet(nn.Module):
    """A U-Net over a list of input maps, the finest first, each added where its resolution is reached.

    widths: channels per level, the finest first. `forward` takes maps of the levels' widths (None where a level has
    no input beyond what comes from above) and returns the decoder's maps, the finest first.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(ResidualBlock(w) for w in widths)
        self.down = nn.ModuleList(Down(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.up = nn.ModuleList(Up(b, a) for a, b in zip(widths, widths[1:], strict=False))
        self.decoder = nn.ModuleList(ResidualBlock(w) for w in widths[:-1])

    def forward(self, inputs: list[Tensor | None]) -> list[Tensor]:
        return run_through(self.steps(inputs))

    def steps(self, inputs: list[Tensor | None]) -> Generator[None, None, list[Tensor]]:
        """As `forward`, pausing after every block."""
        x = inputs[0]
        skips = []
        for level, block in enumerate(self.encoder):
            if level > 0:
                x = self.down[level - 1](x)
                if inputs[level] is not None:
                    x = x + inputs[level]
            x = block(x)
            yield
            skips.append(x)
        outputs = [x]
        for level in reversed(range(len(self.decoder))):
            x = self.decoder[level](self.up[level](x, skips[level]))
            yield
            outputs.insert(0, x)
        return outputs


def in_half(unet: UNet, inputs: list[Tensor | None]) -> list[Tensor]:
    """What the U-Net makes of its inputs in bfloat16, channels last: the fastest way for convolutions."""
    halves = [None if x is None else x.to(torch.bfloat16, memory_format=torch.channels_last) for x in inputs]
    with torch.autocast(inputs[0].device.type, torch.bfloat16):
        return unet(halves)


def pool(x: Tensor) -> Tensor:
    """Half the resolution by averages."""
    return F.avg_pool2d(x, 2)


def weighted_mean(features: Tensor, weights: Tensor) -> Tensor:
    """Mean of (B, C, h, w) features under non-negative (B, 1, h, w) weights: (B, C)."""
    total = weights.sum(dim=(2, 3)).clamp_min(1e-3)
    return torch.einsum("bchw,bohw->bc", features, weights) / total
