"""What the stand-ins of qMRML widgets show: Slicer's rules, from what happens in the MRML scene."""

from __future__ import annotations

import slicer
import vtk

from .vtk_pointers import hexadecimal


def follow_scene(root) -> None:
    """Let the qMRML widgets below a widget show their nodes and segments from now on."""
    for widget in slicer.util.findChildren(root):
        make = {"qMRMLNodeComboBox": _Nodes, "qMRMLSegmentsTableView": _Segments}.get(widget.className())
        if make is not None:
            make(widget)


def _is_gone(widget) -> bool:
    """Qt may have deleted it; the scene goes on telling."""
    try:
        return widget.objectName is None
    except ValueError:
        return True


class _Nodes:
    """The nodes that a combo box offers."""

    def __init__(self, widget) -> None:
        self._widget = widget
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent):
            scene.AddObserver(event, self._offer)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._leaving, -10.0)
        widget.hostNotifier().connect("changed()", self._offer)

    def _offer(self, *_) -> None:
        if _is_gone(self._widget):
            return
        nodes = [n for n in slicer.util.getNodesByClass("vtkMRMLNode") if not n.GetHideFromEditors() and self._shows(n)]
        self._widget.hostOffer([n.GetID() for n in nodes], [n.GetName() for n in nodes], [*map(hexadecimal, nodes)])

    def _shows(self, node) -> bool:
        widget = self._widget
        if not widget.nodeTypes or not widget.showChildNodeTypes:
            return not widget.nodeTypes or node.GetClassName() in widget.nodeTypes
        return any(map(node.IsA, widget.nodeTypes)) and not any(map(node.IsA, widget.hideChildNodeTypes))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _leaving(self, scene, _event, node) -> None:
        """The node that takes the place of a removed one is chosen, or the last one, unless all go."""
        widget = self._widget
        if _is_gone(widget) or scene.IsClosing() or widget.currentNodeID != node.GetID():
            return
        nodes = slicer.util.getNodesByClass("vtkMRMLNode")
        others = [n.GetID() for n in nodes if not n.GetHideFromEditors() and self._shows(n)]
        place = others.index(node.GetID())
        others.remove(node.GetID())
        if others:
            widget.setCurrentNodeID(others[min(place, len(others) - 1)])


class _Segments:
    """The segments that a table shows."""

    def __init__(self, widget) -> None:
        self._widget, self._observed = widget, []
        widget.hostNotifier().connect("changed()", self._follow)

    def _follow(self) -> None:
        for segmentation, tag in self._observed:
            segmentation.RemoveObserver(tag)
        node, kinds = self._widget.segmentationNode(), slicer.vtkSegmentation
        self._observed = []
        if node is not None:
            segmentation = node.GetSegmentation()
            for event in (kinds.SegmentAdded, kinds.SegmentRemoved, kinds.SegmentModified):
                self._observed.append((segmentation, segmentation.AddObserver(event, self._show)))
        self._show()

    def _show(self, *_) -> None:
        if _is_gone(self._widget):
            return
        node = self._widget.segmentationNode()
        segmentation = node.GetSegmentation() if node is not None else None
        ids = list(segmentation.GetSegmentIDs()) if node is not None else []
        self._widget.hostShow(ids, [segmentation.GetSegment(s).GetName() for s in ids])
