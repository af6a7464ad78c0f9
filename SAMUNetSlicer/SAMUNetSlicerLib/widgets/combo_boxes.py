"""Combo boxes that offer values under readable names."""

from __future__ import annotations

from collections.abc import Iterable

import slicer


def fill(combo_box, choices: Iterable[tuple[str, str]]) -> None:
    """Offer (text, value) pairs; the value that was chosen stays chosen if it is still among them. Emits nothing."""
    chosen = value_of(combo_box)
    blocked = combo_box.blockSignals(True)
    combo_box.clear()
    for text, value in choices:
        combo_box.addItem(text, value)
    combo_box.blockSignals(blocked)
    choose(combo_box, chosen)


def choose(combo_box, value: str) -> None:
    """Show a value, or the first one where it is not offered. Emits nothing."""
    blocked = combo_box.blockSignals(True)
    combo_box.setCurrentIndex(max(0, combo_box.findData(value)))
    combo_box.blockSignals(blocked)


def value_of(combo_box) -> str:
    """The chosen value, "" where nothing is offered."""
    return combo_box.itemData(combo_box.currentIndex) or ""


def first_offered(selector):
    """The first node of the scene that a qMRMLNodeComboBox offers, or None: by its rules, as it may not list it yet."""
    for class_name in selector.nodeTypes:
        for node in slicer.util.getNodesByClass(class_name):
            if not node.GetHideFromEditors() and not any(node.IsA(kind) for kind in selector.hideChildNodeTypes):
                return node
    return None
