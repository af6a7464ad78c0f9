"""SAM with its ViT-B, -L or -H encoder, and MedSAM, which has the same layout but was trained and is fed differently.

Sources: Kirillov et al., Segment Anything, ICCV 2023; Ma et al., Segment Anything in Medical Images,
Nature Communications 2024.
"""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from ..stepwise import run_through
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
from .parts.sam_parts import build_mask_decoder, build_prompt_encoder
from .parts.vit import PATCH_SIZE, VIT_B, VIT_H, VIT_L, ViTSize, apply_neck, build_image_encoder, embed_patches

INPUT_SIZE = 1024


def _sam_spec(letter: str) -> NetworkSpec:
    return NetworkSpec(
        family=f"sam_vit_{letter.lower()}",
        preprocessing=Preprocessing(INPUT_SIZE, Resize.BILINEAR_LONGEST, Normalisation.IMAGENET),
        mask_prompt_size=INPUT_SIZE // 4,
        trained_prompts=PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK,
        description=f"SAM, ViT-{letter}: trained on photographs",
    )


class Sam(PromptedNetwork):
    """SAM of any size. Embedding: `image` (N, 256, S / 16, S / 16). Logits at a quarter of the input's side."""

    size: ViTSize = VIT_B
    choice = MaskChoice.BY_PROMPT

    def __init__(self) -> None:
        super().__init__()
        side = self.spec.preprocessing.input_size
        self.image_encoder = build_image_encoder(self.size, side)
        self.prompt_encoder = build_prompt_encoder(side // PATCH_SIZE, side)
        self.mask_decoder = build_mask_decoder()

    def encode(self, images: Tensor) -> Embedding:
        return run_through(self.encode_steps(images))

    def encode_steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        """As `encode`, pausing between the blocks."""
        tokens = embed_patches(self.image_encoder, images)
        for block in self.image_encoder.blocks:
            tokens = block(tokens)
            yield
        return Embedding({"image": apply_neck(self.image_encoder, tokens)})

    def decode_all(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        """All four masks in SAM's order, with their predicted IoU (B, 4)."""
        return decode_all_masks(self.prompt_encoder, self.mask_decoder, embedding.features["image"], prompts)

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        return choose_mask(self.decode_all(embedding, prompts), prompts, self.choice)


class SamVitB(Sam):
    """SAM, ViT-B: 94 M parameters."""

    spec = _sam_spec("B")


class SamVitL(Sam):
    """SAM, ViT-L: 312 M parameters."""

    size = VIT_L
    spec = _sam_spec("L")


class SamVitH(Sam):
    """SAM, ViT-H: 641 M parameters."""

    size = VIT_H
    spec = _sam_spec("H")


class MedSamVitB(Sam):
    """MedSAM: SAM's ViT-B fine-tuned on medical images with boxes, on pictures stretched to the square."""

    choice = MaskChoice.FIRST
    spec = NetworkSpec(
        family="medsam_vit_b",
        preprocessing=Preprocessing(INPUT_SIZE, Resize.BICUBIC_SQUASH, Normalisation.MIN_MAX),
        mask_prompt_size=INPUT_SIZE // 4,
        trained_prompts=PromptKind.BOX,
        description="MedSAM, ViT-B: boxes only",
    )
