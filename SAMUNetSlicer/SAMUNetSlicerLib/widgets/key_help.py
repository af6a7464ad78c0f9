"""The cheat sheet of keys, as shown in the panel."""

from __future__ import annotations

from slicer.i18n import tr as _

from .shortcuts import KEYS


def _meanings() -> dict[str, str]:
    return {
        "positive": _("place points inside the object (again: stop placing)"),
        "negative": _("place points outside the object"),
        "box": _("draw a box: click two opposite corners"),
        "accept": _("write the preview on the shown plane into the segment"),
        "discard": _("stop what is being computed; else stop placing; then: drop the preview on the shown plane"),
        "keep": _("take the shown plane for right as the segment is drawn there"),
        "undo": _("undo"),
        "redo": _("redo"),
        "propagate": _("propagate to the neighbouring planes"),
        "worst": _("go to the least certain proposed plane"),
    }


def keys_text() -> str:
    """Rich text: one row a key."""
    meanings = _meanings()
    rows = "".join(f"<tr><td><b>{key}</b>&nbsp;</td><td>{meanings[name]}</td></tr>" for name, key in KEYS.items())
    return f"<table>{rows}</table>{_('The keys work while this module is open.')}"
