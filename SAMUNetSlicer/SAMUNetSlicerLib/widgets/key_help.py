"""The cheat sheet of keys, as shown in the panel."""

from __future__ import annotations

from slicer.i18n import tr as _

from .shortcuts import KEYS

_MEANINGS = {
    "positive": "place points inside the object (again: stop placing)",
    "negative": "place points outside the object",
    "box": "draw a box: click two opposite corners",
    "accept": "write the preview on the shown plane into the segment",
    "discard": "stop placing; then: drop the preview on the shown plane",
    "undo": "undo",
    "redo": "redo",
    "propagate": "propagate to the neighbouring planes",
    "worst": "go to the least certain proposed plane",
}


def keys_text() -> str:
    """Rich text: one row a key."""
    rows = "".join(f"<tr><td><b>{key}</b>&nbsp;</td><td>{_(_MEANINGS[name])}</td></tr>" for name, key in KEYS.items())
    return f"<table>{rows}</table>{_('The keys work while this module is open.')}"
