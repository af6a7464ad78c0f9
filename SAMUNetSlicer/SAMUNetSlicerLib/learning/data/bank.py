"""A bank of looks with their frozen encodings, so that training never runs the encoder.

A bank is a folder of shards (safetensors, nothing pickled). Each shard is written once, to a temporary name and then
renamed, so a bank can be read while it grows and production resumes after a kill with the missing shards. Encodings
are 8-bit integers with one scale per look and channel.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import InputError
from ..state import write_tensors
from .crops import Look
from .encoding import Encode

SHARD_LENGTH = 16
_PATTERN = "shard-*.safetensors"


@dataclass(frozen=True)
class Entry:
    """One look of a bank.

    image: (3, 256, 256) float32 in [0, 1]; stage2 (160, 64, 64) and embedding (256, 64, 64) float32;
    parts: (256, 256) uint8; objects: sets of parts; visible: height and width that are not padding.
    """

    image: Tensor
    stage2: Tensor
    embedding: Tensor
    parts: np.ndarray
    objects: tuple[tuple[int, ...], ...]
    visible: tuple[int, int]
    source: str
    case: str


def shard_path(folder: Path, index: int) -> Path:
    return folder / f"shard-{index:05d}.safetensors"


def write_shard(path: Path, looks: list[Look], encode: Encode) -> None:
    """Encode up to SHARD_LENGTH looks (`encode` is called with one look at a time) and write them."""
    features = [encode(look.image[None].astype(np.float32) / 255) for look in looks]
    tensors = {
        "image": torch.from_numpy(np.stack([look.image for look in looks])),
        "parts": torch.from_numpy(np.stack([look.parts for look in looks])),
    }
    for index, name in enumerate(("stage2", "embedding")):
        stacked = torch.from_numpy(np.concatenate([f[index] for f in features]))
        tensors[name], tensors[name + "_scale"] = _quantise(stacked)
    about = [
        {"objects": look.objects, "visible": look.visible, "source": look.source, "case": look.case} for look in looks
    ]
    write_tensors(path, tensors, {"looks": json.dumps(about)})


class Bank:
    """A readable bank. Tensors stay on disk (memory-mapped) until asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: list[tuple[object, list[dict]]] = []
        self._known: set[str] = set()
        self._index: list[tuple[int, int]] = []
        self.refresh()

    def refresh(self) -> int:
        """Take in shards that have appeared; the number of looks."""
        for path in sorted(self._folder.glob(_PATTERN)):
            if path.name in self._known:
                continue
            try:
                shard = safe_open(path, framework="pt")
                about = json.loads(shard.metadata()["looks"])
            except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
                raise InputError(f"The bank's file {path.name} is damaged. Delete it and make it again.") from error
            self._index += [(len(self._shards), i) for i in range(len(about))]
            self._shards.append((shard, about))
            self._known.add(path.name)
        return len(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def source(self, index: int) -> str:
        shard, position = self._index[index]
        return self._shards[shard][1][position]["source"]

    def __getitem__(self, index: int) -> Entry:
        shard_number, position = self._index[index]
        shard, about = self._shards[shard_number]
        part = {name: shard.get_slice(name)[position] for name in shard.keys()}  # noqa: SIM118 (not a mapping)
        look = about[position]
        return Entry(
            image=part["image"].float() / 255,
            stage2=part["stage2"].float() * part["stage2_scale"][:, None, None],
            embedding=part["embedding"].float() * part["embedding_scale"][:, None, None],
            parts=part["parts"].numpy(),
            objects=tuple(tuple(members) for members in look["objects"]),
            visible=tuple(look["visible"]),
            source=look["source"],
            case=look["case"],
        )

    def __iter__(self) -> Iterator[Entry]:
        return (self[i] for i in range(len(self)))


def _quantise(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, h, w) float to int8 and (N, C) float32 scales."""
    scale = features.abs().amax(dim=(2, 3)).clamp_min(1e-6) / 127
    return torch.round(features / scale[:, :, None, None]).to(torch.int8), scale
