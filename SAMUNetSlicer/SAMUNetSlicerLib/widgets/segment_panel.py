"""The section Segment: segments, prompts by mouse, preview, undo and redo."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import UserError
from ..scene.nodes.segmentation_nodes import SegmentStatus, show_segment
from ..scene.record.editing_rules import WriteMode
from .buttons import Buttons
from .combo_boxes import fill, value_of
from .controllers.moved_prompts import have_moved, preview_moved
from .controllers.work import Work
from .placing import Placing, Tool
from .shortcuts import KEYS
from .slice_views import matrix_of, slice_nodes


def _write_mode_choices() -> list[tuple[str, str]]:
    return [
        (_("replaces the segment on that plane"), WriteMode.REPLACE.value),
        (_("adds to the segment"), WriteMode.ADD.value),
        (_("subtracts from the segment"), WriteMode.SUBTRACT.value),
    ]


class SegmentPanel:
    """prepare: called before a prompt is answered; makes nodes and model ready, or raises UserError. prepare_nodes: the
    nodes alone.
    """

    def __init__(self, ui, work: Work, prepare: Callable[[], None], prepare_nodes: Callable[[], None]) -> None:
        self._ui, self._work, self._prepare, self._prepare_nodes = ui, work, prepare, prepare_nodes
        self.view = None  # slice node of the view that is worked in
        self.placing = Placing(self._placed, work.notify)
        self._tools = {Tool.POSITIVE: ui.positiveButton, Tool.NEGATIVE: ui.negativeButton, Tool.BOX: ui.boxButton}
        fill(ui.writeModeSelector, _write_mode_choices())
        ui.segmentsTable.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        ui.segmentsTable.opacityColumnVisible = False
        ui.segmentsTable.statusColumnVisible = True
        ui.segmentsTable.connect("selectionChanged(QItemSelection,QItemSelection)", self._row_chosen)
        for tool, button in self._tools.items():
            button.connect("clicked()", lambda tool=tool: self.take(tool))
        for button, action in (
            (ui.addSegmentButton, self._add_segment),
            (ui.deleteSegmentButton, self._delete_segment),
            (ui.finishButton, self._toggle_finished),
            (ui.acceptButton, self.accept),
            (ui.discardButton, self.drop_preview),
            (ui.keepButton, self.keep_drawn),
            (ui.undoButton, self.undo),
            (ui.redoButton, self.redo),
            (ui.segmentEditorButton, self._open_segment_editor),
        ):
            button.connect("clicked()", action)
        self._name_keys()
        self._buttons = Buttons()

    def _name_keys(self) -> None:
        ui = self._ui
        for button, name in (
            (ui.positiveButton, "positive"),
            (ui.negativeButton, "negative"),
            (ui.boxButton, "box"),
            (ui.acceptButton, "accept"),
            (ui.discardButton, "discard"),
            (ui.keepButton, "keep"),
        ):
            button.toolTip = f"{button.toolTip} ({KEYS[name]})"

    # -- what the user does

    def take(self, tool: Tool) -> None:
        """Take a tool for placing, or put it down."""

        def prepare_and_take() -> None:
            if self.placing.tool is not tool:
                self._prepare()
                self._work.session.check_unlocked()
            self.placing.take(tool)

        if not self._work.busy:
            self._work.attempt(prepare_and_take)

    def _placed(self, prompts, slice_node) -> None:
        self.view = slice_node

        def place() -> None:
            self._prepare()
            self._work.session.add_prompts(prompts, matrix_of(slice_node))
            self.show_active()

        if not self._work.busy:
            self._work.attempt(place)

    def prompts_moved(self) -> None:
        """Prompts of the segment may have been moved or deleted, in a view or elsewhere."""
        session = self._work.session
        if session is None or self._work.busy:
            return
        with suppress(UserError):  # what cannot be worked on is told where the user tries to
            if have_moved(session):
                self._work.attempt(self.answer_moved)

    def answer_moved(self) -> bool:
        """Preview anew where prompts have moved, and work there; False where none has. Raises UserError."""
        session = self._work.session
        if session is None or not have_moved(session):
            return False
        self._prepare()
        before = session.stack
        try:
            return preview_moved(session)
        finally:
            self.show_active()
            parallel = self.parallel_views() if session.stack != before else []
            if parallel and self.view not in parallel:
                self.view = parallel[0]

    def show_active(self) -> None:
        """Let the active segment be seen where the user has hidden it: there is something new on it to judge."""
        session = self._work.session
        show_segment(session.node, session.segment_id)

    def parallel_views(self) -> list:
        """The slice nodes of the views that show planes of the stack that is worked on."""
        return [node for node in slice_nodes() if self._stack_of(node) == self._work.session.stack]

    def _stack_of(self, slice_node):
        session = self._work.session
        return session.logic.stackKey(session.node, sliceToRAS=matrix_of(slice_node))

    def choose_view(self) -> None:
        """Work in a view on whose planes the active segment has something; where none has, in the one before."""
        before = [self.view] if self.view is not None and slicer.mrmlScene.IsNodePresent(self.view) else []
        shown = [node for node in (*before, *slice_nodes()) if node.IsMappedInLayout()]
        stacks = self._work.session.stacks_with_work()
        self.view = next((node for node in shown if self._stack_of(node) in stacks), next(iter(shown), None))

    def unless_moved(self, action: Callable) -> Callable:
        """An action on previews that is put off where prompts have moved since: the user is to see the new ones."""

        def act(session) -> None:
            if self.answer_moved():
                self._work.say(_("Prompts had moved since the preview. This is the new one: accept it if it is right."))
            else:
                action(session)

        return act

    def accept(self) -> None:
        mode = WriteMode(value_of(self._ui.writeModeSelector))
        self._on_shown_plane(self.unless_moved(lambda session: session.accept_plane(mode)))

    def discard(self) -> None:
        """The key: stop what is being computed; else put the tool down; without one, drop the preview."""
        if self._work.answering:
            self._work.cancel()
            return
        if self.placing.tool is not None:
            self.placing.put_down()
            return
        self.drop_preview()

    def drop_preview(self) -> None:
        """Drop the preview on the shown plane, whatever tool is in the hand."""
        if self._work.session is not None and self._work.session.place is not None:
            self._on_shown_plane(lambda session: session.discard_plane())

    def keep_drawn(self) -> None:
        """Take the shown plane for right as the segment stands there, painted in the Segment Editor for example."""
        self._on_shown_plane(lambda session: self._work.say(session.keep_drawn()))

    def undo(self) -> None:
        self._change(lambda session: session.undo())

    def redo(self) -> None:
        self._change(lambda session: session.redo())

    def look_where_the_user_looks(self) -> None:
        """Let the session work on the plane that the view worked in shows now."""
        session, node = self._work.session, self.view
        if session is not None and node is not None and slicer.mrmlScene.IsNodePresent(node):
            session.look_at(matrix_of(node))

    def _on_shown_plane(self, action: Callable) -> None:
        def act(session) -> None:
            if self.view is None:  # no prompt was placed in any yet
                self.choose_view()
            self.look_where_the_user_looks()
            action(session)

        self._change(act)

    def _change(self, action: Callable) -> None:
        if self._work.busy:
            return

        self._work.attempt(lambda: action(self._work.need_session()))

    def _add_segment(self) -> None:
        def add() -> None:
            self._prepare_nodes()
            self._work.session.add_segment()

        if not self._work.busy:
            self._work.attempt(add)

    def _delete_segment(self) -> None:
        self._change(lambda session: session.delete_segment())

    def _toggle_finished(self) -> None:
        status = SegmentStatus.COMPLETED if self._ui.finishButton.checked else SegmentStatus.IN_PROGRESS
        self._change(lambda session: session.set_finished(status))

    def _row_chosen(self, *_selection) -> None:
        session, chosen = self._work.session, self._ui.segmentsTable.selectedSegmentIDs()
        if session is None or self._work.busy or not chosen or chosen[0] == session.segment_id:
            return
        if self._work.is_attempting:
            return  # a row that was clicked goes, and Qt selects its neighbour
        if self._work.attempt(session.choose_segment, chosen[0]):
            self.prompts_moved()

    def _open_segment_editor(self) -> None:
        session = self._work.session
        if session is None:
            return
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(session.node)
        editor.setSourceVolumeNode(session.volume_node)
        editor.setCurrentSegmentID(session.segment_id)

    # -- what the user sees

    def refresh(self) -> None:
        ui, session, busy = self._ui, self._work.session, self._work.busy
        self.placing.hold()
        there = session is not None and session.segment_id in session.segments
        allow, hindrance, busy_text = self._buttons.allow, self.hindrance(), running_text() if busy else ""
        table = ui.segmentsTable
        node = session.node if session is not None else None
        if table.segmentationNode() is not node:
            # It selects again what it had selected, by ID, also where the other node's segments have the same IDs.
            blocked = table.blockSignals(True)
            table.setSegmentationNode(node)
            table.blockSignals(blocked)
        if there and list(table.selectedSegmentIDs()) != [session.segment_id]:
            table.setSelectedSegmentIDs([session.segment_id])
        allow(ui.addSegmentButton, busy_text)
        allow(ui.deleteSegmentButton, hindrance)
        allow(ui.finishButton, busy_text if there else hindrance)
        ui.finishButton.checked = there and session.is_finished()
        allow(ui.segmentEditorButton, busy_text if session is not None else hindrance)
        for tool, button in self._tools.items():
            allow(button, hindrance if there else busy_text)
            button.checked = self.placing.tool is tool
        undo_text, redo_text = session.history_texts() if session is not None and not busy else ("", "")
        ui.undoButton.enabled, ui.redoButton.enabled = bool(undo_text), bool(redo_text)
        ui.undoButton.toolTip = _("Undo: {step} ({key})").format(step=undo_text or _("nothing"), key=KEYS["undo"])
        ui.redoButton.toolTip = _("Redo: {step} ({key})").format(step=redo_text or _("nothing"), key=KEYS["redo"])
        allow(ui.keepButton, hindrance)
        if not hindrance and not session.has_preview():
            hindrance = _("There is no preview on the plane that is worked on.")
        allow(ui.acceptButton, hindrance)
        allow(ui.discardButton, hindrance)

    def hindrance(self) -> str:
        """Why the active segment cannot be changed, in a sentence; "" where it can."""
        session = self._work.session
        if self._work.busy:
            return running_text()
        if session is None or session.segment_id not in session.segments:
            return _("There is no segment yet: add one, or place a prompt.")
        return _("The segment is finished: press 'Finished' to unlock it.") if session.is_finished() else ""


def running_text() -> str:
    """Why most buttons are greyed out meanwhile."""
    return _("A propagation is running: 'Cancel' stops it.")
