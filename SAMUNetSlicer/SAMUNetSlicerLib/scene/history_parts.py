"""What a step of the history is made of: voxels, marks of planes, prompts, whole segments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import EditError
from ..volumes.geometry import GridGeometry
from .document import Document, PlaneKey, PlaneState
from .labelmaps import SegmentChange, extent_slices, read_block, write_changes
from .markups_nodes import PromptStore
from .packed_voxels import PackedVoxels, pack_voxels
from .placed_prompts import PromptSet
from .placement import require_present
from .segmentation_nodes import SegmentLook, remove_segment, restore_segment, segment_ids, segment_name

# Rough size of one entry of the record, or one prompt, in memory.
_ENTRY_BYTES = 400


@dataclass(eq=False)
class VoxelsPart:
    """Voxels that a segment gained and lost.

    target: returns the segmentation node and the segment's ID, or raises UserError where they are gone.
    Where a voxel no longer is as it was left, it is dropped from the part for good: undoing and redoing must not bring
    back what someone else has replaced in between.
    """

    target: Callable[[], tuple[object, str]]
    geometry: GridGeometry
    added: PackedVoxels
    removed: PackedVoxels

    @classmethod
    def of(cls, target: Callable[[], tuple[object, str]], geometry: GridGeometry, change: SegmentChange) -> VoxelsPart:
        added, removed = (pack_voxels(change.slices_kji, mask) for mask in (change.added, change.removed))
        return cls(target, geometry, added, removed)

    @property
    def nbytes(self) -> int:
        return self.added.nbytes + self.removed.nbytes

    def undo(self) -> str:
        node, segment_id = self.target()
        return self._flip(node, segment_id, lost=self.added, gained=self.removed)

    def redo(self) -> str:
        node, segment_id = self.target()
        return self._flip(node, segment_id, lost=self.removed, gained=self.added)

    def _flip(self, node, segment_id: str, lost: PackedVoxels, gained: PackedVoxels) -> str:
        foreign = 0
        for voxels, present in ((lost, True), (gained, False)):
            if not voxels:
                continue
            mask = voxels.mask
            now = read_block(node, segment_id, self.geometry, voxels.slices_kji)
            as_left = mask & (now == present)
            if not np.array_equal(as_left, mask):
                foreign += int(np.count_nonzero(mask)) - int(np.count_nonzero(as_left))
                kept = pack_voxels(voxels.slices_kji, as_left)
                self.added, self.removed = (kept if v is voxels else v for v in (self.added, self.removed))
            nothing = np.zeros_like(mask)
            added, removed = (nothing, as_left) if present else (as_left, nothing)
            write_changes(node, {segment_id: SegmentChange(voxels.slices_kji, added, removed)}, self.geometry)
        if not foreign:
            return ""
        name = segment_name(node, segment_id)
        return f"{foreign} voxels of '{name}' were changed elsewhere since then and were left as they are."


@dataclass(frozen=True, eq=False)
class PlanesPart:
    """Marks and confidences of planes. document: returns the record as it is now."""

    document: Callable[[], Document]
    before: Mapping[PlaneKey, PlaneState]
    after: Mapping[PlaneKey, PlaneState]

    @property
    def nbytes(self) -> int:
        return _ENTRY_BYTES * (len(self.before) + len(self.after))

    def undo(self) -> str:
        return self._put(self.before)

    def redo(self) -> str:
        return self._put(self.after)

    def _put(self, states: Mapping[PlaneKey, PlaneState]) -> str:
        document = self.document()
        for key, state in states.items():
            document.set_plane(key, state)
        return ""


@dataclass(frozen=True, eq=False)
class PromptsPart:
    """The prompts of one segment."""

    store: PromptStore
    segment_id: str
    name: Callable[[str], str]
    frame: str
    before: PromptSet
    after: PromptSet

    @property
    def nbytes(self) -> int:
        prompts = (*self.before.points, *self.before.boxes, *self.after.points, *self.after.boxes)
        return _ENTRY_BYTES * len(prompts)

    def undo(self) -> str:
        return self._replace(self.after, self.before)

    def redo(self) -> str:
        return self._replace(self.before, self.after)

    def _replace(self, expected: PromptSet, wanted: PromptSet) -> str:
        if not self.store.read(self.segment_id, self.frame).is_close_to(expected):
            return "The prompts were changed elsewhere since then and were left as they are."
        self.store.write(self.segment_id, self.name(self.segment_id), wanted, self.frame)
        return ""


@dataclass(eq=False)
class SegmentAddedPart:
    """An empty segment that was added."""

    scene: object
    segmentation_node: object
    segment_id: str
    geometry: GridGeometry
    look: SegmentLook | None = None

    nbytes = _ENTRY_BYTES

    def undo(self) -> str:
        require_present(self.scene, self.segmentation_node, "segmentation")
        if self.segment_id not in segment_ids(self.segmentation_node):
            return "The segment had been removed already."
        if _holds_voxels(self.segmentation_node, self.segment_id, self.geometry):
            name = segment_name(self.segmentation_node, self.segment_id)
            return f"The segment '{name}' was drawn on elsewhere since then and was left as it is."
        self.look = remove_segment(self.segmentation_node, self.segment_id)
        return ""

    def redo(self) -> str:
        require_present(self.scene, self.segmentation_node, "segmentation")
        if self.look is None:
            raise EditError("The segment stands in the segmentation already.")
        restore_segment(self.segmentation_node, self.look)
        return ""


@dataclass(eq=False)
class SegmentRemovedPart:
    """An empty segment that was removed: what it held is taken away, and brought back, by parts of their own."""

    scene: object
    segmentation_node: object
    look: SegmentLook
    geometry: GridGeometry

    nbytes = _ENTRY_BYTES

    def undo(self) -> str:
        require_present(self.scene, self.segmentation_node, "segmentation")
        restore_segment(self.segmentation_node, self.look)
        return ""

    def redo(self) -> str:
        require_present(self.scene, self.segmentation_node, "segmentation")
        if self.look.segment_id not in segment_ids(self.segmentation_node):
            return "The segment had been removed already."
        if _holds_voxels(self.segmentation_node, self.look.segment_id, self.geometry):
            return f"The segment '{self.look.name}' was drawn on elsewhere since then and was left as it is."
        self.look = remove_segment(self.segmentation_node, self.look.segment_id)
        return ""


def _holds_voxels(segmentation_node, segment_id: str, geometry: GridGeometry) -> bool:
    return bool(
        read_block(
            segmentation_node, segment_id, geometry, extent_slices(segmentation_node, segment_id, geometry)
        ).any()
    )
