"""Prompts that were moved or deleted, wherever: the preview is of the prompts as they are, or there is none."""

from __future__ import annotations

import pytest

from masks import overlap


def move_point(user, point_ras) -> None:
    """As the module Markups does."""
    (node,) = user.session.workspace.prompts.nodes(user.session.segment_id)
    node.SetNthControlPointPositionWorld(0, *point_ras)


def test_a_point_of_another_view_than_the_one_worked_in_is_answered_where_it_is_dragged_to(user, at, balls):
    user.view("Green").node.JumpSliceByOffsetting(*at((8, 32, 20)))
    user.settle()
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.click("Green", at((12, 32, 46)))
    user.key("Esc")
    assert user.session.stack_name() == "coronal"
    user.drag("Red", at((8, 32, 20)), at((8, 32, 46)))
    user.settle()
    user.picture("dragged_in_another_view")
    assert overlap(user.proposed()[8] & ~user.proposed()[7], balls[1][8]) > 0.9
    assert user.session.stack_name() == "axial", "the view of the dragged point is the one that is worked in"
    user.key("Return")
    assert overlap(user.voxels()[8], balls[1][8]) > 0.9
    assert not (user.voxels() & balls[0]).any()


def test_points_of_several_views_that_were_moved_are_all_answered(user, at, balls):
    user.view("Green").node.JumpSliceByOffsetting(*at((8, 32, 20)))
    user.settle()
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.click("Green", at((8, 32, 20)))
    user.key("Esc")
    (node,) = user.session.workspace.prompts.nodes()
    for number in range(2):
        node.SetNthControlPointPositionWorld(number, *at((8, 32, 46)))
    user.settle()
    user.settle()
    assert not (user.proposed() & balls[0]).any()
    assert (user.proposed() & balls[1])[8].sum() > 0.8 * balls[1][8].sum()
    assert (user.proposed() & balls[1])[:, 32].sum() > 0.8 * balls[1][:, 32].sum()
    user.key("Z")
    assert not (user.proposed() & balls[1]).any(), "one step"


def test_a_point_moved_in_another_module_is_answered_on_coming_back(prompted, at, balls):
    user = prompted
    user.opened.widget.exit()
    move_point(user, at((8, 32, 46)))
    user.settle()
    user.opened.widget.enter()
    user.settle()
    user.settle()
    assert overlap(user.proposed()[8], balls[1][8]) > 0.9
    user.key("Return")
    assert overlap(user.voxels()[8], balls[1][8]) > 0.9


def test_prompts_deleted_in_the_data_module_take_their_preview_with_them(prompted, balls):
    import slicer

    user = prompted
    (node,) = user.session.workspace.prompts.nodes()
    slicer.mrmlScene.RemoveNode(node)
    user.settle()
    user.settle()
    assert not user.proposed().any()
    assert not user.ui.acceptButton.enabled
    user.key("Z")
    assert overlap(user.proposed()[8], balls[0][8]) > 0.9
    assert len(user.session.workspace.prompts.read(user.session.segment_id).points) == 1


@pytest.mark.parametrize("loaded", ["no model", "another model"])
def test_the_chosen_model_is_loaded_to_answer_a_dragged_point(prompted, at, balls, monkeypatch, loaded):
    user = prompted
    work = user.panel.work
    predictor, identity = work._predictor, work.logic._engine.model
    calls = []
    monkeypatch.setattr(work.loader, "load", lambda *wish: calls.append(wish) or (predictor, identity))
    if loaded == "no model":
        work.set_predictor(None)
        work._loaded = None
    else:
        work._loaded = ("another", "cpu")
    user.drag("Red", at((8, 32, 20)), at((8, 32, 46)))
    user.settle()
    assert calls == [user.panel.set_up.choice()]
    assert user.message == ""
    assert overlap(user.proposed()[8], balls[1][8]) > 0.9


def test_without_a_model_a_preview_of_moved_prompts_is_not_accepted(prompted, at, monkeypatch):
    from SAMUNetSlicerLib.errors import ModelError
    from SAMUNetSlicerLib.widgets.controllers.moved_prompts import have_moved

    def missing(*_arguments):
        raise ModelError("The model sam_unet is not installed. Choose another one in the section Set-up.")

    user = prompted
    work = user.panel.work
    work.set_predictor(None)
    work._loaded = None
    monkeypatch.setattr(work.loader, "load", missing)
    user.drag("Red", at((8, 32, 20)), at((8, 32, 46)))
    user.settle()
    assert "not installed" in user.message
    assert have_moved(user.session), "they are answered once there is a model"
    user.key("Return")
    assert "not installed" in user.message
    assert not user.voxels().any()


@pytest.mark.parametrize("button", ["acceptButton", "acceptAllButton"])
def test_what_was_moved_a_moment_ago_is_shown_before_it_is_accepted(prompted, at, balls, button):
    user = prompted
    move_point(user, at((8, 32, 46)))
    getattr(user.ui, button).click()
    assert not user.voxels().any()
    assert "moved" in user.message
    user.settle()
    assert overlap(user.proposed()[8], balls[1][8]) > 0.9
    user.press(button)
    assert overlap(user.voxels()[8], balls[1][8]) > 0.9


def test_a_propagation_starts_from_the_prompts_as_they_are(prompted, at, balls):
    user = prompted
    move_point(user, at((8, 32, 46)))
    user.ui.propagateButton.click()
    user.wait_while_busy()
    assert (user.proposed() & balls[1]).sum() > 0.8 * balls[1].sum()
    assert not (user.proposed() & balls[0]).any()


def test_prompts_that_cannot_be_answered_have_no_preview(user, at):
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("S")
    user.click("Red", at((8, 32, 46)))
    user.key("Esc")
    positive = next(n for n in user.session.workspace.prompts.nodes() if n.GetName().endswith("+"))
    positive.RemoveNthControlPoint(0)
    user.settle()
    user.settle()
    assert "negative" in user.message
    assert not user.proposed().any()
    assert not user.ui.acceptButton.enabled


def test_a_segment_whose_prompts_moved_meanwhile_is_answered_when_it_is_chosen(prompted, at, balls):
    user = prompted
    first = user.session.segment_id
    user.press("addSegmentButton")
    (node,) = user.session.workspace.prompts.nodes(first)
    node.SetNthControlPointPositionWorld(0, *at((8, 32, 46)))
    user.settle()
    user.settle()
    user.ui.segmentsTable.setSelectedSegmentIDs([first])
    user.settle()
    assert user.session.segment_id == first
    assert overlap(user.proposed()[8], balls[1][8]) > 0.9
