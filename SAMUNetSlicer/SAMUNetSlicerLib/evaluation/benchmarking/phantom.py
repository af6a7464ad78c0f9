"""Made-up planes with an object that every model finds: a bright, wandering disc in noise."""

from __future__ import annotations

import numpy as np

from ...inference.predictor import PlaneImage
from ...inference.prompts import PlanePrompts
from ...volumes.recent_pictures import RecentPictures

SIDE = 256
_RADIUS = 42.0


class PhantomPlanes:
    """`count` planes, the same every time; the disc moves a little and changes size from plane to plane."""

    step_px = 1.0

    def __init__(self, count: int) -> None:
        self._count = count
        self._recent = RecentPictures()

    def __len__(self) -> int:
        return self._count

    def image(self, index: int) -> PlaneImage:
        """The picture of one plane."""
        return self._recent.get(index, lambda: self._draw(index))

    def _draw(self, index: int) -> PlaneImage:
        noise = np.random.default_rng(index).normal(0, 12, (SIDE, SIDE))
        x, y, radius = self._disc(index)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        inside = np.hypot(columns - x, rows - y) < radius
        grey = np.clip(70 + 90 * inside + noise, 0, 255).astype(np.uint8)
        return PlaneImage(np.repeat(grey[..., None], 3, axis=2), ("phantom", index))

    def box(self, index: int) -> PlanePrompts:
        """A box around the disc."""
        x, y, radius = self._disc(index)
        reach = radius + 3
        return PlanePrompts(box_xyxy=(x - reach, y - reach, x + reach, y + reach))

    @staticmethod
    def _disc(index: int) -> tuple[float, float, float]:
        turn = index / 25
        return 128 + 20 * np.sin(turn), 120 + 15 * np.cos(1.3 * turn), _RADIUS + 6 * np.sin(0.7 * turn)
