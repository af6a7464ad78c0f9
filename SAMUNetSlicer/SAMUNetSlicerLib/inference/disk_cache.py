"""Encodings kept on the disk from one session to the next. Off unless the user asks for it.

What is kept is computed from patients' pictures and shows them roughly: it is patient data. The files can be read by
their owner alone, stay within a number of bytes (the least recently used go first), and `clear` removes them all.

An encoding is known by a hash of what it was computed from: the pixels of the crop as the network sees them, which
hold the volume's content, the plane, the crop and the window; and the model with its weights, engine and precision.
So a wrong one cannot be served, whatever happened to the volume meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..networks.base import Embedding
from ..project import NAME

DEFAULT_LIMIT_BYTES = 2 * 2**30
_SUFFIX = ".safetensors"
_NEW_SUFFIX = ".new"
_ABANDONED_AFTER_S = 3600  # a file still being written after so long is left over from a process that was killed


def default_folder() -> Path:
    """Where encodings are kept: the platform's folder for caches."""
    return platformdirs.user_cache_path(NAME, appauthor=False) / "encodings"


@dataclass(frozen=True)
class DiskCache:
    """A folder of encodings, shared by all processes of a user.

    Reading and writing never fail: a file that is missing, damaged or foreign is an encoding that is not there, and
    where nothing can be written nothing is kept.
    """

    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    def get(self, key: str) -> Embedding | None:
        """What was kept under `key`, now the most recently used, on the processor; None where nothing sound is."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        try:
            features, metadata = load(content), _metadata(content)
        except (SafetensorError, ValueError):
            features, metadata = {}, {}
        if not features or metadata.get("key") != key or metadata.get("digest") != _digest(features):
            self._remove(path)
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
            handle, temporary = tempfile.mkstemp(suffix=_NEW_SUFFIX, dir=self.folder)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            self._make_room(len(content))
            Path(temporary).replace(self._path(key))
        except OSError:  # the disk is full, or the folder may not be written
            if temporary is not None:
                self._remove(Path(temporary))

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(size for _, size, _ in self._files())

    def __len__(self) -> int:
        return len(self._files())

    def clear(self) -> None:
        """Remove everything."""
        for path, _, _ in self._files():
            self._remove(path)
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"*{_NEW_SUFFIX}"):
                self._remove(path)

    def _make_room(self, needed: int) -> None:
        """Remove the least recently used until `needed` more bytes fit, and what killed processes left behind."""
        now = time.time()
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"*{_NEW_SUFFIX}"):
                with contextlib.suppress(OSError):
                    if now - path.stat().st_mtime > _ABANDONED_AFTER_S:
                        self._remove(path)
        files = self._files()
        total = needed + sum(size for _, size, _ in files)
        for path, size, _ in sorted(files, key=lambda file: file[2]):
            if total <= self.limit_bytes:
                return
            self._remove(path)
            total -= size

    def _files(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use of each; another process may remove some meanwhile."""
        found = []
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"*{_SUFFIX}"):
                with contextlib.suppress(OSError):
                    facts = path.stat()
                    found.append((path, facts.st_size, facts.st_mtime))
        return found

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    @staticmethod
    def _remove(path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ModelEncodings:
    """The encodings of one model in a cache. model: its identity, as `LoadedModel.identity`."""

    cache: DiskCache
    model: str

    def key(self, rgb: np.ndarray, engine: str) -> str:
        """For a crop's pixels (H, W, 3) and `Encoder.signature`."""
        return encoding_key(rgb, f"{self.model} {engine}")


def encoding_key(rgb: np.ndarray, model: str) -> str:
    """Names the encoding of an 8-bit (H, W, 3) picture by a model (its weights, engine and precision)."""
    digest = hashlib.blake2b(f"{model} {rgb.shape}".encode(), digest_size=24)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def _metadata(content: bytes) -> dict[str, str]:
    """Of a safetensors file, which begins with the length of its JSON header."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {})


def _digest(features: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(features):
        tensor = features[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
