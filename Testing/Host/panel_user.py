"""Somebody at the mouse and the keys, for the stories: what they see is the main window, what they have are events."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import qt
import slicer

from slicer_host import fingers

PICTURES = "SAMUNETSLICER_HOST_PICTURES"  # a folder to keep the stories' pictures in
_KEYS = {"Return": qt.Qt.Key_Return, "Esc": qt.Qt.Key_Escape}


class PanelUser:
    """app: the host's application; opened: the `OpenModule`."""

    def __init__(self, app, opened, folder: Path) -> None:
        self.app, self.opened = app, opened
        self.panel, self.ui = opened.widget.panel, opened.widget.ui
        self._folder = Path(os.environ.get(PICTURES) or folder)

    # -- doing

    def press(self, button) -> None:
        """Click a button of the panel, in its section, which is opened. It must be there to be clicked."""
        button = getattr(self.ui, button)
        section = button
        while section is not None and section.className() != "ctkCollapsibleButton":
            section = section.parent()
        if section is not None and section.collapsed:
            section.collapsed = False
            self.settle()
        assert button.enabled, f"{button.name} is greyed out"
        fingers.click(button)
        self.settle()

    def key(self, key: str) -> None:
        """Press a key with the mouse over the views."""
        view = self.view("Red")
        for _attempt in range(50):  # a dialog may have been in front
            if self.app.window.isActiveWindow:
                break
            self.app.window.activateWindow()
            self.app.processEvents()
        view.setFocus()
        fingers.press_key(view, _KEYS.get(key) or getattr(qt.Qt, f"Key_{key}"))
        self.settle()

    def click(self, view_name: str, point_ras) -> None:
        """Click where a point shows in a slice view."""
        view = self.view(view_name)
        position = view.position_of(point_ras)
        assert view.rect.contains(position), "the point is not in the view"
        fingers.move(view, position)
        fingers.click(view, position)
        self.settle()

    def drag(self, view_name: str, start_ras, end_ras) -> None:
        view = self.view(view_name)
        start, end = view.position_of(start_ras), view.position_of(end_ras)
        fingers.move(view, start)
        fingers.press(view, start)
        for fraction in (0.3, 0.6, 1.0):
            fingers.move(view, start + (end - start) * fraction)
            self.app.processEvents()
        fingers.release(view, end)
        self.settle()

    def click_cell(self, plane: int) -> None:
        """Click a plane's cell of the confidence strip."""
        table = self.ui.confidenceStrip
        rectangle = table.visualRect(table.model().index(0, plane))
        fingers.click(table.viewport(), rectangle.center())
        self.settle()

    def choose(self, combo_box: str, value: str) -> None:
        box = getattr(self.ui, combo_box)
        box.setCurrentIndex(box.findData(value))
        self.settle()

    def settle(self) -> None:
        """Let everything happen that was set off, what waits for the mouse to rest included, however slow the machine.

        What is computed goes on meanwhile; its end is not waited for.
        """
        for round_ in range(14):
            self.app.processEvents()
            if round_ > 1 and not self._awaits():
                return
            time.sleep(0.02)

    def _awaits(self) -> bool:
        panel = self.panel
        return panel.work.busy or panel.work.answering or panel._moved.isActive() or panel._looked.isActive()

    def rest(self, seconds: float = 60) -> None:
        """Do nothing until the panel has encoded ahead what it wants to."""
        end = time.monotonic() + seconds
        while self.panel._idle.isActive() and time.monotonic() < end:
            self.app.processEvents()
        assert not self.panel._idle.isActive()

    def wait_while_busy(self, seconds: float = 60) -> None:
        """Until a propagation has ended."""
        end = time.monotonic() + seconds
        while self.panel.work.busy and time.monotonic() < end:
            self.app.processEvents()
        assert not self.panel.work.busy
        self.settle()

    # -- seeing

    def view(self, name: str):
        return self.app.views[name]

    @property
    def message(self) -> str:
        return self.ui.messageLabel.text

    @property
    def session(self):
        return self.panel.work.session

    def voxels(self, segment: str | None = None) -> np.ndarray:
        """What a segment of the result holds, by name; the active one by default. (K, J, I) bool."""
        session = self.session
        ids = {session.workspace.name_of(s): s for s in session.segments}
        segment_id = session.segment_id if segment is None else ids[segment]
        return slicer.util.arrayFromSegmentBinaryLabelmap(session.node, segment_id, session.volume_node) > 0

    def proposed(self) -> np.ndarray:
        """What is proposed for the active segment. (K, J, I) bool."""
        session = self.session
        node = session.workspace.proposals.node
        volume = slicer.util.arrayFromVolume(session.volume_node)
        found = np.zeros(volume.shape[:3], dtype=bool)
        for proposal in node.GetSegmentation().GetSegmentIDs() if node is not None else ():
            if proposal.startswith(session.segment_id):
                found |= slicer.util.arrayFromSegmentBinaryLabelmap(node, proposal, session.volume_node) > 0
        return found

    def statuses(self) -> list[str]:
        return [state.status.value for state in self.session.states()]

    def picture(self, name: str) -> qt.QWidget:
        """Save what the user sees."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for view in self.app.views.values():
            view.draw()
        self.app.processEvents()
        picture = self.app.window.grab()
        assert picture.save(str(self._folder / f"{name}.png"))
        return picture
