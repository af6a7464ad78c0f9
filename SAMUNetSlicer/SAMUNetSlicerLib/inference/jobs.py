"""Work that a host waits for without standing still: it is polled in short turns, finished at once, or given up.

No threads of ours: between two polls either nothing happens (torch on the processor), or somebody else computes
(OpenVINO's own threads, a graphics card).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

TURN_S = 0.02  # a poll of stepped work goes on for about so long, and until the step under way is done


class CancelledError(Exception):
    """The result of a job was asked for that had been given up."""


class Job(ABC, Generic[T]):
    """One piece of work. Whoever began it polls it now and then until it is over, then takes the result."""

    @abstractmethod
    def poll(self) -> bool:
        """Go on for a short turn. True once the job is over: finished, failed or cancelled."""

    @abstractmethod
    def result(self) -> T:
        """What came of it, waiting for it if need be. Raises what the work raised, or CancelledError."""

    @abstractmethod
    def cancel(self) -> None:
        """Give the work up. A job that is over stays as it is."""


class SteppedJob(Job[T]):
    """A generator of short steps as a job; what it returns is the result.

    It yields None after each step of its own, or another job that it needs: it is resumed once that is over, with
    that job's result (or its error, raised at the `yield`).
    """

    def __init__(self, steps: Generator[Job | None, Any, T]) -> None:
        self._steps = steps
        self._awaited: Job | None = None
        self._over = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def poll(self) -> bool:
        deadline = time.perf_counter() + TURN_S
        while not self._over and (self._awaited is None or self._awaited.poll()):
            self._advance()
            if time.perf_counter() >= deadline:
                break
        return self._over

    def result(self) -> T:
        while not self._over:
            self._advance()
        if self._error is not None:
            raise self._error
        return self._result

    def cancel(self) -> None:
        if self._over:
            return
        if self._awaited is not None:
            self._awaited.cancel()
        self._end(error=CancelledError())

    def _advance(self) -> None:
        """One step; an awaited job is waited for."""
        awaited, self._awaited = self._awaited, None
        try:
            if awaited is None:
                self._awaited = next(self._steps)
                return
            try:
                value = awaited.result()
            except Exception as error:
                self._awaited = self._steps.throw(error)
            else:
                self._awaited = self._steps.send(value)
        except StopIteration as end:
            self._end(end.value)
        except Exception as error:
            self._end(error=error)
        except BaseException as error:  # Ctrl-C: told to whoever waits now, and to whoever asks again
            self._end(error=error)
            raise

    def _end(self, result: T | None = None, error: BaseException | None = None) -> None:
        self._steps.close()
        self._over, self._result, self._error = True, result, error
