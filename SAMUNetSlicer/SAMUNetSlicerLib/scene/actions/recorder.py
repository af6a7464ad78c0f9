"""Changes to the work that keep what takes them back: what a step of the history is written by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...volumes.voxels import VoxelMask
from ..history.parts import PromptsPart, ProposalsPart, VoxelsPart
from ..nodes.labelmaps import SegmentChange, write_changes
from ..record.document import PlaneKey, PlaneState
from ..record.placed_prompts import PromptSet
from .workspace import Workspace

if TYPE_CHECKING:  # brings a package that Slicer gets only later
    from ..history.undo_redo import Part


class Recorder:
    """Makes changes and keeps what takes them back, as parts of the workspace's open step."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.parts: list[Part] = workspace.open_step.parts

    def write_result(self, changes: Sequence[SegmentChange]) -> None:
        """Voxels of the result, none of them twice for one segment. Raises EditError."""
        space = self.workspace
        local = space.check().local
        write_changes(space.segmentation_node, changes, local)
        # Segments that lose voxels to another come first: in that order it is done again, and undone in the other.
        changed = dict.fromkeys(change.segment_id for change in changes)
        gaining = {change.segment_id for change in changes if change.added.any()}
        for segment_id in sorted(changed, key=gaining.__contains__):
            own = [change for change in changes if change.segment_id == segment_id]
            if part := VoxelsPart.of(space.result_target(segment_id), local, own):
                self.parts.append(part)

    def write_proposal(self, key: PlaneKey, masks: Sequence[VoxelMask]) -> None:
        """Make these masks, which share no voxel, the proposal on the key's stack."""
        space = self.workspace
        local = space.check().local
        changes = space.proposals.write(key, local, masks)
        voxels = VoxelsPart.of(space.proposal_target(key), local, changes)
        stays = any((wanted.mask & ~change.added).any() for wanted, change in zip(masks, changes, strict=True))
        if voxels or not stays:  # an empty proposal is one too
            self.parts.append(ProposalsPart(voxels, lambda: space.proposals.segment_of(key) is not None, stays))

    def set_plane(self, key: PlaneKey, state: PlaneState) -> None:
        self.workspace.document.set_plane(key, state)

    def write_prompts(self, segment_id: str, frame: str, prompts: PromptSet) -> None:
        """Replace a segment's prompts."""
        space = self.workspace
        before = space.prompts.read(segment_id, frame)
        space.prompts.write(segment_id, space.name_of(segment_id), prompts, frame)
        self.keep_prompts(segment_id, frame, before, prompts)

    def keep_prompts(self, segment_id: str, frame: str, before: PromptSet, after: PromptSet) -> None:
        """Take note of a change of prompts that has been made already."""
        space = self.workspace
        space.seen_prompts[segment_id, frame] = after
        if not before.is_close_to(after):
            self.parts.append(PromptsPart(space.prompts, segment_id, space.name_of, frame, before, after))


@contextmanager
def recording(workspace: Workspace, text: str) -> Iterator[Recorder]:
    """One step of the history; steps inside a step belong to it. What was done before an error can be undone."""
    if workspace.open_step is not None:
        workspace.check()
        yield Recorder(workspace)
        return
    workspace.begin_step()
    try:
        yield Recorder(workspace)
    finally:
        workspace.end_step(text)
