"""How far an answer can be trusted, from the answer itself and from what is known of the plane beside it."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy import ndimage

from .mask_geometry import intersection_over_union
from .predictor import PlaneMask
from .preprocessing import grey_of
from .prompts import bounding_box_xyxy

SMALLEST_DEVIATION = 16.0  # grey values: flat regions still differ from plane to plane
_SMALLEST_CONTRAST = 8.0  # grey values: a border fainter than this says nothing when it fades
_BORDER_PIXELS = 2  # on each side of a mask's border
_FOLLOW = 0.3


@dataclass(frozen=True)
class Appearance:
    """Grey values (0..255) under a mask: mean, deviation, and by how much they exceed those just outside it."""

    mean: float
    deviation: float
    contrast: float

    @staticmethod
    def under(rgb: np.ndarray, mask_yx: np.ndarray) -> Appearance:
        """Of a (H, W, 3) picture under a non-empty mask."""
        x0, y0, x1, y1 = (int(v) for v in bounding_box_xyxy(mask_yx))
        around = np.s_[
            max(0, y0 - _BORDER_PIXELS) : y1 + _BORDER_PIXELS, max(0, x0 - _BORDER_PIXELS) : x1 + _BORDER_PIXELS
        ]
        grey, mask = grey_of(rgb[around]), mask_yx[around]
        rim = mask & ~ndimage.binary_erosion(mask, iterations=_BORDER_PIXELS)
        beyond = ndimage.binary_dilation(mask, iterations=_BORDER_PIXELS) & ~mask
        contrast = float(grey[rim].mean() - grey[beyond].mean()) if beyond.any() else 0.0
        inside = grey[mask]
        return Appearance(float(inside.mean()), float(inside.std()), contrast)

    def likeness(self, other: Appearance) -> float:
        """1 for the same mean, falling to e**-.5 at a difference of one (floored) deviation, and on."""
        scale = max(self.deviation, other.deviation, SMALLEST_DEVIATION)
        return float(np.exp(-0.5 * ((self.mean - other.mean) / scale) ** 2))

    def border_kept(self, other: Appearance) -> float:
        """The share of this border's contrast that the other has, at most 1; 0 where light and dark have changed sides.

        1 where this border is too faint to tell.
        """
        if abs(self.contrast) < _SMALLEST_CONTRAST:
            return 1.0
        return float(np.clip(other.contrast / self.contrast, 0, 1))

    def followed_by(self, other: Appearance) -> Appearance:
        """What to expect next after seeing `other`: slow changes along a stack (bias fields) are followed."""
        return Appearance(
            *((1 - _FOLLOW) * own + _FOLLOW * new for own, new in zip(astuple(self), astuple(other), strict=True))
        )


@dataclass(frozen=True)
class Evidence:
    """What speaks for the answer on a plane that nobody prompted, each between 0 and 1.

    own: the network's estimate of its IoU, or the answer's certainty where there is none. overlap: IoU with the
    neighbour's mask. likeness: of the grey values to those expected. border: how much of the border's contrast is
    left. carried: product of the overlaps since the plane from which the walk began; errors add up with the way.
    """

    own: float
    overlap: float
    likeness: float
    border: float
    carried: float

    @staticmethod
    def of(
        answer: PlaneMask, neighbour_yx: np.ndarray, expected: Appearance, seen: Appearance, carried: float = 1.0
    ) -> Evidence:
        """neighbour_yx: (H, W) bool, the mask of the plane beside it; carried: that plane's own."""
        overlap = intersection_over_union(answer.mask, neighbour_yx)
        alike, border = expected.likeness(seen), expected.border_kept(seen)
        return Evidence(own_estimate(answer), overlap, alike, border, carried * overlap)

    @property
    def support(self) -> float:
        """In [0, 1]: own estimate, agreement and likeness together; low where a walk has lost its object."""
        return float(self.own * np.sqrt(self.overlap) * self.likeness)


@dataclass(frozen=True)
class Calibration:
    """A logistic model of the chance that a plane's Dice is .8 or better. weights: in the order of `Evidence`."""

    bias: float
    weights: tuple[float, float, float, float, float]

    def __call__(self, evidence: Evidence) -> float:
        return float(1 / (1 + np.exp(-(self.bias + np.dot(self.weights, astuple(evidence))))))


# Fitted by `samunet evaluate-propagation` with the default model on development cases (docs/propagation.md). Overlap,
# likeness and border found nothing there that the others had not; a tenth is left to them for objects unlike those.
CALIBRATION = Calibration(-4.6, (3.1, 0.1, 0.1, 0.1, 4.3))


def confidence(evidence: Evidence) -> float:
    """The chance that a propagated plane's Dice is .8 or better, where as many planes are good as bad."""
    return CALIBRATION(evidence)


def own_estimate(answer: PlaneMask) -> float:
    """In [0, 1]: the network's estimate of its IoU, or the answer's certainty where it makes none."""
    return certainty(answer) if answer.quality is None else float(np.clip(answer.quality, 0, 1))


def certainty(answer: PlaneMask) -> float:
    """How sharply the logits separate inside from outside: mean of |2p - 1| weighted towards the object."""
    probability = 1 / (1 + np.exp(-np.clip(answer.logits, -30, 30)))
    weight = probability.sum()
    return 0.0 if weight < 1e-3 else float((np.abs(2 * probability - 1) * probability).sum() / weight)
