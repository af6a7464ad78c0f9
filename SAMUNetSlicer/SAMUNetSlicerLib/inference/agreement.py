"""How far an answer can be trusted, from the answer itself and from what is known of the plane beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .predictor import PlaneMask


@dataclass(frozen=True)
class Appearance:
    """Grey values (0..255) under a mask: mean and deviation."""

    mean: float
    deviation: float

    @staticmethod
    def under(rgb: np.ndarray, mask_yx: np.ndarray) -> Appearance:
        """Of a (H, W, 3) picture under a non-empty mask."""
        grey = rgb[mask_yx].mean(axis=1)
        return Appearance(float(grey.mean()), float(grey.std()))

    def likeness(self, other: Appearance) -> float:
        """1 for the same mean, falling to e**-.5 at a difference of one (floored) deviation, and on."""
        scale = max(self.deviation, other.deviation, SMALLEST_DEVIATION)
        return float(np.exp(-0.5 * ((self.mean - other.mean) / scale) ** 2))

    def followed_by(self, other: Appearance) -> Appearance:
        """What to expect next after seeing `other`: slow changes along a stack (bias fields) are followed."""
        keep = 1 - _FOLLOW
        return Appearance(keep * self.mean + _FOLLOW * other.mean, keep * self.deviation + _FOLLOW * other.deviation)


SMALLEST_DEVIATION = 16.0  # grey values: flat regions still differ from plane to plane
_FOLLOW = 0.3


def intersection_over_union(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two bool masks; 1 where both are empty."""
    union = np.count_nonzero(a | b)
    return 1.0 if union == 0 else np.count_nonzero(a & b) / union


def certainty(answer: PlaneMask) -> float:
    """How sharply the logits separate inside from outside: mean of |2p - 1| weighted towards the object."""
    probability = 1 / (1 + np.exp(-np.clip(answer.logits, -30, 30)))
    weight = probability.sum()
    return 0.0 if weight < 1e-3 else float((np.abs(2 * probability - 1) * probability).sum() / weight)


def confidence(answer: PlaneMask, neighbour_iou: float, likeness: float) -> float:
    """One number in [0, 1]: own quality estimate (or certainty), agreement with the neighbour, unchanged appearance."""
    own = certainty(answer) if answer.quality is None else answer.quality
    return float(np.clip(own, 0, 1) * np.sqrt(neighbour_iou) * likeness)
