"""The CSV files in a training's folder: one line a step."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from ..atomic_file import written_whole

LOG, DEVELOPMENT_LOG = "log.csv", "development.csv"


def append_line(path: Path, values: Mapping[str, object]) -> None:
    """A line, below the names of the values where the file is new; numbers are rounded to four places."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(values)
        writer.writerow(round(v, 4) if isinstance(v, float) else v for v in values.values())


def forget_after(path: Path, step: int) -> None:
    """Leave out what a killed training wrote after the checkpoint from which it goes on; all lines, where it was 0."""
    if not path.exists():
        return
    names, *lines = path.read_text().splitlines(keepends=True) or [""]
    if "step" not in names:  # killed while it wrote the first line
        path.unlink()
        return
    column = names.rstrip().split(",").index("step")
    kept = [line for line in lines if line.endswith("\n") and int(line.split(",")[column]) <= step]
    if not kept:
        path.unlink()
    elif kept != lines:
        with written_whole(path) as stream:
            stream.write("".join([names, *kept]).encode())
