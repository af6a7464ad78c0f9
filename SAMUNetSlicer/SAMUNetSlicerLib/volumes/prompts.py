"""What the user says about one object: points, boxes and masks, in the patient's space and in a plane's pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from ..errors import PromptError


class Sign(Enum):
    """Whether a point lies inside the object or outside it."""

    POSITIVE = 1
    NEGATIVE = 0


class BoxExtent(Enum):
    """The planes that a 3D box prompts."""

    CENTRE_PLANE = "the plane through its centre"
    ALL_PLANES = "every plane that it crosses"


def _finite(values, what: str) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)
    if not np.isfinite(numbers).all():
        raise PromptError(f"{what} has a coordinate that is not a number. Delete it and place it again.")
    return numbers


@dataclass(frozen=True)
class PointPrompt:
    """A signed point in world RAS (mm)."""

    position_ras: tuple[float, float, float]
    sign: Sign = Sign.POSITIVE
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "position_ras", _finite(self.position_ras, f"Point '{self.label}'"))


@dataclass(frozen=True)
class BoxPrompt:
    """An oriented 3D box in world RAS (mm), as a markups ROI gives it.

    axes_ras: three unit vectors (rows), the box's own X, Y and Z; size_mm: full side lengths along them.
    """

    centre_ras: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    axes_ras: tuple[tuple[float, float, float], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    extent: BoxExtent = BoxExtent.CENTRE_PLANE
    label: str = ""

    def __post_init__(self) -> None:
        what = f"Box '{self.label}'"
        object.__setattr__(self, "centre_ras", _finite(self.centre_ras, what))
        object.__setattr__(self, "size_mm", _finite(self.size_mm, what))
        object.__setattr__(self, "axes_ras", tuple(_finite(a, what) for a in self.axes_ras))
        if sum(s > 0 for s in self.size_mm) < 2 or min(self.size_mm) < 0:
            raise PromptError(f"{what} has no size. Draw it again around the object.")

    def corners_ras(self) -> np.ndarray:
        """(8, 3) corners."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        half = np.array(self.size_mm) / 2
        return np.array(self.centre_ras) + (signs * half) @ np.array(self.axes_ras)


@dataclass(frozen=True)
class SegmentPrompts:
    """All prompts of one segment."""

    segment: str
    points: tuple[PointPrompt, ...] = ()
    boxes: tuple[BoxPrompt, ...] = ()


@dataclass(frozen=True)
class PlanePrompts:
    """The prompts of one segment on one plane, in that plane's pixels.

    Pixel centres have integer coordinates (x right, y down). box_xyxy is half-open: it covers the pixels
    x0 .. x1 - 1, y0 .. y1 - 1 (SAM-UNet's convention). mask: (H, W) bool of the plane's size, an earlier answer.
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
            _finite((x, y), "A point")
        if self.box_xyxy is not None:
            x0, y0, x1, y1 = _finite(self.box_xyxy, "The box")
            if x1 <= x0 or y1 <= y0:
                raise PromptError("The box has no size on this plane. Draw it around the object.")
        if self.mask is not None and not self.mask.any():
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
