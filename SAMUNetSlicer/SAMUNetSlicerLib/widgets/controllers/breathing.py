"""Long computations that let the host breathe: between a network's layers the window handles what has happened.

No threads: the window's event loop is called from inside the computation. Whoever stops the work is asked there as
well, so that Cancel takes effect within one layer and not after one plane.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_SILENCE_S = 0.03


class Interrupted(Exception):
    """The work was stopped on purpose."""


class Breather:
    """Calls `breathe` between the layers of a network, at most every LONGEST_SILENCE_S seconds.

    `longest_block_s`: the longest time between two breaths since `reset`.
    """

    def __init__(self, breathe: Callable[[], None]) -> None:
        self._breathe = breathe
        self._last = time.perf_counter()
        self._should_stop: Callable[[], bool] | None = None
        self._depth = 0
        self.longest_block_s = 0.0

    def reset(self) -> None:
        self.longest_block_s = 0.0
        self._last = time.perf_counter()

    @contextmanager
    def around(self, network, should_stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """While open, the network's forward passes breathe, and raise Interrupted once `should_stop()` is true."""
        hooks = [
            layer.register_forward_pre_hook(lambda *_: self._between_layers())
            for layer in network.modules()
            if not any(True for _ in layer.children())
        ]
        before, self._should_stop = self._should_stop, should_stop
        self._last = time.perf_counter()
        try:
            yield
        finally:
            self._should_stop = before
            for hook in hooks:
                hook.remove()

    def _between_layers(self) -> None:
        now = time.perf_counter()
        self.longest_block_s = max(self.longest_block_s, now - self._last)
        if now - self._last >= LONGEST_SILENCE_S and not self._depth:
            self._depth += 1
            try:
                self._breathe()
            finally:
                self._depth -= 1
                self._last = time.perf_counter()
        elif self._depth:
            self._last = now
        if self._should_stop is not None and self._should_stop():
            raise Interrupted
