"""Steps back and forth through the history, and segments added and deleted as such steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...volumes.voxels import VoxelMask, shape_of
from ..history.parts import PromptsPart, SegmentAddedPart, SegmentRemovedPart, check_unlocked
from ..nodes.labelmaps import SegmentChange, extent_block, read_voxels
from ..nodes.names import FRAME
from ..nodes.segmentation_nodes import Colour, add_segment, check_writable, remove_segment, segment_ids
from ..record.document import NOTHING_KNOWN, PlaneKey, changed_planes
from ..record.placed_prompts import PromptSet
from .provenance_tags import write_provenance
from .recorder import recording
from .workspace import Workspace, require_segment

if TYPE_CHECKING:  # brings a package that Slicer gets only later
    from ..history.undo_redo import HistoryOutcome, Part


def undo(workspace: Workspace) -> HistoryOutcome | None:
    """Take the last step back; None where there is none.

    Raises InputError where a node has left the scene, EditError where it would change a finished segment.
    """
    return _move(workspace, workspace.history.undo_parts, workspace.history.undo)


def redo(workspace: Workspace) -> HistoryOutcome | None:
    """Do the step again that was undone last; as `undo`."""
    return _move(workspace, workspace.history.redo_parts, workspace.history.redo)


def _move(
    workspace: Workspace, parts: Collection[Part], move: Callable[[], HistoryOutcome | None]
) -> HistoryOutcome | None:
    reading = workspace.check()
    # A segment that was finished in the item that is shown is so in all.
    workspace.items.align(reading.frame)
    check_unlocked(parts)
    before = dict(workspace.document.planes)
    outcome = move()
    if outcome is None:
        return None
    changed, _ = changed_planes(before, workspace.document.planes)
    # First of all: prompts that cannot be read end what follows.
    workspace.proposals.remove_empty(reading.local, workspace.document.planes)
    workspace.forget_lost_proposals()
    # What others say of their making, such as the window of that time, stands.
    touched = {key.segment_id for key in changed}
    touched |= {part.segment_id for part in parts if isinstance(part, PromptsPart)}
    elsewhere = {key.frame for key in changed} - {reading.frame}
    for frame in [reading.frame, *_sorted_frames(elsewhere & set(workspace.result_frames()))]:
        with workspace.at_item(frame):
            for segment_id in touched.intersection(segment_ids(workspace.segmentation_node)):
                write_provenance(workspace, segment_id)
    workspace.look_at_prompts()
    return replace(outcome, notes=(*outcome.notes, _told(elsewhere))) if elsewhere else outcome


def _told(frames: set[str]) -> str:
    """Which items of a sequence have changed besides the one that is shown. Slicer counts them from 1."""
    numbers = [str(int(frame) + 1) for frame in _sorted_frames(frames) if frame.isdecimal()]
    if not numbers:
        return "This changed the volume as it was outside of the sequence."
    return f"This changed {'item' if len(numbers) == 1 else 'items'} {', '.join(numbers)} of the sequence."


def _sorted_frames(frames: Iterable[str]) -> list[str]:
    return sorted(frames, key=lambda frame: (len(frame), frame))


def new_segment(workspace: Workspace, name: str, colour_rgb: Colour | None = None) -> str:
    """Add an empty segment and return its ID."""
    with recording(workspace, f"Add segment {name}") as recorder:
        segment_id = add_segment(workspace.segmentation_node, name, colour_rgb)
        if workspace.items.results is not None:
            workspace.items.results.align(workspace.frame)
        local = workspace.check().local
        recorder.parts += [SegmentAddedPart(n.GetScene(), n, segment_id, local) for n in _own_nodes(workspace)]
    return segment_id


def _own_nodes(workspace: Workspace) -> list:
    """The nodes of the result: of each item of a sequence its own, which stands in the sequence's scene."""
    results = workspace.items.results
    return [workspace.segmentation_node] if results is None else [results.node(frame) for frame in results.frames]


def delete_segment(workspace: Workspace, segment_id: str) -> None:
    """Delete a segment with its voxels, prompts and proposals, in all items of a sequence.

    Raises EditError for a finished one.
    """
    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    local = workspace.check().local
    with recording(workspace, f"Delete segment {name}") as recorder:
        for key in _proposed_stacks(workspace, segment_id):
            extent = workspace.proposals.extent(key, local)
            recorder.write_proposal(key, [VoxelMask(extent, np.zeros(shape_of(extent), dtype=bool))])
        for frame in {prompts.GetAttribute(FRAME) or "" for prompts in workspace.prompts.nodes(segment_id)}:
            recorder.write_prompts(segment_id, frame, PromptSet())
        for frame in workspace.result_frames():
            with workspace.at_item(frame):
                extent = extent_block(workspace.segmentation_node, segment_id, local)
                held = read_voxels(workspace.segmentation_node, segment_id, local, extent)
                recorder.write_result([SegmentChange(segment_id, extent, np.zeros_like(held), held)])
        for key in [key for key in workspace.document.planes if key.segment_id == segment_id]:
            workspace.document.set_plane(key, NOTHING_KNOWN)
        for own in _own_nodes(workspace):
            look = remove_segment(own, segment_id)
            recorder.parts.append(SegmentRemovedPart(own.GetScene(), own, look, local))
    workspace.prompts.remove(segment_id)
    workspace.proposals.remove_empty(local, workspace.document.planes)


def _proposed_stacks(workspace: Workspace, segment_id: str) -> list[PlaneKey]:
    """One plane of each stack and frame in which the segment has proposals."""
    found: dict[tuple[str, str], PlaneKey] = {}
    for key, state in workspace.document.planes.items():
        if key.segment_id == segment_id and state.proposed is not None:
            found.setdefault((key.frame, key.stack), key)
    return list(found.values())
