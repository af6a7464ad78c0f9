"""Fair clocks: pieces of work take turns and medians are compared, as the machine may drift."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median


def interleaved_medians(works: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each work, run in turn `repetitions` times after one warming round."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_number in range(repetitions + 1):
        for name, work in works.items():
            took = seconds_of(work)
            if round_number > 0:
                seconds[name].append(took)
    return {name: median(values) for name, values in seconds.items()}


def seconds_of(work: Callable[[], object]) -> float:
    """By the clock, once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
