"""Adding a scene must not change segmentations that are in the scene already.

While a scene is added, its nodes still name each other by the IDs that they had in their file. A sequence browser among
them takes nodes of the user's with these IDs for its own, and writes what it shows into them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import slicer

_BEFORE_OTHERS = 1.0  # who goes on with the work after an import shall find it whole


@dataclass(frozen=True, eq=False)
class _Held:
    """What nodes had. copy: of the segmentation, with the very same segments, which an overwritten one drops."""

    nodes: list
    segmentation: object
    copy: object

    @classmethod
    def of(cls, segmentation) -> _Held:
        copy = slicer.vtkSegmentation()
        copy.SetSourceRepresentationName(segmentation.GetSourceRepresentationName())
        copy.CopyConversionParameters(segmentation)
        for segment_id, segment in _segments(segmentation).items():
            copy.AddSegment(segment, segment_id)
        return cls([], segmentation, copy)

    def put_back(self) -> None:
        # One that was written into may have become another node's own as well: it is left to that one.
        untouched = _segments(self.segmentation) == _segments(self.copy)
        own = self.segmentation if untouched else self.copy
        for node in self.nodes:
            if node.GetSegmentation() is not own:
                node.SetAndObserveSegmentation(own)


def _segments(segmentation) -> dict[str, object]:
    return {segment_id: segmentation.GetSegment(segment_id) for segment_id in segmentation.GetSegmentIDs()}


class ImportGuard:
    """Guards imports into a scene for as long as this object lives.

    segmentations: asked when an import begins for the nodes that it must not change.
    """

    def __init__(self, scene, segmentations: Callable[[], Iterable]) -> None:
        self._segmentations = segmentations
        self._held: list[_Held] = []
        guard = weakref.ref(self)  # the scene would keep alive what it calls
        for event, work in (
            (scene.StartImportEvent, lambda *_: guard().hold()),
            (scene.EndImportEvent, lambda *_: guard().put_back()),
        ):
            tag = scene.AddObserver(event, work, _BEFORE_OTHERS)
            weakref.finalize(self, scene.RemoveObserver, tag)

    def hold(self) -> None:
        held: dict[object, _Held] = {}
        for node in self._segmentations():
            segmentation = node.GetSegmentation()
            if segmentation not in held:
                held[segmentation] = _Held.of(segmentation)
            held[segmentation].nodes.append(node)
        self._held = list(held.values())

    def put_back(self) -> None:
        held, self._held = self._held, []
        for one in held:
            one.put_back()
