"""SAMed: SAM's ViT with low-rank updates (LoRA) of all queries and values, and a decoder for classes.

Source: Zhang and Liu, Customized Segment Anything Model for Medical Image Segmentation, arXiv 2304.13785.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .class_sam import ClassSam
from .parts.vit import PATCH_SIZE, SIZE_OF_WIDTH, VIT_B, ViTSize, add_to_projections
from .sam_start import resize_positions


class SamEd(ClassSam):
    """The low-rank updates are linear, so they are added to the base's weights when the file is loaded."""

    def __init__(self, classes: int = 8, input_size: int = 512, size: ViTSize = VIT_B) -> None:
        super().__init__("samed", "SAMed", size, input_size, classes)

    @classmethod
    def settings_of(cls, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        return {
            "classes": len(tensors["mask_decoder.mask_tokens.weight"]) - 1,
            "size": SIZE_OF_WIDTH[tensors["w_a_000"].shape[1]],
        }

    @classmethod
    def base_family_of(cls, tensors: Mapping[str, Tensor]) -> str:
        return f"sam_vit_{SIZE_OF_WIDTH[tensors['w_a_000'].shape[1]].letter}"

    def state_from(self, tensors: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        state = resize_positions(base, self.spec.preprocessing.input_size // PATCH_SIZE, self.size)
        state = {name: tensor for name, tensor in state.items() if name.startswith("image_encoder.")}
        for block in range(self.size.depth):
            query, value = (tensors[f"w_b_{n:03d}"] @ tensors[f"w_a_{n:03d}"] for n in (2 * block, 2 * block + 1))
            add_to_projections(state, block, query=query, value=value)
        used = {f"w_{letter}_{n:03d}" for letter in "ab" for n in range(2 * self.size.depth)}
        return state | {name: tensor for name, tensor in tensors.items() if name not in used}
