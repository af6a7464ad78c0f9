"""What the outlines on two key planes tell of the planes between them, whatever the pictures show.

Signed distances from both outlines, mixed by how near each key plane is: Raya and Udupa, "Shape-based interpolation of
multidimensional objects", IEEE Transactions on Medical Imaging 1990. By itself it misses what moves sideways or bends;
as a voice beside the network's it keeps answers from leaking on the way. Chosen on development cases
(docs/propagation.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from ...inference.mask_geometry import intersection_over_union
from ...inference.predictor import PlaneMask
from ...inference.preprocessing import PROMPT_LOGIT
from ...inference.prompts import bounding_box_xyxy

_LOGITS_PER_RADIUS = 16.0  # at a distance of the object's radius from its outline
_Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class ShapeBetween:
    """Logits that the outlines on the key planes `low` and `high` let expect in a window of the planes between them.

    of_low, of_high: (h, w) float32, from each outline alone. weight: how far both overlap, so that shapes that have
    moved on or changed say little.
    """

    low: int
    high: int
    window: _Window
    of_low: np.ndarray
    of_high: np.ndarray
    weight: float

    @classmethod
    def of(cls, low: int, mask_low: np.ndarray, high: int, mask_high: np.ndarray) -> ShapeBetween | None:
        """Masks: (H, W) bool. None where they share nothing, or one is empty: then shapes tell nothing."""
        weight = intersection_over_union(mask_low, mask_high)
        if weight == 0 or not mask_low.any():
            return None
        radius = float(np.sqrt((np.count_nonzero(mask_low) + np.count_nonzero(mask_high)) / 2 / np.pi))
        x0, y0, x1, y1 = (int(v) for v in bounding_box_xyxy(mask_low | mask_high))
        # Beyond this margin both are as sure as they may be that nothing is there.
        margin = int(np.ceil(radius * PROMPT_LOGIT / _LOGITS_PER_RADIUS))
        window = np.s_[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]
        scale = _LOGITS_PER_RADIUS / radius
        return cls(low, high, window, *(scale * _distances(m[window]) for m in (mask_low, mask_high)), weight)

    def beside(self, answer: PlaneMask, index: int) -> PlaneMask:
        """The network's answer on plane `index`, with what the shapes tell added to its logits."""
        share = (index - self.low) / (self.high - self.low)
        expected = np.full_like(answer.logits, -PROMPT_LOGIT)
        mixed = (1 - share) * self.of_low + share * self.of_high
        expected[self.window] = np.clip(mixed, -PROMPT_LOGIT, PROMPT_LOGIT)
        return replace(answer, logits=answer.logits + np.float32(self.weight) * expected)


def _distances(mask_yx: np.ndarray) -> np.ndarray:
    """(h, w) float32 pixels to the outline of a mask, which runs between pixels; positive inside."""
    image = sitk.GetImageFromArray(mask_yx.astype(np.uint8))
    # From the outermost pixels inside, which have 0.
    distances = sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False)
    return sitk.GetArrayFromImage(distances) + np.float32(0.5)
