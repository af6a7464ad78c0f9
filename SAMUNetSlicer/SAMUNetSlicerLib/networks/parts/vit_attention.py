"""SAM's attention with decomposed relative positions, computed without what nobody looks at.

The answers are those of `segment_anything`'s blocks; three things are left out:

- SAM pads its tokens to whole windows. The padding is looked at, so it stays among keys and values, but it never
  looks: its queries, and the projections of its answers, are dropped. On 256 px that is two thirds of all queries.
- All padding has the same key and value, so they are computed once rather than for each padded token.
- The bias of the global blocks is made for some rows of queries at a time: at 1024 px the whole has 800 MB.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BIAS_ELEMENTS = 2**23  # at most so many at a time, 32 MB in float32


def attention_residual(block: nn.Module, tokens: Tensor) -> Tensor:
    """The first half of SAM's transformer block: (N, h, w, width) tokens plus their (windowed) attention."""
    attention = block.attn
    projected = attention.qkv(block.norm1(tokens))
    side = block.window_size
    mixed = _in_windows(attention, projected, side) if side else _globally(attention, projected)
    return tokens + attention.proj(mixed)


def attend_globally(attention: nn.Module, tokens: Tensor) -> Tensor:
    """SAM's attention module on (N, h, w, width) tokens that all look at each other."""
    return attention.proj(_globally(attention, attention.qkv(tokens)))


def _globally(attention: nn.Module, projected: Tensor) -> Tensor:
    """(N, h, w, 3 * width) projections to (N, h, w, width): every token looks at every token."""
    height, width = projected.shape[1:3]
    query, key, value = _heads(attention, projected.flatten(1, 2), 3)
    query = query.unflatten(2, (height, width))
    rows_at_a_time = max(1, _BIAS_ELEMENTS // (attention.num_heads * width * height * width))
    parts = []
    for first in range(0, height, rows_at_a_time):
        rows = slice(first, min(first + rows_at_a_time, height))
        parts.append(_look(attention, query[:, :, rows], key, value, (height, width), rows))
    return torch.cat(parts, dim=1)


def _in_windows(attention: nn.Module, projected: Tensor, side: int) -> Tensor:
    """The same where tokens look only at those of their own window of `side` x `side`, cut from the top left."""
    height, width = projected.shape[1:3]
    pad_bottom, pad_right = -height % side, -width % side
    keys_values = projected[..., projected.shape[-1] // 3 :]
    if pad_bottom or pad_right:
        padding = attention.qkv.bias[projected.shape[-1] // 3 :]
        keys_values = F.pad(keys_values - padding, (0, 0, 0, pad_right, 0, pad_bottom)) + padding
    strips = []
    for rows, row_height in _bands(height, side):
        row = []
        for columns, column_width in _bands(width, side):
            queries = _cut(projected[:, rows, columns, : projected.shape[-1] // 3], row_height, column_width)
            whole = slice(rows.start, rows.start + _windows(rows, side) * side)
            across = slice(columns.start, columns.start + _windows(columns, side) * side)
            seen = _cut(keys_values[:, whole, across], side, side)
            (query,) = _heads(attention, queries.flatten(1, 2), 1)
            key, value = _heads(attention, seen.flatten(1, 2), 2)
            query = query.unflatten(2, (row_height, column_width))
            mixed = _look(attention, query, key, value, (side, side), slice(0, row_height))
            row.append(_join(mixed, _windows(rows, side), _windows(columns, side)))
        strips.append(torch.cat(row, dim=2))
    return torch.cat(strips, dim=1)


def _bands(length: int, side: int) -> list[tuple[slice, int]]:
    """The tokens that stand in full windows, then those in the last, cut one; with their number in a window."""
    full = length // side * side
    bands = [(slice(0, full), side)] if full else []
    return [*bands, (slice(full, length), length - full)] if full < length else bands


def _windows(band: slice, side: int) -> int:
    return -(-(band.stop - band.start) // side)


def _cut(grid: Tensor, height: int, width: int) -> Tensor:
    """(N, H, W, c) to (N * H / height * W / width, height, width, c)."""
    channels = grid.shape[-1]
    rows, columns = grid.shape[1] // height, grid.shape[2] // width
    grid = grid.reshape(-1, rows, height, columns, width, channels)
    return grid.transpose(2, 3).reshape(-1, height, width, channels)


def _join(windows: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `_cut`."""
    height, width, channels = windows.shape[1:]
    windows = windows.reshape(-1, rows, columns, height, width, channels)
    return windows.transpose(2, 3).reshape(-1, rows * height, columns * width, channels)


def _heads(attention: nn.Module, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
    """(n, length, parts * width) to `parts` tensors (n, heads, length, head width)."""
    split = projected.unflatten(2, (parts, attention.num_heads, -1))
    return split.permute(2, 0, 3, 1, 4).unbind(0)


def _look(
    attention: nn.Module, query: Tensor, key: Tensor, value: Tensor, seen_hw: tuple[int, int], rows: slice
) -> Tensor:
    """Queries (n, heads, h, w, c), standing in `rows` of the (H, W) tokens that they look at, to (n, h, w, width)."""
    height, width = query.shape[2:4]
    along_h = _offsets(attention.rel_pos_h, seen_hw[0])[rows]
    along_w = _offsets(attention.rel_pos_w, seen_hw[1])[:width]
    bias_h = torch.einsum("nahwc,hkc->nahwk", query, along_h)
    bias_w = torch.einsum("nahwc,wkc->nahwk", query, along_w)
    bias = (bias_h[..., :, None] + bias_w[..., None, :]).flatten(4).flatten(2, 3)
    mixed = F.scaled_dot_product_attention(query.flatten(2, 3), key, value, attn_mask=bias, scale=attention.scale)
    return mixed.transpose(1, 2).flatten(2).unflatten(1, (height, width))


def _offsets(positions: Tensor, length: int) -> Tensor:
    """(length, length, c): the relative position of token k as token q sees it, resized where it does not fit."""
    needed = 2 * length - 1
    if len(positions) != needed:
        positions = F.interpolate(positions.T[None], size=needed, mode="linear", align_corners=False)[0].T
    place = torch.arange(length, device=positions.device)
    return positions[place[:, None] - place + length - 1]
