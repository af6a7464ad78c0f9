"""What a walk goes over and yields, where it may go, and two walks' answers for one plane as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

import numpy as np

from ...inference.agreement import Evidence
from ...inference.mask_geometry import intersection_over_union
from ...inference.predictor import OUTSIDE_LOGIT, PlaneImage, PlaneMask
from .box_motion import bounded


class PlaneSource(Protocol):
    """Numbered planes of one stack. step_px: from one to the next, in pixels; 0 where they do not follow in space."""

    @property
    def step_px(self) -> float: ...

    def __len__(self) -> int: ...

    def image(self, index: int) -> PlaneImage: ...


class Direction(Enum):
    """Which way to go from the prompted plane; up is towards higher plane numbers."""

    BOTH = "both"
    UP = "up"
    DOWN = "down"
    NONE = "none"


class StopReason(Enum):
    """Why a walk ended."""

    VANISHED = "the object vanished"
    DRIFTED = "the mask no longer agrees with its neighbour"
    END = "the end of the range was reached"


@dataclass(frozen=True)
class PlaneRange:
    """Plane numbers first .. last, both included."""

    first: int
    last: int

    def __contains__(self, index: int) -> bool:
        return self.first <= index <= self.last

    @classmethod
    def of_stack(cls, count: int, within: PlaneRange | None = None) -> PlaneRange:
        """All planes of a stack of `count`, or what a range has of them."""
        return cls(0, count - 1) if within is None else cls(max(0, within.first), min(count - 1, within.last))


@dataclass(frozen=True, eq=False)
class PropagationStep:
    """One finished plane, or the end of one walk (then `answer` is None and `stop` says why).

    evidence: what the confidence rests on; None where there was nothing to judge.
    """

    index: int
    direction: Direction
    answer: PlaneMask | None
    confidence: float
    stop: StopReason | None = None
    evidence: Evidence | None = None


def crop_alone(answer: PlaneMask) -> PlaneMask:
    """To be kept: whole planes of 2000 x 2000 pixels take 16 MB each, and there may be hundreds."""
    return replace(answer, logits=answer.logits[answer.crop.slices_yx].copy())


def on_plane(answer: PlaneMask, shape_yx: tuple[int, int]) -> PlaneMask:
    """The inverse of `crop_alone`."""
    logits = np.full(shape_yx, OUTSIDE_LOGIT, dtype=np.float32)
    logits[answer.crop.slices_yx] = answer.logits
    return replace(answer, logits=logits)


def reconcile(one: PropagationStep, other: PropagationStep, weight_of_one: float) -> PropagationStep:
    """Two answers for one plane as one: mean logits; the confidence falls with their disagreement.

    Of two that share nothing the nearer key plane's stands: their mean may show neither.
    """
    a, b = one.answer, other.answer
    agreement = intersection_over_union(a.mask, b.mask)
    if agreement == 0:
        weight_of_one = round(weight_of_one)
    # Bounded, so that a plane's never-shown outskirts do not outvote the answer that did look there.
    logits = weight_of_one * bounded(a.logits) + (1 - weight_of_one) * bounded(b.logits)
    quality = None if a.quality is None or b.quality is None else min(a.quality, b.quality)
    merged = replace(b, logits=logits.astype(np.float32), quality=quality)
    return replace(other, answer=merged, confidence=max(one.confidence, other.confidence) * float(np.sqrt(agreement)))
