"""SAM-Med2D: SAM's ViT-B on 256 px with an adapter beside the MLP of every block.

Source: Cheng et al., SAM-Med2D, arXiv 2308.16184.
"""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor, nn

from .base import Embedding, NetworkSpec, Normalisation, Preprocessing, PromptKind, Resize
from .parts.sam_decoding import MaskChoice
from .parts.vit import VIT_B, apply_neck, embed_patches
from .parts.vit_attention import attention_residual
from .sam import Sam

INPUT_SIZE = 256


class ConvAdapter(nn.Module):
    """Weighs the channels by their means, then mixes neighbouring tokens through half the resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        hidden = width // 4
        self.channel = nn.Sequential(
            nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, width, bias=False), nn.Sigmoid()
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, h, w, width) to the same shape."""
        gate = self.channel(tokens.mean(dim=(1, 2)))
        weighted = tokens * gate[:, None, None]
        mixed = self.spatial(weighted.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.norm(tokens + mixed)


class SamMed2d(Sam):
    """Trained with boxes, with points, and with corrective points upon its own earlier mask."""

    choice = MaskChoice.BEST_OF_THREE
    spec = NetworkSpec(
        family="sam_med2d",
        preprocessing=Preprocessing(INPUT_SIZE, Resize.NEAREST_SQUASH, Normalisation.IMAGENET, normalise_first=True),
        mask_prompt_size=INPUT_SIZE // 4,
        trained_prompts=PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK,
        description="SAM-Med2D: boxes, points and masks",
    )

    def __init__(self) -> None:
        super().__init__()
        for block in self.image_encoder.blocks:
            block.Adapter = ConvAdapter(VIT_B.width)

    def encode_steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        encoder = self.image_encoder
        tokens = embed_patches(encoder, images)
        for block in encoder.blocks:
            tokens = attention_residual(block, tokens)
            normed = block.norm2(tokens)
            tokens = tokens + block.mlp(normed) + block.Adapter(normed)
            yield
        return Embedding({"image": apply_neck(encoder, tokens)})
