"""From a training's checkpoint to weights that can be used and shipped."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..checkpoints.tensors import read_tensors
from ..checkpoints.writing import Precision, write_safetensors
from ..errors import ModelError
from ..networks.sam_unet_tiny import SamUnetTiny
from .start import start_from_lite_medsam

_AVERAGE = "average."


def export_weights(checkpoint: Path, start: Path, path: Path, about: dict[str, str]) -> None:
    """Write the averaged weights with the frozen encoder, in half precision, as one safetensors file.

    start: LiteMedSAM's checkpoint, from which what training leaves alone is taken (the encoder and the positional
    code). about: text entries for the file's header, beside the family and the number of steps.
    Raises ModelError and OutputError.
    """
    network = SamUnetTiny()
    start_from_lite_medsam(network, read_tensors(start))
    averages, steps = read_averages(checkpoint)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    if set(averages) != trained:
        raise ModelError(f"{checkpoint.name} is not a checkpoint of sam_unet_tiny's training.")
    network.load_state_dict(averages, strict=False)
    metadata = {"family": SamUnetTiny.spec.family, "steps": str(steps)} | about
    write_safetensors(network.state_dict(), path, metadata, Precision.HALF)


def read_averages(checkpoint: Path) -> tuple[dict[str, Tensor], int]:
    """The averaged weights of a training's checkpoint and its number of steps. Raises ModelError."""
    try:
        with safe_open(checkpoint, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(_AVERAGE)]  # noqa: SIM118 not a mapping
            return {n.removeprefix(_AVERAGE): file.get_tensor(n) for n in names}, int(file.metadata()["step"])
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise ModelError(f"{checkpoint.name} is missing or is not a checkpoint of a training.") from error


def main(arguments: list[str] | None = None) -> None:
    """Command: export a training's averaged weights."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path, help="safetensors file to write")
    parser.add_argument("--lite-medsam", type=Path, required=True, help="LiteMedSAM's checkpoint")
    parser.add_argument("--about", type=json.loads, default={}, help="text entries for the header, as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    export_weights(options.checkpoint, options.lite_medsam, options.output, options.about)


if __name__ == "__main__":
    main()
