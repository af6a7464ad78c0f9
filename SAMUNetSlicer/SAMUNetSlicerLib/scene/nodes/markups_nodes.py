"""Prompts as markups nodes: read from any node, and kept in nodes of our own that are saved with the scene.

A segment has one point list per sign and one ROI per box. They lie under the volume's parent transform, so that they
move with it. Attributes of the node say which segment (by its ID) and, for point lists, which sign they stand for;
the description of each point or ROI states segment, sign and planes once more ("segment=liver; sign=negative;
plane=K"), so that a `.mrk.json` saved from Slicer serves the command line as well. Points that a user adds to such a
list have no description yet: they take the list's sign and belong to the planes named by its attribute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk

from ...errors import PromptError
from ...volumes.files.markups import read_texts
from ...volumes.prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign
from ..record.placed_prompts import PlacedBox, PlacedPoint, PromptSet
from ..record.stacks import StackKey
from .names import FRAME, REFERENCE_PROMPTS, ROLE_PROMPTS, SEGMENT, SIGN, STACK
from .placement import follow, numpy_matrix, to_world, vtk_matrix
from .state_node import belong_to

_PLANE = re.compile(r"(?:^|;)\s*plane=([^;]+)")
COLOURS = {Sign.POSITIVE: (0.2, 0.9, 0.3), Sign.NEGATIVE: (0.95, 0.25, 0.2)}
BOX_COLOUR = (1.0, 0.85, 0.2)
_MARKS = {Sign.POSITIVE: "+", Sign.NEGATIVE: "-"}


def read_prompt_nodes(nodes: Iterable, segment: str) -> SegmentPrompts:
    """The placed points and ROIs of any markups nodes, in world RAS, as prompts of one segment.

    Sign and extent are read from labels and descriptions as in files (`volumes.files.markups`), else from the node's
    attribute; points are positive by default. Raises PromptError for other markups, or contradictory texts, and
    InputError under a parent transform that is not linear.
    """
    points: list[PointPrompt] = []
    boxes: list[BoxPrompt] = []
    for node in nodes:
        matrix = to_world(node)
        if node.IsA("vtkMRMLMarkupsROINode"):
            placed = PromptSet(boxes=(_read_box(node),))
        elif node.IsA("vtkMRMLMarkupsFiducialNode"):
            placed = PromptSet(points=tuple(_read_points(node)))
        else:
            raise PromptError(f"'{node.GetName()}' prompts nothing. Use point lists and ROIs.")
        in_world = placed.in_world(segment, matrix)
        points += in_world.points
        boxes += in_world.boxes
    return SegmentPrompts(segment, tuple(points), tuple(boxes))


@dataclass(eq=False)
class PromptStore:
    """The prompts of all segments of one segmentation, in nodes that its state node refers to."""

    scene: object
    volume_node: object
    segmentation_node: object
    state_node: object

    def nodes(self, segment_id: str | None = None, frame: str | None = None) -> list:
        """Our markups nodes: of all segments, or of one, in one frame of a sequence."""
        count = self.state_node.GetNumberOfNodeReferences(REFERENCE_PROMPTS)
        found = [self.state_node.GetNthNodeReference(REFERENCE_PROMPTS, n) for n in range(count)]
        return [
            node
            for node in found
            if node is not None
            and (segment_id is None or node.GetAttribute(SEGMENT) == segment_id)
            and (frame is None or (node.GetAttribute(FRAME) or "") == frame)
        ]

    def read(self, segment_id: str, frame: str = "") -> PromptSet:
        """The segment's prompts in the volume's own coordinates."""
        points: list[PlacedPoint] = []
        boxes: list[PlacedBox] = []
        for node in self.nodes(segment_id, frame):
            follow(node, self.volume_node)
            if not node.IsA("vtkMRMLMarkupsROINode"):
                points += _read_points(node)
            elif is_drawn(node):
                boxes.append(_read_box(node))
        points.sort(key=lambda p: p.sign is Sign.NEGATIVE)
        return PromptSet(tuple(points), tuple(boxes))

    def write(self, segment_id: str, name: str, prompts: PromptSet, frame: str = "") -> None:
        """Make the nodes hold these prompts and no others. name: the segment's."""
        for sign in Sign:
            points = [p for p in prompts.points if p.sign is sign]
            node = self._find_list(segment_id, frame, sign)
            if node is None and points:
                node = self.points_node(segment_id, name, sign, frame)
            if node is not None:
                _fill_list(node, points, name)
        rois = [n for n in self.nodes(segment_id, frame) if n.IsA("vtkMRMLMarkupsROINode")]
        for node in rois[len(prompts.boxes) :]:
            self.scene.RemoveNode(node)
        for number, box in enumerate(prompts.boxes):
            roi = rois[number] if number < len(rois) else self.roi_node(segment_id, name, frame)
            _fill_roi(roi, box, name)

    def points_node(self, segment_id: str, name: str, sign: Sign, frame: str = "", stack: StackKey | None = None):
        """The segment's point list of one sign, made if need be: what placing points by mouse goes to.

        stack: the planes to which points without a description belong from now on.
        """
        node = self._find_list(segment_id, frame, sign)
        if node is None:
            node = self._new_node("vtkMRMLMarkupsFiducialNode", f"{name} {_MARKS[sign]}", segment_id, frame)
            node.SetAttribute(SIGN, sign.name.lower())
            _colour(node, COLOURS[sign])
        if stack is not None:
            _describe_new_points(node, name, _stack_of(node, ""))
            node.SetAttribute(STACK, stack.text)
        return node

    def roi_node(self, segment_id: str, name: str, frame: str = "", stack: StackKey | None = None):
        """A new ROI of the segment, without size yet: what drawing a box by mouse goes to."""
        node = self._new_node("vtkMRMLMarkupsROINode", f"{name} box", segment_id, frame)
        _colour(node, BOX_COLOUR)
        if stack is not None:
            node.SetAttribute(STACK, stack.text)
        return node

    def state_planes(self, segment_id: str, name: str, stack: StackKey, frame: str = "") -> None:
        """Let prompts that state no planes, by description or node, state these. Nothing else of them changes."""
        for node in self.nodes(segment_id, frame):
            _describe_new_points(node, name, _stack_of(node, "") or stack)

    def remove(self, segment_id: str) -> None:
        """Remove the segment's nodes, of all frames."""
        for node in self.nodes(segment_id):
            self.scene.RemoveNode(node)

    def rename(self, segment_id: str, name: str) -> None:
        """Let nodes and descriptions say the segment's new name."""
        for node in self.nodes(segment_id):
            mark = node.GetAttribute(SIGN)
            node.SetName(f"{name} {_MARKS[Sign[mark.upper()]]}" if mark else f"{name} box")
            for index in range(node.GetNumberOfControlPoints()):
                text = node.GetNthControlPointDescription(index)
                node.SetNthControlPointDescription(index, re.sub(r"segment=[^;]*", lambda _: _said_of(name), text))

    def rename_planes(self, frame: Callable[[str], str | None], stack: Callable[[str], str]) -> None:
        """Let nodes and descriptions say other names of planes; frame: None for one that is gone, with its prompts."""
        for node in self.nodes():
            own_frame = frame(node.GetAttribute(FRAME) or "")
            if own_frame is None:
                self.scene.RemoveNode(node)
                continue
            if own_frame:
                node.SetAttribute(FRAME, own_frame)
            if node.GetAttribute(STACK):
                node.SetAttribute(STACK, stack(node.GetAttribute(STACK)))
            for index in range(node.GetNumberOfControlPoints()):
                text = node.GetNthControlPointDescription(index)
                renamed = _PLANE.sub(lambda said: said[0].replace(said[1], stack(said[1].strip())), text)
                node.SetNthControlPointDescription(index, renamed)

    def show_only(self, segment_id: str, frame: str = "") -> None:
        """Display the prompts of one segment and hide those of the others."""
        shown = self.nodes(segment_id, frame)
        for node in self.nodes():
            node.SetDisplayVisibility(node in shown)

    def _find_list(self, segment_id: str, frame: str, sign: Sign):
        lists = (n for n in self.nodes(segment_id, frame) if n.GetAttribute(SIGN) == sign.name.lower())
        return next(lists, None)

    def _new_node(self, class_name: str, name: str, segment_id: str, frame: str):
        node = self.scene.AddNewNodeByClass(class_name, name)
        belong_to(node, self.segmentation_node, ROLE_PROMPTS)
        node.SetAttribute(SEGMENT, segment_id)
        if frame:
            node.SetAttribute(FRAME, frame)
        node.CreateDefaultDisplayNodes()
        follow(node, self.volume_node)
        self.state_node.AddNodeReferenceID(REFERENCE_PROMPTS, node.GetID())
        return node


def _read_points(node) -> Iterator[PlacedPoint]:
    """In the node's own coordinates; points that are not placed yet are left out."""
    own_sign = node.GetAttribute(SIGN)
    for index in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(index) != slicer.vtkMRMLMarkupsNode.PositionDefined:
            continue
        label = node.GetNthControlPointLabel(index) or f"{node.GetName()}-{index + 1}"
        description = node.GetNthControlPointDescription(index) or ""
        # Where the node says it, labels that begin with a sign by chance say nothing.
        said = read_texts("" if own_sign else label, description, f"point '{label}'")
        sign = said.sign or (Sign[own_sign.upper()] if own_sign else Sign.POSITIVE)
        yield PlacedPoint(tuple(node.GetNthControlPointPosition(index)), sign, _stack_of(node, description), label)


def is_drawn(node) -> bool:
    """Whether a ROI has been given a size: while it is being drawn it has none."""
    return node.GetNumberOfControlPoints() > 0 and sum(side > 0 for side in node.GetSize()) >= 2


def _read_box(node) -> PlacedBox:
    """In the node's own coordinates."""
    label = node.GetName()
    if node.GetROIType() not in (node.ROITypeBox, node.ROITypeBoundingBox) or node.GetInsideOut():
        raise PromptError(f"ROI '{label}' is not a plain box. Use a box that is not inside out.")
    description = node.GetNthControlPointDescription(0) if node.GetNumberOfControlPoints() else ""
    said = read_texts("", description or "", f"ROI '{label}'")
    if said.sign is Sign.NEGATIVE:
        raise PromptError(f"ROI '{label}' is said to be negative; only points can be.")
    axes = numpy_matrix(node.GetObjectToNodeMatrix())[:3, :3].T
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return PlacedBox(
        tuple(node.GetCenter()),
        tuple(node.GetSize()),
        tuple(map(tuple, axes.tolist())),
        said.extent or BoxExtent.CENTRE_PLANE,
        _stack_of(node, description or ""),
        label,
    )


def _stack_of(node, description: str) -> StackKey | None:
    stated = _PLANE.search(description)
    text = stated[1].strip() if stated else node.GetAttribute(STACK)
    return StackKey(text) if text else None


def _said_of(segment: str) -> str:
    """Which segment a prompt belongs to. A semicolon would end it."""
    return f"segment={segment.replace(';', ',')}"


def _description(segment: str, sign: Sign | None, extent: BoxExtent | None, stack: StackKey | None) -> str:
    parts = [_said_of(segment)]
    if sign is not None:
        parts.append(f"sign={sign.name.lower()}")
    if extent is not None:
        parts.append(f"planes={'all' if extent is BoxExtent.ALL_PLANES else 'centre'}")
    if stack is not None:
        parts.append(f"plane={stack.text}")
    return "; ".join(parts)


def _describe_new_points(node, name: str, stack: StackKey | None) -> None:
    """Give the points of a list that have no description yet, and ROIs, one that states these planes."""
    mark = node.GetAttribute(SIGN)
    for index in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointDescription(index):
            continue
        sign, extent = (Sign[mark.upper()], None) if mark else (None, BoxExtent.CENTRE_PLANE)
        node.SetNthControlPointDescription(index, _description(name, sign, extent, stack))


def _fill_list(node, points: Iterable[PlacedPoint], name: str) -> None:
    with slicer.util.NodeModify(node):
        node.RemoveAllControlPoints()
        for point in points:
            index = node.AddControlPoint(vtk.vtkVector3d(*point.position), point.label)
            node.SetNthControlPointDescription(index, _description(name, point.sign, None, point.stack))


def _fill_roi(node, box: PlacedBox, name: str) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(box.axes).T
    matrix[:3, 3] = box.centre
    with slicer.util.NodeModify(node):
        node.SetAndObserveObjectToNodeMatrix(vtk_matrix(matrix))
        node.SetSize(*box.size)
        node.SetCenter(*box.centre)
        node.SetNthControlPointDescription(0, _description(name, None, box.extent, box.stack))


def _colour(node, colour) -> None:
    display = node.GetDisplayNode()
    display.SetSelectedColor(*colour)
    display.SetColor(*colour)
    display.SetPointLabelsVisibility(False)
