"""Where training starts: sam_unet_tiny from LiteMedSAM or from itself, SAM-UNet from SAM's ViT-B."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..checkpoints.tensors import read_tensors, to_float32
from ..errors import ModelError
from ..networks.base import PromptedNetwork
from ..networks.registry import build
from ..networks.sam_start import sam_unet_start
from ..networks.sam_unet import SamUnet
from ..networks.sam_unet_tiny import SamUnetTiny

_RENAMED = {
    "image_encoder.": "image_encoder.",
    "prompt_encoder.": "prompt_encoder.",
    "mask_decoder.transformer.": "mask_decoder.transformer.",
    "mask_decoder.output_upscaling.": "mask_decoder.upscaling.",
    "mask_decoder.output_hypernetworks_mlps.0.": "mask_decoder.guess_weights.",
    "mask_decoder.iou_token.": "mask_decoder.quality_token.",
    "mask_decoder.mask_tokens.": "mask_decoder.mask_tokens.",
}
# Named here so that the optimizer can treat what was trained before more gently.
PRETRAINED = tuple(_RENAMED.values())


def start_network(family: str, checkpoint: Path) -> PromptedNetwork:
    """A network ready to be trained. Raises ModelError.

    checkpoint: LiteMedSAM's, or SAM ViT-B's for SAM-UNet; or weights of the family itself, to train them further.
    """
    network = build(family, device="cpu")
    state = read_tensors(checkpoint)
    if are_weights_of(network, state):
        network.load_state_dict({name: to_float32(t) for name, t in state.items()})
    elif isinstance(network, SamUnetTiny):
        start_from_lite_medsam(network, state)
    elif isinstance(network, SamUnet):
        network.load_state_dict({n: to_float32(t) for n, t in sam_unet_start(network, state).items()}, strict=False)
    else:
        raise ModelError(f"Networks of the family {family} cannot be trained here: only SAM-UNets can.")
    return network


def are_weights_of(network: PromptedNetwork, state: Mapping[str, Tensor]) -> bool:
    """Whether a checkpoint's tensors are all those of such a network, and no others."""
    return state.keys() == network.state_dict().keys()


def start_from_lite_medsam(network: SamUnetTiny, state: Mapping[str, Tensor]) -> None:
    """Copy what fits by meaning; the rest keeps its random start. Raises ModelError for another checkpoint."""
    try:
        chosen = {
            ours + name.removeprefix(theirs): tensor.float()
            for theirs, ours in _RENAMED.items()
            for name, tensor in state.items()
            if name.startswith(theirs)
        }
        missing, unexpected = network.load_state_dict(chosen, strict=False)
    except (KeyError, RuntimeError) as error:
        raise ModelError("This is not LiteMedSAM's checkpoint, so sam_unet_tiny cannot start from it.") from error
    forgotten = [name for name in missing if name.startswith(PRETRAINED)]
    if forgotten or unexpected:
        raise ModelError(f"LiteMedSAM's checkpoint does not fit: {', '.join([*forgotten, *unexpected][:5])}.")
