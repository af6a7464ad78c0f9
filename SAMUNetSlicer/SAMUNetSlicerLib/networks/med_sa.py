"""Medical SAM Adapter (Med-SA): adapters after the attention and beside the MLP of every block of SAM's ViT-B.

Source: Wu et al., Medical SAM Adapter, Medical Image Analysis 2025 (arXiv 2304.12620). The volumetric form lets each
token also attend along a stack of planes, with the same attention weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .base import (
    Decoded,
    Embedding,
    NetworkPrompts,
    NetworkSpec,
    Normalisation,
    Preprocessing,
    PromptedNetwork,
    PromptKind,
    Resize,
)
from .parts.sam_decoding import MaskChoice, choose_mask, decode_all_masks
from .parts.sam_parts import build_mask_decoder, build_prompt_encoder, load_modeling
from .parts.vit import PATCH_SIZE, VIT_B, apply_neck, build_image_encoder
from .parts.vit_attention import attend_globally

_window_partition = load_modeling().image_encoder.window_partition
_window_unpartition = load_modeling().image_encoder.window_unpartition

STACK = 4  # adjacent planes of the volumetric form
_POSITIONS_SIDE = 64  # tokens; kept as SAM's, whatever the input's size
_RENAMED = (
    (re.compile(r"\.attn\.rel_([hw])$"), r".attn.rel_pos_\1"),
    (re.compile(r"\.mlp\.layers\.0\.0\."), ".mlp.lin1."),
    (re.compile(r"\.mlp\.fc\."), ".mlp.lin2."),
)


class Adapter(nn.Module):
    """A bottleneck of a quarter of the width, without shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.D_fc1 = nn.Linear(width, width // 4)
        self.D_fc2 = nn.Linear(width // 4, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.D_fc2(F.gelu(self.D_fc1(x)))


class ResidualTwoWayBlock(load_modeling().transformer.TwoWayAttentionBlock):
    """SAM's two-way block, but the tokens always keep themselves beside their self-attention, and so their places."""

    def forward(self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, 256) and image (B, h * w, 256), with their positional codes."""
        if not self.skip_first_layer_pe:
            queries = queries + query_pe
        queries = self.norm1(queries + self.self_attn(q=queries, k=queries, v=queries))
        seen = self.cross_attn_token_to_image(q=queries + query_pe, k=keys + key_pe, v=keys)
        queries = self.norm2(queries + seen)
        queries = self.norm3(queries + self.mlp(queries))
        told = self.cross_attn_image_to_token(q=keys + key_pe, k=queries + query_pe, v=queries)
        return queries, self.norm4(keys + told)


class MedSa(PromptedNetwork):
    """Planes by themselves. Trained with points and boxes."""

    stack = 1
    family = "med_sa"

    def __init__(self, input_size: int = 1024) -> None:
        super().__init__()
        self.spec = NetworkSpec(
            family=self.family,
            preprocessing=Preprocessing(input_size, Resize.BILINEAR_SQUASH, Normalisation.UNIT),
            mask_prompt_size=input_size // 4,
            trained_prompts=PromptKind.POINTS | PromptKind.BOX,
            description="Med-SA: points and boxes" + (f" on stacks of {self.stack} planes" if self.stack > 1 else ""),
            stack=self.stack,
        )
        token_side = input_size // PATCH_SIZE
        self.image_encoder = build_image_encoder(VIT_B, input_size)
        self.image_encoder.pos_embed = nn.Parameter(
            self.image_encoder.pos_embed.new_zeros(1, _POSITIONS_SIDE, _POSITIONS_SIDE, VIT_B.width)
        )
        for block in self.image_encoder.blocks:
            block.MLP_Adapter = Adapter(VIT_B.width)
            block.Space_Adapter = Adapter(VIT_B.width)
            if self.stack > 1:
                block.Depth_Adapter = Adapter(VIT_B.width)
        self.prompt_encoder = build_prompt_encoder(token_side, input_size)
        self.mask_decoder = build_mask_decoder()
        self.mask_decoder.transformer.layers = nn.ModuleList(
            ResidualTwoWayBlock(256, num_heads=8, mlp_dim=2048, skip_first_layer_pe=first) for first in (True, False)
        )

    @classmethod
    def settings_of(cls, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        length = len(tensors[f"image_encoder.blocks.{VIT_B.global_blocks[0]}.attn.rel_h"])
        return {"input_size": (length + 1) // 2 * PATCH_SIZE}

    def state_from(self, tensors: Mapping[str, Tensor], _base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        state = {}
        for name, tensor in tensors.items():
            if self.stack == 1 and ".Depth_Adapter." in name:
                continue
            for pattern, replacement in _RENAMED:
                name = pattern.sub(replacement, name)
            state[name] = tensor
        return state

    def encode(self, images: Tensor) -> Embedding:
        """(N, 3, S, S); for the volumetric form N is a multiple of the stack. Raises ValueError otherwise."""
        if len(images) % self.stack:
            raise ValueError(f"{self.family} looks at stacks of {self.stack} planes, got {len(images)} planes")
        encoder = self.image_encoder
        tokens = encoder.patch_embed(images)
        positions = encoder.pos_embed.permute(0, 3, 1, 2)
        if positions.shape[2:] != tokens.shape[1:3]:
            positions = F.interpolate(positions, tokens.shape[1:3], mode="bicubic", align_corners=False)
        tokens = tokens + positions.permute(0, 2, 3, 1)
        for block in encoder.blocks:
            tokens = self._run(block, tokens)
        return Embedding({"image": apply_neck(encoder, tokens)})

    def _run(self, block: nn.Module, tokens: Tensor) -> Tensor:
        # Unlike SAM, windows are cut before the norm: their zero padding is normalised too.
        windows, padded_hw = tokens, None
        if block.window_size:
            windows, padded_hw = _window_partition(tokens, block.window_size)
        normed = block.norm1(windows)
        mixed = attend_globally(block.attn, normed)
        mixed = mixed + block.Space_Adapter(mixed)
        if self.stack > 1:
            mixed = mixed + self._attend_in_depth(block, normed)
        if padded_hw is not None:
            mixed = _window_unpartition(mixed, block.window_size, padded_hw, tokens.shape[1:3])
        tokens = tokens + mixed
        normed = block.norm2(tokens)
        return tokens + block.mlp(normed) + 0.5 * block.MLP_Adapter(normed)

    def _attend_in_depth(self, block: nn.Module, normed: Tensor) -> Tensor:
        """The block's attention along the stack at each place, (n, h, w, width) to the same.

        As published, a stack is what lies next to each other in the batch: planes in the global blocks, but in the
        windowed ones the windows of a plane.
        """
        count, height, width, channels = normed.shape
        depth = normed.reshape(count // self.stack, self.stack, height * width, channels).transpose(1, 2)
        mixed = block.Depth_Adapter(attend_globally(block.attn, depth.reshape(-1, 1, self.stack, channels)))
        mixed = mixed.reshape(count // self.stack, height * width, self.stack, channels).transpose(1, 2)
        return mixed.reshape(count, height, width, channels)

    def decode_all(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        """All four masks in SAM's order, with their predicted IoU (B, 4)."""
        return decode_all_masks(self.prompt_encoder, self.mask_decoder, embedding.features["image"], prompts)

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        return choose_mask(self.decode_all(embedding, prompts), prompts, MaskChoice.FIRST)


class VolumetricMedSa(MedSa):
    """Stacks of four planes. As published, the points of all planes form one prompt, which each plane is given."""

    stack = STACK
    family = "med_sa_3d"
