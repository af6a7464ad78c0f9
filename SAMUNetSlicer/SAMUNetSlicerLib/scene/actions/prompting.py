"""Prompts of a segment added, taken away, or moved by mouse: each a step to undo."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

import numpy as np

from ...errors import PromptError
from ...volumes.prompts import BoxPrompt, PointPrompt, SegmentPrompts
from ..history.parts import PlanesPart, PromptsPart
from ..nodes.markups_nodes import read_prompt_nodes
from ..nodes.segmentation_nodes import check_writable
from ..record.document import PlaneKey
from ..record.placed_prompts import PlacedBox, PlacedPoint, PromptSet, from_world
from ..record.stacks import StackKey
from .recorder import recording
from .segmenting import prompted_indices
from .workspace import Workspace, require_segment


def planes_of(workspace: Workspace, placed: PlacedPoint | PlacedBox, stack: StackKey) -> set[int]:
    """The planes of a stack on which one prompt lies; none for a prompt that was moved off the volume."""
    alone = PromptSet(boxes=(placed,)) if isinstance(placed, PlacedBox) else PromptSet(points=(placed,))
    with suppress(PromptError):
        return prompted_indices(alone.in_world("", workspace.check().to_world), workspace.stack(stack))
    return set()


def add_prompts(workspace: Workspace, segment_id: str, prompts: SegmentPrompts, stack: StackKey) -> set[int]:
    """Keep prompts (world RAS) with the segment, on planes of this stack, and return the planes that they lie on.

    Those that are kept already are not doubled. Raises PromptError, before anything is kept, for prompts outside the
    volume, and EditError for a segment that is gone or finished.
    """
    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    reading = workspace.check()
    indices = prompted_indices(prompts, workspace.stack(stack))
    new = from_world(prompts, reading.to_world, stack)
    with recording(workspace, f"Add prompts of {name}") as recorder:
        kept = workspace.prompts.read(segment_id, reading.frame)
        recorder.write_prompts(segment_id, reading.frame, kept.with_new(new))
    return indices


def gather(workspace: Workspace, segment_id: str, given: Iterable) -> SegmentPrompts:
    """Prompts as a caller gives them: markups nodes, `PointPrompt`s, `BoxPrompt`s, or bare RAS points (positive).

    Raises PromptError or InputError for prompts that cannot be used.
    """
    name = require_segment(workspace, segment_id)
    nodes, points, boxes = [], [], []
    for item in given:
        if hasattr(item, "GetNumberOfControlPoints"):
            nodes.append(item)
        elif isinstance(item, BoxPrompt):
            boxes.append(item)
        else:
            points.append(item if isinstance(item, PointPrompt) else PointPrompt(tuple(item)))
    read = read_prompt_nodes(nodes, name)
    return SegmentPrompts(name, (*read.points, *points), (*read.boxes, *boxes))


def as_list(given) -> list:
    """What a caller of the logic gives: one prompt, one position or one node, or many."""
    if given is None:
        return []
    is_one = hasattr(given, "GetNumberOfControlPoints") or not isinstance(given, Iterable)
    if is_one or (len(given) == 3 and np.ndim(given) == 1 and np.isscalar(given[0])):
        return [given]
    return list(given)


def clear_prompts(
    workspace: Workspace, segment_id: str, stack: StackKey | None = None, indices: Collection[int] | None = None
) -> None:
    """Forget the segment's prompts: all, those of one stack, or those on some of its planes."""
    name = require_segment(workspace, segment_id)
    reading = workspace.check()
    with recording(workspace, f"Delete prompts of {name}") as recorder:
        prompts = workspace.prompts.read(segment_id, reading.frame)
        gone = prompts if stack is None else prompts.on_stack(stack)
        if stack is not None and indices is not None:
            gone = _on_planes(workspace, prompts, stack, indices)
        kept = PromptSet(
            tuple(p for p in prompts.points if p not in gone.points),
            tuple(b for b in prompts.boxes if b not in gone.boxes),
        )
        recorder.write_prompts(segment_id, reading.frame, kept)


def restore_prompts(workspace: Workspace, key: PlaneKey) -> None:
    """Bring the prompts on an accepted plane back as they were then; they stay where the history does not know that."""
    then = _prompts_when_accepted(workspace, key)
    if then is None:
        return
    now, stack = workspace.prompts.read(key.segment_id, key.frame), StackKey(key.stack)
    gone, back = (_on_planes(workspace, prompts, stack, {key.index}) for prompts in (now, then))
    with recording(workspace, f"Restore prompts of {workspace.name_of(key.segment_id)}") as recorder:
        recorder.write_prompts(key.segment_id, key.frame, now.without(gone).with_new(back))


def _prompts_when_accepted(workspace: Workspace, key: PlaneKey) -> PromptSet | None:
    """All prompts of the segment at that time: what came since then is taken back, step by step."""
    prompts = workspace.prompts.read(key.segment_id, key.frame)
    for part in workspace.history.done_parts():
        if isinstance(part, PromptsPart) and (part.segment_id, part.frame) == (key.segment_id, key.frame):
            prompts = part.before
        elif isinstance(part, PlanesPart) and key in part.after:
            before, after = part.before[key], part.after[key]
            if after.accepted != before.accepted or (before.proposed == after.accepted and after.proposed is None):
                return prompts
    return None


def _on_planes(workspace: Workspace, prompts: PromptSet, stack: StackKey, indices: Collection[int]) -> PromptSet:
    """Those that lie on some planes of a stack."""

    def lies_there(placed: PlacedPoint | PlacedBox) -> bool:
        return not planes_of(workspace, placed, stack).isdisjoint(indices)

    own = prompts.on_stack(stack)
    return PromptSet(tuple(filter(lies_there, own.points)), tuple(filter(lies_there, own.boxes)))


def note_prompts(workspace: Workspace, segment_id: str, stack: StackKey) -> dict[StackKey, set[int]]:
    """Make a step of what was done to the segment's prompts in the scene since they were last seen.

    Points and boxes without planes of their own were placed on this stack. Returns the planes of each stack on which
    something has changed: where prompts came, went or moved.
    """
    name = require_segment(workspace, segment_id)
    reading = workspace.check()
    place = (segment_id, reading.frame)
    before = workspace.seen_prompts.get(place, PromptSet())
    workspace.prompts.state_planes(segment_id, name, stack, reading.frame)
    now = workspace.prompts.read(*place)
    if before.is_close_to(now):
        return {}
    with recording(workspace, f"Change prompts of {name}") as recorder:
        recorder.keep_prompts(segment_id, reading.frame, before, now)
    known = [*workspace.stack_keys(), stack]
    changed: dict[StackKey, set[int]] = {}
    for different in (before.without(now), now.without(before)):
        for placed in (*different.points, *different.boxes):
            own = placed.stack or stack
            key = next((k for k in known if k.is_like(own)), own)
            if indices := planes_of(workspace, placed, key):
                changed.setdefault(key, set()).update(indices)
    return changed
