"""Weights as safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..atomic_file import written_whole
from ..errors import OutputError
from .metadata import METADATA_KEY

_ALWAYS_FLOAT32_BELOW = 4096  # elements


def _halved(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    # Small tensors weigh nothing, and running variances or position frequencies would suffer.
    return tensor.to(torch.float16 if tensor.numel() >= _ALWAYS_FLOAT32_BELOW else torch.float32)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share memory (tied weights), which the library refuses, with memory of their own."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_ptr()):
        if tensor.nbytes and tensor.data_ptr() < end:
            tensors[name] = tensor.clone()
        end = max(end, tensor.data_ptr() + tensor.nbytes)
    return tensors


def write_safetensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str], *, half: bool = False
) -> None:
    """Write named tensors with text entries about their origin; the file appears whole or not at all.

    half: large tensors as float16, small ones (norms, biases, tokens, the positional code) as float32; reading gives
    float32 again. Raises OutputError when it cannot be written.
    """
    ready = _apart({n: (_halved(t) if half else t).contiguous() for n, t in sorted(tensors.items())})
    # One entry, since the library writes several in random order: equal weights shall give equal files.
    header = {METADATA_KEY: json.dumps(dict(metadata), sort_keys=True)}
    with written_whole(path) as stream:
        stream.close()  # the library puts a file of its own there, which Windows allows for no open one
        try:
            # By name rather than through the stream: the library then writes without a copy of everything in memory.
            save_file(ready, stream.name, header)
        except SafetensorError as error:
            raise OutputError(f"{path} could not be written: {error}.") from error
