"""A volume that a sequence browser shows: one plane through time, by mouse."""

from __future__ import annotations

import numpy as np
import pytest

ITEMS = 4
PLANE = 8


def moving_ball(item: int) -> np.ndarray:
    from phantoms import SHAPE_KJI

    k, j, i = np.indices(SHAPE_KJI)
    return (k - PLANE) ** 2 * 4 + (j - 32) ** 2 + (i - 20 - item / 2) ** 2 <= 64


@pytest.fixture
def watcher(user):
    """The user with a sequence chosen and shown; `go` moves the browser."""
    import slicer

    import phantoms
    from mrml_host import the_host

    host = the_host()
    if "sequences" not in host.logics:
        logic = host.logics["sequences"] = slicer.vtkSlicerSequencesLogic()
        logic.SetMRMLApplicationLogic(host.application_logic)
        logic.SetMRMLScene(host.scene)
    logic = host.logics["sequences"]
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beating heart")
    for number in range(ITEMS):
        item = phantoms.add_phantom(f"item {number}")
        voxels = slicer.util.arrayFromVolume(item)
        voxels[:] = np.where(moving_ball(number), 220, 20)
        voxels[0, 0, 0], voxels[0, 0, 1] = 0, 255
        sequence.SetDataNodeAtValue(item, str(number))
        scene.RemoveNode(item)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic.UpdateProxyNodesFromSequences(browser)
    user.volume = browser.GetProxyNode(sequence)

    def go(number: int) -> None:
        browser.SetSelectedItemNumber(number)
        logic.UpdateProxyNodesFromSequences(browser)
        user.settle()

    user.go = go
    user.ui.volumeSelector.setCurrentNode(user.volume)
    user.settle()
    user.view("Red").show_volume(user.volume)
    user.at = lambda kji: phantoms.to_ras(user.volume, kji)
    return user


def test_a_plane_follows_its_object_through_time(watcher):
    user = watcher
    user.key("A")
    user.click("Red", user.at((PLANE, 32, 20)))
    user.key("Esc")
    assert user.ui.timeButton.visible
    user.press("timeButton")
    user.wait_while_busy()
    user.picture("through_time")
    assert "3 other items" in user.message
    for item in (0, 3):
        user.go(item)
        assert user.statuses()[PLANE] in ("proposed", "uncertain")
    shown = [node.GetDisplayVisibility() for node in user.session.workspace.prompts.nodes()]
    assert not any(shown), "the prompts belong to the first item"
    user.press("acceptButton")
    user.picture("through_time_accepted")
    expected = moving_ball(3)[PLANE]
    found = user.voxels()[PLANE]
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.9
    assert user.statuses()[PLANE] == "accepted"
    user.go(1)
    assert user.statuses()[PLANE] in ("proposed", "uncertain"), "every item has a state of its own"
    assert not user.voxels().any(), "and a result of its own"


def test_all_items_are_accepted_at_once_and_undone_at_once(watcher):
    user = watcher
    user.key("A")
    user.click("Red", user.at((PLANE, 32, 20)))
    user.key("Esc")
    assert "Item 1 of 4: each has its own result" in user.ui.itemLabel.text
    assert not user.ui.splitButton.visible
    user.press("timeButton")
    user.wait_while_busy()
    user.press("acceptItemsButton")
    assert "Accepted in 4 items" in user.message
    assert not user.ui.acceptItemsButton.enabled
    for item in range(ITEMS):
        user.go(item)
        found, expected = user.voxels()[PLANE], moving_ball(item)[PLANE]
        assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.9
    user.picture("accepted_in_all_items")
    user.key("Z")
    assert "items 1, 2, 3 of the sequence" in user.message
    for item in range(ITEMS):
        user.go(item)
        assert not user.voxels().any()


def test_a_prompt_moved_while_another_item_is_shown_is_answered_on_coming_back(watcher):
    user = watcher
    user.key("A")
    user.click("Red", user.at((PLANE, 32, 20)))
    user.key("Esc")
    assert user.proposed()[PLANE].any()
    (node,) = user.session.workspace.prompts.nodes()
    user.go(2)
    node.SetNthControlPointPositionWorld(0, *user.at((PLANE + 2, 32, 20)))
    user.settle()
    user.go(0)
    assert not user.proposed()[PLANE].any()
    assert user.proposed()[PLANE + 2].any()


@pytest.fixture
def accepting(watcher, monkeypatch):
    """Proposals in all items; `press` accepts them, and does `meanwhile` at a breath after so many items."""
    user = watcher
    user.key("A")
    user.click("Red", user.at((PLANE, 32, 20)))
    user.key("Esc")
    user.press("timeButton")
    user.wait_while_busy()
    breather = user.panel.work.breather
    breathe, breaths = breather._breathe, []

    def press(meanwhile, after_items: int) -> None:
        def breathe_and_do() -> None:
            breathe()
            breaths.append(user.panel.work.answering)
            if len(breaths) == 1 + after_items:  # the first shows what is about to be done
                meanwhile()

        monkeypatch.setattr(breather, "_breathe", breathe_and_do)
        user.press("acceptItemsButton")
        monkeypatch.setattr(breather, "_breathe", breathe)
        user.settle()

    user.press_and = press
    user.breaths = breaths
    return user


def test_the_window_lives_between_items_and_esc_keeps_what_is_done(accepting):
    user = accepting
    user.press_and(lambda: user.key("Esc"), after_items=2)
    assert user.breaths == [True] * 3
    assert "Accepted in 2 items" in user.message
    assert "2 items stay proposed" in user.message
    user.picture("accepting_stopped")
    user.key("Z")
    for item in range(ITEMS):
        user.go(item)
        assert not user.voxels().any(), "what was done is one step"


def test_the_browser_may_move_while_all_items_are_accepted(accepting):
    user = accepting
    user.press_and(lambda: user.go(3), after_items=1)
    assert "Accepted in 4 items" in user.message
    for item in range(ITEMS):
        user.go(item)
        found, expected = user.voxels()[PLANE], moving_ball(item)[PLANE]
        assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.9


def test_a_scene_closed_while_all_items_are_accepted(accepting, slicer_app):
    user = accepting
    user.press_and(slicer_app.new_scene, after_items=2)
    assert user.session is None
    assert not user.panel.work.answering


def test_a_result_drawn_before_is_shared_until_the_user_splits_it(watcher):
    import slicer

    user = watcher
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn before")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(user.volume)
    segment = node.GetSegmentation().AddEmptySegment("", "Heart", (1.0, 0.0, 0.0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(moving_ball(0).astype(np.uint8), node, segment, user.volume)
    user.ui.segmentationSelector.setCurrentNode(node)
    user.settle()
    assert "share one segmentation" in user.message
    assert "all items share one result" in user.ui.itemLabel.text
    user.press("splitButton")
    assert not user.ui.splitButton.visible
    assert user.voxels().any()
    user.go(2)
    assert not user.voxels().any()


def test_other_volumes_have_no_such_button(user):
    for name in ("timeButton", "itemLabel", "acceptItemsButton", "splitButton"):
        assert not getattr(user.ui, name).visible
