"""What the panel shows can be seen: in dark styles, in volumes of many planes, in narrow panels."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def dark_style():
    import qt

    before = qt.QApplication.palette()
    palette = qt.QPalette(before)
    for role, colour in (("Window", "#353535"), ("WindowText", "white"), ("Base", "#232323"), ("Text", "white")):
        palette.setColor(getattr(qt.QPalette, role), qt.QColor(colour))
    qt.QApplication.setPalette(palette)
    yield
    qt.QApplication.setPalette(before)


def contrast(one, other) -> float:
    """As WCAG 2 has it, of two QColors."""

    def luminance(colour) -> float:
        parts = np.array([colour.redF(), colour.greenF(), colour.blueF()])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("style", ["light", "dark"])
def test_errors_can_be_read(user, style, request):
    import qt

    if style == "dark":
        request.getfixturevalue("dark_style")
    user.ui.volumeSelector.setCurrentNode(None)
    user.settle()
    user.key("A")
    assert "Choose a volume" in user.message
    user.picture(f"error_in_{style}")
    palette = user.ui.messageLabel.palette
    assert contrast(palette.color(qt.QPalette.WindowText), palette.color(qt.QPalette.Window)) > 4.5


def test_the_mark_on_the_strip_can_be_read_in_a_dark_style(dark_style, prompted):
    import qt

    strip = prompted.ui.confidenceStrip
    item = strip.item(0, 8)
    own = item.foreground()
    shown = strip.palette.color(qt.QPalette.Text) if own.style() == qt.Qt.NoBrush else own.color()
    assert item.text()
    assert contrast(shown, item.background().color()) > 4.5


@pytest.fixture
def long_volume(user):
    """A bar in a volume of so many planes that the strip does not hold them, previewed on a plane in the middle."""
    import slicer

    voxels = np.full((300, 32, 32), 20, dtype=np.int16)
    voxels[100:180, 8:20, 8:20] = 220
    voxels[0, 0, :2] = 0, 255
    user.volume = slicer.util.addVolumeFromArray(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]), "Long")
    user.volume.CreateDefaultDisplayNodes()
    user.ui.volumeSelector.setCurrentNode(user.volume)
    user.settle()
    return user


@pytest.mark.parametrize("plane", [12, 140, 290])
def test_the_plane_worked_on_is_in_sight_on_a_long_strip(long_volume, at, plane):
    user = long_volume
    user.press("addSegmentButton")
    user.view("Red").node.JumpSliceByOffsetting(*at((plane, 14, 14)))
    user.settle()
    strip = user.ui.confidenceStrip
    cell = strip.visualRect(strip.model().index(0, plane))
    assert strip.viewport().rect.contains(cell)


def test_cells_follow_the_width_of_the_panel(prompted):
    area = prompted.app.window.panel_area
    strip, before = prompted.ui.confidenceStrip, area.width
    wide = strip.columnWidth(0)
    try:
        area.setFixedWidth(320)
        prompted.settle()
        prompted.press("addSegmentButton")
        assert strip.columnWidth(0) < wide
        assert strip.horizontalScrollBar().maximum == 0
    finally:
        area.setFixedWidth(before)


def test_the_panel_says_which_plane_is_worked_on(prompted, at):
    assert prompted.ui.planeLabel.text.startswith("Axial planes 0 to 15. Plane 8: proposed, confidence")
    prompted.key("Return")
    assert prompted.ui.planeLabel.text == "Axial planes 0 to 15. Plane 8: accepted"
    prompted.view("Red").node.JumpSliceByOffsetting(*at((3, 32, 20)))
    prompted.settle()
    assert prompted.ui.planeLabel.text == "Axial planes 0 to 15. Plane 3: nothing yet"
    prompted.key("Z")
    prompted.key("Z")
    prompted.ui.volumeSelector.setCurrentNode(None)
    prompted.settle()
    assert prompted.ui.planeLabel.text == ""


def test_the_strip_is_walked_with_the_arrow_keys(prompted):
    import qt

    from slicer_host import fingers

    strip = prompted.ui.confidenceStrip
    strip.setFocus()  # as Qt does when the button before it is greyed out
    prompted.settle()
    assert prompted.session.place.index == 8, "that alone goes nowhere"
    assert strip.currentColumn() == 8
    for key, plane in ((qt.Qt.Key_Right, 9), (qt.Qt.Key_Right, 10), (qt.Qt.Key_Left, 9)):
        fingers.press_key(strip, key)
        prompted.settle()
        assert prompted.session.place.index == plane
        assert strip.currentColumn() == plane
