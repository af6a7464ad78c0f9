"""HQ-SAM: SAM with one more output token, whose mask also sees the encoder's early features.

Source: Ke et al., Segment Anything in High Quality, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor, nn

from .base import Decoded, Embedding, NetworkPrompts, NetworkSpec, Normalisation, Preprocessing, PromptKind, Resize
from .parts.sam_decoding import MaskChoice, all_masks, choose_mask, decode_tokens
from .parts.sam_parts import MLP, build_mask_features, build_upscaling, mask_logits
from .parts.vit import VIT_H, VIT_L, apply_neck, embed_patches
from .sam import INPUT_SIZE, Sam


def _hq_spec(letter: str, suffix: str = "", what: str = "SAM's mask and the high-quality one summed") -> NetworkSpec:
    return NetworkSpec(
        family=f"hq_sam_vit_{letter.lower()}{suffix}",
        preprocessing=Preprocessing(INPUT_SIZE, Resize.BILINEAR_LONGEST, Normalisation.IMAGENET),
        mask_prompt_size=INPUT_SIZE // 4,
        trained_prompts=PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK,
        description=f"HQ-SAM, ViT-{letter}: {what}; trained on photographs",
    )


class HqSam(Sam):
    """The answer is the sum of SAM's chosen mask and the high-quality mask, as published by default.

    Embedding: `image` (N, 256, 64, 64) and `detail` (N, 32, 256, 256).
    """

    def __init__(self) -> None:
        super().__init__()
        decoder = self.mask_decoder
        decoder.hf_token = nn.Embedding(1, 256)
        decoder.hf_mlp = MLP(256, 256, 32, 3)
        decoder.compress_vit_feat = build_upscaling(self.size.width, 256, 32)
        decoder.embedding_encoder = build_upscaling(256, 64, 32)
        decoder.embedding_maskfeature = build_mask_features()

    def encode_steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        encoder, decoder = self.image_encoder, self.mask_decoder
        tokens = embed_patches(encoder, images)
        for number, block in enumerate(encoder.blocks):
            tokens = block(tokens)
            yield
            if number == self.size.global_blocks[0]:
                early = decoder.compress_vit_feat(tokens.permute(0, 3, 1, 2))
        image = apply_neck(encoder, tokens)
        return Embedding({"image": image, "detail": decoder.embedding_encoder(image) + early})

    def _decode_both(self, embedding: Embedding, prompts: NetworkPrompts) -> tuple[Decoded, Tensor]:
        decoder = self.mask_decoder
        output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hf_token.weight])
        image, detail = embedding.features["image"], embedding.features["detail"]
        tokens, features = decode_tokens(self.prompt_encoder, decoder, output_tokens, image, prompts)
        fine = decoder.embedding_maskfeature(features) + detail[prompts.planes(detail.device)]
        hq_token = tokens[:, len(output_tokens) - 1 : len(output_tokens)]
        return all_masks(decoder, tokens, features), mask_logits(decoder.hf_mlp(hq_token), fine)

    def decode_all(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        """SAM's own four masks (B, 4, 256, 256) with their predicted IoU, the high-quality one not among them."""
        return self._decode_both(embedding, prompts)[0]

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        masks, hq_logits = self._decode_both(embedding, prompts)
        chosen = choose_mask(masks, prompts, self.choice)
        return Decoded(chosen.logits + hq_logits, chosen.quality)


class HqSamVitB(HqSam):
    """HQ-SAM, ViT-B."""

    spec = _hq_spec("B")


class HqSamVitL(HqSam):
    """HQ-SAM, ViT-L."""

    size = VIT_L
    spec = _hq_spec("L")


class HqSamVitH(HqSam):
    """HQ-SAM, ViT-H."""

    size = VIT_H
    spec = _hq_spec("H")


class HqOnlySamVitB(HqSam):
    """The same weights as `HqSamVitB`; the answer is the high-quality mask by itself (`hq_token_only`)."""

    choice = MaskChoice.FIRST
    spec = _hq_spec("B", "_only", "the high-quality mask by itself")

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        masks, hq_logits = self._decode_both(embedding, prompts)
        return Decoded(hq_logits, choose_mask(masks, prompts, self.choice).quality)
