"""Propagation by timer: progress, cancelling, the strip, correcting the worst plane, accepting."""

from __future__ import annotations

import numpy as np
import pytest

from slow_network import slow


def test_a_propagation_fills_the_object_and_the_strip(prompted, balls):
    user = prompted
    user.press("propagateButton")
    user.wait_while_busy()
    user.picture("propagated")
    found = user.proposed()
    assert 2 * np.count_nonzero(found & balls[0]) / (found.sum() + balls[0].sum()) > 0.9
    assert "proposed" in user.statuses()
    assert not user.voxels().any(), "nothing is in the result before it is accepted"
    user.press("acceptAllButton")
    user.picture("propagated_accepted")
    assert np.array_equal(user.voxels(), found)
    assert "accepted" in user.statuses()
    assert "proposed" not in user.statuses()


def test_cancel_takes_at_once_and_keeps_what_is_finished(prompted):
    user = prompted
    seen = []

    def cancel_after_two() -> None:
        run = user.panel.work.run
        if run is not None and run.last is not None and run.last.done == 2 and not run.cancelled:
            user.press("cancelButton")
            seen.append(run.last.done)

    user.panel.work.listeners.append(cancel_after_two)
    user.press("propagateButton")
    user.wait_while_busy()
    user.picture("cancelled")
    assert seen == [2]
    assert "Cancelled after 2 planes" in user.message
    assert sum(status in ("proposed", "uncertain") for status in user.statuses()) == 3
    user.key("Z")
    assert sum(status in ("proposed", "uncertain") for status in user.statuses()) == 1, "the prompted one"


def test_nothing_can_be_edited_while_it_runs(prompted):
    user = prompted
    states = []

    def look() -> None:
        if user.panel.work.busy:
            ui = user.ui
            states.append([b.enabled for b in (ui.acceptButton, ui.undoButton, ui.addSegmentButton, ui.positiveButton)])
            assert ui.cancelButton.enabled

    user.panel.work.listeners.append(look)
    user.key("P")
    user.wait_while_busy()
    assert states
    assert not np.any(states)


def test_a_range_limits_it(prompted):
    user = prompted
    user.ui.rangeCheckBox.checked = True
    user.ui.firstPlaneSpinBox.value = 7
    user.ui.lastPlaneSpinBox.value = 9
    user.press("propagateButton")
    user.wait_while_busy()
    user.picture("range")
    assert [i for i, s in enumerate(user.statuses()) if s in ("proposed", "uncertain")] == [7, 8, 9]
    user.ui.firstPlaneSpinBox.value = 9
    user.press("acceptRangeButton")
    assert [i for i, s in enumerate(user.statuses()) if s == "accepted"] == [9]
    user.press("discardAllButton")
    assert not user.proposed().any()


def test_a_click_on_the_strip_shows_that_plane(prompted, at):
    user = prompted
    user.press("propagateButton")
    user.wait_while_busy()
    user.click_cell(10)
    user.picture("strip_clicked")
    assert user.view("Red").node.GetSliceOffset() == pytest.approx(at((10, 32, 20))[2], abs=0.01)
    assert user.session.place.index == 10


def test_the_worst_plane_is_corrected_and_propagated_anew(prompted, at):
    user = prompted
    user.press("propagateButton")
    user.wait_while_busy()
    worst = user.session.worst()
    user.press("worstButton")
    assert user.session.place.index == worst
    user.press("positiveButton")
    user.click("Red", at((worst, 32, 20)))
    user.key("Return")
    user.key("Esc")
    accepted = user.voxels()[worst].copy()
    assert accepted.any()
    assert user.statuses()[worst] == "accepted"
    user.press("againButton")
    user.wait_while_busy()
    user.press("acceptAllButton")
    user.picture("corrected")
    assert np.array_equal(user.voxels()[worst], accepted), "an accepted plane is never overwritten"


def test_the_window_lives_within_a_plane(prompted, monkeypatch):
    """The event loop is given back, or called, between the polls of a plane's answer, not only between planes."""
    user = prompted
    work = user.panel.work
    breaths = []
    note = work.breather._note_block

    def note_breath() -> None:
        breaths.append(work.run.progress().done if work.run is not None else None)
        note()

    monkeypatch.setattr(work.breather, "_note_block", note_breath)
    slow(user.network, monkeypatch)
    user.press("propagateButton")
    user.wait_while_busy()
    assert breaths.count(2) > 3, "several breaths while one plane is answered"
    assert work.breather.longest_block_s > 0


def test_cancel_takes_within_a_plane(prompted, monkeypatch):
    user = prompted
    work = user.panel.work
    breathe = work.breather._breathe
    seen = []

    def cancel_in_the_third_plane() -> None:
        breathe()
        if work.run is not None and work.run.progress().done == 2 and not seen:
            seen.append(user.network.encoded)
            work.cancel()

    monkeypatch.setattr(work.breather, "_breathe", cancel_in_the_third_plane)
    slow(user.network, monkeypatch)
    user.press("propagateButton")
    user.wait_while_busy()
    assert "Cancelled after 2 planes" in user.message
    assert user.network.encoded == seen[0], "the plane under way was not finished"


def test_leaving_the_module_ends_a_propagation(prompted):
    user = prompted
    user.press("propagateButton")
    user.opened.widget.exit()
    assert not user.panel.work.busy
    user.opened.widget.enter()
    assert user.session is not None


def test_a_segment_deleted_in_the_middle_ends_it_in_words(prompted):
    user = prompted

    def delete() -> None:
        run = user.panel.work.run
        if run is not None and run.last is not None and run.last.done == 2:
            segmentation = user.session.node.GetSegmentation()
            if segmentation.GetNumberOfSegments():
                segmentation.RemoveSegment(user.session.segment_id)

    user.panel.work.listeners.append(delete)
    user.press("propagateButton")
    user.wait_while_busy()
    user.picture("segment_gone")
    assert user.session.segment_id == ""
    assert "deleted" in user.message


def propose_until(user, monkeypatch, done: int, then) -> None:
    """Propagate, and do something within the plane after `done` ones, while the window lives."""
    work = user.panel.work
    breathe, called = work.breather._breathe, []

    def breathe_and_do() -> None:
        breathe()
        if work.run is not None and work.run.progress().done == done and not called:
            called.append(True)
            then()

    monkeypatch.setattr(work.breather, "_breathe", breathe_and_do)
    slow(user.network, monkeypatch)
    user.press("propagateButton")
    user.wait_while_busy()
    assert called


CHANGES = {
    "write mode": lambda ui: ui.writeModeSelector.setCurrentIndex(1),
    "direction": lambda ui: ui.directionSelector.setCurrentIndex(1),
    "range": lambda ui: ui.rangeCheckBox.click(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_choice_made_in_the_panel_stops_nothing(prompted, monkeypatch, change):
    user = prompted
    place = user.session.place
    propose_until(user, monkeypatch, 2, lambda: change(user.ui))
    assert "planes are proposed" in user.message
    assert "stopped" in user.statuses(), "the walks came to the ends of the ball"
    assert user.session.place == place


def test_a_choice_made_while_a_prompt_is_answered_stops_nothing(user, at, monkeypatch):
    work = user.panel.work
    breathe = work.breather._breathe

    def breathe_and_choose() -> None:
        breathe()
        if work.answering:
            user.ui.writeModeSelector.setCurrentIndex(1)

    monkeypatch.setattr(work.breather, "_breathe", breathe_and_choose)
    slow(user.network, monkeypatch)
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    assert user.proposed()[8].any()
    assert user.panel.parameters.writeMode == "add"
    assert user.panel.segment.placing.tool is not None


def test_another_segmentation_stops_what_is_computed_and_says_so(prompted, monkeypatch):
    import slicer

    user = prompted
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Other")
    other.CreateDefaultDisplayNodes()

    def choose() -> None:
        user.panel.parameters.segmentation = other

    propose_until(user, monkeypatch, 2, choose)
    assert user.session.node is other
    assert "another volume or segmentation was chosen" in user.message


def test_a_loaded_scene_is_looked_at_without_touching_a_view(prompted, at, tmp_path):
    import slicer

    user = prompted
    scene = tmp_path / "work.mrb"
    user.panel.logic.saveScene(scene)
    user.opened.widget.exit()
    user.app.new_scene()
    assert slicer.mrmlScene.ReadFromMRB(str(scene))
    user.settle()
    user.opened.widget.enter()
    user.settle()
    assert user.panel.segment.view is user.view("Red").node
    assert user.session.place is not None
    assert user.session.stack_name() == "axial"


@pytest.fixture
def two_keys(prompted, at):
    """The first ball, propagated and accepted at its middle plane and at plane 11."""
    user = prompted
    for plane in (8, 11):
        user.view("Red").node.JumpSliceByOffsetting(*at((plane, 32, 20)))
        user.settle()
        user.key("A")
        user.click("Red", at((plane, 33, 21)))
        user.key("Return")
        user.key("Esc")
    return user


def asked(user) -> list[int]:
    """The planes that a propagation from here answers."""
    before = user.statuses()
    user.press("againButton")
    user.wait_while_busy()
    return [n for n, (old, new) in enumerate(zip(before, user.statuses(), strict=True)) if old != new]


def test_from_here_goes_as_far_as_the_next_key_planes(two_keys, at):
    user = two_keys
    user.view("Red").node.JumpSliceByOffsetting(*at((11, 32, 20)))
    user.settle()
    planes = asked(user)
    assert planes[:3] == [9, 10, 12], "neither the key plane 8 nor what lies below it"
    assert set(planes[3:]) <= {13, 14, 15}


def test_from_here_on_a_plane_between_key_planes_answers_those_between(two_keys, at):
    user = two_keys
    user.view("Red").node.JumpSliceByOffsetting(*at((9, 32, 20)))
    user.settle()
    assert asked(user) == [9, 10]


def test_from_here_stays_within_the_range(two_keys, at):
    user = two_keys
    user.ui.rangeCheckBox.checked = True
    user.ui.firstPlaneSpinBox.value, user.ui.lastPlaneSpinBox.value = 5, 9
    user.view("Red").node.JumpSliceByOffsetting(*at((8, 32, 20)))
    user.settle()
    assert asked(user) == [5, 6, 7, 9]
    user.ui.firstPlaneSpinBox.value, user.ui.lastPlaneSpinBox.value = 13, 14
    user.settle()
    assert asked(user) == []
    assert "range" in user.message
