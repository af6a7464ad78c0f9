"""The planes of one stack as 8-bit pictures, cut and windowed when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..inference.predictor import PlaneImage
from .planes import ObliqueStack, PlaneStack
from .recent_pictures import RecentPictures
from .sampling import sample_plane
from .volume import Volume
from .windows import Window, to_uint8


@dataclass
class VolumePlanes:
    """Pictures of a volume's planes. window: None for RGB volumes, which are shown as they are."""

    volume: Volume
    stack: PlaneStack | ObliqueStack
    window: Window | None
    _recent: RecentPictures = field(default_factory=RecentPictures, repr=False)

    def __len__(self) -> int:
        return len(self.stack)

    @property
    def step_px(self) -> float:
        """From one plane to the next, in pixels."""
        plane = self.stack[0]
        return plane.thickness_mm / plane.pixel_size_mm

    def image(self, index: int) -> PlaneImage:
        """The 8-bit RGB picture of a plane. Raises IndexError outside the stack."""
        return self._recent.get(index, lambda: self._cut(index))

    def _cut(self, index: int) -> PlaneImage:
        return PlaneImage.of(to_uint8(sample_plane(self.volume, self.stack[index]), self.window))
