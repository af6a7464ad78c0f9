"""The planes of one stack as 8-bit pictures, cut and windowed when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from ..inference.predictor import PlaneImage
from .planes import ObliqueStack, PlaneStack
from .sampling import sample_plane
from .volume import Volume
from .windows import Window, to_uint8

_KEPT_PICTURES = 16


@dataclass
class VolumePlanes:
    """Pictures of a volume's planes. window: None for RGB volumes, which are shown as they are."""

    volume: Volume
    stack: PlaneStack | ObliqueStack
    window: Window | None
    _recent: OrderedDict[int, PlaneImage] = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        # Names the content of every picture, so that encodings can be kept for as long as it stays the same.
        self._content_key = (self.volume.fingerprint(), self.stack[0].pixel_to_ras.tobytes(), self.window)

    def __len__(self) -> int:
        return len(self.stack)

    def image(self, index: int) -> PlaneImage:
        """The 8-bit RGB picture of a plane. Raises IndexError outside the stack."""
        if index not in self._recent:
            picture = to_uint8(sample_plane(self.volume, self.stack[index]), self.window)
            self._recent[index] = PlaneImage(picture, (*self._content_key, index))
            while len(self._recent) > _KEPT_PICTURES:
                self._recent.popitem(last=False)
        return self._recent[index]
