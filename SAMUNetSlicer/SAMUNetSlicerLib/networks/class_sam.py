"""SAM without prompts: a mask for every class, from the decoder's default prompt."""

from __future__ import annotations

from torch import Tensor

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
from .parts.sam_decoding import decode_all_masks
from .parts.sam_parts import build_mask_decoder, build_prompt_encoder
from .parts.vit import PATCH_SIZE, ViTSize, build_image_encoder


class ClassSam(PromptedNetwork):
    """SAM's layout with 1 + classes mask tokens. Whatever the prompts are, the answer is the same.

    Its files hold only what was trained, so SAM's checkpoint of the same encoder is its base.
    """

    def __init__(self, name: str, title: str, size: ViTSize, input_size: int, classes: int, stack: int = 1) -> None:
        super().__init__()
        self.spec = NetworkSpec(
            family=name,
            preprocessing=Preprocessing(input_size, Resize.BICUBIC_SQUASH, Normalisation.UNIT),
            mask_prompt_size=input_size // 4,
            trained_prompts=PromptKind.NONE,
            description=f"{title}: {classes} classes without prompts",
            classes=classes,
            stack=stack,
        )
        self.size = size
        self.image_encoder = build_image_encoder(size, input_size)
        self.prompt_encoder = build_prompt_encoder(input_size // PATCH_SIZE, input_size)
        self.mask_decoder = build_mask_decoder(classes)  # a token for the background, and one for each class

    def encode(self, images: Tensor) -> Embedding:
        return Embedding({"image": self.image_encoder(images)})

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        """Logits (B, 1 + classes, h, w), the background first, and a predicted IoU for each."""
        unprompted = NetworkPrompts(plane_index=prompts.planes(embedding.features["image"].device))
        return decode_all_masks(self.prompt_encoder, self.mask_decoder, embedding.features["image"], unprompted)
