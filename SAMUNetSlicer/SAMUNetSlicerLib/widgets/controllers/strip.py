"""The confidence strip's cells: one per plane, a colour and a sentence for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...scene.document import PlaneState, PlaneStatus

# Hues that people with colour-blindness tell apart (after Okabe and Ito).
COLOURS = {
    PlaneStatus.EMPTY: (232, 232, 232),
    PlaneStatus.ACCEPTED: (0, 114, 178),
    PlaneStatus.PROPOSED: (0, 158, 115),
    PlaneStatus.UNCERTAIN: (240, 170, 40),
    PlaneStatus.STOPPED: (213, 94, 0),
}
NAMES = {
    PlaneStatus.EMPTY: "nothing yet",
    PlaneStatus.ACCEPTED: "accepted",
    PlaneStatus.PROPOSED: "proposed",
    PlaneStatus.UNCERTAIN: "proposed, uncertain",
    PlaneStatus.STOPPED: "propagation stopped here",
}


@dataclass(frozen=True)
class Cell:
    """One plane. colour_rgb: 0-255."""

    index: int
    status: PlaneStatus
    colour_rgb: tuple[int, int, int]
    text: str


def cells(states: Sequence[PlaneState]) -> list[Cell]:
    return [_cell(index, state) for index, state in enumerate(states)]


def _cell(index: int, state: PlaneState) -> Cell:
    status = state.status
    text = f"Plane {index}: {NAMES[status]}"
    if status in (PlaneStatus.PROPOSED, PlaneStatus.UNCERTAIN):
        text += f", confidence {state.confidence:.2f}"
    if state.stopped:
        text += f" ({state.stopped})"
    return Cell(index, status, COLOURS[status], text)


def proposed_run(states: Sequence[PlaneState]) -> tuple[int, int] | None:
    """First and last plane with a proposal."""
    proposed = [i for i, state in enumerate(states) if state.proposed is not None]
    return (proposed[0], proposed[-1]) if proposed else None
