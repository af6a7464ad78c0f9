"""Accepting in all items of a sequence at once, as after a propagation through time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ...errors import EditError
from ..nodes.segmentation_nodes import SegmentStatus, check_writable, set_status, status_of
from ..record.editing_rules import WriteMode
from ..record.stacks import StackKey
from .accepting import accept
from .recorder import recording
from .workspace import Workspace, require_segment


@dataclass(frozen=True)
class AcceptedItems:
    """items: numbers of the sequence's items, from 0; changed_voxels: of all of them; left: items not reached;
    notes: what was held back.
    """

    items: tuple[int, ...]
    changed_voxels: int
    left: int = 0
    notes: tuple[str, ...] = ()


def proposed_items(
    workspace: Workspace, segment_id: str, stack: StackKey, indices: Collection[int] | None = None
) -> list[int]:
    """The items of the sequence in which planes of a stack have a proposal, in rising order."""
    frames = {
        key.frame
        for key, state in workspace.document.planes.items()
        if state.proposed is not None
        and key.segment_id == segment_id
        and key.stack == stack.text
        and (indices is None or key.index in indices)
    }
    return sorted(int(frame) for frame in frames & set(workspace.result_frames()))


def accept_in_time(
    workspace: Workspace,
    segment_id: str,
    stack: StackKey,
    indices: Collection[int] | None = None,
    mode: WriteMode = WriteMode.REPLACE,
    go_on: Callable[[], bool] = lambda: True,
) -> AcceptedItems:
    """Write the proposals on some planes (None: on all) of every item into that item's segment; one step to undo.

    The browser stays where it is. Rules as in `accept`. go_on: asked after each item, so that a host lives meanwhile;
    on False the work ends there, and what is done stays. Raises EditError for a segment that is gone or finished,
    where nothing is proposed, and where all items share one result.
    """
    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    workspace.check()
    with recording(workspace, f"Accept {name} through time"):
        if workspace.items.results is None:
            raise EditError(
                "All items of this sequence share one segmentation, so they cannot be accepted at once. "
                "Give each item its own first ('One result per item')."
            )
        items = proposed_items(workspace, segment_id, stack, indices)
        if not items:
            raise EditError(f"There is nothing to accept for '{name}' in any item. Propagate through time first.")
        accepted, done, changed, notes = [], 0, 0, []
        for item in items:
            with workspace.at_item(str(item)):
                outcome = accept(workspace, segment_id, stack, indices, mode)
            changed += outcome.changed_voxels
            notes += [f"Item {item + 1}: {note}" for note in outcome.notes]
            accepted += [item] if outcome.planes else []
            done += 1
            if not go_on():
                break
        # All items get the status that the shown one has.
        if accepted and status_of(workspace.segmentation_node, segment_id) is SegmentStatus.NOT_STARTED:
            set_status(workspace.segmentation_node, segment_id, SegmentStatus.IN_PROGRESS)
    return AcceptedItems(tuple(accepted), changed, len(items) - done, tuple(notes))
