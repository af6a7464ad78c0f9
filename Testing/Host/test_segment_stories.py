"""Segments beside each other: locks, overwriting, undo and redo, deletion."""

from __future__ import annotations

import numpy as np
import pytest


def accept_ball(user, point_ras) -> None:
    if not user.ui.positiveButton.checked:
        user.key("A")
    user.click("Red", point_ras)
    user.key("Return")


def test_a_second_segment_leaves_the_first_as_it_is(user, balls, at):
    accept_ball(user, at((8, 32, 20)))
    first = user.voxels().copy()
    user.press("addSegmentButton")
    accept_ball(user, at((8, 32, 46)))
    user.picture("two_segments")
    assert np.array_equal(user.voxels("Segment 1"), first)
    assert (user.voxels("Segment 2") & balls[1]).any()
    assert not (user.voxels("Segment 2") & first).any()


def test_a_finished_segment_is_never_written(user, at):
    accept_ball(user, at((8, 32, 20)))
    before = user.voxels().copy()
    user.key("Esc")
    user.press("finishButton")
    user.picture("finished")
    assert user.ui.finishButton.checked
    assert not user.ui.positiveButton.enabled
    assert not user.ui.deleteSegmentButton.enabled
    # Another segment over it, with everything to be overwritten.
    user.press("addSegmentButton")
    user.choose("overwriteSelector", "all")
    accept_ball(user, at((8, 32, 20)))
    user.picture("finished_neighbour")
    assert np.array_equal(user.voxels("Segment 1"), before)
    assert not (user.voxels("Segment 2") & before).any()
    assert "finished" in user.message


def test_a_finished_segment_takes_no_prompts(user, at):
    user.key("D")
    user.click("Red", at((8, 24, 12)))
    user.click("Red", at((8, 40, 28)))
    user.key("Return")
    kept = user.session.workspace.prompts.read(user.session.segment_id)
    user.press("boxButton")
    user.press("finishButton")
    user.click("Red", at((8, 26, 14)))
    user.click("Red", at((8, 38, 26)))
    assert "finished" in user.message
    assert user.session.workspace.prompts.read(user.session.segment_id) == kept, "no box came, none went"
    user.key("A")
    assert "finished" in user.message
    assert not user.ui.positiveButton.checked


def test_overwriting_takes_voxels_from_other_segments_only_if_asked(user, at):
    accept_ball(user, at((8, 32, 20)))
    first = user.voxels().copy()
    user.press("addSegmentButton")
    accept_ball(user, at((8, 32, 20)))
    assert np.array_equal(user.voxels("Segment 1"), first), "by default nothing is overwritten"
    assert np.array_equal(user.voxels("Segment 2"), first)
    user.key("Z")
    user.choose("overwriteSelector", "all")
    user.key("Return")
    assert not user.voxels("Segment 1").any()
    assert np.array_equal(user.voxels("Segment 2"), first)


def test_accepting_can_subtract(user, at, balls):
    accept_ball(user, at((8, 32, 20)))
    user.choose("writeModeSelector", "subtract")
    user.click("Red", at((8, 33, 21)))
    user.key("Return")
    assert not (user.voxels() & balls[0]).any()


def test_ten_steps_back_and_forth(user, at):
    steps = []

    def remember() -> None:
        steps.append((user.voxels("Segment 1").sum(), user.proposed().sum(), len(user.session.segments)))

    user.key("A")
    planes = (6, 7, 8, 9, 10)
    for plane in planes:
        user.view("Red").node.JumpSliceByOffsetting(*at((plane, 32, 20)))
        user.settle()
        user.click("Red", at((plane, 32, 20)))
        remember()
        user.key("Return")
        remember()
    user.picture("ten_steps")
    for expected in reversed(steps[:-1]):
        user.key("Z")
        assert (user.voxels("Segment 1").sum(), user.proposed().sum(), len(user.session.segments)) == expected
    user.press("undoButton")
    assert user.proposed().sum() == 0
    for expected in steps:
        user.key("Y")
        assert (user.voxels("Segment 1").sum(), user.proposed().sum(), len(user.session.segments)) == expected


def test_a_deleted_segment_comes_back_with_its_prompts(user, at):
    accept_ball(user, at((8, 32, 20)))
    before = user.voxels().copy()
    user.key("Esc")
    user.press("deleteSegmentButton")
    assert user.session.segments == ()
    user.press("undoButton")
    assert np.array_equal(user.voxels("Segment 1"), before)
    user.panel.work.session.choose_segment(user.session.segments[0])
    assert user.session.workspace.prompts.read(user.session.segment_id).points


@pytest.mark.stand_ins
def test_names_and_visibility_are_edited_in_the_table(user, at):
    from slicer_host import fingers

    accept_ball(user, at((8, 32, 20)))
    user.session.node.GetSegmentation().GetSegment(user.session.segment_id).SetName("Liver")
    user.settle()
    user.key("Esc")
    user.view("Red").node.JumpSliceByOffsetting(*at((9, 32, 20)))
    user.settle()
    accept_ball(user, at((9, 32, 20)))
    assert all("Liver" in node.GetName() for node in user.session.workspace.prompts.nodes())
    viewport, spot = user.ui.segmentsTable.cell_centre(user.session.segment_id, "Visible")
    spot.setX(12)
    fingers.click(viewport, spot)
    user.settle()
    assert not user.session.node.GetDisplayNode().GetSegmentVisibility(user.session.segment_id)


def test_a_segment_deleted_elsewhere_is_let_go(user, at):
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.session.node.GetSegmentation().RemoveSegment(user.session.segment_id)
    user.settle()
    assert user.session.segment_id == ""
    assert not user.ui.acceptButton.enabled
    accept_ball(user, at((8, 32, 20)))
    assert user.voxels().any(), "the next prompt begins a new segment"


def drawn_proposals(user) -> list[str]:
    """The segments for which a preview is drawn."""
    from SAMUNetSlicerLib.scene.nodes.names import SEGMENT
    from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import get_tag, is_visible, segment_ids

    node = user.session.workspace.proposals.node
    return [get_tag(node, proposal, SEGMENT) for proposal in segment_ids(node) if is_visible(node, proposal)]


@pytest.mark.parametrize("deleted", ["Segment 1", "Segment 2"])
@pytest.mark.parametrize("where", ["beside the module", "in another module"])
def test_the_preview_of_a_segment_deleted_elsewhere_goes_and_comes_with_it(user, at, deleted, where):
    import slicer

    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.press("addSegmentButton")
    user.click("Red", at((8, 32, 46)))
    user.key("Esc")
    session = user.session
    ids = {session.workspace.name_of(s): s for s in session.segments}
    assert sorted(drawn_proposals(user)) == sorted(ids.values())
    segmentation, segment = session.node.GetSegmentation(), slicer.vtkSegment()
    segment.DeepCopy(segmentation.GetSegment(ids[deleted]))
    if where == "in another module":
        user.opened.widget.exit()
    segmentation.RemoveSegment(ids[deleted])
    user.settle()
    if where == "in another module":
        user.opened.widget.enter()
        user.settle()
    user.picture("preview_of_a_deleted_segment")
    assert drawn_proposals(user) == [i for name, i in ids.items() if name != deleted]
    assert session.segment_id in drawn_proposals(user)
    segmentation.AddSegment(segment, ids[deleted])  # as undo of the Segment Editor does
    user.settle()
    assert sorted(drawn_proposals(user)) == sorted(ids.values())


def test_an_edit_made_elsewhere_survives_undo(user, at):
    import slicer

    accept_ball(user, at((8, 32, 20)))
    session = user.session
    edited = user.voxels().copy()
    edited[2, 2:6, 2:6] = True
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        edited.astype(np.uint8), session.node, session.segment_id, session.volume_node
    )
    user.key("Z")
    assert user.voxels()[2, 2:6, 2:6].all()
    assert not user.voxels()[8].any()


def test_the_segment_editor_opens_on_the_same_segment(user, at, monkeypatch):
    import types

    import slicer

    told = {}
    editor = types.SimpleNamespace(
        setSegmentationNode=lambda node: told.update(segmentation=node),
        setSourceVolumeNode=lambda node: told.update(volume=node),
        setCurrentSegmentID=lambda segment: told.update(segment=segment),
    )
    representation = types.SimpleNamespace(self=lambda: types.SimpleNamespace(editor=editor))
    slicer.modules.segmenteditor = types.SimpleNamespace(widgetRepresentation=lambda: representation)
    monkeypatch.setattr(slicer.util, "selectModule", lambda module: told.update(module=module))
    accept_ball(user, at((8, 32, 20)))
    user.press("segmentEditorButton")
    session = user.session
    assert told == {
        "module": "SegmentEditor",
        "segmentation": session.node,
        "volume": session.volume_node,
        "segment": session.segment_id,
    }


@pytest.mark.stand_ins
def test_a_segment_is_recoloured_in_the_table(user, at):
    """The preview and the prompts take the segment's colour."""
    import qt

    from slicer_host import fingers

    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("Esc")

    def choose_blue() -> None:
        dialog = qt.QApplication.activeModalWidget()
        if dialog is None:
            qt.QTimer.singleShot(50, choose_blue)
            return
        dialog.setCurrentColor(qt.QColor(10, 20, 250))
        dialog.accept()

    qt.QTimer.singleShot(50, choose_blue)
    viewport, spot = user.ui.segmentsTable.cell_centre(user.session.segment_id, "Colour")
    fingers.click(viewport, spot)
    fingers.double_click(viewport, spot)
    user.settle()
    session = user.session
    blue = pytest.approx((10 / 255, 20 / 255, 250 / 255), abs=0.01)
    assert session.node.GetSegmentation().GetSegment(session.segment_id).GetColor() == blue
    user.press("positiveButton")
    user.click("Red", at((8, 33, 21)))
    user.picture("recoloured")
    proposals = session.workspace.proposals.node.GetSegmentation()
    assert proposals.GetSegment(proposals.GetNthSegmentID(0)).GetColor() == blue
    user.press("acceptButton")
    assert user.voxels().any(), user.message


def pick(user, combo_box: str, text: str) -> None:
    """Open a combo box with the mouse and click one of its entries."""
    from slicer_host import fingers

    box = getattr(user.ui, combo_box)
    box.showPopup()
    user.app.processEvents()
    view = box.view()
    index = box.model().index(box.findText(text), 0)
    view.scrollTo(index)
    spot = view.visualRect(index).center()
    fingers.move(view.viewport(), spot)
    fingers.click(view.viewport(), spot)
    user.settle()
    assert box.currentText == text


def open_rules(user) -> None:
    user.ui.rulesSection.collapsed = False
    user.settle()


def test_the_editable_area_keeps_a_segment_inside_another(user, at, balls):
    accept_ball(user, at((8, 32, 20)))
    first = user.voxels().copy()
    user.press("addSegmentButton")
    open_rules(user)
    pick(user, "overwriteSelector", "all segments")
    pick(user, "areaSelector", "inside a segment")
    pick(user, "areaSegmentSelector", "Segment 1")
    user.picture("editable_area")
    accept_ball(user, at((8, 32, 46)))
    assert not user.voxels("Segment 2").any(), "the other ball lies outside of the first segment"
    accept_ball(user, at((8, 32, 20)))
    assert (user.voxels("Segment 2") & first).any()
    pick(user, "areaSelector", "everywhere")
    accept_ball(user, at((8, 32, 46)))
    assert (user.voxels("Segment 2") & balls[1]).any()


@pytest.mark.parametrize("what", ["active", "deleted"])
def test_the_editable_area_shows_the_segment_that_the_rule_holds(user, at, what):
    accept_ball(user, at((8, 32, 20)))
    user.key("Esc")
    for _ in range(2):
        user.press("addSegmentButton")
    session = user.session
    ids = {session.workspace.name_of(s): s for s in session.segments}
    open_rules(user)
    pick(user, "areaSelector", "inside a segment")
    pick(user, "areaSegmentSelector", "Segment 1")
    user.ui.segmentsTable.setSelectedSegmentIDs([ids["Segment 1"]])
    user.settle()
    if what == "deleted":
        user.press("deleteSegmentButton")
    user.picture(f"area_is_the_{what}_segment")
    expected = {"active": "Segment 1 (the active segment)", "deleted": "(a deleted segment)"}[what]
    assert user.ui.areaSegmentSelector.currentText == expected
    user.choose("overwriteSelector", "all")
    assert session.workspace.document.rules.area_segment_id == ids["Segment 1"], "other choices leave it as it is"
    user.view("Red").node.JumpSliceByOffsetting(*at((9, 32, 20)))
    user.settle()
    accept_ball(user, at((9, 32, 20)))
    assert "nothing be written" in user.message
    assert user.statuses()[9] == "proposed"
    assert not user.voxels()[9].any()
    pick(user, "areaSegmentSelector", "Segment 3")
    assert user.ui.areaSegmentSelector.findText(expected) < 0, "what makes no sense is not offered again"
    pick(user, "areaSelector", "everywhere")
    user.key("Return")
    assert user.statuses()[9] == "accepted"
    assert user.voxels()[9].any()


@pytest.mark.stand_ins
def test_the_intensity_range_lets_only_some_voxels_change(user, at):
    import qt
    import slicer

    from slicer_host import fingers

    voxels = slicer.util.arrayFromVolume(user.volume)
    voxels[8, 32, 18:22] = 150  # a darker spot within the ball, found by the network all the same
    slicer.util.arrayFromVolumeModified(user.volume)
    open_rules(user)
    user.press("addSegmentButton")
    box = user.ui.intensityCheckBox
    fingers.click(box, qt.QPoint(8, box.height // 2))
    user.settle()
    assert box.checked
    lowest = user.ui.intensityRange._low
    lowest.setFocus()
    lowest.selectAll()
    fingers.type_text(lowest, "200")
    fingers.press_key(lowest, qt.Qt.Key_Tab)
    user.settle()
    user.picture("intensity_range")
    assert user.session.workspace.document.rules.intensity_range == (200, 255)
    accept_ball(user, at((8, 36, 20)))
    held = user.voxels()
    assert held.any(), user.message
    assert (voxels[held] >= 200).all()
    assert not held[8, 32, 18:22].any()


@pytest.mark.parametrize(
    ("lowest", "highest"), [(0.0, 0.00297), (-1.0, 1.0), (0.0, 3.0e8), (-1024.0, 3071.0), (5.0, 5.0)]
)
def test_the_intensity_range_is_as_fine_as_the_volume_asks_for(user, lowest, highest):
    import slicer

    voxels = np.linspace(lowest, highest, 4 * 8 * 8, dtype=np.float32).reshape(4, 8, 8)
    user.ui.volumeSelector.setCurrentNode(slicer.util.addVolumeFromArray(voxels, np.eye(4), "Map"))
    user.settle()
    span = user.ui.intensityRange
    assert span.minimumValue <= voxels.min()
    assert span.maximumValue >= voxels.max()
    assert span.maximumValue - span.minimumValue <= 1.01 * (highest - lowest)
    assert highest == lowest or 1000 <= (highest - lowest) / span.singleStep <= 20_000


def test_the_intensity_range_reaches_far_after_a_volume_of_tiny_values(user):
    import slicer

    for highest in (0.00297, 3071.0):
        voxels = np.linspace(0.0, highest, 4 * 8 * 8, dtype=np.float32).reshape(4, 8, 8)
        user.ui.volumeSelector.setCurrentNode(slicer.util.addVolumeFromArray(voxels, np.eye(4), "Map"))
        user.settle()
        assert user.ui.intensityRange.maximumValue >= voxels.max()
