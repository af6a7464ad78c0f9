"""What the user says about one object in the patient's space: signed points and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..errors import PromptError
from ..inference.prompts import PlanePrompts, Sign, finite_numbers

__all__ = ["BoxExtent", "BoxPrompt", "PlanePrompts", "PointPrompt", "SegmentPrompts", "Sign"]


class BoxExtent(Enum):
    """The planes that a 3D box prompts."""

    CENTRE_PLANE = "the plane through its centre"
    ALL_PLANES = "every plane that it crosses"


@dataclass(frozen=True)
class PointPrompt:
    """A signed point in world RAS (mm)."""

    position_ras: tuple[float, float, float]
    sign: Sign = Sign.POSITIVE
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "position_ras", finite_numbers(self.position_ras, f"Point '{self.label}'"))


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
        object.__setattr__(self, "centre_ras", finite_numbers(self.centre_ras, what))
        object.__setattr__(self, "size_mm", finite_numbers(self.size_mm, what))
        object.__setattr__(self, "axes_ras", tuple(finite_numbers(a, what) for a in self.axes_ras))
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
