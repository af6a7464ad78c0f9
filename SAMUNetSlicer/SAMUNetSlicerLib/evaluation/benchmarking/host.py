"""A host that propagates as the panel does, and notes for how long its event loop has to wait."""

from __future__ import annotations

import time

from ...inference.predictor import PlaneImage, PlaneMask, PlanePredictor
from ...inference.prompts import PlanePrompts
from ...inference.zoom import Crop
from ...volumes.propagation.walks import Propagation
from .phantom import PhantomPlanes

_EVENTS_S = 0.005


class PollingHost:
    """Answers as the predictor does, whose work it polls; between two polls its event loop has its turn.

    longest_s: the longest time in seconds between two turns.
    """

    def __init__(self, predictor: PlanePredictor) -> None:
        self._inner = predictor
        self._since = time.perf_counter()
        self.longest_s = 0.0

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def loop(self) -> None:
        """What happens in the window meanwhile is handled."""
        self.longest_s = max(self.longest_s, time.perf_counter() - self._since)
        time.sleep(_EVENTS_S)
        self._since = time.perf_counter()

    def predict(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None = None) -> PlaneMask:
        job = self._inner.begin_predict(image, prompts, crop)
        self.loop()
        while not job.poll():
            self.loop()
        return job.result()


def longest_block(predictor: PlanePredictor, count: int) -> float:
    """For how many seconds such a host stands still at most while it propagates over `count` planes."""
    planes = PhantomPlanes(count)
    starts = {0: predictor.predict(planes.image(0), planes.box(0))}
    host = PollingHost(predictor)
    walk = Propagation(planes, host)
    walk.prepare(starts)
    host.loop()
    steps = walk.from_planes(starts)
    while not host.poll_ahead() or next(steps, None) is not None:
        host.loop()
    host.loop()
    return host.longest_s
