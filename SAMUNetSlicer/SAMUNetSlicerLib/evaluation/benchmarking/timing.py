"""Fair clocks: pieces of work take turns and medians are compared, as the machine may drift."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

from ...inference.jobs import Job


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


def longest_turn(begin: Callable[[], Job]) -> float:
    """The longest time, in seconds, for which a host that polls a job stands still, beginning it included."""
    jobs: list[Job] = []
    longest = seconds_of(lambda: jobs.append(begin()))
    over = False
    while not over:
        start = time.perf_counter()
        over = jobs[0].poll()
        longest = max(longest, time.perf_counter() - start)
        if not over:
            time.sleep(_HOSTS_PAUSE_S)
    return longest


_HOSTS_PAUSE_S = 0.005
