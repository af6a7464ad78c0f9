"""The tensors of a checkpoint file, whichever of the usual forms it has. Nothing in a file is ever executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import ModelError
from .metadata import not_mapped, open_checkpoint
from .torch_archive import TorchArchive

_WRAPPERS = ("model", "state_dict", "net", "model_state_dict")
_PARALLEL_PREFIX = "module."  # of torch's DistributedDataParallel


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Names and tensors of a `.safetensors`, `.pth` or `.pt` file, memory-mapped from it.

    The form is told by the content, not by the name. Of a `.pth` only tensors are taken: wrappers (`model`,
    `state_dict`, `net`) and the prefix `module.` are removed, an optimizer beside the weights is left out.
    Raises ModelError for a file that is missing, damaged, of another kind, or unsafe, MemoryShortageError where the
    system says that it has no memory left for it.
    """
    path = Path(path)
    with open_checkpoint(path) as stream:
        head = stream.read(9)
    if head.startswith(b"PK"):
        tensors = _unwrap(TorchArchive(path).load())
    elif head[8:] == b"{":
        tensors = _read_safetensors(path)
    elif head.startswith(b"\x80"):
        raise ModelError(
            f"{path.name} has the form that torch wrote before version 1.6, which is not read here. "
            "Load it with torch and save it again."
        )
    else:
        raise ModelError(f"{path.name} is neither a safetensors file nor a torch checkpoint, or it is damaged.")
    if not tensors:
        raise ModelError(f"{path.name} holds no weights by name. A whole pickled model object is not accepted.")
    return _strip_prefix(tensors)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 not a mapping
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise not_mapped(path, error) from error


def _unwrap(content: Any) -> dict[str, Tensor]:
    for _ in range(3):  # wrappers inside wrappers have an end
        if not isinstance(content, Mapping):
            return {}
        inner = next((content[key] for key in _WRAPPERS if _holds_tensors(content.get(key))), None)
        if inner is None:
            break
        content = inner
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Tensor | Mapping) for v in value.values())


def _strip_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while all(name.startswith(_PARALLEL_PREFIX) for name in tensors):
        tensors = {name.removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in tensors.items()}
    return tensors


def to_float32(tensor: Tensor) -> Tensor:
    """Half or double precision to the float32 in which the networks compute; other tensors as they are."""
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor
