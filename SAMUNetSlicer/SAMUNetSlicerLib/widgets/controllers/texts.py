"""`_`: the sentence in the user's language where Slicer runs, as it is where there is only MRML (scripts, tests).

The function is Slicer's own, not a wrapper, because it looks up translations by the file that calls it. Only literals
may be handed to it: Slicer's tools collect them from the sources.
"""

from __future__ import annotations

from ...inference.notes import NOTES

try:
    from slicer.i18n import tr as _
except ImportError:

    def _(text: str) -> str:
        return text


def translated_note(note: str) -> str:
    """A note of the room `inference`, which speaks English only, in the user's language where it is a known one."""
    known = (
        _("Memory is short, so one plane is computed at a time."),
        _("The graphics card has little memory, so it computes in half precision."),
        _("The graphics card has not enough memory; the work goes on on the processor, more slowly."),
        _("The model could not be prepared for OpenVINO, so PyTorch computes, which is slower."),
    )
    return dict(zip(NOTES, known, strict=True)).get(note, note)


def package_not_loaded(error: Exception) -> str:
    """Of a package that is installed: the system refuses one of its libraries, mostly of PyTorch, or lacks one."""
    return _(
        "A Python package cannot be loaded ({reason}). Restart Slicer; if that does not help, install PyTorch anew "
        "with Slicer's extension PyTorch."
    ).format(reason=next(iter(str(error).splitlines()), type(error).__name__))


def clinical_notice() -> str:
    """`project.NOT_FOR_CLINICAL_USE` in the user's language."""
    return _("For research only. Not for clinical use.")
