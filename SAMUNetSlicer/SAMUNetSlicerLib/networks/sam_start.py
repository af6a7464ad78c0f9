"""A SAM checkpoint adapted to smaller inputs, and SAM-UNet's start from it before any training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError
from .parts.vit import VIT_B, ViTSize

# Where SAM's modules stand inside SAM-UNet.
_PREFIXES = {
    "image_encoder.": "image_encoder.sam_img_encoder.",
    "prompt_encoder.": "prompt_encoder.sam_prompt_encoder.",
    "mask_decoder.transformer.": "mask_decoder.sam_mask_decoder.transformer.",
    "mask_decoder.output_upscaling.": "mask_decoder.sam_mask_decoder.output_upscaling.",
}


def _resize_bilinear(grid: Tensor, height: int, width: int) -> Tensor:
    """(H, W, C) to (height, width, C)."""
    planes = grid.permute(2, 0, 1)[None].float()
    return F.interpolate(planes, (height, width), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)


def resize_positions(sam_state: Mapping[str, Tensor], token_side: int, size: ViTSize = VIT_B) -> dict[str, Tensor]:
    """A SAM state dict with its positions fitted to `token_side` x `token_side` tokens.

    `pos_embed` and the relative positions of the global blocks are resized bilinearly, as SAM-UNet and SAMed do: the
    relative positions as a (length, head width) picture. Windowed blocks do not depend on the input's size. All other
    entries are passed on uncopied.
    """
    state = dict(sam_state)
    name = "image_encoder.pos_embed"
    if state[name].shape[1] != token_side:
        state[name] = _resize_bilinear(state[name][0], token_side, token_side)[None].contiguous()
    length = 2 * token_side - 1
    for block in size.global_blocks:
        for axis in "hw":
            name = f"image_encoder.blocks.{block}.attn.rel_pos_{axis}"
            if len(state[name]) != length:
                resized = _resize_bilinear(state[name][..., None], length, state[name].shape[1])
                state[name] = resized[..., 0].contiguous()
    return state


def sam_unet_start(network: torch.nn.Module, sam_state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What SAM-UNet takes from SAM's ViT-B before training: 282 entries under SAM-UNet's names.

    network: a `SamUnet` (on any device; only its names and shapes are read). SAM's IoU head, mask tokens and their
    MLPs have no place in it. Raises ModelError when the state is not that of a SAM ViT-B.
    """
    try:
        fitted = resize_positions(sam_state, token_side=16)
    except (KeyError, IndexError, RuntimeError) as error:
        raise ModelError("This is not a SAM ViT-B checkpoint, so SAM-UNet cannot start from it.") from error
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    start = {}
    for name, tensor in fitted.items():
        for theirs, ours in _PREFIXES.items():
            if name.startswith(theirs):
                start[ours + name.removeprefix(theirs)] = tensor
    wrong = sorted(name for name, tensor in start.items() if shapes.get(name) != tensor.shape)
    needed = {name for name in shapes if name.startswith(tuple(_PREFIXES.values()))}
    wrong += sorted(needed - set(start))
    if wrong:
        raise ModelError(f"This is not a SAM ViT-B checkpoint; these entries do not fit: {', '.join(wrong[:5])}.")
    return start
