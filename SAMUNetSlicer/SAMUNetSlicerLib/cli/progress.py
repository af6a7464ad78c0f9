"""Progress with the time that remains, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from ..volumes.jobs.segmentation_job import PlaneDone


def shown(steps: Iterable[PlaneDone]) -> Iterator[PlaneDone]:
    """Pass the steps on while a bar follows them; notes to the user are printed once each."""
    told: set[str] = set()
    with tqdm(unit="plane", file=sys.stderr, disable=None, dynamic_ncols=True) as bar:
        for step in steps:
            bar.total = step.total
            bar.set_postfix_str(f"{step.segment}, plane {step.index}")
            bar.update(step.done - bar.n)
            for note in step.notes:
                if note not in told:
                    told.add(note)
                    tqdm.write(f"Note: {note}", file=sys.stderr)
            yield step
