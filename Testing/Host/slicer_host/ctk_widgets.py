"""Stand-ins of the ctk widgets that the module uses, with the names that CTK's headers give."""

from __future__ import annotations

import types

import qt
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from . import messages


class ctkCollapsibleButton(qt.QWidget):
    """A titled section; `collapsed` hides its contents."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments) -> None:
        parent = arguments[-1] if arguments and not isinstance(arguments[-1], str) else None
        super().__init__(*([parent] if parent is not None else []))
        self._collapsed = False
        self._text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        self._head = QtWidgets.QToolButton(self)
        self._head.setAutoRaise(True)
        self._head.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._head.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._head.setStyleSheet("QToolButton { font-weight: bold; background: palette(midlight); text-align: left }")
        self._head.setProperty("hostOnly", True)
        self._head.clicked.connect(lambda: self._set_collapsed(not self._collapsed))
        self._show_head()

    def _show_head(self) -> None:
        self._head.setText(self._text)
        self._head.setArrowType(QtCore.Qt.RightArrow if self._collapsed else QtCore.Qt.DownArrow)

    def _set_text(self, text: str) -> None:
        self._text = text
        self._show_head()

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._show_head()
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if child is not self._head:
                child.setVisible(not collapsed)
        self.setMaximumHeight(self._head.sizeHint.height() if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    def resizeEvent(self, event) -> None:
        height = self._head.sizeHint.height()
        self._head.setGeometry(0, 0, self.width, height)
        super().resizeEvent(event)

    def showEvent(self, event) -> None:
        if self.layout() is not None:
            self.layout().setContentsMargins(4, self._head.sizeHint.height() + 4, 4, 4)
        super().showEvent(event)

    text = Property(str, lambda self: self._text, _set_text)
    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed)


class ctkRangeWidget(qt.QWidget):
    """Two numbers, the lower and the upper one, of two decimals and in steps of 1 unless told otherwise."""

    valuesChanged = Signal(float, float)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._low, self._high = QtWidgets.QDoubleSpinBox(self), QtWidgets.QDoubleSpinBox(self)
        for box in (self._low, self._high):
            box.setProperty("hostOnly", True)
            row.addWidget(box)
            box.valueChanged.connect(lambda *_: self.valuesChanged.emit(self._low.value, self._high.value))

    def setRange(self, low: float, high: float) -> None:
        """As CTK's: its slider counts steps in 32 bits, and what lies beyond is out of reach."""
        reach = (2**31 - 1) * self._low.singleStep
        self._low.setRange(max(low, -reach), min(high, reach))
        self._high.setRange(max(low, -reach), min(high, reach))

    def setValues(self, low: float, high: float) -> None:
        self._low.setValue(low)
        self._high.setValue(high)

    def _set_decimals(self, decimals: int) -> None:
        self._low.setDecimals(decimals)
        self._high.setDecimals(decimals)

    def _set_single_step(self, step: float) -> None:
        """As CTK's: a step that is wider than the range is refused."""
        if self._low.minimum == self._low.maximum or step <= self._low.maximum - self._low.minimum:
            self._low.setSingleStep(step)
            self._high.setSingleStep(step)

    decimals = Property(int, lambda self: self._low.decimals, _set_decimals)
    singleStep = Property(float, lambda self: self._low.singleStep, _set_single_step)
    minimumValue = Property(float, lambda self: self._low.value, lambda self, v: self._low.setValue(v))
    maximumValue = Property(float, lambda self: self._high.value, lambda self, v: self._high.setValue(v))
    minimum = Property(float, lambda self: self._low.minimum)
    maximum = Property(float, lambda self: self._low.maximum)


class ctkMessageBox(qt.QWidget):
    """Notes what it would show and gives the next prepared answer, else the cautious one of its buttons."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._text, self._buttons = "", QtWidgets.QMessageBox.Ok

    text = Property(str, lambda self: self._text, lambda self, text: setattr(self, "_text", text))
    standardButtons = Property(
        object, lambda self: self._buttons, lambda self, buttons: setattr(self, "_buttons", buttons)
    )

    def exec_(self):
        messages.shown.append(self._text)
        if messages.answers:
            return messages.answers.pop(0)
        cautious = (QtWidgets.QMessageBox.Cancel, QtWidgets.QMessageBox.No, QtWidgets.QMessageBox.Ok)
        return next(button for button in cautious if QtWidgets.QMessageBox.StandardButtons(self._buttons) & button)


CLASSES = (ctkCollapsibleButton, ctkRangeWidget, ctkMessageBox)


def build_ctk_module() -> types.ModuleType:
    """The module `ctk`. A class that it lacks is an error, not a guess."""
    ctk = types.ModuleType("ctk", __doc__)
    for cls in CLASSES:
        setattr(ctk, cls.__name__, cls)
    return ctk
