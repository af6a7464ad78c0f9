"""One plane through time: the frames of a sequence, numbered as the planes of a volume are.

`Propagation` walks over these as it does over the planes of a stack, so a mask follows its object from frame to frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from ..inference.predictor import PlaneImage
from .planes import Plane
from .recent_pictures import RecentPictures
from .sampling import sample_plane
from .volume import Volume
from .windows import Window, to_uint8


@dataclass
class FramePlanes:
    """Pictures of one plane in every frame.

    frame: gives the volume of a frame's number when it is asked for, so that a long sequence need not be in memory.
    window: the same for all frames, so that grey values mean the same in each; None for RGB.
    """

    frame: Callable[[int], Volume]
    length: int
    plane: Plane
    window: Window | None
    _recent: RecentPictures = field(default_factory=RecentPictures, repr=False)

    step_px: ClassVar[float] = 0.0  # frames do not follow in space

    def __len__(self) -> int:
        return self.length

    def image(self, index: int) -> PlaneImage:
        """The 8-bit RGB picture of the plane in a frame. Raises IndexError outside the sequence."""
        if not 0 <= index < self.length:
            raise IndexError(f"There is no frame {index}; the sequence has {self.length}.")
        return self._recent.get(index, lambda: self._cut(index))

    def _cut(self, index: int) -> PlaneImage:
        return PlaneImage.of(to_uint8(sample_plane(self.frame(index), self.plane), self.window))
