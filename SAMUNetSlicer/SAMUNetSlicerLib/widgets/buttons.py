"""Buttons that are greyed out say why."""

from __future__ import annotations


class Buttons:
    """Greys buttons out, with the reason below what their tooltips say otherwise."""

    def __init__(self) -> None:
        self._tips: dict[str, str] = {}

    def allow(self, button, hindrance: str = "") -> None:
        """hindrance: why the button cannot be pressed, in a sentence; "" where it can."""
        tip = self._tips.setdefault(button.name, button.toolTip)
        button.enabled = not hindrance
        button.toolTip = f"{tip}\n{hindrance}" if hindrance else tip
