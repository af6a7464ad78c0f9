"""A picture of how a training went."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..atomic_file import written_whole
from .logs import DEVELOPMENT_LOG, LOG

_WINDOW = 25  # steps over which noisy curves are averaged


def draw_curve(folder: Path) -> Path:
    """`folder`/curve.png from its log.csv and, where there is one, development.csv. Returns the picture's path."""
    log = _read(folder / LOG)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = log["step"]
    for name, label in (("loss", "loss"), ("first_dice", "Dice, first prompt"), ("last_dice", "Dice, last round")):
        left.plot(steps, _smooth(log[name]), label=label)
    left.set(xlabel="step", title=f"Training, mean of {_WINDOW} steps", ylim=(0, None))
    left.legend()
    if (folder / DEVELOPMENT_LOG).exists():
        held = _read(folder / DEVELOPMENT_LOG)
        for name in (n for n in held if n != "step"):
            right.plot(held["step"], held[name], marker="o", label=name)
        right.set(xlabel="step", title="Held-back cases, mean Dice over sources")
        right.legend()
    path = folder / "curve.png"
    with written_whole(path) as stream:
        FigureCanvasAgg(figure).print_png(stream)
    return path


def _read(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "time"]
    return {name: np.array([float(row[name]) for row in rows]) for name in names}


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean of the last _WINDOW values, fewer at the beginning."""
    sums = np.cumsum(values)
    sums[_WINDOW:] -= np.cumsum(values)[:-_WINDOW]
    return sums / np.minimum(np.arange(1, len(values) + 1), _WINDOW)
