"""The pictures that were asked for last, so that stepping to and fro does not cut them again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ..inference.predictor import PlaneImage

KEPT = 16


class RecentPictures:
    """At most `KEPT` pictures by plane number, the one not used for longest given up first."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[int, PlaneImage] = OrderedDict()

    def get(self, index: int, make: Callable[[], PlaneImage]) -> PlaneImage:
        if index not in self._pictures:
            self._pictures[index] = make()
        self._pictures.move_to_end(index)
        while len(self._pictures) > KEPT:
            self._pictures.popitem(last=False)
        return self._pictures[index]
