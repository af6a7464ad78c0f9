"""How an error tells that memory ran out, or that a graphics card failed."""

from __future__ import annotations

import torch

from ..errors import UserError

# What torch's and OpenVINO's allocators say, in lower case; they have no error class in common. In the second line are
# cuBLAS's and cuDNN's words, which take memory of the card past torch's allocator, and those that torch has on Apple's
# graphics for one block that is too large.
_SHORTAGE_WORDS = (
    *("out of memory", "not enough memory", "cannot allocate", "can't allocate", "bad alloc", "bad_alloc"),
    *("status_alloc_failed", "allocation_failed", "invalid buffer size"),
)
# What CUDA, ROCm and the libraries on them say, in lower case, of a card that was lost in sleep, of a driver that
# crashed, of a build that is not for the card; and torch of what it cannot do on Apple's graphics.
_FAILURE_WORDS = (
    *("cuda error", "hip error", "cudnn error", "miopen error", "cublas_status", "cuda driver error"),
    "not currently implemented for the mps device",
)


def is_shortage(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the graphics card or in the computer."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _SHORTAGE_WORDS)


def card_failure(error: BaseException) -> UserError | None:
    """What to tell the user of an error that means that the graphics card does not work (any more), or cannot do this
    at all, however much memory there is. None for other errors.
    """
    text = str(error)
    is_failure = isinstance(error, RuntimeError) and any(words in text.lower() for words in _FAILURE_WORDS)
    if not is_failure or is_shortage(error):
        return None
    return UserError(
        f"The graphics card has failed ({text.splitlines()[0]}). "
        "Choose the processor (the device 'cpu'), or restart the program."
    )
