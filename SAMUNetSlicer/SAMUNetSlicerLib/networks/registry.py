"""Which network families exist. A new one is one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch

from ..errors import ModelError
from .base import PromptedNetwork
from .resnet import Backbone

_SAM_UNET_TOKEN = "mask_decoder.med_token.weight"


@dataclass(frozen=True)
class FamilyEntry:
    """Where a family's class stands (its module is imported when first built), its arguments and how it is known.

    markers: names of tensors which, all present, tell that a checkpoint is of this family; none where it shares its
    layout with an earlier family, so that only a hash or the user can tell.
    """

    module: str
    name: str
    markers: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> PromptedNetwork:
        """A new network on torch's default device."""
        return getattr(import_module(f".{self.module}", __package__), self.name)(**self.arguments)


# Checkpoints are compared with the markers in this order: the special ones first, plain SAM last.
FAMILIES: dict[str, FamilyEntry] = {
    "sam_unet_res50": FamilyEntry(
        "sam_unet", "SamUnet", ("resnet.stage1.0.conv3.weight", _SAM_UNET_TOKEN), {"backbone": Backbone.RESNET50}
    ),
    "sam_unet_res34": FamilyEntry(
        "sam_unet", "SamUnet", ("resnet.stage1.0.conv2.weight", _SAM_UNET_TOKEN), {"backbone": Backbone.RESNET34}
    ),
    "sam_unet_tiny": FamilyEntry("sam_unet_tiny", "SamUnetTiny", ("mask_decoder.quality_token.weight",)),
    "lite_medsam": FamilyEntry("lite_medsam", "LiteMedSam", ("image_encoder.patch_embed.seq.0.c.weight",)),
}


def build(family: str, device: str | torch.device = "meta") -> PromptedNetwork:
    """An untrained network of `family` in evaluation mode.

    On the "meta" device (the default) it holds shapes only, which is what loading a checkpoint needs; elsewhere its
    parameters are drawn at random. Raises ModelError for a family that is not known.
    """
    if family not in FAMILIES:
        raise ModelError(f"There is no network family '{family}'. Known families: {', '.join(sorted(FAMILIES))}.")
    with torch.device(device):
        return FAMILIES[family].build().eval()
