"""SAM's Vision Transformer encoders in their published sizes.

Source: Kirillov et al., Segment Anything, ICCV 2023; Li et al., Exploring Plain Vision Transformer Backbones for
Object Detection, ECCV 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from .sam_parts import ImageEncoderViT

PATCH_SIZE = 16  # pixels
WINDOW_SIZE = 14  # tokens; the global blocks attend to all


@dataclass(frozen=True)
class ViTSize:
    """Width, number of blocks, attention heads, and the blocks whose attention is global."""

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]


VIT_B = ViTSize(768, 12, 12, (2, 5, 8, 11))
VIT_L = ViTSize(1024, 24, 16, (5, 11, 17, 23))
VIT_H = ViTSize(1280, 32, 16, (7, 15, 23, 31))


def build_image_encoder(size: ViTSize, input_size: int) -> nn.Module:
    """SAM's image encoder for a square input (side in pixels)."""
    return ImageEncoderViT(
        img_size=input_size,
        patch_size=PATCH_SIZE,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        mlp_ratio=4,
        out_chans=256,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=WINDOW_SIZE,
        global_attn_indexes=size.global_blocks,
    )


def embed_patches(encoder: nn.Module, images: Tensor) -> Tensor:
    """Tokens (N, h, w, width) of (N, 3, S, S) images, before the first block."""
    return encoder.patch_embed(images) + encoder.pos_embed


def apply_neck(encoder: nn.Module, tokens: Tensor) -> Tensor:
    """Image embedding (N, 256, h, w) of the last block's tokens (N, h, w, width)."""
    return encoder.neck(tokens.permute(0, 3, 1, 2))
