"""From key planes to proposals on the planes between and beyond them, one plane at a time.

Key planes are the accepted planes and the previews of prompts. They are never proposed anew; neither are planes that
were accepted as empty, where the walks of their neighbours end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import PromptError
from ...volumes.segmentations.provenance import PlaneOrigin
from ..nodes.segmentation_nodes import check_writable
from ..record.document import PlaneKey, PlaneState, PlaneStatus
from ..record.stacks import StackKey
from .accepting import drop_proposals
from .recorder import Recorder, recording
from .segmenting import Engine, known_answer, propose
from .workspace import Workspace, require_segment

if TYPE_CHECKING:  # bring torch, which Slicer gets only later
    from ...inference.predictor import PlaneMask
    from ...volumes.propagation.steps import Direction, PlaneRange, PropagationStep
    from ...volumes.propagation.walks import PropagationPolicy

_KNOWN_READ = 5


@dataclass(frozen=True)
class PropagatedPlane:
    """One step: a plane has a new proposal, or (`stopped` says why) a walk has ended there.

    done, total: planes answered so far, and an upper bound of all.
    """

    index: int
    status: PlaneStatus
    confidence: float
    done: int
    total: int
    stopped: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gap:
    """Planes first .. last without a key plane among them. below, above: the key planes beside it that have a mask."""

    first: int
    last: int
    below: int | None
    above: int | None

    def __len__(self) -> int:
        return self.last - self.first + 1


def propagate(
    workspace: Workspace,
    engine: Engine,
    segment_id: str,
    stack: StackKey,
    direction: Direction | None = None,
    within: PlaneRange | None = None,
    policy: PropagationPolicy | None = None,
) -> Iterator[PropagatedPlane]:
    """Propose the planes of a stack (or of a range of it) from its key planes, yielding after each.

    The first step checks everything; closing the generator keeps what is finished. All of it is one step to undo.
    direction: None for both. Earlier propagated proposals are replaced as the walks come by, and dropped where a walk
    that ended by itself has not come. Raises PromptError where there is no key plane, EditError for a segment that is
    gone or finished, and InputError or EditError when nodes vanish on the way; what is finished stays.
    """
    from ...volumes.propagation.steps import Direction
    from ...volumes.propagation.walks import Propagation, PropagationPolicy

    direction = direction or Direction.BOTH
    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    frame = workspace.frame
    gaps = find_gaps(workspace, segment_id, stack, within)
    ways = {gap: _starts(gap, direction) for gap in gaps}
    if not any(ways.values()):
        raise PromptError(
            f"There is no plane of '{name}' to propagate from. Place a prompt and look at its preview first."
        )
    walk = Propagation(workspace.pictures(stack), engine.predictor, policy or PropagationPolicy())
    total = sum(len(gap) * max(1, len(starts)) for gap, starts in ways.items() if starts)
    done = 0
    with recording(workspace, f"Propagate {name}") as recorder:
        few = _known_answers(workspace, segment_id, stack)
        # All now: a sequence may show another item by the time that a later gap comes.
        sides = {i for starts in ways.values() for i in starts}
        answers = {i: known_answer(workspace, PlaneKey(frame, segment_id, stack.text, i)) for i in sides}
        for gap, starts in ways.items():
            known = {i: answers[i] for i in starts}
            visited: set[int] = set()
            for step in walk.from_planes(known, direction, _range_of(gap), _known_to(gap, starts, few)):
                if not gap.first <= step.index <= gap.last:
                    continue
                require_segment(workspace, segment_id)
                key = PlaneKey(frame, segment_id, stack.text, step.index)
                visited.add(step.index)
                done += step.answer is not None
                yield take_step(recorder, key, step, engine, done, total)
            if _is_done(gap, direction):
                _drop_stale(recorder, PlaneKey(frame, segment_id, stack.text, gap.first), gap, visited)


def find_gaps(workspace: Workspace, segment_id: str, stack: StackKey, within: PlaneRange | None = None) -> list[Gap]:
    """The runs of planes between key planes, in rising order.

    A range that does not begin or end beside a key plane goes on from whatever mask stands beside it.
    """
    count = len(workspace.stack(stack))
    first, last = (0, count - 1) if within is None else (max(0, within.first), min(count - 1, within.last))
    states = {key.index: (key, state) for key, state in workspace.known_planes(segment_id, stack)}
    fixed = {index for index, (_, state) in states.items() if is_key(state)}
    gaps: list[Gap] = []
    index = first
    while index <= last:
        if index in fixed:
            index += 1
            continue
        start = index
        while index <= last and index not in fixed:
            index += 1
        below, above = (
            side if side in states and _has_mask(workspace, *states[side]) else None for side in (start - 1, index)
        )
        gaps.append(Gap(start, index - 1, below, above))
    return gaps


def is_key(state: PlaneState) -> bool:
    """Whether a plane is not proposed anew: it was accepted, or its prompts were answered."""
    if state.proposed is not None and state.proposed.origin.is_users_own:
        return True
    return state.accepted is not None


def _has_mask(workspace: Workspace, key: PlaneKey, state: PlaneState) -> bool:
    if state.proposed is None and state.accepted is None:
        return False
    return bool(known_answer(workspace, key).mask.any())


def _starts(gap: Gap, direction: Direction) -> list[int]:
    from ...volumes.propagation.steps import Direction

    from_below = gap.below if direction in (Direction.BOTH, Direction.UP) else None
    from_above = gap.above if direction in (Direction.BOTH, Direction.DOWN) else None
    return [start for start in (from_below, from_above) if start is not None]


def _known_answers(workspace: Workspace, segment_id: str, stack: StackKey) -> dict[int, PlaneMask]:
    """On a few of the key planes, evenly spread."""
    keys = [key for key, state in workspace.known_planes(segment_id, stack) if is_key(state)]
    few = {round(place) for place in np.linspace(0, len(keys) - 1, min(len(keys), _KNOWN_READ))}
    return {keys[i].index: known_answer(workspace, keys[i]) for i in few}


def _known_to(gap: Gap, starts: Sequence[int], known: Mapping[int, PlaneMask]) -> dict[int, PlaneMask]:
    """Of a gap that is walked from one side, only what lies on that side."""
    if len(starts) != 1:
        return dict(known)
    return {index: answer for index, answer in known.items() if (index < gap.first) == (starts[0] < gap.first)}


def _is_done(gap: Gap, direction: Direction) -> bool:
    """Whether the walks have had their say on the whole gap: a key plane on a side not walked from may know more."""
    starts = _starts(gap, direction)
    return bool(starts) and len(starts) == sum(side is not None for side in (gap.below, gap.above))


def _range_of(gap: Gap) -> PlaneRange:
    from ...volumes.propagation.steps import PlaneRange

    return PlaneRange(gap.first, gap.last)


def take_step(
    recorder: Recorder, key: PlaneKey, step: PropagationStep, engine: Engine, done: int, total: int
) -> PropagatedPlane:
    """Make a step of a walk the proposal of its plane, or note why the walk ended there."""
    from ...volumes.propagation.steps import StopReason

    document = recorder.workspace.document
    if step.answer is not None:
        result = propose(recorder, key, step.answer, step.confidence, PlaneOrigin.PROPAGATED, engine.model)
        recorder.workspace.save()
        return PropagatedPlane(key.index, result.status, result.confidence, done, total, notes=step.answer.notes)
    state = document.plane(key)
    if step.stop is StopReason.END:
        return PropagatedPlane(key.index, state.status, step.confidence, done, total, step.stop.value)
    drop_proposals(recorder, [key])
    recorder.set_plane(key, replace(document.plane(key), stopped=step.stop.value))
    recorder.workspace.save()
    return PropagatedPlane(key.index, document.plane(key).status, step.confidence, done, total, step.stop.value)


def _drop_stale(recorder: Recorder, first: PlaneKey, gap: Gap, visited: set[int]) -> None:
    """Drop what an earlier propagation proposed in the gap, which begins at `first`, where this one has not come."""
    document = recorder.workspace.document
    for index in sorted({*range(gap.first, gap.last + 1)} - visited):
        key = first._replace(index=index)
        drop_proposals(recorder, [key])
        if document.plane(key).stopped:
            recorder.set_plane(key, replace(document.plane(key), stopped=""))


def worst_plane(workspace: Workspace, segment_id: str, stack: StackKey) -> int | None:
    """The proposed plane with the lowest confidence; of equal ones the first."""
    proposed = [
        (state.proposed.confidence, key.index)
        for key, state in workspace.known_planes(segment_id, stack)
        if state.proposed is not None
    ]
    return min(proposed)[1] if proposed else None


def plane_states(workspace: Workspace, segment_id: str, stack: StackKey) -> list[PlaneState]:
    """What is known of every plane of a stack, for the confidence strip."""
    frame = workspace.frame
    return [
        workspace.document.plane(PlaneKey(frame, segment_id, stack.text, index))
        for index in range(len(workspace.stack(stack)))
    ]
