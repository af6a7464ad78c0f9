"""The pictures of a few stacks, kept while the work goes back and forth between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...volumes.volume import Volume
from ...volumes.windows import Window
from ..record.stacks import Stack, StackKey

if TYPE_CHECKING:  # brings torch, which Slicer gets only later
    from ...volumes.plane_source import VolumePlanes

# Stacks (and windows) whose pictures are kept at a time.
_KEPT = 6


class KeptPictures:
    """Of one volume; `clear` when it changes."""

    def __init__(self) -> None:
        self._planes: dict[tuple[StackKey, Window | None], VolumePlanes] = {}

    def clear(self) -> None:
        self._planes.clear()

    def of(self, volume: Volume, key: StackKey, stack: Stack, window: Window | None) -> VolumePlanes:
        """The planes of a stack as 8-bit pictures; window: None for colours."""
        from ...volumes.plane_source import VolumePlanes

        if (key, window) not in self._planes:
            while len(self._planes) >= _KEPT:
                self._planes.pop(next(iter(self._planes)))
            self._planes[key, window] = VolumePlanes(volume, stack, window)
        return self._planes[key, window]
