"""Where training of sam_unet_tiny starts: LiteMedSAM's encoder, prompt encoder and mask decoder."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..errors import ModelError
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
