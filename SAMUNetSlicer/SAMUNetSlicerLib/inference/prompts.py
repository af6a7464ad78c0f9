"""The prompts of one object on one plane, in that plane's pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from ..errors import PromptError
from .mask_geometry import box_around


class Sign(Enum):
    """Whether a point lies inside the object or outside it."""

    POSITIVE = 1
    NEGATIVE = 0


def finite_numbers(values: Iterable[float], what: str) -> tuple[float, ...]:
    """The values as floats; PromptError naming `what` where one is not a finite number."""
    numbers = tuple(float(v) for v in values)
    if not np.isfinite(numbers).all():
        raise PromptError(f"{what} has a coordinate that is not a number. Delete it and place it again.")
    return numbers


@dataclass(frozen=True)
class PlanePrompts:
    """The prompts of one segment on one plane, in that plane's pixels.

    Pixel centres have integer coordinates (x right, y down). box_xyxy is half-open: it covers the pixels
    x0 .. x1 - 1, y0 .. y1 - 1 (SAM-UNet's convention). mask: (H, W) of the plane's size, an earlier or a neighbour's
    answer, bool or float logits (> 0 inside).
    Raises PromptError for an empty set, a box without size, or an all-negative set.
    """

    points_xy: tuple[tuple[float, float], ...] = ()
    signs: tuple[Sign, ...] = ()
    box_xyxy: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.points_xy) != len(self.signs):
            raise ValueError("every point needs a sign")
        for x, y in self.points_xy:
            finite_numbers((x, y), "A point")
        if self.box_xyxy is not None:
            x0, y0, x1, y1 = finite_numbers(self.box_xyxy, "The box")
            if x1 <= x0 or y1 <= y0:
                raise PromptError("The box has no size on this plane. Draw it around the object.")
        if self.mask is not None and not (self.mask > 0).any():
            raise PromptError("The mask given as a prompt is empty.")
        if not self.points_xy and self.box_xyxy is None and self.mask is None:
            raise PromptError("There is no prompt on this plane. Place a point or a box on the object.")
        if self.box_xyxy is None and self.mask is None and Sign.POSITIVE not in self.signs:
            raise PromptError("All points are negative. Place at least one point inside the object.")

    @property
    def positive_xy(self) -> np.ndarray:
        """(P, 2) points inside the object."""
        chosen = [p for p, s in zip(self.points_xy, self.signs, strict=True) if s is Sign.POSITIVE]
        return np.array(chosen, dtype=float).reshape(-1, 2)

    def extent_xyxy(self) -> tuple[float, float, float, float]:
        """The half-open rectangle that holds the box, the mask and every point."""
        boxes = [(x, y, x + 1, y + 1) for x, y in self.points_xy]
        if self.box_xyxy is not None:
            boxes.append(self.box_xyxy)
        if self.mask is not None:
            boxes.append(bounding_box_xyxy(self.mask > 0))
        x0, y0, x1, y1 = zip(*boxes, strict=True)
        return min(x0), min(y0), max(x1), max(y1)


def bounding_box_xyxy(mask_yx: np.ndarray) -> tuple[float, float, float, float]:
    """Half-open box of a non-empty (H, W) bool mask. Raises ValueError for an empty one."""
    rows, columns = box_around(mask_yx)
    if rows.start == rows.stop:
        raise ValueError("an empty mask has no bounding box")
    return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)
