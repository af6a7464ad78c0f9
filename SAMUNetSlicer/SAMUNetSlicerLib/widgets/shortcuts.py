"""Keys that work while the module is entered, and only then. None of them is one of Slicer's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt
import slicer

# Name of what it does: the key as Qt and the documents write it. Slicer's slice views use F, B, G, T, V, R, brackets
# and arrows.
KEYS = {
    "positive": "A",
    "negative": "S",
    "box": "D",
    "accept": "Enter",
    "discard": "Esc",
    "keep": "K",
    "undo": "Z",
    "redo": "Y",
    "propagate": "P",
    "worst": "W",
}

_TWINS = {"Enter": "Return"}  # Qt's Enter is the one beside the digits

_MULTI_LINE = ("QTextEdit", "QPlainTextEdit")  # as Slicer's Python console, where Escape ends nothing
_TYPED_INTO = ("QLineEdit", "QAbstractSpinBox", *_MULTI_LINE)


class Shortcuts:
    """actions: by the names of KEYS."""

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = actions
        self._shortcuts: list = []

    def install(self) -> None:
        """Let the keys work in the main window."""
        self.remove()
        for name, action in self._actions.items():
            for key in {KEYS[name], _TWINS.get(KEYS[name], KEYS[name])}:
                shortcut = qt.QShortcut(slicer.util.mainWindow())
                shortcut.setKey(qt.QKeySequence(key))
                receiver = self._receiver(action)
                shortcut.connect("activated()", receiver)
                self._shortcuts.append((shortcut, receiver))

    def remove(self) -> None:
        """Give the keys back."""
        for shortcut, receiver in self._shortcuts:
            shortcut.disconnect("activated()", receiver)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()

    @staticmethod
    def _receiver(action: Callable[[], None]) -> Callable[[], None]:
        def pressed() -> None:
            focus = slicer.app.focusWidget()
            if focus is not None and _is_typed_into(focus):
                if not any(map(focus.inherits, _MULTI_LINE)):
                    focus.clearFocus()  # Enter and Escape end the typing of a name or number, nothing more
                return
            action()

        return pressed


def _is_typed_into(widget) -> bool:
    # A spin box and an editable combo box have the focus themselves; the line edit inside never has.
    if widget.inherits("QComboBox"):
        return bool(widget.property("editable"))
    return any(map(widget.inherits, _TYPED_INTO)) and not widget.property("readOnly")
