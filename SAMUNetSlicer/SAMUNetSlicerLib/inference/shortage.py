"""How an error tells that memory ran out."""

from __future__ import annotations

import torch

# What torch's and OpenVINO's allocators say, in lower case; they have no error class in common. The last two are
# cuBLAS's and cuDNN's, which take memory of the card past torch's allocator.
_SHORTAGE_WORDS = (
    *("out of memory", "not enough memory", "cannot allocate", "can't allocate", "bad alloc", "bad_alloc"),
    *("status_alloc_failed", "allocation_failed"),
)


def is_shortage(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the graphics card or in the computer."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _SHORTAGE_WORDS)
