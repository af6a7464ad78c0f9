"""LiteMedSAM: TinyViT encoder and SAM decoder, trained for boxes by the MedSAM authors (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from ..stepwise import run_through
from .base import (
    CoordinateScale,
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
from .parts.sam_decoding import decode_tokens
from .parts.sam_parts import build_mask_decoder, build_prompt_encoder, mask_logits
from .parts.tiny_vit import TinyVit

INPUT_SIZE = 256


class LiteMedSam(PromptedNetwork):
    """Ma et al., "Segment Anything in Medical Images" (2024), the lightweight variant.

    Only the first of SAM's four mask tokens was trained, so one mask comes out. Logits are 256 x 256.
    """

    spec = NetworkSpec(
        family="lite_medsam",
        preprocessing=Preprocessing(
            INPUT_SIZE, Resize.AREA_LONGEST, Normalisation.MIN_MAX, coordinates=CoordinateScale.UNIFORM
        ),
        mask_prompt_size=INPUT_SIZE,
        trained_prompts=PromptKind.BOX,
        description="LiteMedSAM: boxes only",
    )

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = TinyVit()
        self.prompt_encoder = build_prompt_encoder(embedding_size=64, input_size=INPUT_SIZE)
        self.mask_decoder = build_mask_decoder()

    def encode(self, images: Tensor) -> Embedding:
        """(N, 3, 256, 256) in [0, 1] to {"image": (N, 256, 64, 64)}."""
        return run_through(self.encode_steps(images))

    def encode_steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        """As `encode`, pausing between the blocks."""
        features = yield from self.image_encoder.steps(images)
        return Embedding({"image": features["embedding"]})

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        """Logits (B, 1, 256, 256) and predicted IoU (B, 1)."""
        decoder = self.mask_decoder
        # SAM's tokens attend to each other, so the three untrained mask tokens must be present.
        output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens, features = decode_tokens(
            self.prompt_encoder, decoder, output_tokens, embedding.features["image"], prompts
        )
        logits = mask_logits(decoder.output_hypernetworks_mlps[0](tokens[:, 1:2]), features)
        return Decoded(logits, decoder.iou_prediction_head(tokens[:, 0])[:, :1])
