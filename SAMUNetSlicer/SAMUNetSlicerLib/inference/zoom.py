"""Adaptive zoom: small objects are encoded from a crop at native resolution, not from the whole shrunken plane.

Crops are squares of quantised side and position, and one is kept while the prompts stay inside its middle part, so
that a corrective click costs no new encoding and encode-ahead can guess the crop of the next plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil, log2

Box = tuple[float, float, float, float]


class ZoomMode(Enum):
    """Whether planes may be cropped before encoding."""

    ADAPTIVE = "adaptive"
    WHOLE_PLANE = "whole"


@dataclass(frozen=True)
class Crop:
    """A part of a plane in its pixels: x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices_yx(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True)
class ZoomPolicy:
    """How crops are chosen.

    factor: crop side over the longer side of what is prompted.
    smallest_side: no crop is smaller (pixels): a few pixels blown up to the whole input show no anatomy.
    whole_above: a crop that would take more than this share of the plane's longer side becomes the whole plane.
    keep_margin: a crop is kept while the prompts lie at least this share of its side away from a border that is not
        the plane's own.
    keep_smallest: .. and while they take at least this share of its side.
    """

    mode: ZoomMode = ZoomMode.ADAPTIVE
    factor: float = 2.0
    smallest_side: int = 48
    whole_above: float = 0.85
    keep_margin: float = 0.1
    keep_smallest: float = 0.2

    def choose(self, plane_hw: tuple[int, int], extent: Box, current: Crop | None = None) -> Crop:
        """The crop for prompts that span `extent`: the current one while it serves, else a new one."""
        height, width = plane_hw
        whole = Crop(0, 0, width, height)
        if self.mode is ZoomMode.WHOLE_PLANE:
            return whole
        if current is not None and self.keeps(current, plane_hw, extent):
            return current
        longest = max(extent[2] - extent[0], extent[3] - extent[1])
        side = _quantised_side(max(self.factor * longest, self.smallest_side))
        if side > self.whole_above * max(height, width):
            return whole
        x0, x1 = _span((extent[0] + extent[2]) / 2, side, width)
        y0, y1 = _span((extent[1] + extent[3]) / 2, side, height)
        return Crop(x0, y0, x1, y1)

    def half(self, plane_hw: tuple[int, int], extent: Box) -> Crop | None:
        """A crop of half the plane's longer side around prompts, for objects too small for the whole plane.

        None where it would be too small itself, or the prompts reach too near its border.
        """
        height, width = plane_hw
        side = max(plane_hw) // 2
        if self.mode is ZoomMode.WHOLE_PLANE or side < self.smallest_side:
            return None
        x0, x1 = _span((extent[0] + extent[2]) / 2, side, width)
        y0, y1 = _span((extent[1] + extent[3]) / 2, side, height)
        crop = Crop(x0, y0, x1, y1)
        return crop if self.in_middle(crop, plane_hw, extent) else None

    def keeps(self, crop: Crop, plane_hw: tuple[int, int], extent: Box) -> bool:
        """Whether an object that spans `extent` can still be answered well from `crop`."""
        if not self.in_middle(crop, plane_hw, extent):
            return False
        side = max(crop.size_hw)
        longest = max(extent[2] - extent[0], extent[3] - extent[1])
        smallest = side <= _quantised_side(self.smallest_side)
        return smallest or longest >= self.keep_smallest * side

    def in_middle(self, crop: Crop, plane_hw: tuple[int, int], extent: Box) -> bool:
        """Whether `extent` lies inside the crop's middle part.

        Nothing is asked of a side that is the plane's own border: a point on a border pixel may span a little more
        than the plane.
        """
        height, width = plane_hw
        margin = self.keep_margin * max(crop.size_hw)
        distances = (
            (crop.x0 == 0, extent[0] - crop.x0),
            (crop.y0 == 0, extent[1] - crop.y0),
            (crop.x1 == width, crop.x1 - extent[2]),
            (crop.y1 == height, crop.y1 - extent[3]),
        )
        return all(at_border or distance >= margin for at_border, distance in distances)


def _quantised_side(side: float) -> int:
    """The next of the sides 16 * 2 ** (n / 4)."""
    return ceil(16 * 2 ** (ceil(4 * log2(side / 16) - 1e-9) / 4))


def _span(centre: float, side: int, limit: int) -> tuple[int, int]:
    """A span of `side` around `centre` on a grid of side / 8, moved inside 0..limit (or all of it)."""
    if side >= limit:
        return 0, limit
    grid = max(1, side // 8)
    start = round((centre - side / 2) / grid) * grid
    start = min(max(start, 0), limit - side)
    return int(start), int(start + side)
