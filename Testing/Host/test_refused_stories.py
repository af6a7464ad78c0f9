"""A volume that cannot be worked on as it lies is told in words, at each step, and no key stays behind."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["bent", "apart"])
def refused(user, at, request):
    """Work on a plane, after which the volume came under a transform that is not linear, or that is its alone."""
    import slicer

    if request.param == "apart":
        own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Loaded")
        own.CreateDefaultDisplayNodes()
        own.SetReferenceImageGeometryParameterFromVolumeNode(user.volume)
        user.ui.segmentationSelector.setCurrentNode(own)
        user.settle()
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("Return")
    user.key("Esc")
    user.volume.SetAndObserveTransformNodeID(_transform(request.param).GetID())
    user.settle()
    user.words = {"bent": "not linear", "apart": "different transforms"}[request.param]
    yield user
    user.volume.SetAndObserveTransformNodeID(None)


def _transform(kind: str):
    import slicer
    import vtk

    from scene.scenery import bent_transform

    if kind == "bent":
        return bent_transform(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shifted")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 3.0)
    node.SetMatrixTransformToParent(matrix)
    return node


def test_every_key_and_button_says_why(refused):
    user = refused
    user.key("A")
    assert user.words in user.message
    user.key("Esc")
    assert user.words in user.message
    user.press("addSegmentButton")
    assert user.words in user.message
    user.press("boxButton")
    assert user.words in user.message
    user.ui.rangeCheckBox.click()
    user.settle()
    assert user.words in user.message
    user.picture("refused")


def test_the_panel_works_again_once_the_reason_is_gone(refused, at):
    user = refused
    user.key("A")
    user.volume.SetAndObserveTransformNodeID(None)
    user.click("Red", at((8, 32, 46)))
    assert user.message == ""
    assert user.proposed().any()


def test_leaving_with_a_tool_in_the_hand_gives_all_keys_back(refused):
    user = refused
    user.key("A")
    user.opened.widget.exit()
    assert user.panel.segment.placing.tool is None
    assert not user.panel.shortcuts._shortcuts
    assert not user.panel.Observations
    user.opened.widget.enter()
    user.settle()
    assert user.words in user.message


def test_closing_the_scene_with_a_tool_in_the_hand_empties_the_panel(refused, slicer_app):
    user = refused
    user.key("A")
    slicer_app.new_scene()
    user.settle()
    assert user.session is None
    assert user.panel.segment.placing.tool is None


@pytest.mark.parametrize("key", ["Return", "Z", "P"])
def test_keys_pressed_before_any_work_make_nothing_and_say_what_is_next(user, key):
    import slicer

    user.key(key)
    assert "place a point or a box" in user.message
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_a_range_the_wrong_way_round_is_told_whatever_it_is_for(prompted):
    prompted.ui.rangeCheckBox.click()
    prompted.ui.firstPlaneSpinBox.value, prompted.ui.lastPlaneSpinBox.value = 9, 4
    prompted.settle()
    for button in ("propagateButton", "againButton", "acceptRangeButton"):
        prompted.press(button)
        assert prompted.message == "The first plane of the range comes after the last one.", button


def test_finishing_a_segment_tells_of_what_is_only_proposed(prompted):
    prompted.key("P")
    prompted.wait_while_busy()
    left = prompted.statuses().count("proposed") + prompted.statuses().count("uncertain")
    prompted.press("finishButton")
    assert f"not in the segment: {left}." in prompted.message
    prompted.press("finishButton")
    assert prompted.message == ""
    prompted.press("acceptAllButton")
    prompted.press("finishButton")
    assert prompted.message == ""


def why(user, button: str) -> str:
    """What a greyed-out button says below what it does."""
    button = getattr(user.ui, button)
    assert not button.enabled
    _what_it_does, reason = button.toolTip.split("\n")
    return reason


def test_a_greyed_out_button_says_why(user, at):
    for button in ("deleteSegmentButton", "finishButton", "segmentEditorButton", "acceptButton", "propagateButton"):
        assert "no segment yet" in why(user, button), button
    user.press("addSegmentButton")
    assert "no preview" in why(user, "discardButton")
    assert "prompted or accepted" in why(user, "againButton")
    assert "Nothing is proposed" in why(user, "worstButton")
    assert "Nothing is being computed" in why(user, "cancelButton")
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    assert "Only planes" in why(user, "acceptRangeButton")
    assert user.ui.acceptButton.toolTip == "Write the preview into the segment (Enter)"
    user.ui.propagateButton.click()
    for button in ("addSegmentButton", "boxButton", "acceptButton", "acceptAllButton"):
        assert "is running" in why(user, button), button
    user.wait_while_busy()
    user.press("finishButton")
    for button in ("boxButton", "deleteSegmentButton", "acceptButton", "acceptAllButton", "propagateButton"):
        assert "finished" in why(user, button), button
    user.press("finishButton")
    assert user.ui.boxButton.toolTip.count("\n") == 0
