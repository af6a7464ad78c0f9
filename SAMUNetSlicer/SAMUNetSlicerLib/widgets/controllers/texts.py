"""`_`: the sentence in the user's language where Slicer runs, as it is where there is only MRML (scripts, tests).

The function is Slicer's own, not a wrapper, because it looks up translations by the file that calls it. Only literals
may be handed to it: Slicer's tools collect them from the sources.
"""

from __future__ import annotations

try:
    from slicer.i18n import tr as _
except ImportError:

    def _(text: str) -> str:
        return text


def clinical_notice() -> str:
    """`project.NOT_FOR_CLINICAL_USE` in the user's language."""
    return _("For research only. Not for clinical use.")
