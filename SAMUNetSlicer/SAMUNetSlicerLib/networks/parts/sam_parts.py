"""The parts of Meta's `segment_anything` that our networks are built from.

`import segment_anything` needs torchvision (a mismatched one is the commonest broken install) and would occupy
the name that another extension in the same Slicer may use. So only its `modeling` subpackage is loaded, from its
installed files, under a private name; `sys.modules["segment_anything"]` is never touched.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from ...errors import ModelError

_PRIVATE_NAME = "_samunetslicer_segment_anything_modeling"


def load_modeling() -> ModuleType:
    """`segment_anything.modeling` under a private name.

    Raises ModelError when the package `segment-anything` is not installed.
    """
    if _PRIVATE_NAME in sys.modules:
        return sys.modules[_PRIVATE_NAME]
    package = importlib.util.find_spec("segment_anything")
    if package is None or not package.submodule_search_locations:
        raise ModelError("The Python package 'segment-anything' is missing. Install it (version 1.0) and try again.")
    folder = Path(next(iter(package.submodule_search_locations))) / "modeling"
    spec = importlib.util.spec_from_file_location(
        _PRIVATE_NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PRIVATE_NAME] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_PRIVATE_NAME]
        raise
    return module


_modeling = load_modeling()
ImageEncoderViT = _modeling.ImageEncoderViT
PromptEncoder = _modeling.PromptEncoder
MaskDecoder = _modeling.MaskDecoder
TwoWayTransformer = _modeling.TwoWayTransformer
LayerNorm2d = sys.modules[_PRIVATE_NAME + ".common"].LayerNorm2d
MLP = sys.modules[_PRIVATE_NAME + ".mask_decoder"].MLP


def build_prompt_encoder(embedding_size: int, input_size: int) -> nn.Module:
    """SAM's prompt encoder for a square input and a square embedding (sides in pixels)."""
    return PromptEncoder(
        embed_dim=256,
        image_embedding_size=(embedding_size, embedding_size),
        input_image_size=(input_size, input_size),
        mask_in_chans=16,
    )


def build_transformer() -> nn.Module:
    """The two-way transformer of SAM's mask decoder with its published sizes."""
    return TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)


def build_mask_decoder(further_masks: int = 3) -> nn.Module:
    """SAM's mask decoder with its published sizes: one mask token, and so many further ones."""
    return MaskDecoder(num_multimask_outputs=further_masks, transformer=build_transformer(), transformer_dim=256)


def build_upscaling(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    """Maps of `inputs` channels four times larger, with `outputs` channels, as SAM makes them."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, middle, 2, stride=2),
        LayerNorm2d(middle),
        nn.GELU(),
        nn.ConvTranspose2d(middle, outputs, 2, stride=2),
    )


def build_mask_features() -> nn.Sequential:
    """HQ-SAM's convolutions of the upscaled features (32 channels), which SAM-UNet has taken over."""
    return nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), LayerNorm2d(64), nn.GELU(), nn.Conv2d(64, 32, 3, padding=1))


def encode_prompts(prompt_encoder: nn.Module, prompts) -> tuple[Tensor, Tensor]:
    """Sparse (B, N, 256) and dense (B, 256, h, w) prompt embeddings of `NetworkPrompts`.

    A batch whose prompts are all absent (a mask-free, point-free one) gives N = 0.
    """
    device = prompt_encoder.no_mask_embed.weight.device
    points = None
    if prompts.points_xy is not None:
        points = (prompts.points_xy.to(device).float(), prompts.point_labels.to(device))
    boxes = None if prompts.boxes_xyxy is None else prompts.boxes_xyxy.to(device).float()
    masks = None if prompts.mask_logits is None else prompts.mask_logits.to(device)
    sparse, dense = prompt_encoder(points=points, boxes=boxes, masks=masks)
    if len(sparse) != len(prompts):  # no prompt at all: SAM's encoder answers for a batch of one
        sparse = sparse.expand(len(prompts), -1, -1)
        dense = dense.expand(len(prompts), -1, -1, -1)
    return sparse, dense


def attend(
    transformer: nn.Module, output_tokens: Tensor, embedding: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
) -> tuple[Tensor, Tensor]:
    """Run SAM's two-way transformer for B prompts, each with its own image embedding.

    output_tokens: (T, 256) learnt tokens put before the prompts' own; embedding: (B, 256, h, w), already gathered
    per prompt; image_pe: (1, 256, h, w).  Returns tokens (B, T + N, 256) and features (B, 256, h, w).
    (SAM's own `MaskDecoder.forward` repeats one image over all prompts, so it cannot mix planes in a batch.)
    """
    batch, channels, height, width = embedding.shape
    tokens = torch.cat([output_tokens.expand(batch, -1, -1), sparse], dim=1)
    tokens, features = transformer(embedding + dense, image_pe.expand(batch, -1, -1, -1), tokens)
    return tokens, features.transpose(1, 2).reshape(batch, channels, height, width)


def mask_logits(mask_tokens: Tensor, features: Tensor) -> Tensor:
    """Dot product of (B, T, c) per-mask weights with (B, c, h, w) upscaled features: (B, T, h, w)."""
    batch, channels, height, width = features.shape
    return (mask_tokens @ features.reshape(batch, channels, height * width)).reshape(batch, -1, height, width)
