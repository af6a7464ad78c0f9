"""How an object's cross-sections grow and shrink along the stack, as its key planes tell.

Along a line the areas of an ellipsoid's cross-sections are a parabola around its middle, here the largest key plane. A
walk does not see that by itself: a network that fills the box it gets goes on at nearly the same size, past the
object's end too. Chosen on development cases (docs/propagation.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# An end is believed where the outermost key plane shows less than this of the largest one, and where the object would
# be as long as it is wide: what falls faster next to its largest section often goes on as a tail (a hippocampus).
_LARGEST_RATIO = 0.5
_SMALLEST_SHRINK = 0.5
_LEAST_DIFFERENCE = 0.01  # of the sides of two key planes; else they tell nothing of the way between them


@dataclass(frozen=True)
class Taper:
    """Areas `middle + slope * distance**2`, in pixels, at a distance (planes) from the plane `apex`."""

    apex: int
    middle: float
    slope: float

    @classmethod
    def through(cls, areas: Mapping[int, int], one: int, other: int) -> Taper:
        """The parabola through two of the key planes, around the largest of all. areas: pixels on key planes."""
        apex = max(areas, key=lambda index: areas[index])
        squares = (one - apex) ** 2, (other - apex) ** 2
        slope = (areas[other] - areas[one]) / (squares[1] - squares[0]) if squares[0] != squares[1] else 0.0
        return cls(apex, areas[one] - slope * squares[0], slope)

    @classmethod
    def beyond(cls, areas: Mapping[int, int], outermost: int, step_px: float) -> Taper | None:
        """What to expect behind the outermost key plane; None where key planes do not tell of an end there.

        step_px: from one plane to the next, in pixels.
        """
        apex = max(areas, key=lambda index: areas[index])
        if apex == outermost or areas[outermost] >= _LARGEST_RATIO * areas[apex]:
            return None
        taper = cls.through(areas, apex, outermost)
        reach_px = step_px * np.sqrt(-taper.middle / taper.slope)
        return taper if reach_px >= np.sqrt(areas[apex] / np.pi) else None

    def side(self, index: int) -> float:
        """The square root of a plane's area, in pixels; 0 beyond the object's end."""
        return float(np.sqrt(max(0.0, self.middle + self.slope * (index - self.apex) ** 2)))

    def shrink(self, index: int, step: int) -> float:
        """By which factor sides become shorter from plane `index` to the next, `index + step`."""
        here = self.side(index)
        return max(_SMALLEST_SHRINK, self.side(index + step) / here) if here > 0 else _SMALLEST_SHRINK

    def share_of_way(self, index: int, step: int, goal: int) -> float:
        """Which share of what changes until the plane `goal` changes on the way to the next plane, `index + step`."""
        here, there, end = (self.side(i) for i in (index, index + step, goal))
        if abs(end - here) <= _LEAST_DIFFERENCE * max(here, end):
            return 1 / abs(goal - index)
        return (there - here) / (end - here)
