"""TinyViT as LiteMedSAM uses it: the frozen image encoder of the embedded default models.

Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (ECCV 2022), in MobileSAM's form
(strides kept at the last stage) and LiteMedSAM's (a 1 x 1 patch embedding: the first stage works at full resolution).
Module names follow the published state dict, so it loads strictly.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...stepwise import run_through
from .sam_parts import LayerNorm2d

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (2, 2, 1)  # of the downsampling after stages 0, 1, 2
EMBEDDING_WIDTH = 256
STRIP_ROWS = 64
HIDDEN_AT_ONCE = 64  # channels


class ConvNorm(nn.Sequential):
    """Convolution without bias + batch norm, named `c` and `bn`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outputs))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that both are, with the norm's running statistics."""
        scale = self.bn.weight * torch.rsqrt(self.bn.running_var + self.bn.eps)
        return self.c.weight * scale[:, None, None, None], self.bn.bias - self.bn.running_mean * scale


class MobileConv(nn.Module):
    """Inverted bottleneck of the first stage, which works on every pixel; frozen, as the whole encoder is.

    A processor computes it strip by strip, and a share of the hidden channels at a time: all 256 of a whole picture
    (67 MB) would pass through the memory at every operation, those of a part stay in the cache.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 4 * width
        self.conv1 = ConvNorm(width, hidden)
        self.conv2 = ConvNorm(hidden, hidden, kernel=3, groups=hidden)
        self.conv3 = ConvNorm(hidden, width)

    def steps(self, x: Tensor) -> Generator[None, None, Tensor]:
        """(N, C, H, W) to the same shape, pausing after every strip."""
        (weight1, bias1), (weight2, bias2), (weight3, bias3) = (
            c.folded() for c in (self.conv1, self.conv2, self.conv3)
        )
        hidden = len(weight1)
        on_card = x.device.type != "cpu"
        rows, at_once = (x.shape[2], hidden) if on_card else (STRIP_ROWS, HIDDEN_AT_ONCE)
        strips = []
        for top in range(0, x.shape[2], rows):
            # With the rows beside it, which the 3 x 3 convolution looks at. Where both are there it makes just the
            # strip, so that nothing stands between the convolutions and their sum, which OpenVINO makes one of.
            bottom = min(top + rows, x.shape[2])
            above, below = min(1, top), min(1, x.shape[2] - bottom)
            seen, old = x[:, :, top - above : bottom + below], x[:, :, top:bottom]
            is_edge = above != below
            summed = None if is_edge else old
            for first in range(0, hidden, at_once):
                part = slice(first, first + at_once)
                wide = F.gelu(F.conv2d(seen, weight1[part], bias1[part]))
                padding = (0 if above and below else 1, 1)
                wide = F.gelu(F.conv2d(wide, weight2[part], bias2[part], padding=padding, groups=wide.shape[1]))
                narrow = F.conv2d(wide, weight3[:, part], None if first else bias3)
                summed = narrow if summed is None else summed + narrow
            if is_edge:
                summed = old + summed[:, :, above : above + bottom - top]
            strips.append(F.gelu(summed))
            yield
        return torch.cat(strips, dim=2)


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


@lru_cache
def _window_order(height: int, breadth: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """How row-major tokens of a plane become those of its windows, window by window, and back, as indices.

    The first points behind the plane's last token where a window reaches over the border.
    """
    numbers = np.arange(height * breadth).reshape(height, breadth)
    padded = np.pad(numbers, ((0, -height % side), (0, -breadth % side)), constant_values=numbers.size)
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    to_windows = padded.reshape(rows, side, columns, side).swapaxes(1, 2).ravel()
    return to_windows, np.argsort(to_windows, kind="stable")[: numbers.size]


class WindowAttention(nn.Module):
    """Multi-head attention inside windows with a learnt bias per absolute offset."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        # Computed on the CPU even under `torch.device("meta")`: it is no part of any state dict.
        with torch.device("cpu"):
            self.register_buffer("offset_index", _offset_index(window), persistent=False)

    def forward(self, tokens: Tensor, height: int, breadth: int) -> Tensor:
        """(N, height * breadth, width), row-major, to the same shape."""
        count, _, width = tokens.shape
        to_windows, to_plane = (
            torch.from_numpy(i).to(tokens.device) for i in _window_order(height, breadth, self.window)
        )
        # Zero padding takes part in the attention, as published. The norm makes its own shift of zeros: one token
        # behind the others stands for all of the padding.
        padding = self.norm.bias.expand(count, 1, width)
        normed = torch.cat([self.norm(tokens), padding.to(tokens.dtype)], dim=1)
        q, k, v = (self._in_heads(projected.index_select(1, to_windows)) for projected in self._projections(normed))
        bias = self.attention_biases[:, self.offset_index].to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(0))
        mixed = mixed.transpose(1, 2).reshape(count, -1, width)
        return self.proj(mixed.index_select(1, to_plane))

    def _projections(self, normed: Tensor) -> Iterator[Tensor]:
        """Queries, keys, values. The published layout interleaves them inside each head."""
        width = normed.shape[-1]
        weights = self.qkv.weight.view(self.heads, 3, -1, width)
        biases = self.qkv.bias.view(self.heads, 3, -1)
        for part in range(3):
            yield F.linear(normed, weights[:, part].reshape(width, width), biases[:, part].flatten())

    def _in_heads(self, tokens: Tensor) -> Tensor:
        """(N, windows * W*W, width) to (N * windows, heads, W*W, head width)."""
        return tokens.reshape(-1, self.window**2, self.heads, tokens.shape[-1] // self.heads).transpose(1, 2)


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
        self.attn = WindowAttention(width, heads, window)
        self.local_conv = ConvNorm(width, width, kernel=3, groups=width)
        self.mlp = FeedForward(width)

    def steps(self, x: Tensor) -> Generator[None, None, Tensor]:
        """(N, C, H, W) to the same shape, pausing after the attention."""
        count, width, height, breadth = x.shape
        tokens = x.permute(0, 2, 3, 1).reshape(count, height * breadth, width)
        tokens = tokens + self.attn(tokens, height, breadth)
        yield
        grid = tokens.view(count, height, breadth, width).permute(0, 3, 1, 2)
        # Rows of tokens again: OpenVINO would keep four axes in the convolution's layout and copy them to and fro.
        tokens = self.local_conv(grid).permute(0, 2, 3, 1).reshape(count, height * breadth, width)
        tokens = tokens + self.mlp(tokens)
        return tokens.view(count, height, breadth, width).permute(0, 3, 1, 2)


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
                x = yield from block.steps(x)
                yield
            features[f"stage{index}"] = x
            if stage.downsample is not None:
                x = stage.downsample(x)
                yield
        return features | {"embedding": self.neck(x)}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{"stage0".."stage3", "embedding"} for (N, 3, 256, 256) images."""
        return run_through(self.steps(images))
