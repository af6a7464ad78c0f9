"""Checkpoints of a training under way: one file of tensors, replaced atomically, from which it resumes exactly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..atomic_file import written_whole
from ..errors import ModelError, OutputError

_SAFETENSORS_TEMPORARY = ".tmp??????"  # beside the file that it writes
_BESIDE = {"exp_avg", "exp_avg_sq"}  # as large as the parameter, and wherever it lies; the count of steps is not
_MOMENTS = (*sorted(_BESIDE), "step")


@dataclass(frozen=True)
class Named:
    """Trained parameters with their names, in a fixed order, and the buffers that training may change."""

    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]

    @staticmethod
    def of(network: nn.Module) -> Named:
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        rooms = {name.partition(".")[0] for name in trained}
        kept = network.state_dict().keys()
        buffers = {n: b for n, b in network.named_buffers() if n in kept and n.partition(".")[0] in rooms}
        return Named(trained, buffers)


class Average:
    """Exponential moving average of trained parameters; young averages forget faster."""

    def __init__(self, named: Named, decay: float) -> None:
        self._decay = decay
        self.values = {name: p.detach().clone().float() for name, p in named.parameters.items()}

    def update(self, named: Named, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.values.values()), [p.float() for p in named.parameters.values()], 1 - decay)


@contextmanager
def averaged(named: Named, average: Average) -> Iterator[None]:
    """The averaged weights stand in the network while the context lasts."""
    kept = {name: p.detach().clone() for name, p in named.parameters.items()}
    for name, parameter in named.parameters.items():
        parameter.data.copy_(average.values[name])
    try:
        yield
    finally:
        for name, parameter in named.parameters.items():
            parameter.data.copy_(kept[name])


def save_state(
    path: Path, named: Named, average: Average, optimizer: torch.optim.Optimizer, step: int, family: str
) -> None:
    """Write parameters, their average, buffers and the optimizer's moments."""
    tensors: dict[str, Tensor] = {f"buffer.{name}": buffer for name, buffer in named.buffers.items()}
    for name, parameter in named.parameters.items():
        tensors[f"model.{name}"] = parameter.detach()
        tensors[f"average.{name}"] = average.values[name]
        for moment, value in optimizer.state.get(parameter, {}).items():
            if moment in _MOMENTS:
                tensors[f"{moment}.{name}"] = value
    write_tensors(path, tensors, {"step": str(step), "family": family})


def load_state(path: Path, named: Named, average: Average, optimizer: torch.optim.Optimizer) -> int:
    """The inverse of `save_state`; the step to go on with. Raises ModelError."""
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            for name, parameter in named.parameters.items():
                parameter.data.copy_(file.get_tensor(f"model.{name}"))
                average.values[name].copy_(file.get_tensor(f"average.{name}"))
                moments = {m: file.get_tensor(f"{m}.{name}") for m in _MOMENTS if f"{m}.{name}" in names}
                for moment in _BESIDE & moments.keys():
                    # As the optimizer makes them: on the parameter's device and in its layout.
                    moments[moment] = torch.empty_like(parameter).copy_(moments[moment])
                if moments:
                    optimizer.state[parameter] = moments
            for name in named.buffers.keys() & {n.removeprefix("buffer.") for n in names}:
                named.buffers[name].copy_(file.get_tensor(f"buffer.{name}"))
            return int(file.metadata()["step"])
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise ModelError(f"{path.name} is not a checkpoint of this training. Delete it to start afresh.") from error


def read_step(path: Path) -> int:
    """The step at which a checkpoint was written. Raises ModelError."""
    try:
        with safe_open(path, framework="pt") as file:
            return int(file.metadata()["step"])
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise ModelError(f"{path.name} is not a checkpoint of this training. Delete it to start afresh.") from error


def discard_temporaries(folder: Path, older_than_s: float) -> None:
    """Delete what killed processes left in the middle of `write_tensors`; younger files may be another's work."""
    for left in folder.glob(_SAFETENSORS_TEMPORARY):
        with suppress(FileNotFoundError):  # finished, or deleted, by another process just now
            if time.time() - left.stat().st_mtime >= older_than_s:
                left.unlink()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Safetensors; the file appears whole or not at all. Raises OutputError."""
    with written_whole(path) as stream:
        stream.close()  # the library puts a file of its own there, which Windows allows for no open one
        try:
            save_file({name: t.contiguous() for name, t in tensors.items()}, stream.name, metadata=metadata)
        except SafetensorError as error:
            raise OutputError(f"{path} could not be written: {error}.") from error
