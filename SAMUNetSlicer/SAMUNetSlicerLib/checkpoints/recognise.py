"""Which network family a checkpoint belongs to, told by the names and shapes of its tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from torch import Tensor, nn

from ..errors import ModelError
from ..networks.registry import FAMILIES

_SHOWN = 5  # names of each kind in a message


def recognise(tensors: Mapping[str, Tensor]) -> str:
    """The name of the family.

    Families that share their layout with another (MedSAM with SAM) are never the answer.
    Raises ModelError for an unknown layout, with the beginnings of its names, so that a family can be added.
    """
    for family, entry in FAMILIES.items():
        if entry.markers and all(marker in tensors for marker in entry.markers):
            return family
    prefixes = Counter(".".join(name.split(".")[:2]) for name in tensors).most_common(8)
    shown = ", ".join(f"{prefix} ({count})" for prefix, count in prefixes)
    raise ModelError(f"This checkpoint's layout is not known. Its tensors' names begin with: {shown}.")


def check_fit(network: nn.Module, tensors: Mapping[str, Tensor], family: str) -> None:
    """Raise ModelError, naming what differs, unless the tensors are exactly those of the network."""
    wanted = network.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = []
    for title, names in (
        ("missing", sorted(expected.keys() - given.keys())),
        ("unexpected", sorted(given.keys() - expected.keys())),
    ):
        if names:
            problems.append(f"{len(names)} {title} ({_shorten(names)})")
    misshapen = [
        f"{name} {given[name]} instead of {expected[name]}"
        for name in sorted(expected.keys() & given.keys())
        if expected[name] != given[name]
    ]
    if misshapen:
        problems.append(f"{len(misshapen)} of another shape ({_shorten(misshapen)})")
    # Networks compute with fractions; other tensors, as counters of batches, may be anything.
    unreal = [
        f"{name} {tensors[name].dtype}"
        for name in sorted(expected.keys() & given.keys())
        if wanted[name].is_floating_point() and not tensors[name].is_floating_point()
    ]
    if unreal:
        problems.append(f"{len(unreal)} not of floating-point numbers ({_shorten(unreal)})")
    if problems:
        raise ModelError(f"The checkpoint does not fit the network {family}: {'; '.join(problems)}.")


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
