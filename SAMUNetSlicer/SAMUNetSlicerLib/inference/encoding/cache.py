"""Encoded planes kept in memory, the least recently used given up first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from ...networks.base import Embedding

DEFAULT_BYTES = 210 * 2**20  # 100 planes of the default models in 16 bit, and a few that were guessed wrongly ahead


class EmbeddingCache:
    """At most `limit_bytes` of embeddings. The newest one is always kept, however large."""

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._entries: OrderedDict[Hashable, Embedding] = OrderedDict()
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable) -> Embedding:
        """The embedding, now the most recently used. Raises KeyError where it is not kept."""
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: Hashable, embedding: Embedding) -> None:
        self.discard(key)
        self._entries[key] = embedding
        self._nbytes += embedding.nbytes
        while self._nbytes > self.limit_bytes and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._nbytes -= oldest.nbytes

    def discard(self, key: Hashable) -> None:
        if key in self._entries:
            self._nbytes -= self._entries.pop(key).nbytes

    def clear(self) -> None:
        self._entries.clear()
        self._nbytes = 0
