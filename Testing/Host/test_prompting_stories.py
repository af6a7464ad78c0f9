"""Prompts by mouse and key, and the preview that answers them."""

from __future__ import annotations

import numpy as np
import pytest

from masks import overlap
from slow_network import slow


def at(user, kji):
    from phantoms import to_ras

    return to_ras(user.volume, kji)


def test_a_point_shows_the_mask_on_its_plane_and_enter_accepts_it(user, balls):
    user.key("A")
    assert user.ui.positiveButton.checked
    user.click("Red", at(user, (8, 32, 20)))
    user.picture("point_preview")
    assert overlap(user.proposed()[8], balls[0][8]) > 0.9
    assert not np.delete(user.proposed(), 8, axis=0).any()
    assert not user.voxels().any(), "a preview is not the result"
    user.key("Return")
    user.picture("point_accepted")
    assert overlap(user.voxels()[8], balls[0][8]) > 0.9
    assert not user.proposed().any()
    assert user.statuses()[8] == "accepted"


def test_the_preview_is_drawn_in_the_view(user):
    before = user.picture("empty").toImage()
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    after = user.picture("preview_drawn").toImage()
    view = user.view("Red")
    # Beside the point, inside the ball.
    spot = view.mapTo(user.app.window, view.position_of(at(user, (8, 36, 23))))
    assert before.pixelColor(spot) != after.pixelColor(spot)


def test_a_second_point_refines_the_preview_without_encoding_anew(user, balls):
    user.panel.work.encode_ahead = lambda: False
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    encoded = user.network.encoded
    user.click("Red", at(user, (8, 34, 22)))
    assert user.network.encoded == encoded, "the plane was encoded already"
    user.click("Red", at(user, (8, 32, 46)))
    user.picture("two_balls_one_segment")
    assert overlap(user.proposed()[8], (balls[0] | balls[1])[8]) > 0.9


def test_a_negative_point_takes_a_part_away(user, balls):
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.click("Red", at(user, (8, 32, 46)))
    user.press("negativeButton")
    user.click("Red", at(user, (8, 30, 46)))
    user.picture("negative_point")
    assert overlap(user.proposed()[8], balls[0][8]) > 0.9
    assert not (user.proposed() & balls[1]).any()


def test_a_box_is_drawn_by_two_corners_and_a_second_one_takes_its_place(user, balls):
    user.key("D")
    user.click("Red", at(user, (8, 20, 8)))
    user.click("Red", at(user, (8, 44, 32)))
    assert not user.ui.boxButton.checked, "one box, then the tool is down"
    user.picture("box")
    assert overlap(user.proposed()[8], balls[0][8]) > 0.9
    user.press("boxButton")
    user.click("Red", at(user, (8, 20, 36)))
    user.click("Red", at(user, (8, 44, 58)))
    assert overlap(user.proposed()[8], balls[1][8]) > 0.9
    assert len(user.session.workspace.prompts.read(user.session.segment_id).boxes) == 1
    import slicer

    (node,) = slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")
    assert min(node.GetSize()) == pytest.approx(3.0), "as thick as its plane, and no box of the tool is left"


def test_dragging_a_point_moves_the_preview(user, balls):
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.key("Esc")
    assert not user.ui.positiveButton.checked
    user.drag("Red", at(user, (8, 32, 20)), at(user, (8, 32, 46)))
    user.settle()
    user.picture("dragged_point")
    assert overlap(user.proposed()[8], balls[1][8]) > 0.9
    user.key("Z")
    assert overlap(user.proposed()[8], balls[0][8]) > 0.9


def test_prompts_belong_to_the_plane_of_the_view_they_were_placed_in(user, balls):
    green = user.view("Green")
    green.node.JumpSliceByOffsetting(*at(user, (8, 32, 20)))
    user.settle()
    user.key("A")
    user.click("Green", at(user, (8, 32, 20)))
    user.picture("coronal_preview")
    assert overlap(user.proposed()[:, 32], balls[0][:, 32]) > 0.85
    assert user.session.stack_name() == "coronal"
    user.click("Red", at(user, (8, 32, 46)))
    assert user.session.stack_name() == "axial"
    user.key("Return")
    # The coronal prompt is none of the axial plane's.
    assert overlap(user.voxels()[8], balls[1][8]) > 0.9


def test_an_oblique_view_is_prompted_as_any_other(user, balls):
    import vtk

    view = user.view("Red")
    turn = vtk.vtkTransform()
    turn.DeepCopy(vtk.vtkTransform())
    turn.SetMatrix(view.node.GetSliceToRAS())
    turn.RotateX(25)
    view.node.GetSliceToRAS().DeepCopy(turn.GetMatrix())
    view.node.UpdateMatrices()
    view.node.JumpSliceByCentering(*at(user, (8, 32, 20)))
    user.settle()
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.picture("oblique_preview")
    assert user.session.stack_name() == "oblique"
    found = user.proposed()
    assert np.count_nonzero(found.any(axis=(1, 2))) > 3, "the plane crosses several slices"
    assert overlap(found, balls[0] & found) == 1
    user.key("Return")
    assert np.array_equal(user.voxels(), found)


def test_a_volume_under_a_rotated_transform_is_prompted_where_it_shows(user, balls):
    from phantoms import put_under_turned_transform

    put_under_turned_transform(user.volume)
    view = user.view("Red")
    view.show_volume(user.volume)
    view.node.JumpSliceByCentering(*at(user, (8, 32, 20)))
    user.settle()
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.picture("rotated_transform")
    user.key("Return")
    assert overlap(user.voxels() & balls[0], user.voxels()) > 0.9
    assert np.count_nonzero(user.voxels()) > 100


def test_enter_beside_the_digits_accepts_too(user):
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.key("Enter")
    assert user.voxels()[8].any()


def test_the_button_discard_drops_the_preview_though_a_tool_is_in_the_hand(user):
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.press("discardButton")
    assert not user.proposed().any()
    assert user.ui.positiveButton.checked, "for a better point"


def test_escape_drops_the_preview_and_its_prompts(user):
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.key("Esc")
    assert user.proposed().any(), "the first Escape only puts the tool down"
    user.key("Esc")
    assert not user.proposed().any()
    assert not user.session.workspace.prompts.read(user.session.segment_id)
    user.key("Z")
    assert user.proposed().any()


def test_keys_live_only_while_the_module_is_open(user):
    user.opened.widget.exit()
    user.key("A")
    assert not user.ui.positiveButton.checked
    user.opened.widget.enter()
    user.key("A")
    assert user.ui.positiveButton.checked


@pytest.mark.parametrize("widget", ["QSpinBox", "QDoubleSpinBox", "QLineEdit", "QComboBox", "QPlainTextEdit"])
@pytest.mark.parametrize("key", ["Return", "Esc"])
def test_a_key_that_ends_typing_neither_accepts_nor_discards(user, widget, key):
    import qt

    from slicer_host import fingers
    from slicer_host.binding import plain_widget

    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.key("Esc")
    field = plain_widget(widget, user.ui.firstPlaneSpinBox.parent())
    if widget == "QComboBox":
        field.setEditable(True)
    field.show()
    field.setFocus()
    fingers.press_key(user.app.focusWidget(), qt.Qt.Key_3)
    fingers.press_key(user.app.focusWidget(), {"Return": qt.Qt.Key_Return, "Esc": qt.Qt.Key_Escape}[key])
    user.settle()
    assert user.statuses()[8] == "proposed"
    assert not user.voxels().any()
    field.deleteLater()
    user.key(key)
    assert user.statuses()[8] == {"Return": "accepted", "Esc": "empty"}[key], "nothing is typed any more"


@pytest.mark.parametrize("widget", ["QTextEdit", "QPlainTextEdit"])
def test_escape_leaves_the_typing_of_several_lines_alone(user, widget):
    """Slicer's Python console: what is typed next goes there and not to the tools."""
    import qt

    from slicer_host import fingers
    from slicer_host.binding import plain_widget

    field = plain_widget(widget, user.ui.firstPlaneSpinBox.parent())
    field.show()
    field.setFocus()
    for key in (qt.Qt.Key_Escape, qt.Qt.Key_A):
        fingers.press_key(user.app.focusWidget(), key)
    assert field.toPlainText() == "a"
    field.deleteLater()
    user.settle()
    assert user.panel.segment.placing.tool is None


def test_a_point_outside_the_volume_is_refused_in_words(user):
    view = user.view("Red")
    logic = view.logic
    logic.SetSliceOffset(logic.GetSliceOffset())
    user.view("Red").node.SetFieldOfView(400, 400, 1)
    user.settle()
    user.key("A")
    user.click("Red", at(user, (8, 32, -30)))
    user.picture("outside")
    assert "outside" in user.message
    assert not user.proposed().any()


def test_neighbouring_planes_are_encoded_while_the_user_rests(user):
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    user.rest()
    encoded = user.network.encoded
    assert not user.panel.work.encode_ahead(), "there is nothing left to do"
    user.view("Red").node.JumpSliceByOffsetting(*at(user, (9, 32, 20)))
    crop = user.session.workspace.document.plane(user.session.place).proposed.crop_xyxy
    image = user.session.workspace.pictures(user.session.stack).image(9)
    keys = {(key, (c.x0, c.y0, c.x1, c.y1)) for key, c in user.panel.work._predictor.planes.cache._entries}
    assert (image.key, crop) in keys
    assert encoded > 2


@pytest.fixture
def slow_user(user, monkeypatch):
    """The user of a network that encodes in many steps, whose window does what `meanwhile` holds, one a breath."""
    slow(user.network, monkeypatch, steps=20)
    user.panel.work.encode_ahead = lambda: False
    user.meanwhile = []
    breathe = user.panel.work.breather._breathe

    def breathe_and_do() -> None:
        breathe()
        if user.meanwhile and user.panel.work.breather.is_breathing:
            user.meanwhile.pop(0)()

    monkeypatch.setattr(user.panel.work.breather, "_breathe", breathe_and_do)
    return user


def test_the_first_preview_lets_the_window_live(slow_user):
    user = slow_user
    lived = []
    user.meanwhile += [lambda: lived.append(user.panel.work.answering)] * 5
    user.key("A")
    user.click("Red", at(user, (8, 32, 20)))
    assert lived == [True] * 5
    assert user.proposed()[8].any()


def test_a_click_while_the_answer_is_computed_is_not_lost(slow_user):
    user = slow_user
    user.key("A")
    user.meanwhile.append(lambda: user.click("Red", at(user, (8, 35, 22))))
    user.click("Red", at(user, (8, 32, 20)))
    user.settle()
    session = user.session
    assert user.proposed()[8, 32, 20]
    assert len(session.workspace.prompts.read(session.segment_id).points) == 2
    assert "Prompt" in session.history_texts()[0]
    user.key("Z")
    assert len(session.workspace.prompts.read(session.segment_id).points) == 1, "each click is a step of its own"


def test_esc_stops_what_is_computed_and_keeps_the_prompt(slow_user):
    user = slow_user
    user.key("A")
    user.meanwhile.append(lambda: user.key("Esc"))
    user.click("Red", at(user, (8, 32, 20)))
    assert "Stopped" in user.message
    assert not user.proposed().any()
    assert user.ui.positiveButton.checked, "the tool stays in the hand"
    user.click("Red", at(user, (8, 33, 20)))
    assert user.proposed()[8].any(), "the next point is answered, with the first one"


def test_a_scene_closed_while_the_answer_is_computed(slow_user, slicer_app):
    user = slow_user
    user.key("A")
    user.meanwhile.append(slicer_app.new_scene)
    user.click("Red", at(user, (8, 32, 20)))
    user.settle()
    assert user.session is None
    assert not user.panel.work.answering


def test_a_volume_changed_while_the_answer_is_computed(slow_user):
    from phantoms import add_phantom

    user = slow_user
    other = add_phantom("Other")
    user.key("A")
    user.meanwhile.append(lambda: user.ui.volumeSelector.setCurrentNode(other))
    user.click("Red", at(user, (8, 32, 20)))
    user.settle()
    assert user.panel.parameters.volume is other
    assert user.session is None or user.session.volume_node is other


def test_a_volume_removed_while_its_prompt_is_answered_is_told_although_other_work_opens_in_its_place(slow_user):
    import slicer

    from phantoms import add_phantom

    user = slow_user
    other = add_phantom("Other")
    its = user.panel.logic.createSegmentation(other, "Its")
    user.panel.logic.addSegment(its, "Liver", volumeNode=other)
    user.ui.volumeSelector.setCurrentNode(user.volume)
    user.key("A")
    gone = user.panel.parameters.volume

    def remove() -> None:
        slicer.mrmlScene.RemoveNode(gone)
        user.app.processEvents()  # what that sets off happens within the same breath

    user.meanwhile.append(remove)
    user.click("Red", at(user, (8, 32, 20)))
    assert (user.session.volume_node, user.session.node) == (other, its)
    assert "'Phantom' was removed" in user.message
