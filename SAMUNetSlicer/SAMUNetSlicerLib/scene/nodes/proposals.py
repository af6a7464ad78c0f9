"""Previews and propagated planes, in a segmentation node of their own: saved with the scene, no part of the result.

Each segment has one proposal segment per stack of planes (and frame of a sequence), since planes of one stack share no
voxel: a preview on a sagittal plane leaves the proposals on axial planes as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...project import NAME
from ...volumes.geometry import GridGeometry
from ...volumes.voxels import NO_BLOCK, Block, VoxelMask, Voxels, shape_of
from ..record.document import PlaneEntry, PlaneKey
from .labelmaps import SegmentChange, extent_block, holds_voxels, read_voxels, write_changes
from .names import FRAME, REFERENCE_PROPOSALS, ROLE_PROPOSALS, SEGMENT, STACK
from .placement import follow
from .segmentation_nodes import (
    add_segment,
    create_segmentation,
    find_segment,
    get_tag,
    is_on_show,
    is_visible,
    remove_segment,
    restore_segment,
    segment_ids,
    set_tag,
)
from .state_node import belong_to

_FILL_OPACITY = 0.25
_OUTLINE_OPACITY = 1.0


@dataclass(frozen=True, eq=False)
class CorrectionBase:
    """What propagation proposed on a plane before points corrected it. logits: (H, W)."""

    entry: PlaneEntry
    logits: np.ndarray


@dataclass(eq=False)
class ProposalStore:
    """The proposals for one segmentation; the node is made when the first one comes.

    correction_bases: of planes that points have corrected since the work was opened.
    """

    scene: object
    volume_node: object
    segmentation_node: object
    state_node: object
    correction_bases: dict[PlaneKey, CorrectionBase] = field(default_factory=dict)

    @property
    def node(self):
        """The segmentation node of the proposals, or None."""
        return self.state_node.GetNodeReference(REFERENCE_PROPOSALS)

    def present(self) -> tuple[str, ...]:
        """IDs of the proposal segments that there are."""
        return () if self.node is None else segment_ids(self.node)

    def segment_of(self, key: PlaneKey) -> str | None:
        """ID of the proposal segment that holds this plane, or None."""
        wanted = _proposal_id(key)
        return wanted if wanted in self.present() else None

    def read(self, key: PlaneKey, geometry: GridGeometry, voxels: Voxels) -> np.ndarray:
        """Bool, of the voxels' shape: what is proposed for the segment, on any plane of the key's stack."""
        proposal_id = self.segment_of(key)
        if proposal_id is None:
            return np.zeros(shape_of(voxels), dtype=bool)
        return read_voxels(self.node, proposal_id, geometry, voxels)

    def extent(self, key: PlaneKey, geometry: GridGeometry) -> Block:
        """A block that holds all that is proposed on the key's stack."""
        proposal_id = self.segment_of(key)
        return NO_BLOCK if proposal_id is None else extent_block(self.node, proposal_id, geometry)

    def write(self, key: PlaneKey, geometry: GridGeometry, masks: Sequence[VoxelMask]) -> list[SegmentChange]:
        """Make these masks, which share no voxel, the proposal on the key's stack, and return what has changed."""
        proposal_id = self.made_segment(key)
        changes = []
        for wanted in masks:
            before = read_voxels(self.node, proposal_id, geometry, wanted.voxels)
            added, removed = wanted.mask & ~before, before & ~wanted.mask
            changes.append(SegmentChange(proposal_id, wanted.voxels, added, removed))
        write_changes(self.node, changes, geometry)
        return changes

    def targets(self) -> list[PlaneKey]:
        """Plane 0 of each stack (and frame) of each segment for which there is a proposal segment."""
        if self.node is None:
            return []
        found = []
        for proposal_id in segment_ids(self.node):
            segment_id, stack = (get_tag(self.node, proposal_id, tag) for tag in (SEGMENT, STACK))
            if segment_id and stack:
                found.append(PlaneKey(get_tag(self.node, proposal_id, FRAME) or "", segment_id, stack, 0))
        return found

    def rename(self, frame: Callable[[str], str | None], stack: Callable[[str], str], geometry: GridGeometry) -> None:
        """Give planes other names; frame: None for one that is gone, with its proposals."""
        moved = []
        for place in self.targets():
            own_frame = frame(place.frame)
            to = None if own_frame is None else place._replace(frame=own_frame, stack=stack(place.stack))
            if to != place:
                extent = self.extent(place, geometry)
                held = VoxelMask(extent, self.read(place, geometry, extent))
                moved.append((to, held, _proposal_id(place)))
        # All are taken away first: some take the names of others.
        looks = [remove_segment(self.node, proposal_id) for *_, proposal_id in moved]
        for (to, held, _), look in zip(moved, looks, strict=True):
            if to is not None:
                proposal_id = _proposal_id(to)
                restore_segment(self.node, replace(look, segment_id=proposal_id))
                set_tag(self.node, proposal_id, STACK, to.stack)
                set_tag(self.node, proposal_id, FRAME, to.frame or None)
                self.write(to, geometry, [held])
        self.correction_bases.clear()

    def remove_empty(self, geometry: GridGeometry, known: Iterable[PlaneKey]) -> None:
        """Drop proposal segments of which no plane is known any more."""
        if self.node is None:
            return
        kept = {_proposal_id(key) for key in known}
        for proposal_id in segment_ids(self.node):
            if proposal_id not in kept and not holds_voxels(self.node, proposal_id, geometry):
                self.node.GetSegmentation().RemoveSegment(proposal_id)

    def refresh_looks(self) -> None:
        """Let names and colours follow those of the segments."""
        if self.node is None:
            return
        for proposal_id in segment_ids(self.node):
            target = get_tag(self.node, proposal_id, SEGMENT)
            if target in segment_ids(self.segmentation_node):
                self._look_like(proposal_id, target)

    def show_frame(self, frame: str) -> None:
        """Display the proposals for one frame of a sequence and hide the others.

        Hidden are also those for hidden segments, and for segments that were deleted elsewhere: undoing that, there,
        brings both back.
        """
        if self.node is None:
            return
        there = segment_ids(self.segmentation_node)
        for proposal_id in segment_ids(self.node):
            right_frame = (get_tag(self.node, proposal_id, FRAME) or "") == frame
            target = get_tag(self.node, proposal_id, SEGMENT)
            visible = right_frame and target in there and is_on_show(self.segmentation_node, target)
            if is_visible(self.node, proposal_id) != visible:
                self.node.GetDisplayNode().SetSegmentVisibility(proposal_id, visible)

    def made_segment(self, key: PlaneKey) -> str:
        """ID of the proposal segment of the key's stack, made if need be. Raises EditError for an unknown segment."""
        if self.node is None:
            node = create_segmentation(self.scene, self.volume_node, f"{NAME} proposals", ROLE_PROPOSALS)
            belong_to(node, self.segmentation_node, ROLE_PROPOSALS)
            node.GetDisplayNode().SetOpacity2DFill(_FILL_OPACITY)
            node.GetDisplayNode().SetOpacity2DOutline(_OUTLINE_OPACITY)
            self.state_node.SetNodeReferenceID(REFERENCE_PROPOSALS, node.GetID())
        follow(self.node, self.volume_node)
        proposal_id = _proposal_id(key)
        if proposal_id not in segment_ids(self.node):
            name = find_segment(self.segmentation_node, key.segment_id).GetName()
            add_segment(self.node, name, segment_id=proposal_id)
            set_tag(self.node, proposal_id, SEGMENT, key.segment_id)
            set_tag(self.node, proposal_id, STACK, key.stack)
            if key.frame:
                set_tag(self.node, proposal_id, FRAME, key.frame)
            self._look_like(proposal_id, key.segment_id)
        return proposal_id

    def _look_like(self, proposal_id: str, target: str) -> None:
        model = find_segment(self.segmentation_node, target)
        segment = find_segment(self.node, proposal_id)
        name = f"{model.GetName()} (proposed)"
        if segment.GetName() != name:
            segment.SetName(name)
        if tuple(segment.GetColor()) != tuple(model.GetColor()):
            segment.SetColor(model.GetColor())


def _proposal_id(key: PlaneKey) -> str:
    return "@".join(part for part in (key.segment_id, key.stack, key.frame) if part)
