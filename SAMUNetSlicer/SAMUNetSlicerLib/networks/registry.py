"""Which network families exist. A new one is one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import ModelError
from .base import PromptedNetwork
from .parts.resnet import Backbone

_SAM_UNET_TOKEN = "mask_decoder.med_token.weight"
_VIT_H = "image_encoder.blocks.31.norm1.weight"
_VIT_L = "image_encoder.blocks.23.norm1.weight"


@dataclass(frozen=True)
class FamilyEntry:
    """Where a family's class stands (its module is imported when first used), its arguments and how it is known.

    markers: names of tensors which, all present, tell that a checkpoint is of this family.
    twin_of: a family with the same tensors but other training, from which only a hash or the user can tell it.
    mode_of: the family whose weights this one uses in another way; the user chooses it by name.
    """

    module: str
    name: str
    markers: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    twin_of: str | None = None
    mode_of: str | None = None

    @property
    def network_class(self) -> type[PromptedNetwork]:
        """The class itself."""
        return getattr(import_module(f".{self.module}", __package__), self.name)


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
    "hq_sam_vit_h": FamilyEntry("hq_sam", "HqSamVitH", ("mask_decoder.hf_token.weight", _VIT_H)),
    "hq_sam_vit_l": FamilyEntry("hq_sam", "HqSamVitL", ("mask_decoder.hf_token.weight", _VIT_L)),
    "hq_sam_vit_b": FamilyEntry("hq_sam", "HqSamVitB", ("mask_decoder.hf_token.weight",)),
    "hq_sam_vit_b_only": FamilyEntry("hq_sam", "HqOnlySamVitB", mode_of="hq_sam_vit_b"),
    "samed": FamilyEntry("samed", "SamEd", ("w_a_000", "w_b_000")),
    "ma_sam": FamilyEntry("ma_sam", "MaSam", ("q_FacTs_000", "image_encoder.FacTu.weight")),
    "med_sa": FamilyEntry("med_sa", "MedSa", ("image_encoder.blocks.0.Space_Adapter.D_fc1.weight",)),
    "med_sa_3d": FamilyEntry("med_sa", "VolumetricMedSa", mode_of="med_sa"),
    "sam_med2d": FamilyEntry("sam_med2d", "SamMed2d", ("image_encoder.blocks.0.Adapter.channel.0.weight",)),
    "sam_vit_h": FamilyEntry("sam", "SamVitH", ("image_encoder.pos_embed", _VIT_H)),
    "sam_vit_l": FamilyEntry("sam", "SamVitL", ("image_encoder.pos_embed", _VIT_L)),
    "sam_vit_b": FamilyEntry("sam", "SamVitB", ("image_encoder.pos_embed", "image_encoder.neck.0.weight")),
    "medsam_vit_b": FamilyEntry("sam", "MedSamVitB", twin_of="sam_vit_b"),
}


def entry_of(family: str) -> FamilyEntry:
    """The family's entry. Raises ModelError for a family that is not known."""
    if family not in FAMILIES:
        raise ModelError(f"There is no network family '{family}'. Known families: {', '.join(sorted(FAMILIES))}.")
    return FAMILIES[family]


def build(family: str, device: str | torch.device = "meta", **settings: Any) -> PromptedNetwork:
    """An untrained network of `family` in evaluation mode.

    On the "meta" device (the default) it holds shapes only, which is what loading a checkpoint needs; elsewhere its
    parameters are drawn at random. settings: further arguments of the class, such as the number of classes.
    Raises ModelError for a family that is not known.
    """
    entry = entry_of(family)
    if torch.device(device).type == "meta":
        with torch.device(device), _NothingDrawn():
            return entry.network_class(**entry.arguments, **settings).eval()
    with torch.device(device):
        network = entry.network_class(**entry.arguments, **settings).eval()
    # What a network computes for itself, rather than loads, is made on the CPU.
    return network.to(device)


class _NothingDrawn(TorchFunctionMode):
    """Leaves initial values out, which shapes do not have: for those torch would import its compiler, for seconds."""

    _left_out = (Tensor.normal_, Tensor.uniform_)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == torch.nn.init.__name__:
            return kwargs.get("tensor", *args[:1])
        is_scaling = func is Tensor.mul and isinstance(args[1], float)
        if (func in self._left_out or is_scaling) and args[0].is_meta:
            return args[0]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)
