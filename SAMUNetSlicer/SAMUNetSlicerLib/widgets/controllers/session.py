"""The work on one segmentation as the panel knows it: a segment, a plane, their prompts, preview, and history."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import EditError
from ...inference.zoom import Crop
from ...scene.actions.accepting import AcceptOutcome, proposed_planes
from ...scene.actions.accepting_in_time import AcceptedItems, proposed_items
from ...scene.actions.prompting import planes_of, restore_prompts
from ...scene.actions.propagating import find_gaps, plane_states, worst_plane
from ...scene.actions.recorder import recording
from ...scene.actions.segmenting import prompted_indices
from ...scene.actions.workspace import Workspace
from ...scene.logic import SegmentationLogic
from ...scene.nodes.segmentation_nodes import SegmentStatus, check_writable, segment_ids, set_status, status_of
from ...scene.nodes.volume_nodes import frame_of, items_of
from ...scene.record.document import PlaneKey, PlaneState
from ...scene.record.editing_rules import EditingRules, WriteMode
from ...scene.record.stacks import StackKey, stack_name
from ...volumes.planes import Plane
from ...volumes.prompts import BoxPrompt, SegmentPrompts
from .texts import _

if TYPE_CHECKING:  # bring packages that Slicer gets only later
    from ...inference.jobs import Job
    from ...scene.history.undo_redo import HistoryOutcome

# Planes encoded ahead, as steps from the one that is worked on, in this order.
_AHEAD = (1, -1, 2, -2)


class Session:
    """`segment_id`: the active segment, "" for none. `place`: the plane worked on last.

    Every method raises UserError with a sentence for the user where something cannot be done; nothing is lost then.
    """

    def __init__(self, logic: SegmentationLogic, volume_node, segmentation_node) -> None:
        self.logic = logic
        self.volume_node = volume_node
        self.node = segmentation_node
        self.segment_id = ""
        self.place: PlaneKey | None = None
        self._stack: StackKey | None = None
        self._messages: list[str] = []
        self._shown_item: tuple | None = None  # of a sequence: whose prompts and proposals are shown
        logic.workspace(segmentation_node, volume_node)

    @property
    def workspace(self) -> Workspace:
        return self.logic.workspace(self.node, self.volume_node)

    # -- what there is

    @property
    def segments(self) -> tuple[str, ...]:
        return segment_ids(self.workspace.segmentation_node)

    def summary(self) -> str:
        """What was found of earlier work, in one sentence; "" for a new beginning."""
        space = self.workspace
        accepted = sum(state.accepted is not None for state in space.document.planes.values())
        proposed = sum(state.proposed is not None for state in space.document.planes.values())
        prompts = sum(len(p.points) + len(p.boxes) for p in (space.prompts.read(s, space.frame) for s in self.segments))
        if not accepted + proposed + prompts:
            return ""
        models = ", ".join(dict.fromkeys(m.name or m.family for m in space.document.models))
        text = _(
            "This work was restored: prompts {prompts}, accepted planes {accepted}, proposed planes {proposed}."
        ).format(prompts=prompts, accepted=accepted, proposed=proposed)
        return text if not models else text + " " + _("Made with {models}.").format(models=models)

    def take_messages(self) -> list[str]:
        """What the user must be told, each once."""
        told = [*self._messages, *self.logic.takeNotes(self.node)]
        self._messages.clear()
        return told

    # -- segments

    def choose_segment(self, segment_id: str) -> None:
        """Make a segment the active one; prompts of others are hidden. "" for none."""
        self.segment_id = segment_id if segment_id in self.segments else ""
        self.show_what_belongs()

    def show_what_belongs(self) -> None:
        """Show the active segment's prompts, and what is proposed for the segments that there are; hide the rest."""
        space = self.workspace
        space.follow_names()
        space.prompts.show_only(self.segment_id, space.frame)
        space.proposals.show_frame(space.frame)

    def add_segment(self, name: str = "") -> str:
        """Add a segment, make it the active one, and return its ID."""
        taken = {self.workspace.name_of(s) for s in self.segments}
        number = len(taken) + 1
        while not name or name in taken:
            name = _("Segment {number}").format(number=number)
            number += 1
        self.choose_segment(self.logic.addSegment(self.node, name))
        return self.segment_id

    def delete_segment(self) -> None:
        """Delete the active segment with its prompts and proposals. Undoing brings all of it back."""
        self.logic.deleteSegment(self.node, self._active())
        self.choose_segment(next(iter(self.segments), ""))

    def is_finished(self) -> bool:
        """Whether the active segment is locked."""
        if self.segment_id not in self.segments:
            return False
        return status_of(self.workspace.segmentation_node, self.segment_id).is_finished

    def check_unlocked(self) -> None:
        """Raises EditError where the active segment is finished."""
        check_writable(self.workspace.segmentation_node, self._active())

    def set_finished(self, status: SegmentStatus) -> None:
        """COMPLETED locks the active segment: nothing changes it until it is IN_PROGRESS again."""
        space, segment_id = self.workspace, self._active()
        set_status(space.segmentation_node, segment_id, status)
        states = [state for key, state in space.document.planes.items() if key.segment_id == segment_id]
        left = sum(state.proposed is not None for state in states)
        if status.is_finished and left:
            told = _("Planes that are only proposed, and so not in the segment: {count}. Unlock it to accept them.")
            self._messages.append(told.format(count=left))

    def set_rules(self, rules: EditingRules) -> None:
        """Overwrite mode and editable area, for what is accepted from now on."""
        self.logic.setEditingRules(self.node, rules)

    # -- planes

    def look_at(self, slice_to_ras: np.ndarray) -> PlaneKey:
        """Work on the plane that a slice view shows. Raises PromptError off the volume."""
        index = self.logic.planeIndex(self.node, slice_to_ras)
        self.go_to(index, self.logic.stackKey(self.node, sliceToRAS=slice_to_ras))
        self._follow_sequence()
        return self.place

    def _follow_sequence(self) -> None:
        """Show the prompts and proposals of the item that the sequence browser has moved to."""
        space = self.workspace
        item = space.frame, *space.document.items
        if item != self._shown_item:
            self._shown_item = item
            self.show_what_belongs()

    @property
    def stack(self) -> StackKey:
        """The planes that are worked on: those of the view looked at last, at first those that the scanner took."""
        return self._stack or self.logic.stackKey(self.node)

    def stack_name(self) -> str:
        """For example "axial"."""
        return stack_name(self.stack, self.workspace.check().geometry)

    def states(self) -> list[PlaneState]:
        """Of every plane of the stack, for the active segment; empty without one."""
        if self.segment_id not in self.segments:
            return []
        return plane_states(self.workspace, self.segment_id, self.stack)

    def stacks_with_work(self) -> set[StackKey]:
        """The stacks on which something is proposed or accepted for the active segment."""
        known = self.workspace.document.of_segment(self.workspace.frame, self.segment_id)
        return {StackKey(key.stack) for key, state in known if state.proposed or state.accepted}

    def key(self, stack: StackKey, index: int) -> PlaneKey:
        """A plane of the active segment, in the item of a sequence that is shown."""
        return PlaneKey(self.workspace.frame, self.segment_id, stack.text, index)

    def centre_ras(self, index: int) -> np.ndarray:
        """(3,) the middle of a plane of the stack."""
        plane = self.workspace.stack(self.stack)[index]
        return plane.to_ras((np.array(plane.size_xy) - 1) / 2)

    def go_to(self, index: int, stack: StackKey | None = None) -> None:
        """Work on a plane from now on, of this stack or another."""
        self._stack = stack or self.stack
        self.place = self.key(self._stack, index)

    def worst(self) -> int | None:
        """The proposed plane of lowest confidence."""
        return worst_plane(self.workspace, self._active(), self.stack)

    # -- prompts and preview

    def add_prompts(self, prompts: SegmentPrompts, slice_to_ras: np.ndarray) -> None:
        """Keep prompts (world RAS) that were placed in a slice view, and preview their planes; one step to undo.

        A box takes the place of the one that its plane had. Raises PromptError for prompts outside the volume and
        EditError for a finished segment, before anything is kept.
        """
        self.check_unlocked()
        segment_id = self._active()
        stack = self.logic.stackKey(self.node, sliceToRAS=slice_to_ras)
        planes = self.workspace.stack(stack)
        indices = prompted_indices(prompts, planes)
        prompts = replace(prompts, boxes=tuple(_on_one_plane(box, planes[max(indices)]) for box in prompts.boxes))
        self.go_to(max(indices), stack)
        with self.logic.step(self.node, _("Prompt {name}").format(name=self.workspace.name_of(segment_id))):
            if prompts.boxes:
                self._drop_boxes(stack, indices)
            outcome = self.logic.segment(
                self.volume_node,
                self.node,
                segment_id,
                prompts.points,
                prompts.boxes,
                stack,
            )
        self._messages += outcome.notes

    def _drop_boxes(self, stack: StackKey, indices: Collection[int]) -> None:
        space, segment_id = self.workspace, self.segment_id
        kept = space.prompts.read(segment_id, space.frame)
        gone = [b for b in kept.on_stack(stack).boxes if not planes_of(space, b, stack).isdisjoint(indices)]
        if gone:
            with recording(space, _("Replace box of {name}").format(name=space.name_of(segment_id))) as recorder:
                rest = replace(kept, boxes=tuple(box for box in kept.boxes if box not in gone))
                recorder.write_prompts(segment_id, space.frame, rest)

    def preview(self, stack: StackKey, index: int) -> None:
        """Answer the active segment's prompts on a plane anew; without prompts it loses its preview."""
        outcome = self.logic.segment(self.volume_node, self.node, self._active(), orientation=stack, planes=[index])
        self._messages += outcome.notes

    def begin_beside(self, predictor) -> Job | None:
        """Begin to encode the nearest plane beside the one worked on that is not encoded yet; None where all are.

        predictor: a `PlanePredictor`, whose cache keeps the encoding for when the user or a propagation comes there.
        """
        place = self._place()
        state, pictures = self.workspace.document.plane(place), self.workspace.pictures(self.stack)
        entry = state.proposed or state.accepted
        if entry is None or entry.crop_xyxy is None:
            return None
        crop = Crop(*entry.crop_xyxy)
        for step in _AHEAD:
            index = place.index + step
            if 0 <= index < len(pictures) and not predictor.is_encoded(pictures.image(index), crop):
                return predictor.begin_encode([(pictures.image(index), crop)])
        return None

    # -- accepting

    def accept_plane(self, mode: WriteMode = WriteMode.REPLACE) -> AcceptOutcome:
        """Write the preview on the plane that is worked on into the segment."""
        return self.accept({self._place().index}, mode)

    def accept(self, indices: Collection[int] | None, mode: WriteMode = WriteMode.REPLACE) -> AcceptOutcome:
        """Write proposals of the stack into the active segment; None: all of them."""
        outcome = self.logic.accept(self.node, self._active(), indices, self.stack, mode=mode)
        self._messages += outcome.notes
        return outcome

    def keep_drawn(self) -> str:
        """Take the plane that is worked on for right as the segment stands there; returns what that means."""
        self.check_unlocked()
        index = self._place().index
        empty = self.logic.keepAsIs(self.node, self._active(), [index], self.stack)
        told = _("Kept as it is drawn: {stack} plane {index}. Propagations go on from it.")
        if empty:
            told = _("Kept as empty: {stack} plane {index}. Propagations end before it.")
        return told.format(stack=self.stack_name(), index=index)

    def has_preview(self) -> bool:
        """Whether the plane that is worked on has something to accept or discard."""
        if self.place is None or self.place.segment_id not in self.segments:
            return False
        return bool(proposed_planes(self.workspace, self.segment_id, self.stack, {self.place.index}))

    def discard_plane(self) -> None:
        """Drop the preview on the plane that is worked on, and its prompts; those of an accepted plane become what they
        were when it was accepted.
        """
        place, segment_id = self._place(), self._active()
        was_accepted = self.workspace.document.plane(place).accepted is not None
        with self.logic.step(self.node, _("Discard preview of {name}").format(name=self.workspace.name_of(segment_id))):
            if not was_accepted:
                self.logic.clearPrompts(self.node, segment_id, {place.index}, self.stack)
            elif self.has_preview():
                restore_prompts(self.workspace, place)
            self.logic.discard(self.node, segment_id, {place.index}, self.stack)

    def discard(self, indices: Collection[int] | None) -> int:
        """Drop proposals of the stack (None: all); prompts stay. Returns the number of planes."""
        return self.logic.discard(self.node, self._active(), indices, self.stack)

    # -- propagation

    def propagate(self, direction: str, planes: tuple[int, int] | None):
        """A generator of finished planes; see `SegmentationLogic.propagate`."""
        return self.logic.propagate(self.node, self._active(), self.stack, None, direction, planes)

    def planes_beside(self) -> tuple[int, int]:
        """First and last plane of those between the plane that is worked on and the next key planes.

        Raises EditError where there are none.
        """
        index = self._place().index
        gaps = find_gaps(self.workspace, self._active(), self.stack)
        beside = [gap for gap in gaps if gap.first - 1 <= index <= gap.last + 1]
        if not beside:
            raise EditError(_("The planes beside this one are accepted or prompted themselves."))
        return beside[0].first, beside[-1].last

    def propagate_in_time(self, direction: str):
        """A generator of the items of the sequence in which the plane that is worked on was answered."""
        return self.logic.propagateInTime(
            self.node, self._active(), self._place().index, self.stack, direction=direction
        )

    @property
    def is_sequence(self) -> bool:
        """Whether the volume is shown by a sequence browser."""
        return bool(frame_of(self.volume_node))

    @property
    def has_item_results(self) -> bool:
        """Whether each item of the sequence has a result of its own."""
        return self.workspace.items.results is not None

    def item_text(self) -> str:
        """Which item of the sequence is shown, and what accepting writes to; "" for other volumes."""
        if not self.is_sequence:
            return ""
        space = self.workspace
        number, total = int(space.frame) + 1, len(items_of(self.volume_node))
        if space.items.results is None and space.items.shares_result:
            return _("Item {number} of {total}: all items share one result.").format(number=number, total=total)
        return _("Item {number} of {total}: each has its own result.").format(number=number, total=total)

    def proposed_items(self) -> list[int]:
        """The items of the sequence in which planes of the stack are proposed for the active segment."""
        return proposed_items(self.workspace, self._active(), self.stack)

    def accept_in_time(self, mode: WriteMode, go_on: Callable[[], bool]) -> AcceptedItems:
        """Write the proposals of the stack in every item of the sequence, each into its own segment.

        go_on: asked after each item; on False it ends there.
        """
        outcome = self.logic.acceptInTime(self.node, self._active(), orientation=self.stack, mode=mode, goOn=go_on)
        self._messages += outcome.notes
        return outcome

    def keep_one_per_item(self) -> None:
        """Give each item of the sequence a result of its own."""
        self.logic.keepOneResultPerItem(self.node)

    # -- history

    def undo(self) -> HistoryOutcome | None:
        """Take the last step back; None where there is none."""
        return self._after_move(self.logic.undo(self.node))

    def redo(self) -> HistoryOutcome | None:
        """Do the step again that was undone last."""
        return self._after_move(self.logic.redo(self.node))

    def _after_move(self, outcome: HistoryOutcome | None) -> HistoryOutcome | None:
        if outcome is not None:
            self._messages += outcome.notes
        if self.segment_id not in self.segments:
            self.choose_segment(next(iter(self.segments), ""))
        else:
            self.choose_segment(self.segment_id)
        return outcome

    def history_texts(self) -> tuple[str, str]:
        """What undo and redo would do; "" where there is nothing."""
        history = self.workspace.history
        return (history.undo_text if history.can_undo else "", history.redo_text if history.can_redo else "")

    def _active(self) -> str:
        if self.segment_id not in self.segments:
            raise EditError(_("Choose a segment, or add one."))
        return self.segment_id

    def _place(self) -> PlaneKey:
        if self.place is None:
            raise EditError(_("Place a point or a box on the object first."))
        return self.place._replace(segment_id=self._active())


def _on_one_plane(box: BoxPrompt, plane: Plane) -> BoxPrompt:
    """The box as thick as one slice: it prompts the plane through its centre, and should not look like more."""
    across = int(np.argmax(np.abs(np.array(box.axes_ras) @ plane.normal_ras)))
    size = [plane.thickness_mm if axis == across else side for axis, side in enumerate(box.size_mm)]
    return replace(box, size_mm=tuple(size))
