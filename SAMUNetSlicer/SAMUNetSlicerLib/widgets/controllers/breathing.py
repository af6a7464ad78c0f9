"""Waiting for computations while the window lives: between two polls of a job, what has happened is handled.

No threads: the window's event loop is called from inside the wait. Whoever stops the work is asked there as well, so
that Cancel takes effect within one poll and not after one plane.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # bring torch, which Slicer gets only later
    from ...inference.jobs import Job
    from ...inference.predictor import PlaneImage, PlaneMask, PlanePredictor, PlaneRequest
    from ...inference.zoom import Crop
    from ...networks.base import PromptKind

T = TypeVar("T")

_IDLE_POLL_S = 0.001  # a poll as short as this did nothing: somebody else computes
_PAUSE_S = 0.002
_LONG_S = 0.3  # a wait that should be shown
_LONGEST_S = 0.02  # of work before a wait, after which the window is let live first


class Interrupted(Exception):
    """The work was stopped on purpose."""


class Breather:
    """Waits for jobs, calling `breathe` after every poll.

    `is_breathing`: the window is handling events right now, inside a wait; nothing may change the work then.
    `longest_block_s`: the longest time within `turn` in which the window could do nothing, since `reset`.
    lasting: called once in a wait that takes longer than the user expects, within a breath.
    """

    def __init__(self, breathe: Callable[[], None], lasting: Callable[[], None] = lambda: None) -> None:
        self._breathe, self._lasting = breathe, lasting
        self._last = time.perf_counter()
        self._should_stop: Callable[[], bool] = lambda: False
        self.is_breathing = False
        self.longest_block_s = 0.0

    def reset(self) -> None:
        self.longest_block_s = 0.0

    @contextmanager
    def turn(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Around everything that is done in one turn of the event loop. Waits raise Interrupted on should_stop()."""
        before, self._should_stop = self._should_stop, should_stop
        self._last = time.perf_counter()
        try:
            yield
        finally:
            self._should_stop = before
            self._note_block()

    def breathe(self) -> None:
        """Let the window show what it is told, before something that holds it."""
        if not self.is_breathing:
            self._breathe_once(self._breathe)

    def pause(self) -> bool:
        """Let the window live in the midst of a long work; False where it is to be stopped."""
        self.breathe()
        return not self._should_stop()

    def wait_for(self, job: Job[T]) -> T:
        """The job's result; the window lives meanwhile, unless this is called from within a breath.

        Raises what the job raises, or Interrupted, having cancelled it.
        """
        if self.is_breathing:
            return job.result()
        show_at = time.perf_counter() + _LONG_S
        if time.perf_counter() - self._last > _LONGEST_S:
            self._breathe_or_stop(job)
        while True:
            began = time.perf_counter()
            if job.poll():
                return job.result()
            if time.perf_counter() - began < _IDLE_POLL_S:
                time.sleep(_PAUSE_S)
            if time.perf_counter() > show_at:
                show_at = float("inf")
                self._breathe_once(self._lasting)
            self._breathe_or_stop(job)

    def _breathe_or_stop(self, job: Job) -> None:
        self._breathe_once(self._breathe)
        if self._should_stop():
            job.cancel()
            raise Interrupted

    def _breathe_once(self, breath: Callable[[], None]) -> None:
        self._note_block()
        self.is_breathing = True
        try:
            breath()
        finally:
            self.is_breathing = False
            self._last = time.perf_counter()

    def _note_block(self) -> None:
        self.longest_block_s = max(self.longest_block_s, time.perf_counter() - self._last)


class PatientPredictor:
    """Answers as a `PlanePredictor` does, to those who wait, and lets the window live meanwhile."""

    def __init__(self, inner: PlanePredictor, breather: Breather) -> None:
        self._inner, self._breather = inner, breather

    @property
    def planes(self) -> PlanePredictor:
        """The predictor inside, which encodes planes ahead of time."""
        return self._inner

    @property
    def trained_prompts(self) -> PromptKind:
        return self._inner.trained_prompts

    def predict(self, image, prompts, crop=None) -> PlaneMask:
        """As `PlanePredictor.predict`; raises Interrupted where the work is stopped."""
        return self._breather.wait_for(self._inner.begin_predict(image, prompts, crop))

    def encode_ahead(self, request: PlaneRequest) -> Crop:
        """As `PlanePredictor.encode_ahead`."""
        return self._inner.encode_ahead(request)

    @property
    def has_room_beside(self) -> bool:
        """As `PlanePredictor.has_room_beside`."""
        return self._inner.has_room_beside

    def give_up_ahead(self, images: Iterable[PlaneImage]) -> None:
        """As `PlanePredictor.give_up_ahead`."""
        self._inner.give_up_ahead(images)
