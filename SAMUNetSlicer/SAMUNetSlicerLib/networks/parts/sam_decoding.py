"""SAM's mask decoder for prompts on several planes at once, and which of its four masks is the answer."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor, nn

from ..base import Decoded, NetworkPrompts, PromptKind
from .sam_parts import attend, encode_prompts, mask_logits


class MaskChoice(Enum):
    """SAM predicts mask 0 for clear prompts, and masks 1 to 3 (whole, part, subpart) for ambiguous ones."""

    FIRST = "mask 0"
    BEST_OF_THREE = "of masks 1 to 3 the one with the largest predicted IoU"
    BY_PROMPT = "best of three for a single point by itself, mask 0 for all else"


def decode_tokens(
    prompt_encoder: nn.Module, mask_decoder: nn.Module, output_tokens: Tensor, image: Tensor, prompts: NetworkPrompts
) -> tuple[Tensor, Tensor]:
    """Tokens (B, T + ., 256) and upscaled features (B, c, h, w) of B prompts.

    output_tokens: (T, 256); image: (N, 256, h, w) embeddings, of which `prompts.plane_index` takes one per prompt.
    """
    sparse, dense = encode_prompts(prompt_encoder, prompts)
    per_prompt = image[prompts.planes(image.device)]
    image_pe = prompt_encoder.get_dense_pe()
    tokens, features = attend(mask_decoder.transformer, output_tokens, per_prompt, image_pe, sparse, dense)
    return tokens, mask_decoder.output_upscaling(features)


def all_masks(mask_decoder: nn.Module, tokens: Tensor, features: Tensor) -> Decoded:
    """Every mask that the decoder has a token for, in its own order: logits (B, M, h, w), quality (B, M).

    tokens: (B, 1 + M + ., 256), the IoU token first.
    """
    mlps = mask_decoder.output_hypernetworks_mlps
    weights = torch.stack([mlp(tokens[:, 1 + number]) for number, mlp in enumerate(mlps)], dim=1)
    return Decoded(mask_logits(weights, features), mask_decoder.iou_prediction_head(tokens[:, 0]))


def decode_all_masks(
    prompt_encoder: nn.Module, mask_decoder: nn.Module, image: Tensor, prompts: NetworkPrompts
) -> Decoded:
    """SAM's whole mask decoder: every mask and its predicted IoU."""
    output_tokens = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
    return all_masks(mask_decoder, *decode_tokens(prompt_encoder, mask_decoder, output_tokens, image, prompts))


def choose_mask(decoded: Decoded, prompts: NetworkPrompts, choice: MaskChoice) -> Decoded:
    """One of SAM's four masks for each prompt: logits (B, 1, h, w), quality (B, 1)."""
    if choice is MaskChoice.BY_PROMPT:
        choice = MaskChoice.BEST_OF_THREE if _is_one_point(prompts) else MaskChoice.FIRST
    if choice is MaskChoice.FIRST:
        return Decoded(decoded.logits[:, :1], decoded.quality[:, :1])
    best = 1 + decoded.quality[:, 1:].argmax(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return Decoded(decoded.logits[rows, best, None], decoded.quality[rows, best, None])


def _is_one_point(prompts: NetworkPrompts) -> bool:
    return prompts.kinds is PromptKind.POINTS and prompts.points_xy.shape[1] == 1
