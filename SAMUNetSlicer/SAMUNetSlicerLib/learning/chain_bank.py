"""A bank of chains with the maps that the trained network makes of their planes, so that learning to follow is cheap.

As `bank`: shards of safetensors, each written whole or not at all, of 8-bit integers with one scale per plane and
channel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..networks.base import Embedding
from .bank import Shards, quantise, shard_path
from .chains import Chain
from .state import write_tensors

FEATURES = ("map128", "map64")  # what following looks at

# (1, 3, 256, 256) float32 in [0, 1] -> the network's embedding
EncodePlane = Callable[[Tensor], Embedding]


@dataclass(frozen=True)
class EncodedChain:
    """features: each (L, C, h, w) float32; parts: (L, 256, 256) uint8; objects: sets of parts."""

    features: dict[str, Tensor]
    parts: np.ndarray
    objects: tuple[tuple[int, ...], ...]
    source: str


def fill_chain_bank(
    folder: Path, chains: Callable[[int], list[Chain]], shards: Iterable[int], encode: EncodePlane
) -> Iterator[int]:
    """Write those of the numbered shards that are missing, and yield each. chains(index) gives a shard's chains."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in shards:
        path = shard_path(folder, index)
        if not path.exists():
            write_chains(path, chains(index), encode)
            yield index


def write_chains(path: Path, chains: list[Chain], encode: EncodePlane) -> None:
    """Encode chains of equal length and write them."""
    tensors = {"parts": torch.from_numpy(np.stack([chain.parts for chain in chains]))}
    kept: dict[str, list[Tensor]] = {name: [] for name in FEATURES}
    for chain in chains:
        planes = [encode(torch.from_numpy(image[None]).float() / 255) for image in chain.images]
        for name in FEATURES:
            kept[name].append(torch.cat([plane.features[name].float() for plane in planes]))
    for name, features in kept.items():
        whole, scale = quantise(torch.cat(features))
        count = (len(chains), -1)
        tensors[name], tensors[name + "_scale"] = whole.unflatten(0, count), scale.unflatten(0, count)
    about = [{"objects": chain.objects, "source": chain.source} for chain in chains]
    write_tensors(path, tensors, {"looks": json.dumps(about)})


class ChainBank(Shards):
    """A readable bank. Tensors stay on disk (memory-mapped) until asked for."""

    def __getitem__(self, index: int) -> EncodedChain:
        part, about = self.entry(index)
        return EncodedChain(
            {name: part[name].float() * part[name + "_scale"][..., None, None] for name in FEATURES},
            part["parts"].numpy(),
            tuple(tuple(members) for members in about["objects"]),
            about["source"],
        )
