"""What a step of the history is made of: voxels, marks of planes, prompts, whole segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...errors import EditError, UserError
from ...volumes.geometry import GridGeometry
from ...volumes.voxels import VoxelMask
from ..nodes.labelmaps import SegmentChange, holds_voxels, read_voxels, write_changes
from ..nodes.markups_nodes import PromptStore
from ..nodes.placement import require_present
from ..nodes.segmentation_nodes import (
    SegmentLook,
    check_writable,
    remove_segment,
    restore_segment,
    segment_ids,
    segment_name,
)
from ..record.document import Document, PlaneKey, PlaneState
from ..record.placed_prompts import PromptSet
from .packed_voxels import PackedVoxels, pack_voxels

if TYPE_CHECKING:  # brings a package that Slicer gets only later
    from .undo_redo import History, Part

# Rough size of one entry of the record, or one prompt, in memory.
_ENTRY_BYTES = 400


@dataclass(eq=False)
class VoxelsPart:
    """Voxels that a segment gained and lost, no voxel twice.

    target: returns the segmentation node and the segment's ID, or raises UserError where they are gone.
    Where a voxel no longer is as it was left, it is dropped from the part for good: undoing and redoing must not bring
    back what someone else has replaced in between.
    """

    target: Callable[[], tuple[object, str]]
    geometry: GridGeometry
    added: list[PackedVoxels]
    removed: list[PackedVoxels]

    @classmethod
    def of(
        cls, target: Callable[[], tuple[object, str]], geometry: GridGeometry, changes: Iterable[SegmentChange]
    ) -> VoxelsPart:
        part = cls(target, geometry, [], [])
        for change in changes:
            for kept, marked in ((part.added, change.gain), (part.removed, change.loss)):
                if packed := pack_voxels(marked):
                    kept.append(packed)
        return part

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    @property
    def nbytes(self) -> int:
        return sum(packed.nbytes for packed in (*self.added, *self.removed))

    def undo(self) -> str:
        return self._flip(lost=self.added, gained=self.removed)

    def redo(self) -> str:
        return self._flip(lost=self.removed, gained=self.added)

    def _flip(self, lost: list[PackedVoxels], gained: list[PackedVoxels]) -> str:
        node, segment_id = self.target()
        foreign, changes = 0, []
        for kept, present in ((lost, True), (gained, False)):
            for number, packed in enumerate(kept):
                marked = packed.unpacked()
                now = read_voxels(node, segment_id, self.geometry, marked.voxels)
                as_left = VoxelMask(marked.voxels, marked.mask & (now == present))
                missing = packed.count - int(np.count_nonzero(as_left.mask))
                if missing:
                    foreign += missing
                    kept[number] = pack_voxels(as_left)
                nothing = np.zeros_like(marked.mask)
                added, removed = (nothing, as_left.mask) if present else (as_left.mask, nothing)
                changes.append(SegmentChange(segment_id, marked.voxels, added, removed))
        write_changes(node, changes, self.geometry)
        if not foreign:
            return ""
        name = segment_name(node, segment_id)
        return f"{foreign} voxels of '{name}' were changed elsewhere since then and were left as they are."


@dataclass(frozen=True, eq=False)
class ProposalsPart:
    """What a stack of proposals gained and lost. is_there: whether there still are any; stays: some did not change.

    Where they were deleted since then, they come back whole or not at all: half a proposal would be accepted as one.
    """

    voxels: VoxelsPart
    is_there: Callable[[], bool]
    stays: bool

    @property
    def nbytes(self) -> int:
        return self.voxels.nbytes

    def undo(self) -> str:
        return self._told_lost(self.voxels.added) or self.voxels.undo()

    def redo(self) -> str:
        return self._told_lost(self.voxels.removed) or self.voxels.redo()

    def _told_lost(self, needed: list[PackedVoxels]) -> str:
        if self.is_there() or not (needed or self.stays):
            return ""
        return "The proposals were deleted elsewhere since then and do not come back."


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

    def target(self) -> tuple[object, str]:
        return self.segmentation_node, self.segment_id

    def undo(self) -> str:
        require_present(self.scene, self.segmentation_node, "segmentation")
        if self.segment_id not in segment_ids(self.segmentation_node):
            return "The segment had been removed already."
        if holds_voxels(self.segmentation_node, self.segment_id, self.geometry):
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

    def target(self) -> tuple[object, str]:
        return self.segmentation_node, self.look.segment_id

    def undo(self) -> str:
        require_present(self.scene, self.segmentation_node, "segmentation")
        restore_segment(self.segmentation_node, self.look)
        return ""

    def redo(self) -> str:
        require_present(self.scene, self.segmentation_node, "segmentation")
        if self.look.segment_id not in segment_ids(self.segmentation_node):
            return "The segment had been removed already."
        if holds_voxels(self.segmentation_node, self.look.segment_id, self.geometry):
            return f"The segment '{self.look.name}' was drawn on elsewhere since then and was left as it is."
        self.look = remove_segment(self.segmentation_node, self.look.segment_id)
        return ""


def check_unlocked(parts: Iterable[Part]) -> None:
    """Raise EditError where undoing or redoing one of the parts would change a finished segment."""
    for part in parts:
        if isinstance(part, VoxelsPart | SegmentAddedPart | SegmentRemovedPart):
            try:
                node, segment_id = part.target()
            except UserError:  # what is gone is told when it comes to it
                continue
            if segment_id in segment_ids(node):
                check_writable(node, segment_id)


@dataclass(eq=False)
class OpenStep:
    """A step that is being done: the marks of all planes before it, and what has been noted so far."""

    history: History
    planes_before: Mapping[PlaneKey, PlaneState]
    parts: list[Part] = field(default_factory=list)
