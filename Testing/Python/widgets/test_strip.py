"""The texts of the confidence strip's cells."""

from __future__ import annotations

from SAMUNetSlicerLib.scene.record.document import PlaneState
from SAMUNetSlicerLib.widgets.controllers import strip


def test_a_longer_strip_asks_for_no_more_translations(monkeypatch):
    """Slicer's `tr` looks for the file that asks, on the disk: tens of microseconds for each sentence."""
    asked = []
    monkeypatch.setattr(strip, "_", lambda text: asked.append(text) or text)
    counts = []
    for planes in (2, 600):
        asked.clear()
        assert len(strip.cells([PlaneState()] * planes)) == planes
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_each_cell_names_its_plane_and_status():
    assert [cell.text for cell in strip.cells([PlaneState()] * 2)] == ["Plane 0: nothing yet", "Plane 1: nothing yet"]
