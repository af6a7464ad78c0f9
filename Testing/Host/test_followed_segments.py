"""The panel follows the segments: to the view of their work, and to the name, colour and status given elsewhere."""

from __future__ import annotations

import pytest

from test_segment_stories import accept_ball


@pytest.fixture
def two_orientations(user, at):
    """Segment 1 previewed on an axial plane, Segment 2 on a coronal one. Returns their IDs."""
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.press("addSegmentButton")
    user.view("Green").node.JumpSliceByOffsetting(*at((8, 32, 46)))
    user.settle()
    user.click("Green", at((8, 32, 46)))
    user.key("Esc")
    return list(user.session.segments)


def test_a_segment_that_is_chosen_is_worked_on_in_the_view_of_its_work(user, two_orientations):
    for segment_id, orientation in zip(two_orientations, ("axial", "coronal"), strict=True):
        user.ui.segmentsTable.setSelectedSegmentIDs([segment_id])
        user.settle()
        assert user.session.stack_name() == orientation
        assert "proposed" in user.statuses()
        assert user.ui.acceptButton.enabled
    user.press("deleteSegmentButton")
    assert user.session.stack_name() == "axial"
    assert user.ui.acceptButton.enabled


def test_a_loaded_segment_is_worked_on_in_the_view_of_its_work(user, at, two_orientations, slicer_app, tmp_path):
    import slicer

    user.session.node.GetSegmentation().RemoveSegment(two_orientations[0])
    user.settle()
    user.panel.logic.saveScene(tmp_path / "work.mrb")
    position = at((9, 32, 20))
    slicer_app.new_scene()
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "work.mrb"))
    user.settle()
    assert user.session.stack_name() == "coronal"
    assert user.ui.acceptAllButton.enabled
    user.view("Red").node.JumpSliceByOffsetting(*position)  # a look elsewhere leaves the work where it is
    user.settle()
    assert user.session.stack_name() == "coronal"


def test_a_view_that_left_the_layout_is_not_worked_in(user, at):
    accept_ball(user, at((8, 32, 20)))
    user.key("Esc")
    user.press("addSegmentButton")
    user.view("Red").node.SetMappedInLayout(0)
    try:
        user.view("Green").node.JumpSliceByOffsetting(*at((8, 35, 20)))
        user.settle()
        assert user.session.stack_name() == "coronal"
    finally:
        user.view("Red").node.SetMappedInLayout(1)


def test_a_status_that_is_set_in_the_table_shows_at_once(user, at):
    accept_ball(user, at((8, 32, 20)))
    user.press("finishButton")
    assert not user.ui.positiveButton.enabled
    segment = user.session.node.GetSegmentation().GetSegment(user.session.segment_id)
    segment.SetTag("Segmentation.Status", "inprogress")
    user.settle()
    assert user.ui.positiveButton.enabled
    assert not user.ui.finishButton.checked


def test_a_colour_and_a_name_given_elsewhere_go_to_the_preview_at_once(user, at):
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    session = user.session
    segment = session.node.GetSegmentation().GetSegment(session.segment_id)
    segment.SetColor(0, 0, 1)
    segment.SetName("Liver")
    user.settle()
    (proposed,) = session.workspace.proposals.present()
    shown = session.workspace.proposals.node.GetSegmentation().GetSegment(proposed)
    assert shown.GetColor() == (0, 0, 1)
    assert shown.GetName() == "Liver (proposed)"
    assert all("Liver" in node.GetName() for node in session.workspace.prompts.nodes())


def proposals_on_show(user) -> list[bool]:
    node = user.session.workspace.proposals.node
    return [bool(node.GetDisplayNode().GetSegmentVisibility(s)) for s in user.session.workspace.proposals.present()]


def test_what_is_hidden_hides_its_preview_too(user, two_orientations):
    display = user.session.node.GetDisplayNode()
    display.SetSegmentVisibility(two_orientations[0], False)
    user.settle()
    assert proposals_on_show(user) == [False, True]
    display.SetVisibility(False)
    user.settle()
    assert proposals_on_show(user) == [False, False]
    display.SetVisibility(True)
    display.SetSegmentVisibility(two_orientations[0], True)
    user.settle()
    assert proposals_on_show(user) == [True, True]


def test_a_prompt_for_a_hidden_segment_shows_it(user, at):
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    display = user.session.node.GetDisplayNode()
    display.SetSegmentVisibility(user.session.segment_id, False)
    user.settle()
    assert proposals_on_show(user) == [False]
    user.click("Red", at((8, 34, 20)))
    assert display.GetSegmentVisibility(user.session.segment_id)
    assert proposals_on_show(user) == [True]


def hide_active(user) -> None:
    user.session.node.GetDisplayNode().SetSegmentVisibility(user.session.segment_id, False)
    user.settle()
    assert not any(proposals_on_show(user))


def test_a_moved_prompt_and_a_propagation_show_a_hidden_segment(user, at):
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("Esc")
    hide_active(user)
    (points,) = user.session.workspace.prompts.nodes()
    points.SetNthControlPointPositionWorld(0, *at((8, 34, 20)))
    user.settle()
    user.settle()
    assert proposals_on_show(user) == [True]
    hide_active(user)
    user.press("propagateButton")
    user.wait_while_busy()
    assert proposals_on_show(user) == [True]
