"""From a training's checkpoint to weights that can be used and shipped."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..checkpoints.tensors import read_tensors
from ..checkpoints.writing import write_safetensors
from ..errors import ModelError
from .start import are_weights_of, start_network


def export_weights(checkpoint: Path, start: Path, path: Path, about: dict[str, str], share: float = 1.0) -> None:
    """Write the averaged weights with the frozen encoder, in half precision, as one safetensors file.

    start: the checkpoint from which the training started; what training leaves alone is taken from it (the encoder
    and the positional code). about: text entries for the file's header, beside the family and the number of steps.
    share: below 1, that share of what the training has reached and the rest of its start, which must be weights of the
    same family: their mean is often better on new sources than either (WiSE-FT, arXiv 2109.01903).
    Raises ModelError and OutputError.
    """
    tensors, metadata = read_averages(checkpoint)
    network = start_network(metadata["family"], start)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    if not trained <= tensors.keys() <= network.state_dict().keys():
        raise ModelError(f"{checkpoint.name} and the network {metadata['family']} do not fit.")
    if share < 1:
        if not are_weights_of(network, read_tensors(start)):
            raise ModelError(f"{start.name} holds no weights of the family {metadata['family']} to mix with.")
        before = network.state_dict()
        # Running statistics of batch norms belong to the weights; their integer counters cannot be mixed.
        tensors = {n: before[n].lerp(t, share) if t.is_floating_point() else t for n, t in tensors.items()}
        metadata["share"] = f"{share:g}"
    network.load_state_dict(tensors, strict=False)
    write_safetensors(network.state_dict(), path, about | metadata, half=True)


def read_averages(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The averaged weights (and buffers) of a training's checkpoint; its family and number of steps.

    Raises ModelError.
    """
    tensors = {}
    try:
        with safe_open(checkpoint, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 not a mapping
                kind, _, own_name = name.partition(".")
                if kind in ("average", "buffer"):
                    tensors[own_name] = file.get_tensor(name)
            metadata = file.metadata()
            return tensors, {"family": metadata["family"], "steps": metadata["step"]}
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise ModelError(f"{checkpoint.name} is missing or is not a checkpoint of a training.") from error
