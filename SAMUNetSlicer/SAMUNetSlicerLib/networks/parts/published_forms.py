"""Encoders as they were published, operation by operation: what ours are tested and measured against."""

from __future__ import annotations

import copy
from collections.abc import Generator

import torch.nn.functional as F
from torch import Tensor, nn

from .tiny_vit import MobileConv, WindowAttention
from .vit import Block, SamBlock


def as_published(network: nn.Module) -> nn.Module:
    """The same network, sharing its weights, without what makes ours faster."""
    plain = copy.deepcopy(network, {id(tensor): tensor for tensor in network.state_dict(keep_vars=True).values()})
    for module in plain.modules():
        module.__class__ = _PUBLISHED.get(type(module), type(module))
    return plain


class _WholeMobileConv(MobileConv):
    """The whole picture at once."""

    def steps(self, x: Tensor) -> Generator[None, None, Tensor]:
        yield
        inner = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(inner))


class _PaddedWindowAttention(WindowAttention):
    """Pads the plane with zeros, cuts it into windows, and projects the padding as well."""

    def forward(self, tokens: Tensor, height: int, breadth: int) -> Tensor:
        batch, _, width = tokens.shape
        side = self.window
        grid = F.pad(tokens.view(batch, height, breadth, width), (0, 0, 0, -breadth % side, 0, -height % side))
        rows, columns = grid.shape[1] // side, grid.shape[2] // side
        windows = grid.view(batch, rows, side, columns, side, width).transpose(2, 3).reshape(-1, side * side, width)
        qkv = self.qkv(self.norm(windows)).view(len(windows), side * side, self.heads, -1).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=-1)
        bias = self.attention_biases[:, self.offset_index]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(0))
        mixed = self.proj(mixed.transpose(1, 2).reshape(len(windows), side * side, width))
        grid = mixed.view(batch, rows, columns, side, side, width).transpose(2, 3)
        grid = grid.reshape(batch, rows * side, columns * side, width)[:, :height, :breadth]
        return grid.reshape(batch, height * breadth, width)


_PUBLISHED: dict[type, type] = {
    Block: SamBlock,
    MobileConv: _WholeMobileConv,
    WindowAttention: _PaddedWindowAttention,
}
