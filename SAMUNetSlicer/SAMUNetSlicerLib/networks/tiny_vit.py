"""TinyViT as LiteMedSAM uses it: the frozen image encoder of the embedded default models.

Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (ECCV 2022), in MobileSAM's form
(strides kept at the last stage) and LiteMedSAM's (a 1 x 1 patch embedding: the first stage works at full resolution).
Module names follow the published state dict, so it loads strictly.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import run_through
from .sam_parts import LayerNorm2d

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (2, 2, 1)  # of the downsampling after stages 0, 1, 2
EMBEDDING_WIDTH = 256


class ConvNorm(nn.Sequential):
    """Convolution without bias + batch norm, named `c` and `bn`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outputs))


class MobileConv(nn.Module):
    """Inverted bottleneck of the first stage, which works on every pixel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 4 * width
        self.conv1 = ConvNorm(width, hidden)
        self.conv2 = ConvNorm(hidden, hidden, kernel=3, groups=hidden)
        self.conv3 = ConvNorm(hidden, width)

    def parts(self, x: Tensor) -> Iterator[Tensor]:
        """What stands after each convolution, the block's answer last."""
        inner = F.gelu(self.conv1(x))
        yield inner
        inner = F.gelu(self.conv2(inner))
        yield inner
        yield F.gelu(x + self.conv3(inner))


class Downsample(nn.Module):
    """Widen, and halve the resolution where the stride is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, kernel=3, stride=stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


def _offset_index(window: int) -> Tensor:
    """(W*W, W*W) index of each token pair's absolute offset, numbered by first appearance in row-major order."""
    axis = torch.arange(window)
    rows, columns = axis.repeat_interleave(window), axis.repeat(window)
    # From the first token the offsets (|dy|, |dx|) appear in row-major order, so their number is dy * W + dx.
    return (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()


class WindowAttention(nn.Module):
    """Multi-head attention inside windows with a learnt bias per absolute offset."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        # Computed on the CPU even under `torch.device("meta")`: it is no part of any state dict.
        with torch.device("cpu"):
            self.register_buffer("offset_index", _offset_index(window), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(windows, W*W, width) to the same shape."""
        count, length, width = tokens.shape
        head_width = width // self.heads
        # The published layout interleaves q, k, v inside each head.
        qkv = self.qkv(self.norm(tokens)).view(count, length, self.heads, 3 * head_width).transpose(1, 2)
        q, k, v = qkv.split(head_width, dim=-1)
        bias = self.attention_biases[:, self.offset_index].to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(0))
        return self.proj(mixed.transpose(1, 2).reshape(count, length, width))


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(tokens))))


class TinyVitBlock(nn.Module):
    """Window attention, a depthwise convolution across windows, feed-forward."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, heads, window)
        self.local_conv = ConvNorm(width, width, kernel=3, groups=width)
        self.mlp = FeedForward(width)

    def parts(self, x: Tensor) -> Iterator[Tensor]:
        """(N, C, H, W) to the same shape: after the attention, and the block's answer."""
        x = x + self._attend_in_windows(x)
        yield x
        tokens = self.local_conv(x).permute(0, 2, 3, 1)
        yield (tokens + self.mlp(tokens)).permute(0, 3, 1, 2)

    def _attend_in_windows(self, x: Tensor) -> Tensor:
        batch, width, height, breadth = x.shape
        side = self.window
        # Zero padding takes part in the attention, as published.
        grid = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, -breadth % side, 0, -height % side))
        rows, columns = grid.shape[1] // side, grid.shape[2] // side
        windows = grid.view(batch, rows, side, columns, side, width).transpose(2, 3)
        mixed = self.attn(windows.reshape(-1, side * side, width))
        grid = mixed.view(batch, rows, columns, side, side, width).transpose(2, 3)
        grid = grid.reshape(batch, rows * side, columns * side, width)[:, :height, :breadth]
        return grid.permute(0, 3, 1, 2)


class Stage(nn.Module):
    def __init__(self, index: int) -> None:
        super().__init__()
        width = WIDTHS[index]
        if index == 0:
            blocks = [MobileConv(width) for _ in range(DEPTHS[0])]
        else:
            blocks = [TinyVitBlock(width, HEADS[index], WINDOWS[index]) for _ in range(DEPTHS[index])]
        self.blocks = nn.ModuleList(blocks)
        last = index == len(WIDTHS) - 1
        self.downsample = None if last else Downsample(width, WIDTHS[index + 1], STRIDES[index])


class PatchEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, WIDTHS[0] // 2), nn.GELU(), ConvNorm(WIDTHS[0] // 2, WIDTHS[0]))

    def forward(self, images: Tensor) -> Tensor:
        return self.seq(images)


class TinyVit(nn.Module):
    """LiteMedSAM's image encoder.

    For (N, 3, 256, 256) images in [0, 1] the stages end with 64 channels at 256 px, 128 at 128 px, 160 at 64 px and
    320 at 64 px (before each downsampling); the neck gives the embedding (N, 256, 64, 64).
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding()
        self.layers = nn.ModuleList(Stage(i) for i in range(len(WIDTHS)))
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], EMBEDDING_WIDTH, 1, bias=False),
            LayerNorm2d(EMBEDDING_WIDTH),
            nn.Conv2d(EMBEDDING_WIDTH, EMBEDDING_WIDTH, 3, padding=1, bias=False),
            LayerNorm2d(EMBEDDING_WIDTH),
        )

    def steps(self, images: Tensor) -> Generator[None, None, dict[str, Tensor]]:
        """As `forward`, pausing between the parts, of which none takes much longer than the others."""
        features = {}
        x = self.patch_embed(images)
        yield
        for index, stage in enumerate(self.layers):
            for block in stage.blocks:
                for part in block.parts(x):
                    x = part
                    yield
            features[f"stage{index}"] = x
            if stage.downsample is not None:
                x = stage.downsample(x)
                yield
        return features | {"embedding": self.neck(x)}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{"stage0".."stage3", "embedding"} for (N, 3, 256, 256) images."""
        return run_through(self.steps(images))
