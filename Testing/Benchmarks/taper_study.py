"""How well key planes tell where an object ends, without a network: areas of reference masks are asked.

    PYTHONPATH=SAMUNetSlicer python Testing/Benchmarks/taper_study.py DATA --set development

Key planes are the target's median plane and one other, each of the labelled ones in turn. Behind the outermost one on
either side `volumes.propagation.taper` foresees an end, or none. Shares of the target's voxels are told: what would be
cut off if a walk ended one plane after that, and what would be saved if it else went on for some planes beyond the true
end, at .6 of the outermost key plane's area.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from SAMUNetSlicerLib.evaluation.case_sets import read_case_set
from SAMUNetSlicerLib.evaluation.cases import VolumeCase, volume_cases
from SAMUNetSlicerLib.volumes.propagation.taper import Taper

_NEAREST = 2  # planes from the median one to the other
_GOES_ON = 6  # planes beyond the true end
_AREA_THERE = 0.6

CORRECTED, FIRST = "behind the other plane", "behind the median plane"


def foreseen_ends(case: VolumeCase) -> Iterator[tuple[str, bool, float, float]]:
    """For all pairs and both sides: behind which key plane, whether an end is foreseen, shares cut off and saved."""
    areas = case.voxels_per_plane(case.target_kji)
    labelled = case.labelled_planes()
    median = int(labelled[len(labelled) // 2])
    for other in map(int, labelled):
        if abs(other - median) < _NEAREST:
            continue
        keys = {median: int(areas[median]), other: int(areas[other])}
        for outermost, step in ((max(keys), 1), (min(keys), -1)):
            beyond = areas[outermost + 1 :] if step > 0 else areas[:outermost][::-1]
            if not len(beyond):
                continue
            where = CORRECTED if outermost == other else FIRST
            taper = Taper.beyond(keys, outermost, case.planes.step_px)
            if taper is None:
                yield where, False, 0.0, 0.0
                continue
            ends_after = 1 + sum(taper.side(outermost + step * n) > 0 for n in range(1, len(beyond) + 1))
            true_end = int(np.flatnonzero(beyond).max(initial=-1)) + 1
            too_far = max(0, min(true_end + _GOES_ON, len(beyond)) - max(ends_after, true_end))
            total = areas.sum()
            yield where, True, beyond[ends_after:].sum() / total, too_far * _AREA_THERE * areas[outermost] / total


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", default="development")
    parser.add_argument("--limit", type=int, default=40, help="targets of a source")
    arguments = parser.parse_args()
    print("| source | | pairs and sides | an end foreseen | cut off | saved |")
    print("| --- | --- | --- | --- | --- | --- |")
    for source in read_case_set(arguments.set, arguments.data).sources:
        rows = defaultdict(list)
        for case in volume_cases(source, arguments.limit):
            for where, foreseen, cut_off, saved in foreseen_ends(case):
                rows[where].append((foreseen, cut_off, saved))
        for where, values in rows.items():
            told, cut_off, saved = np.mean(values, axis=0)
            print(f"| {source.name} | {where} | {len(values)} | {told:.0%} | {cut_off:.2%} | {saved:.2%} |")


if __name__ == "__main__":
    main()
