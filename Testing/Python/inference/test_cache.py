import pytest
import torch

from SAMUNetSlicerLib.inference.encoding.cache import EmbeddingCache
from SAMUNetSlicerLib.networks.base import Embedding


def embedding(kilobytes: int) -> Embedding:
    return Embedding({"x": torch.zeros(1, kilobytes * 256)})


def test_the_least_recently_used_goes_first():
    cache = EmbeddingCache(limit_bytes=3 * 1024)
    for key in "abc":
        cache.put(key, embedding(1))
    cache.get("a")
    cache.put("d", embedding(1))
    assert "b" not in cache
    assert all(key in cache for key in "acd")


def test_the_limit_counts_bytes_not_entries():
    cache = EmbeddingCache(limit_bytes=4 * 1024)
    cache.put("small", embedding(1))
    cache.put("large", embedding(4))
    assert "small" not in cache
    assert cache.nbytes == 4 * 1024


def test_the_newest_is_kept_however_large():
    cache = EmbeddingCache(limit_bytes=10)
    cache.put("huge", embedding(5))
    assert "huge" in cache


def test_replacing_an_entry_counts_it_once():
    cache = EmbeddingCache()
    cache.put("a", embedding(2))
    cache.put("a", embedding(3))
    assert cache.nbytes == 3 * 1024
    assert len(cache) == 1


def test_clearing_forgets_everything():
    cache = EmbeddingCache()
    cache.put("a", embedding(2))
    cache.clear()
    assert cache.nbytes == 0
    with pytest.raises(KeyError):
        cache.get("a")
