"""Placing points and boxes by mouse, in nodes that last only while the tool is in the hand.

What was placed goes to the session, which keeps it in the segment's own nodes. Slicer's place mode does the rest, so
that cursors, snapping and undoing a half-drawn box are as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

import numpy as np
import qt
import slicer

from ..scene.nodes.hidden_nodes import add_hidden_node
from ..scene.nodes.markups_nodes import BOX_COLOUR, COLOURS, is_drawn, read_prompt_nodes
from ..scene.nodes.placement import numpy_matrix, vtk_matrix
from ..volumes.prompts import SegmentPrompts, Sign
from .prompt_looks import dress
from .slice_views import matrix_of, view_of_point


class Tool(Enum):
    """What a click places."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    BOX = "box"


_SAME_DIRECTION = 1e-4

_COLOURS = {
    Tool.POSITIVE: COLOURS[Sign.POSITIVE],
    Tool.NEGATIVE: COLOURS[Sign.NEGATIVE],
    Tool.BOX: BOX_COLOUR,
}


class Placing:
    """`tool`: the one in the hand, or None.

    placed: called with (prompts in world RAS, slice node) after each point or box. changed: called when the tool
    changes, also when the user leaves place mode by Slicer's own means.
    """

    def __init__(self, placed: Callable[[SegmentPrompts, object], None], changed: Callable[[], None]) -> None:
        self._placed, self._changed = placed, changed
        self.tool: Tool | None = None
        self._node = None
        self._persistence = 0  # Slicer's own, while a tool is in the hand
        self._observations: list[tuple[object, int]] = []

    def take(self, tool: Tool) -> None:
        """Take a tool; the same one again puts it down."""
        again = tool is self.tool
        self.put_down()
        if again:
            return
        self.tool = tool
        class_name = "vtkMRMLMarkupsROINode" if tool is Tool.BOX else "vtkMRMLMarkupsFiducialNode"
        node = add_hidden_node(slicer.mrmlScene, class_name, "Placing")
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSelectedColor(*_COLOURS[tool])
        dress(node)
        self._node = node
        markups = slicer.vtkMRMLMarkupsNode
        self._observe(node, markups.PointPositionDefinedEvent, self._on_point)
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        self.hold()
        self._persistence = interaction.GetPlaceModePersistence()
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self._observe(interaction, interaction.InteractionModeChangedEvent, self._on_mode)
        self._changed()

    def hold(self) -> None:
        """Let clicks go to the tool: Slicer hands every new markups node to the mouse, those of prompts included."""
        if self.tool is None or not slicer.mrmlScene.IsNodePresent(self._node):
            return
        selection = slicer.app.applicationLogic().GetSelectionNode()
        if selection.GetActivePlaceNodeID() != self._node.GetID():
            selection.SetReferenceActivePlaceNodeClassName(self._node.GetClassName())
            selection.SetActivePlaceNodeID(self._node.GetID())

    def put_down(self) -> None:
        """Leave place mode and remove the node of the tool."""
        for source, tag in self._observations:
            source.RemoveObserver(tag)
        self._observations.clear()
        if self.tool is None:
            return
        self.tool = None
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        interaction.SetPlaceModePersistence(self._persistence)
        if self._node is not None and slicer.mrmlScene.IsNodePresent(self._node):
            # Hidden first: views in which the mouse is not keep drawing a box that is only removed.
            self._node.SetDisplayVisibility(False)
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = None
        self._changed()

    def _observe(self, source, event, callback) -> None:
        self._observations.append((source, source.AddObserver(event, callback)))

    def _on_mode(self, *_) -> None:
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() != interaction.Place:
            qt.QTimer.singleShot(0, self.put_down)

    def _on_point(self, *_) -> None:
        if self.tool is Tool.BOX and self._node.GetNumberOfDefinedControlPoints() == 1 and not is_drawn(self._node):
            _turn_to_view(self._node)
        # After Slicer has finished with the event: the node is changed there.
        qt.QTimer.singleShot(0, self._hand_over)

    def _hand_over(self) -> None:
        node, tool = self._node, self.tool
        if tool is None or not slicer.mrmlScene.IsNodePresent(node) or not node.GetNumberOfDefinedControlPoints():
            return
        if tool is Tool.BOX:
            if not is_drawn(node):
                return  # one corner so far
            slice_node = view_of_point(node.GetCenterWorld())
            prompts = read_prompt_nodes([node], "")
            self.put_down()
        else:
            slice_node = view_of_point(node.GetNthControlPointPositionWorld(0))
            prompts = _signed(read_prompt_nodes([node], ""), tool)
            _remove_defined_points(node)
        self._placed(prompts, slice_node)


def _signed(prompts: SegmentPrompts, tool: Tool) -> SegmentPrompts:
    sign = Sign.NEGATIVE if tool is Tool.NEGATIVE else Sign.POSITIVE
    points = tuple(replace(point, sign=sign, label="") for point in prompts.points)
    return replace(prompts, points=points)


def _remove_defined_points(node) -> None:
    """All but the point that hangs on the mouse."""
    for index in reversed(range(node.GetNumberOfControlPoints())):
        if node.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined:
            node.RemoveNthControlPoint(index)


def _turn_to_view(roi) -> None:
    """Lay the axes of a box that has its first corner along those of the view it was placed in.

    Slicer's ROIs lie along the patient's axes; two corners in a turned view then mean another rectangle than is drawn.
    """
    corner = roi.GetNthControlPointPositionWorld(0)  # the tool's node lies under no transform
    axes = _axes(matrix_of(view_of_point(corner)))
    if not np.allclose(numpy_matrix(roi.GetObjectToNodeMatrix())[:3, :3], axes):
        turned = np.eye(4)
        turned[:3, :3], turned[:3, 3] = axes, corner
        roi.SetAndObserveObjectToNodeMatrix(vtk_matrix(turned))


def _axes(slice_to_ras: np.ndarray) -> np.ndarray:
    """3 x 3, right-handed; the patient's own axes for a view that lies along them."""
    normal = np.cross(slice_to_ras[:3, 0], slice_to_ras[:3, 1])
    axes = np.column_stack([slice_to_ras[:3, 0], np.cross(normal, slice_to_ras[:3, 0]), normal])
    axes /= np.linalg.norm(axes, axis=0)
    return np.eye(3) if np.allclose(axes, np.round(axes), rtol=0, atol=_SAME_DIRECTION) else axes
