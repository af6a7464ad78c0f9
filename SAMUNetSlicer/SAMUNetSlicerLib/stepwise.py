"""Work that is written as a generator of short steps, done without pausing."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


def run_through(steps: Generator[Any, None, T]) -> T:
    """What the generator returns; what it yields on the way is let go."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
