"""SAM's Vision Transformer encoders in their published sizes.

Source: Kirillov et al., Segment Anything, ICCV 2023; Li et al., Exploring Plain Vision Transformer Backbones for
Object Detection, ECCV 2022.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from .sam_parts import ImageEncoderViT, load_modeling
from .vit_attention import attention_residual

PATCH_SIZE = 16  # pixels
WINDOW_SIZE = 14  # tokens; the global blocks attend to all


@dataclass(frozen=True)
class ViTSize:
    """Width, number of blocks, attention heads, and the blocks whose attention is global."""

    letter: str
    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]


VIT_B = ViTSize("b", 768, 12, 12, (2, 5, 8, 11))
VIT_L = ViTSize("l", 1024, 24, 16, (5, 11, 17, 23))
VIT_H = ViTSize("h", 1280, 32, 16, (7, 15, 23, 31))
SIZE_OF_WIDTH = {size.width: size for size in (VIT_B, VIT_L, VIT_H)}


SamBlock = load_modeling().image_encoder.Block


class Block(SamBlock):
    """SAM's transformer block with the same answers in less time and memory (see `vit_attention`)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, h, w, width) to the same shape."""
        tokens = attention_residual(self, tokens)
        return tokens + self.mlp(self.norm2(tokens))


def build_image_encoder(size: ViTSize, input_size: int) -> nn.Module:
    """SAM's image encoder for a square input (side in pixels)."""
    norm = partial(nn.LayerNorm, eps=1e-6)
    token_side = input_size // PATCH_SIZE
    encoder = ImageEncoderViT(input_size, PATCH_SIZE, embed_dim=size.width, depth=0, out_chans=256, norm_layer=norm)
    for number in range(size.depth):
        block = Block(
            dim=size.width,
            num_heads=size.heads,
            norm_layer=norm,
            use_rel_pos=True,
            window_size=0 if number in size.global_blocks else WINDOW_SIZE,
            input_size=(token_side, token_side),
        )
        encoder.blocks.append(block)
    return encoder


def embed_patches(encoder: nn.Module, images: Tensor) -> Tensor:
    """Tokens (N, h, w, width) of (N, 3, S, S) images, before the first block."""
    return encoder.patch_embed(images) + encoder.pos_embed


def apply_neck(encoder: nn.Module, tokens: Tensor) -> Tensor:
    """Image embedding (N, 256, h, w) of the last block's tokens (N, h, w, width)."""
    return encoder.neck(tokens.permute(0, 3, 1, 2))


def add_to_projections(state: MutableMapping[str, Tensor], block: int, *, query: Tensor, value: Tensor) -> None:
    """Add (width, width) updates to the query and value projections of a block, in a SAM state dict.

    A merged low-rank update gives what it gives beside the frozen projection, without its cost.
    """
    name = f"image_encoder.blocks.{block}.attn.qkv.weight"
    state[name] = state[name] + torch.cat([query, torch.zeros_like(query), value])
