"""MA-SAM: five adjacent planes at once, mixed by 3D adapters in every block of SAM's ViT, and a decoder for classes.

Source: Chen et al., MA-SAM: Modality-agnostic SAM Adaptation for 3D Medical Image Segmentation, Medical Image
Analysis 2024.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .base import Embedding
from .class_sam import ClassSam
from .parts.sam_parts import LayerNorm2d
from .parts.vit import (
    PATCH_SIZE,
    SIZE_OF_WIDTH,
    VIT_B,
    ViTSize,
    add_to_projections,
    apply_neck,
    embed_patches,
)
from .parts.vit_attention import attention_residual
from .sam_start import resize_positions

STACK = 5  # adjacent planes
_HIDDEN = 384
# "image_encoder.ImageEncoderViT.blocks.3.Block.adapter_linear_down_2.weight" and its like
_ADAPTER_NAME = re.compile(r"image_encoder\.ImageEncoderViT\.(blocks\.\d+)\.Block\.adapter_([a-z_]+?)(_2)?\.(\w+)$")
_FACTOR_NAME = re.compile(r"[qv]_FacTs_\d+$|image_encoder\.FacT[uv]\.weight$")


class StackAdapter(nn.Module):
    """Mixes each token with the same place on the planes before and after it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.linear_down = nn.Linear(width, _HIDDEN, bias=False)
        self.conv = nn.Conv3d(_HIDDEN, _HIDDEN, (3, 1, 1), padding=(1, 0, 0))
        self.linear_up = nn.Linear(_HIDDEN, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, h, w, width) to the same shape; N planes are N / 5 stacks."""
        planes, height, width, _ = tokens.shape
        down = self.linear_down(self.norm(tokens))
        stacks = down.reshape(planes // STACK, STACK, height, width, -1).permute(0, 4, 1, 2, 3)
        mixed = self.conv(stacks).permute(0, 2, 3, 4, 1).reshape(planes, height, width, -1)
        return tokens + self.linear_up(F.gelu(mixed))


class MaSam(ClassSam):
    """Masks of 1 + classes for each plane of a stack, at the input's full resolution.

    Its low-rank factors (FacT, shared by all blocks) are added to the base's weights when the file is loaded.
    """

    def __init__(self, classes: int = 2, input_size: int = 512, size: ViTSize = VIT_B) -> None:
        super().__init__("ma_sam", "MA-SAM", size, input_size, classes, STACK)
        for block in self.image_encoder.blocks:
            block.adapter = StackAdapter(size.width)
            block.adapter_2 = StackAdapter(size.width)
        decoder = self.mask_decoder
        shallow = list(decoder.output_upscaling)[:-1]
        decoder.output_upscaling = nn.Sequential(
            *shallow,
            LayerNorm2d(32),
            nn.GELU(),
            nn.ConvTranspose2d(32, 16, 2, stride=2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.ConvTranspose2d(16, 8, 2, stride=2),
            nn.GELU(),
        )
        for mlp in decoder.output_hypernetworks_mlps:
            mlp.layers[-1] = nn.Linear(256, 8)

    @classmethod
    def settings_of(cls, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        return {
            "classes": len(tensors["mask_decoder.mask_tokens.weight"]) - 1,
            "size": SIZE_OF_WIDTH[tensors["image_encoder.FacTu.weight"].shape[1]],
        }

    def encode(self, images: Tensor) -> Embedding:
        """(N, 3, S, S), N a multiple of 5. Raises ValueError otherwise."""
        if len(images) % STACK:
            raise ValueError(f"MA-SAM looks at stacks of {STACK} planes, got {len(images)} planes")
        encoder = self.image_encoder
        tokens = embed_patches(encoder, images)
        for block in encoder.blocks:
            tokens = attention_residual(block, block.adapter(tokens))
            tokens = block.adapter_2(tokens)
            tokens = tokens + block.mlp(block.norm2(tokens))
        return Embedding({"image": apply_neck(encoder, tokens)})

    @classmethod
    def base_family_of(cls, tensors: Mapping[str, Tensor]) -> str:
        return f"sam_vit_{SIZE_OF_WIDTH[tensors['image_encoder.FacTu.weight'].shape[1]].letter}"

    def state_from(self, tensors: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        state = resize_positions(base, self.spec.preprocessing.input_size // PATCH_SIZE, self.size)
        state = {name: tensor for name, tensor in state.items() if name.startswith("image_encoder.")}
        down, up = tensors["image_encoder.FacTu.weight"], tensors["image_encoder.FacTv.weight"]
        for block in range(self.size.depth):
            query, value = (up @ tensors[f"{letter}_FacTs_{block:03d}"] @ down for letter in "qv")
            add_to_projections(state, block, query=query, value=value)
        for name, tensor in tensors.items():
            if not _FACTOR_NAME.match(name):
                state[_ADAPTER_NAME.sub(r"image_encoder.\1.adapter\3.\2.\4", name)] = tensor
        return state
