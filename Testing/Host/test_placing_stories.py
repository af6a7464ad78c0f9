"""Prompts go to the view that was clicked, and boxes are what was drawn, however the views are turned."""

from __future__ import annotations

import numpy as np
import pytest

CORNERS_KJI = ((8, 20, 8), (8, 44, 32))


@pytest.fixture
def at(user):
    """The crosshair, which Slicer has in every scene, knows in which view the mouse is."""
    import slicer

    from phantoms import to_ras

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCrosshairNode", "Crosshair")
    user.settle()

    return lambda kji: to_ras(user.volume, kji)


def turn_volume(user, degrees: float, axis) -> None:
    """Give the volume's own grid another direction. Views lie along the volume's axes, as the module shows it."""
    import vtk

    turn, matrix = vtk.vtkTransform(), vtk.vtkMatrix4x4()
    turn.RotateWXYZ(degrees, *axis)
    user.volume.GetIJKToRASMatrix(matrix)
    vtk.vtkMatrix4x4.Multiply4x4(turn.GetMatrix(), matrix, matrix)
    user.volume.SetIJKToRASMatrix(matrix)
    user.settle()
    show_volume(user)


def show_volume(user) -> None:
    from phantoms import to_ras

    for view in user.app.views.values():
        view.show_volume(user.volume)
        view.node.JumpSliceByCentering(*to_ras(user.volume, (8, 32, 32)))
    user.settle()


def drawn_rectangle(user) -> np.ndarray:
    """x0, y0, x1, y1 in pixels of the plane, half-open: what the model is asked."""
    from SAMUNetSlicerLib.volumes.plane_prompts import prompts_on_plane

    session, space = user.session, user.session.workspace
    prompts = space.prompts.read(session.segment_id, space.frame).in_world("", space.check().to_world)
    return np.array(prompts_on_plane(prompts, space.stack(session.stack), session.place.index).box_xyxy)


def wanted_rectangle(user, at) -> np.ndarray:
    session = user.session
    plane = session.workspace.stack(session.stack)[session.place.index]
    corners = np.array([plane.to_pixels(at(corner))[:2] for corner in CORNERS_KJI])
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)]) + 0.5  # boxes count borders of pixels


def box_axes() -> np.ndarray:
    """3 x 3, of the only box in the scene, in its own coordinates."""
    import slicer

    from SAMUNetSlicerLib.scene.nodes.placement import numpy_matrix

    (node,) = slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")
    return numpy_matrix(node.GetObjectToNodeMatrix())[:3, :3]


TURNS = {
    "10 degrees out of the plane": (10, (1, 0, 0)),
    "30 degrees in the plane": (30, (0, 0, 1)),
    "45 degrees in the plane": (45, (0, 0, 1)),
    "not at all": (0, (0, 0, 1)),
}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_box_is_the_rectangle_that_was_drawn(user, at, turn):
    turn_volume(user, *turn)
    user.key("D")
    for corner in CORNERS_KJI:
        user.click("Red", at(corner))
    user.picture("box_in_a_turned_view")
    assert drawn_rectangle(user) == pytest.approx(wanted_rectangle(user, at), abs=1)
    (node,) = user.session.workspace.prompts.nodes()
    assert min(node.GetSize()) == pytest.approx(3.0), "as thick as its plane"
    if not turn[0]:
        assert np.array_equal(box_axes(), np.eye(3)), "a view that is not turned makes a plain box"


def test_a_box_under_a_turned_transform_is_the_rectangle_that_was_drawn(user, at):
    from phantoms import put_under_turned_transform

    put_under_turned_transform(user.volume)
    show_volume(user)
    user.key("D")
    for corner in CORNERS_KJI:
        user.click("Red", at(corner))
    assert drawn_rectangle(user) == pytest.approx(wanted_rectangle(user, at), abs=1)


def test_a_corner_taken_back_leaves_no_turn_behind(user, at):
    """The first corner is placed in a turned view, taken back, and the box drawn in another one."""
    turn_volume(user, 30, (0, 0, 1))
    user.view("Green").node.SetOrientation("Axial")
    user.view("Green").node.JumpSliceByCentering(*at((8, 32, 32)))
    user.settle()
    user.key("D")
    user.click("Red", at(CORNERS_KJI[0]))
    user.panel.segment.placing._node.RemoveAllControlPoints()
    user.settle()
    for corner in CORNERS_KJI:
        user.click("Green", at(corner))
    assert np.allclose(box_axes(), np.eye(3))


@pytest.mark.parametrize("turn_degrees", [0, 7, 23])
@pytest.mark.parametrize("clicked", ["Red", "Green", "Yellow"])
def test_where_views_meet_the_one_that_is_clicked_takes_the_prompt(user, at, monkeypatch, turn_degrees, clicked):
    """As when the mouse, moved with Shift held down, lets all views show the point under it."""
    import slicer

    turn_volume(user, turn_degrees, (1, 0.3, 0.2))
    names = []
    monkeypatch.setattr(user.panel.segment.placing, "_placed", lambda _prompts, node: names.append(node.GetName()))
    user.key("A")
    view = user.view(clicked)
    for kji in ((5, 20, 40), (8, 32, 20), (11, 45, 33)):
        view.node.JumpSliceByOffsetting(*at(kji))
        user.settle()
        spot = view.position_of(at(kji))
        point = view.node.GetXYToRAS().MultiplyPoint((spot.x(), view.height - 1 - spot.y(), 0, 1))[:3]
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *point, 0, -1, view.node)
        user.click(clicked, at(kji))
    assert names == [clicked] * 3


@pytest.mark.parametrize("persistence", [0, 1])
def test_a_tool_leaves_slicers_place_mode_as_it_was(user, slicer_app, persistence):
    """Else the next landmark of another module would be followed by more that nobody wanted."""
    interaction = slicer_app.applicationLogic().GetInteractionNode()
    interaction.SetPlaceModePersistence(persistence)
    user.key("A")
    user.key("D")
    assert interaction.GetPlaceModePersistence() == 1
    user.key("Esc")
    assert interaction.GetPlaceModePersistence() == persistence
    interaction.SetPlaceModePersistence(0)
