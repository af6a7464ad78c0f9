"""A checkpoint from which SAM-UNet's training starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ModelError
from ..networks.registry import build
from ..networks.sam_start import sam_unet_start
from .catalogue import read_catalogue
from .identity import sha256_of
from .loading import locate
from .metadata import read_metadata
from .recognise import check_fit
from .tensors import read_tensors, to_float32
from .writing import write_safetensors

_STAGES = {"conv1.": "stage0.0.", "bn1.": "stage0.1."} | {f"layer{n}.": f"stage{n}." for n in range(1, 5)}


def adapt_model(vit: str | Path, output: Path, family: str = "sam_unet_res34", resnet: Path | None = None) -> Path:
    """Write a SAM-UNet start checkpoint: SAM's ViT-B adapted to 256 px, the rest drawn at random.

    vit: SAM's ViT-B (or MedSAM's), by name or path. resnet: a torchvision ResNet checkpoint, as published trained on
    ImageNet, for the conv branch. Raises ModelError for checkpoints that do not fit, OutputError when the file cannot
    be written.
    """
    if family not in ("sam_unet_res34", "sam_unet_res50"):
        raise ModelError(f"Only sam_unet_res34 and sam_unet_res50 start from SAM's ViT-B, not {family}.")
    path = locate(vit, read_catalogue())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # equal checkpoints give equal files
        network = build(family, "cpu")
    sam = {name: to_float32(tensor) for name, tensor in read_tensors(path).items()}
    state = network.state_dict() | sam_unet_start(network, sam)
    if resnet is not None:
        state |= resnet_start(read_tensors(resnet))
    check_fit(network, state, family)
    metadata = {
        "family": family,
        "licence": read_metadata(path).get("licence", "that of the checkpoints it is made from"),
        "source_sha256": sha256_of(path),
        "state": "untrained start",
    }
    write_safetensors(state, output, metadata)
    return output


def resnet_start(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A torchvision ResNet's tensors under the names of SAM-UNet's conv branch, without the classifier."""
    start = {}
    for name, tensor in tensors.items():
        for theirs, ours in _STAGES.items():
            if name.startswith(theirs):
                start[f"resnet.{ours}{name.removeprefix(theirs)}"] = to_float32(tensor)
    return start
