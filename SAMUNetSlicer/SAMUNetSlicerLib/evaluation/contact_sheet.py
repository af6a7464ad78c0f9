"""A picture of the worst and the best answers of one method to one prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..atomic_file import written_whole
from ..inference.prompts import Sign, bounding_box_xyxy
from .picture import draw_box, draw_contour
from .running import Shown

TILES = 10  # worst and as many best
_COLUMNS = 5
_INCHES = 2.4
_MARGIN = 0.5  # of the longer side of what is shown, around it
_TARGET, _ANSWER, _BOX = "lime", "red", "cyan"


@dataclass
class Extremes:
    """The worst and best results seen so far, by Dice; the others are forgotten at once."""

    worst: list[Shown] = field(default_factory=list)
    best: list[Shown] = field(default_factory=list)

    def add(self, shown: Shown) -> None:
        by_dice = sorted([*self.worst, shown], key=_dice)
        self.worst = by_dice[:TILES]
        self.best = sorted([*self.best, shown], key=_dice, reverse=True)[:TILES]


def write_contact_sheet(path: Path, extremes: Extremes, title: str) -> None:
    """A PNG: the worst first, then the best that are not among them. Green: target; red: answer; dashed: the box.

    Raises OutputError where `path` cannot be written.
    """
    best = [shown for shown in extremes.best if all(shown is not other for other in extremes.worst)]
    rows = [*_rows(extremes.worst), *_rows(best)]
    figure = Figure(figsize=(_COLUMNS * _INCHES, len(rows) * _INCHES * 1.15 + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), _COLUMNS, squeeze=False)
    for row, tiles in zip(axes, rows, strict=True):
        for axis in row:
            axis.set_axis_off()
        for axis, shown in zip(row, tiles, strict=False):
            _draw(axis, shown)
    figure.suptitle(f"{title}: worst, then best (green target, red answer)", fontsize=10, parse_math=False)
    with written_whole(path) as stream:
        FigureCanvasAgg(figure).print_png(stream)


def _dice(shown: Shown) -> float:
    return shown.result.scores.dice


def _rows(tiles: list[Shown]) -> list[list[Shown]]:
    return [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]


def _draw(axis: Axes, shown: Shown) -> None:
    axis.imshow(shown.rgb)
    draw_contour(axis, shown.target, _TARGET)
    draw_contour(axis, shown.answer, _ANSWER)
    if shown.prompts is not None:
        _draw_prompts(axis, shown)
    both = shown.target | shown.answer
    if both.any():
        x0, y0, x1, y1 = bounding_box_xyxy(both)
        around = _MARGIN * max(x1 - x0, y1 - y0) + 2
        height, width = both.shape
        axis.set_xlim(max(-0.5, x0 - around), min(width - 0.5, x1 + around))
        axis.set_ylim(min(height - 0.5, y1 + around), max(-0.5, y0 - around))
    result = shown.result
    title = f"{result.scores.dice:.2f}  {result.source}\n{result.target[:34]}"
    axis.set_title(title, fontsize=6, pad=2, parse_math=False)


def _draw_prompts(axis: Axes, shown: Shown) -> None:
    prompts = shown.prompts
    if prompts.box_xyxy is not None:
        draw_box(axis, prompts.box_xyxy, _BOX)
    for (x, y), sign in zip(prompts.points_xy, prompts.signs, strict=True):
        axis.plot(x, y, marker="+" if sign is Sign.POSITIVE else "x", color=_BOX, markersize=6)
