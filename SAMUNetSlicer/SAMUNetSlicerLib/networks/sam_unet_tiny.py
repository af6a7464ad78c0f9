"""sam_unet_tiny: the SAM-UNet idea on a frozen TinyViT, small enough for a laptop without a GPU.

As in SAM-UNet (arXiv 2408.09886) a trained convolutional U-Net stands beside a frozen transformer encoder, and the
mask decoder fuses several scales for one learnt mask token. What differs, and why:

- The branches meet *after* the frozen encoder's stages rather than inside them, so that its features can be computed
  once, cached and trained on without its backward pass.
- The decoder's transformer works on 32 x 32 tokens (LiteMedSAM's decoder weights are its start; its positional code
  is continuous, so the coarser grid needs no retraining of it).
- SAM's own mask (token against upscaled features) is kept as a first guess: with LiteMedSAM's weights it is
  LiteMedSAM's answer before any training.
- The prompts and the guess are also drawn as maps, and a second small U-Net fuses them with both branches into a
  correction of the guess: corrections are local.
- A quality head predicts the mask's IoU.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
from .parts import prompt_maps
from .parts.conv_blocks import UNet, in_half, norm, pool, weighted_mean
from .parts.sam_parts import (
    MLP,
    LayerNorm2d,
    attend,
    build_prompt_encoder,
    build_transformer,
    encode_prompts,
    mask_logits,
)
from .parts.tiny_vit import EMBEDDING_WIDTH, WIDTHS, TinyVit

INPUT_SIZE = 256
TOKEN_GRID = 32
MASK_SIZE = 128  # side of the logits and of the mask prompt
LEVELS = (32, 64, 96, 128)  # channels at 128, 64, 32 and 16 px
_GUESS_SCALE = 4.0  # logits


def _project(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs))


class ImageFusion(nn.Module):
    """The trained U-Net branch over the picture, fed with the frozen encoder's features at 64 px."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, LEVELS[0], 5, stride=2, padding=2, bias=False), norm(LEVELS[0]), nn.ReLU(inplace=True)
        )
        self.from_stage2 = _project(WIDTHS[2], LEVELS[1])
        self.from_embedding = _project(EMBEDDING_WIDTH, LEVELS[1])
        self.unet = UNet(LEVELS)
        self.to_tokens = nn.Conv2d(LEVELS[2], EMBEDDING_WIDTH, 1)
        nn.init.zeros_(self.to_tokens.weight)
        nn.init.zeros_(self.to_tokens.bias)

    def forward(self, images: Tensor, stage2: Tensor, embedding: Tensor) -> Embedding:
        """images (N, 3, 256, 256) in [0, 1]; stage2 (N, 160, 64, 64); embedding (N, 256, 64, 64)."""
        frozen = self.from_stage2(stage2) + self.from_embedding(embedding)
        maps = self.unet([self.stem(images * 2 - 1), frozen, None, None])
        return Embedding({"tokens": pool(embedding) + self.to_tokens(maps[2]), "map128": maps[0], "map64": maps[1]})


class PromptedFusion(nn.Module):
    """The mask decoder: one mask token, the prompts as tokens and as maps, and a U-Net over all scales."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = build_transformer()
        # Only the first makes a mask; without the others beside it LiteMedSAM's transformer is not itself.
        self.mask_tokens = nn.Embedding(4, EMBEDDING_WIDTH)
        self.quality_token = nn.Embedding(1, EMBEDDING_WIDTH)
        self.upscaling = nn.Sequential(
            nn.ConvTranspose2d(EMBEDDING_WIDTH, 64, 2, stride=2),
            LayerNorm2d(64),
            nn.GELU(),
            nn.ConvTranspose2d(64, LEVELS[0], 2, stride=2),
            nn.GELU(),
        )
        self.guess_weights = MLP(EMBEDDING_WIDTH, EMBEDDING_WIDTH, LEVELS[0], 3)
        self.from_prompts = nn.Conv2d(prompt_maps.CHANNELS + 1, LEVELS[0], 3, padding=1)
        self.from_upscaled = _project(LEVELS[0], LEVELS[0])
        self.from_features = _project(EMBEDDING_WIDTH, LEVELS[2])
        self.unet = UNet(LEVELS)
        self.correction_weights = MLP(EMBEDDING_WIDTH, EMBEDDING_WIDTH, LEVELS[0], 3)
        self.plain_correction = nn.Conv2d(LEVELS[0], 1, 1)
        for last in (self.correction_weights.layers[-1], self.plain_correction):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.quality = MLP(EMBEDDING_WIDTH + 2 * LEVELS[0] + 2, 128, 1, 3)

    def forward(self, planes: Embedding, maps: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor) -> Decoded:
        """As `steps`, without pausing."""
        return run_through(self.steps(planes, maps, image_pe, sparse, dense))

    def steps(
        self, planes: Embedding, maps: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> Generator[None, None, Decoded]:
        """planes: features already gathered per prompt; maps: (B, 6, 128, 128) drawn prompts.

        For planes that the processor encoded in bfloat16 the U-Net computes in it too, which hardly changes masks. The
        transformer does not: it would change them visibly.
        """
        features = planes.features
        output_tokens = torch.cat([self.quality_token.weight, self.mask_tokens.weight])
        tokens, attended = attend(self.transformer, output_tokens, features["tokens"], image_pe, sparse, dense)
        yield
        upscaled = self.upscaling(attended)
        guess = mask_logits(self.guess_weights(tokens[:, 1:2]), upscaled)
        drawn = torch.cat([maps, torch.tanh(guess / _GUESS_SCALE)], dim=1)
        scales = [
            F.relu(features["map128"] + self.from_prompts(drawn) + self.from_upscaled(upscaled)),
            features["map64"],
            self.from_features(attended),
            None,
        ]
        yield
        kept = features["map128"]
        # Not while learning, and not on graphics cards, of which some keep bfloat16 without computing with it.
        is_half = kept.dtype is torch.bfloat16 and kept.device.type == "cpu" and not torch.is_grad_enabled()
        maps_out = in_half(self.unet, scales) if is_half else (yield from self.unet.steps(scales))
        finest = maps_out[0].float()
        correction = mask_logits(self.correction_weights(tokens[:, 1:2]), finest) + self.plain_correction(finest)
        logits = guess + correction
        return Decoded(logits, self._predict_quality(tokens[:, 0], finest, logits))

    def _predict_quality(self, token: Tensor, finest: Tensor, logits: Tensor) -> Tensor:
        """(B, 1): from the token, the features inside the mask and along its border, and how sure the mask is."""
        # The mask must not be bent to please the judge.
        finest, logits = finest.detach(), logits.detach().float()
        inside = torch.sigmoid(logits)
        border = 4 * inside * (1 - inside)
        size = inside.mean(dim=(2, 3))
        unsure = border.sum(dim=(2, 3)) / inside.sum(dim=(2, 3)).clamp_min(1.0)
        parts = [token.detach().float(), weighted_mean(finest, inside), weighted_mean(finest, border), size, unsure]
        return torch.sigmoid(self.quality(torch.cat(parts, dim=1)))


class SamUnetTiny(PromptedNetwork):
    """Frozen TinyViT + trained U-Net branch + fused, prompted mask decoder. Logits are 128 x 128."""

    spec = NetworkSpec(
        family="sam_unet_tiny",
        preprocessing=Preprocessing(INPUT_SIZE, Resize.BILINEAR_LONGEST, Normalisation.MIN_MAX),
        mask_prompt_size=MASK_SIZE,
        trained_prompts=PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK | PromptKind.NEIGHBOUR_MASK,
        description="SAM-UNet on TinyViT: points, boxes and masks",
        takes_half=True,
    )

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = TinyVit()
        self.image_encoder.requires_grad_(False)
        self.image_fusion = ImageFusion()
        self.prompt_encoder = build_prompt_encoder(embedding_size=TOKEN_GRID, input_size=INPUT_SIZE)
        self.mask_decoder = PromptedFusion()

    def train(self, mode: bool = True) -> SamUnetTiny:
        """As `nn.Module.train`, but the frozen encoder stays in evaluation mode."""
        super().train(mode)
        self.image_encoder.eval()
        return self

    def encode(self, images: Tensor) -> Embedding:
        """(N, 3, 256, 256) in [0, 1] to {"tokens" (N, 256, 32, 32), "map128" (N, 32, ..), "map64" (N, 64, ..)}."""
        with torch.no_grad():
            frozen = self.image_encoder(images)
        return self.image_fusion(images, frozen["stage2"], frozen["embedding"])

    def encode_steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        """As `encode`, pausing between the blocks."""
        frozen = yield from self.image_encoder.steps(images)
        return self.image_fusion(images, frozen["stage2"], frozen["embedding"])

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        """Logits (B, 1, 128, 128) and predicted IoU (B, 1)."""
        return self.mask_decoder(*self._decoder_inputs(embedding, prompts))

    def decode_steps(self, embedding: Embedding, prompts: NetworkPrompts) -> Generator[None, None, Decoded]:
        """As `decode`, pausing between the parts."""
        return (yield from self.mask_decoder.steps(*self._decoder_inputs(embedding, prompts)))

    def _decoder_inputs(self, embedding: Embedding, prompts: NetworkPrompts) -> tuple:
        device = embedding.features["tokens"].device
        sparse, dense = encode_prompts(self.prompt_encoder, prompts)
        planes = prompts.planes(device)
        gathered = Embedding({name: t[planes] for name, t in embedding.features.items()})
        maps = prompt_maps.draw(prompts, MASK_SIZE, INPUT_SIZE, device)
        return gathered, maps, self.prompt_encoder.get_dense_pe(), sparse, dense
