"""Encodings kept on the disk from one session to the next. Off unless the user asks for it.

What is kept is computed from patients' pictures and shows them roughly: it is patient data. The files can be read by
their owner alone, stay within a number of bytes (the least recently used go first), and `clear` removes them all.

An encoding is known by a hash of what it was computed from: the pixels of the crop as the network sees them, which
hold the volume's content, the plane, the crop and the window; the model with its weights, engine and precision; and the
program's version, since another one may prepare pictures or encode them otherwise. So a wrong one cannot be served,
whatever happened to the volume meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...networks.base import Embedding
from ...project import VERSION
from .kept_encodings import NEW_SUFFIX, SUFFIX, KeptEncodings, remove


class DiskCache(KeptEncodings):
    """A folder of encodings, shared by all processes of a user.

    Reading and writing never fail: a file that is missing, damaged or foreign is an encoding that is not there, and
    where nothing can be written nothing is kept.
    """

    def get(self, key: str) -> Embedding | None:
        """What was kept under `key`, now the most recently used, on the processor; None where nothing sound is."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        try:
            features, metadata = load(content), _metadata(content)
        except (SafetensorError, ValueError, KeyError):  # the last: a number format that this library does not know
            features, metadata = {}, {}
        if not features or metadata.get("key") != key or metadata.get("digest") != _digest(features):
            remove(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return Embedding(features)

    def put(self, key: str, embedding: Embedding) -> None:
        """Keep an encoding, whole or not at all, and give up the oldest ones beyond the limit."""
        features = {name: tensor.detach().cpu().contiguous() for name, tensor in embedding.features.items()}
        content = save(features, {"key": key, "digest": _digest(features)})
        if len(content) > self.limit_bytes:
            return
        temporary = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Only its owner may read a file that mkstemp makes.
            handle, temporary = tempfile.mkstemp(suffix=NEW_SUFFIX, dir=self.folder)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            self.make_room(len(content))
            Path(temporary).replace(self._path(key))
        except OSError:  # the disk is full, or the folder may not be written
            if temporary is not None:
                remove(Path(temporary))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


@dataclass(frozen=True)
class ModelEncodings:
    """The encodings of one model in a cache. model: its identity, as `LoadedModel.identity`."""

    cache: DiskCache
    model: str

    def key(self, rgb: np.ndarray, engine: str) -> str:
        """For a crop's pixels (H, W, 3) and `Encoder.signature`."""
        return encoding_key(rgb, f"{self.model} {engine} {VERSION}")


def encoding_key(rgb: np.ndarray, model: str) -> str:
    """Names the encoding of an 8-bit (H, W, 3) picture by a model (its weights, engine and precision)."""
    digest = hashlib.blake2b(f"{model} {rgb.shape}".encode(), digest_size=24)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def _metadata(content: bytes) -> dict[str, str]:
    """Of a safetensors file, which begins with the length of its JSON header."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__") or {}


def _digest(features: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(features):
        tensor = features[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
