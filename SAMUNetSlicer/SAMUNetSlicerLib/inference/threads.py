"""How many threads torch takes for a while.

Threads that compute one thing together wait for one another, actively: where other work has the same cores they lose
far more than the cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """At least one. Torch's number is global: nothing must pause within."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
