"""The confidence strip's cells: one per plane, a colour and a sentence for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...scene.record.document import PlaneState, PlaneStatus
from .texts import _

# Hues that people with colour-blindness tell apart (after Okabe and Ito).
COLOURS = {
    PlaneStatus.EMPTY: (232, 232, 232),
    PlaneStatus.ACCEPTED: (0, 114, 178),
    PlaneStatus.PROPOSED: (0, 158, 115),
    PlaneStatus.UNCERTAIN: (240, 170, 40),
    PlaneStatus.STOPPED: (213, 94, 0),
}


def status_names() -> dict[PlaneStatus, str]:
    """What each colour means."""
    return {
        PlaneStatus.EMPTY: _("nothing yet"),
        PlaneStatus.ACCEPTED: _("accepted"),
        PlaneStatus.PROPOSED: _("proposed"),
        PlaneStatus.UNCERTAIN: _("proposed, uncertain"),
        PlaneStatus.STOPPED: _("propagation stopped here"),
    }


@dataclass(frozen=True)
class Cell:
    """One plane. colour_rgb: 0-255."""

    index: int
    status: PlaneStatus
    colour_rgb: tuple[int, int, int]
    text: str


def cells(states: Sequence[PlaneState]) -> list[Cell]:
    names = status_names()
    # Translated once and not for each plane: Slicer looks at the file that asks, every time.
    plane, confidence = _("Plane {number}: {status}"), _("confidence {value:.2f}")
    found = []
    for index, state in enumerate(states):
        status = state.status
        text = plane.format(number=index, status=names[status])
        if status in (PlaneStatus.PROPOSED, PlaneStatus.UNCERTAIN):
            text += ", " + confidence.format(value=state.confidence)
        if state.stopped:
            text += f" ({state.stopped})"
        found.append(Cell(index, status, COLOURS[status], text))
    return found


def place_text(cells: Sequence[Cell], marked: int | None, stack_name: str) -> str:
    """For example "Axial planes 0 to 19. Plane 8: accepted"; "" where no plane is worked on."""
    if marked is None or marked >= len(cells):
        return ""
    planes = {
        "axial": _("Axial planes"),
        "coronal": _("Coronal planes"),
        "sagittal": _("Sagittal planes"),
        "oblique": _("Oblique planes"),
    }[stack_name]
    return _("{planes} 0 to {last}. {cell}").format(planes=planes, last=len(cells) - 1, cell=cells[marked].text)
