"""Steps back and forth through the history, and segments added and deleted as such steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .document import PlaneKey
from .history_parts import SegmentAddedPart, SegmentRemovedPart
from .labelmaps import SegmentChange, extent_slices, read_block
from .names import FRAME
from .placed_prompts import PromptSet
from .provenance_tags import write_provenance
from .segmentation_nodes import Colour, add_segment, check_writable, remove_segment, segment_ids
from .workspace import Workspace, require_segment

if TYPE_CHECKING:  # brings a package that Slicer gets only later
    from .history import HistoryOutcome


def undo(workspace: Workspace) -> HistoryOutcome | None:
    """Take the last step back; None where there is none. Raises InputError where a node has left the scene."""
    return _move(workspace, workspace.history.undo)


def redo(workspace: Workspace) -> HistoryOutcome | None:
    """Do the step again that was undone last; as `undo`."""
    return _move(workspace, workspace.history.redo)


def _move(workspace: Workspace, move: Callable[[], HistoryOutcome | None]) -> HistoryOutcome | None:
    reading = workspace.check()
    outcome = move()
    if outcome is not None:
        for segment_id in segment_ids(workspace.segmentation_node):
            write_provenance(workspace, segment_id)
        workspace.proposals.remove_empty(reading.local, workspace.document.planes)
        workspace.look_at_prompts()
        workspace.save()
    return outcome


def new_segment(workspace: Workspace, name: str, colour_rgb: Colour | None = None) -> str:
    """Add an empty segment and return its ID."""
    with workspace.recording(f"Add segment {name}") as recorder:
        segment_id = add_segment(workspace.segmentation_node, name, colour_rgb)
        recorder.parts.append(
            SegmentAddedPart(workspace.scene, workspace.segmentation_node, segment_id, workspace.check().local)
        )
    return segment_id


def delete_segment(workspace: Workspace, segment_id: str) -> None:
    """Delete a segment with its voxels, prompts and proposals. Raises EditError for a finished one."""
    name = require_segment(workspace, segment_id)
    node = workspace.segmentation_node
    check_writable(node, segment_id)
    local = workspace.check().local
    with workspace.recording(f"Delete segment {name}") as recorder:
        for key in _proposed_stacks(workspace, segment_id):
            extent = workspace.proposals.extent(key, local)
            everywhere = np.ones(tuple(s.stop - s.start for s in extent), dtype=bool)
            recorder.write_proposal(key, extent, everywhere, np.zeros_like(everywhere))
        for frame in {prompts.GetAttribute(FRAME) or "" for prompts in workspace.prompts.nodes(segment_id)}:
            recorder.write_prompts(segment_id, frame, PromptSet())
        extent = extent_slices(node, segment_id, local)
        held = read_block(node, segment_id, local, extent)
        recorder.write_result({segment_id: SegmentChange(extent, np.zeros_like(held), held)})
        for key in [key for key in workspace.document.planes if key.segment_id == segment_id]:
            workspace.document.planes.pop(key)
        look = remove_segment(node, segment_id)
        recorder.parts.append(SegmentRemovedPart(workspace.scene, node, look, local))
    workspace.prompts.remove(segment_id)
    workspace.proposals.remove_empty(local, workspace.document.planes)


def _proposed_stacks(workspace: Workspace, segment_id: str) -> list[PlaneKey]:
    """One plane of each stack and frame in which the segment has proposals."""
    found: dict[tuple[str, str], PlaneKey] = {}
    for key, state in workspace.document.planes.items():
        if key.segment_id == segment_id and state.proposed is not None:
            found.setdefault((key.frame, key.stack), key)
    return list(found.values())
