"""The section Propagate: running, progress, the confidence strip, and what to do with the proposals."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from ..errors import EditError
from ..scene.record.editing_rules import WriteMode
from .buttons import Buttons
from .combo_boxes import fill, value_of
from .confidence_strip import ConfidenceStrip, legend
from .controllers.propagation_run import Along
from .controllers.strip import cells, place_text
from .controllers.work import Work
from .segment_panel import SegmentPanel, running_text
from .shortcuts import KEYS
from .slice_views import show_point

_POLL_MS = 2  # between two looks at what computes


def _direction_choices() -> list[tuple[str, str]]:
    return [
        (_("both ways"), "both"),
        (_("towards higher plane numbers"), "up"),
        (_("towards lower plane numbers"), "down"),
    ]


class PropagatePanel:
    """prepare: makes the model ready, or raises UserError."""

    def __init__(self, ui, work: Work, segment_panel: SegmentPanel, prepare: Callable[[], None]) -> None:
        self._ui, self._work, self._segment_panel, self._prepare = ui, work, segment_panel, prepare
        fill(ui.directionSelector, _direction_choices())
        self._strip = ConfidenceStrip(ui.confidenceStrip, self.go_to)
        ui.stripLegend.text = legend()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_POLL_MS)
        self._timer.connect("timeout()", self._advance)
        for button, action in (
            (ui.propagateButton, self.propagate),
            (ui.timeButton, self.propagate_in_time),
            (ui.cancelButton, self.cancel),
            (ui.worstButton, self.go_to_worst),
            (ui.againButton, self.propagate_from_here),
            (ui.acceptAllButton, self.accept_all),
            (ui.acceptRangeButton, self.accept_range),
            (ui.discardAllButton, self.discard_all),
            (ui.acceptItemsButton, self.accept_items),
            (ui.splitButton, self.keep_one_per_item),
        ):
            button.connect("clicked()", action)
        ui.propagateButton.toolTip = f"{ui.propagateButton.toolTip} ({KEYS['propagate']})"
        ui.worstButton.toolTip = f"{ui.worstButton.toolTip} ({KEYS['worst']})"
        self._buttons = Buttons()

    # -- running

    def propagate(self) -> None:
        """Propagate as the controls say."""
        self._start(value_of(self._ui.directionSelector), self._range)

    def propagate_from_here(self) -> None:
        """Propagate both ways from the plane that is shown, as far as the next key planes."""
        if self._work.session is None:
            return
        if self._work.attempt(self._segment_panel.look_where_the_user_looks):
            self._start("both", self._range_from_here)

    def propagate_in_time(self) -> None:
        """Propagate the plane that is shown to the other items of the sequence."""
        if self._work.session is not None and self._work.attempt(self._segment_panel.look_where_the_user_looks):
            self._start(value_of(self._ui.directionSelector), along=Along.TIME)

    def _start(
        self, direction: str, planes: Callable[[], tuple[int, int] | None] = lambda: None, along: Along = Along.PLANES
    ) -> None:
        if self._work.busy:
            return

        def start() -> None:
            self._work.need_session()
            self._segment_panel.placing.put_down()
            self._prepare()
            self._segment_panel.answer_moved()
            self._work.start_propagation(direction, planes(), along)
            self._segment_panel.show_active()
            self._timer.start()

        self._work.attempt(start)

    def _advance(self) -> None:
        if self._work.advance():
            self._timer.start()

    def cancel(self) -> None:
        """Stop at once; the planes that are finished stay proposed."""
        self._work.cancel()

    def stop(self) -> None:
        """Cancel and wait for nothing: for leaving the module or closing the scene."""
        self._timer.stop()
        run = self._work.run
        if run is not None:
            run.cancel()
            if not run.executing:  # else it ends by itself, before its next layer
                self._work.advance()

    def _range(self) -> tuple[int, int] | None:
        return self._stated_range() if self._ui.rangeCheckBox.checked else None

    def _stated_range(self) -> tuple[int, int]:
        first, last = self._ui.firstPlaneSpinBox.value, self._ui.lastPlaneSpinBox.value
        if first > last:
            raise EditError(_("The first plane of the range comes after the last one."))
        return first, last

    def _range_from_here(self) -> tuple[int, int]:
        """From the plane that is shown as far as the next key planes, within the range."""
        first, last = self._work.session.planes_beside()
        least, most = self._range() or (first, last)
        if max(first, least) > min(last, most):
            raise EditError(_("The range holds none of the planes between this one and the next key planes."))
        return max(first, least), min(last, most)

    # -- looking

    def go_to(self, index: int) -> None:
        """Show a plane of the stack in every view that is parallel to it, and work there."""
        session = self._work.session
        if session is None:
            return
        self._work.attempt(self._go_to, index)

    def _go_to(self, index: int) -> None:
        session = self._work.session
        centre, parallel = session.centre_ras(index), self._segment_panel.parallel_views()
        for node in parallel:
            show_point(centre, node)
        if parallel and self._segment_panel.view not in parallel:
            self._segment_panel.view = parallel[0]
        session.go_to(index)

    def go_to_worst(self) -> None:
        """Show the proposed plane of lowest confidence."""

        def go() -> None:
            worst = self._work.session.worst()
            if worst is None:
                raise EditError(_("Nothing is proposed on these planes. Propagate first."))
            self._go_to(worst)

        if self._work.session is not None:
            self._work.attempt(go)

    # -- deciding

    def accept_all(self) -> None:
        self._accept(lambda session: session.accept(None, self._mode()))

    def accept_range(self) -> None:
        def accept(session) -> None:
            first, last = self._stated_range()
            session.accept(range(first, last + 1), self._mode())

        self._accept(accept)

    def discard_all(self) -> None:
        self._decide(lambda session: session.discard(None))

    def accept_items(self) -> None:
        """Accept in every item of the sequence."""

        def accept(session) -> None:
            self._work.announce(_("Accepting in all items... Esc or Cancel stops it."))
            done = session.accept_in_time(self._mode(), self._work.breather.pause)
            text = _("Accepted in {count} items of the sequence.").format(count=len(done.items))
            if done.left:
                text += " " + _("Stopped: {count} items stay proposed.").format(count=done.left)
            self._work.say(text)

        self._accept(accept)

    def keep_one_per_item(self) -> None:
        """Give each item of the sequence a result of its own."""
        self._decide(lambda session: session.keep_one_per_item())

    def _mode(self) -> WriteMode:
        return WriteMode(value_of(self._ui.writeModeSelector))

    def _accept(self, action: Callable) -> None:
        self._decide(self._segment_panel.unless_moved(action))

    def _decide(self, action: Callable) -> None:
        if self._work.session is not None and not self._work.busy:
            self._work.attempt(action, self._work.session)

    # -- what the user sees

    def refresh(self) -> None:
        ui, work = self._ui, self._work
        session, busy = work.session, work.busy
        allow = self._buttons.allow
        allow(ui.cancelButton, "" if busy or work.answering else _("Nothing is being computed."))
        self._show_progress()
        hindrance = self._segment_panel.hindrance()
        states = session.states() if session is not None else []
        proposed = any(state.proposed is not None for state in states)
        key_planes = any(state.proposed is not None or state.accepted is not None for state in states)
        marked = session.place.index if session is not None and session.place is not None else None
        shown = cells(states)
        self._strip.show(shown, marked)
        ui.planeLabel.text = place_text(shown, marked, session.stack_name()) if shown else ""
        for box in (ui.firstPlaneSpinBox, ui.lastPlaneSpinBox):
            box.enabled = ui.rangeCheckBox.checked and not busy
        no_start = "" if key_planes else _("No plane of this orientation is prompted or accepted yet.")
        for button in (ui.propagateButton, ui.againButton, ui.timeButton):
            allow(button, hindrance or no_start)
        nothing = "" if proposed else _("Nothing is proposed on these planes.")
        no_range = "" if ui.rangeCheckBox.checked else _("Tick 'Only planes' to state the range.")
        allow(ui.worstButton, nothing)
        allow(ui.acceptAllButton, hindrance or nothing)
        allow(ui.discardAllButton, hindrance or nothing)
        allow(ui.acceptRangeButton, hindrance or nothing or no_range)
        self._show_items(hindrance)

    def _show_items(self, hindrance: str) -> None:
        """What there is of a sequence; hidden for other volumes."""
        ui, session = self._ui, self._work.session
        sequence = session is not None and session.workspace.is_alive() and session.is_sequence
        own_results = sequence and session.has_item_results
        ui.timeButton.visible = sequence
        ui.itemLabel.visible = sequence
        ui.itemLabel.text = session.item_text() if sequence else ""
        ui.acceptItemsButton.visible = own_results
        if own_results:
            nothing = "" if hindrance or session.proposed_items() else _("Nothing is proposed in any item.")
            self._buttons.allow(ui.acceptItemsButton, hindrance or nothing)
        ui.splitButton.visible = sequence and session.workspace.items.shares_result and not own_results
        self._buttons.allow(ui.splitButton, running_text() if self._work.busy else "")

    def _show_progress(self) -> None:
        ui, run = self._ui, self._work.run
        ui.progressBar.visible = run is not None
        ui.progressLabel.visible = run is not None
        if run is not None:
            progress = run.progress()
            ui.progressBar.maximum = max(1, progress.total)
            ui.progressBar.value = progress.done
            ui.progressLabel.text = progress.text()

    def look_at_view(self) -> None:
        """Follow the slice view: the plane shown is the plane worked on."""

        def look() -> None:
            self._segment_panel.choose_view()
            self._segment_panel.look_where_the_user_looks()

        if self._work.session is not None and not self._work.busy:
            self._work.attempt_quietly(look)
