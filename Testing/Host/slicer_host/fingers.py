"""Mouse and keys, as the events that the window system would send."""

from __future__ import annotations

from . import binding

_hand = binding.hand()


def press_key(widget, key) -> None:
    """key: such as `qt.Qt.Key_Return`."""
    _hand.keyClick(widget, key)


def type_text(widget, text: str) -> None:
    _hand.keyClicks(widget, text)


def move(widget, position) -> None:
    """position: a QPoint within the widget, here and below."""
    _hand.mouseMove(widget, position)


def press(widget, position) -> None:
    _hand.mousePress(widget, position)


def release(widget, position) -> None:
    _hand.mouseRelease(widget, position)


def click(widget, position=None) -> None:
    """position: its middle by default."""
    _hand.mouseClick(widget, position if position is not None else widget.rect.center())


def double_click(widget, position) -> None:
    _hand.mouseDClick(widget, position)
