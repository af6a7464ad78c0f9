"""One plane through the items of a sequence: from the item that is shown to those before and after it.

Each item has its own proposals, shown while the sequence stands there. An item on whose plane something is accepted or
prompted is never proposed anew; the walk ends before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import InputError, PromptError
from ..nodes.segmentation_nodes import check_writable
from ..nodes.volume_nodes import items_of, read_item
from ..record.document import PlaneKey
from ..record.stacks import StackKey
from .propagating import PropagatedPlane, is_key, take_step
from .recorder import recording
from .segmenting import Engine, known_answer
from .workspace import Workspace, require_segment

if TYPE_CHECKING:  # bring torch, which Slicer gets only later
    from ...volumes.propagation.steps import Direction
    from ...volumes.propagation.walks import PropagationPolicy
    from ...volumes.volume import Volume


def propagate_in_time(
    workspace: Workspace,
    engine: Engine,
    segment_id: str,
    stack: StackKey,
    index: int,
    direction: Direction | None = None,
    policy: PropagationPolicy | None = None,
) -> Iterator[PropagatedPlane]:
    """Propose a plane in the other items of the sequence, yielding after each; the steps' index is the item's number.

    It begins at what stands on the plane in the item shown: its proposal, else what the segment holds there. All of it
    is one step to undo; closing the generator keeps what is finished. direction: UP to later items, DOWN to earlier
    ones, None for both. Raises InputError for a volume that no sequence shows, or items on different grids,
    PromptError where nothing stands on the plane, EditError for a segment that is gone or finished.
    """
    from ...volumes.propagation.steps import Direction, PlaneRange
    from ...volumes.propagation.walks import Propagation, PropagationPolicy
    from ...volumes.time_source import FramePlanes

    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    items = items_of(workspace.volume_node)
    if not items:
        raise InputError(f"The volume '{workspace.volume_node.GetName()}' is not shown by a sequence browser.")
    start = int(workspace.frame)

    def key_in(item: int) -> PlaneKey:
        return PlaneKey(str(item), segment_id, stack.text, index)

    def volume_in(item: int) -> Volume:
        return read_item(workspace.volume_node, str(item), workspace.check()).volume

    answer = known_answer(workspace, key_in(start))
    if not answer.mask.any():
        raise PromptError(f"There is nothing of '{name}' on this plane yet. Place a prompt and look at its preview.")
    fixed = [item for item in range(len(items)) if is_key(workspace.document.plane(key_in(item)))]
    first = max((item + 1 for item in fixed if item < start), default=0)
    last = min((item - 1 for item in fixed if item > start), default=len(items) - 1)
    planes = FramePlanes(volume_in, len(items), workspace.plane(key_in(start)), workspace.window)
    walk = Propagation(planes, engine.predictor, policy or PropagationPolicy())
    done = 0
    with recording(workspace, f"Propagate {name} through time") as recorder:
        for step in walk.from_planes({start: answer}, direction or Direction.BOTH, PlaneRange(first, last)):
            if step.index == start:
                continue
            require_segment(workspace, segment_id)
            done += step.answer is not None
            taken = take_step(recorder, key_in(step.index), step, engine, done, last - first)
            workspace.proposals.show_frame(workspace.frame)
            yield replace(taken, index=step.index)
