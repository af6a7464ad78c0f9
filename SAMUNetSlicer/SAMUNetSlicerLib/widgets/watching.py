"""The nodes that are worked on: what happens to them elsewhere is heard, and what happens to them here is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import slicer
import vtk

from ..scene.nodes.segmentation_nodes import is_on_show, segment_ids
from .prompt_looks import dress

_SEGMENTATION, _DISPLAY, _VOLUME = "segmentation", "display", "volume"


@dataclass(frozen=True)
class Heard:
    """What to call, as observers are called."""

    prompt_moved: Callable
    segments_changed: Callable
    picture_changed: Callable
    item_changed: Callable


class Watch:
    """Of the prompts' nodes, the segments and the volume of a session.

    Slicer's VTKObservationMixin would keep each of them in memory until all are let go.
    """

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._watched: dict[str, object] = {}
        self._tags: dict[str, list[int]] = {}
        self._drawn: dict[str, int] = {}
        self._on_show: list[bool] = []

    def follow(self, session) -> None:
        """Observe what there is now. session: None where nothing is worked on."""
        wanted = {}
        if session is not None and session.workspace.is_alive():
            wanted = {node.GetID(): node for node in session.workspace.prompts.nodes()}
            wanted[_SEGMENTATION] = session.node.GetSegmentation()
            wanted[_VOLUME] = session.volume_node
            if session.node.GetDisplayNode() is not None:
                wanted[_DISPLAY] = session.node.GetDisplayNode()
                self._on_show = _on_show(session.node)
        for key in [key for key, thing in self._watched.items() if wanted.get(key) is not thing]:
            self._let_go(key)
        for key, thing in wanted.items():
            if key not in self._watched:
                self._watched[key] = thing
                if key not in (_SEGMENTATION, _DISPLAY, _VOLUME):
                    dress(thing)
                self._tags[key] = [thing.AddObserver(event, callback) for event, callback in self._events(key)]

    def stop(self) -> None:
        for key in list(self._watched):
            self._let_go(key)

    def _let_go(self, key: str) -> None:
        thing = self._watched.pop(key)
        for tag in self._tags.pop(key):
            thing.RemoveObserver(tag)

    def is_prompt(self, node) -> bool:
        """Whether a node holds prompts that are watched."""
        return self._watched.get(node.GetID()) is node

    def redraw(self, session) -> None:
        """Slice views draw a segment that was empty, or has grown, once its display node says that it has changed."""
        if session is None or not session.workspace.is_alive():
            self._drawn = {}
            return
        drawn = {}
        for node in (session.node, session.workspace.proposals.node):
            if node is not None:
                labelmaps = [node.GetBinaryLabelmapInternalRepresentation(s) for s in segment_ids(node)]
                drawn[node.GetID()] = max((m.GetMTime() for m in labelmaps if m is not None), default=0)
                if self._drawn.get(node.GetID()) != drawn[node.GetID()]:
                    node.CreateDefaultDisplayNodes()  # where a script has made none
                    node.GetDisplayNode().Modified()
        self._drawn = drawn

    def _events(self, key: str) -> list[tuple]:
        heard = self._heard
        if key == _SEGMENTATION:
            segmentation = slicer.vtkSegmentation  # modified: the name, the colour or the status
            events = (segmentation.SegmentRemoved, segmentation.SegmentAdded, segmentation.SegmentModified)
            return [(event, heard.segments_changed) for event in events]
        if key == _DISPLAY:
            return [(vtk.vtkCommand.ModifiedEvent, self._display_changed)]
        if key == _VOLUME:
            volume = slicer.vtkMRMLVolumeNode
            # A sequence browser has moved on; a transform was changed or hardened: other planes lie in the views.
            return [
                (volume.ImageDataModifiedEvent, heard.item_changed),
                (volume.TransformModifiedEvent, heard.picture_changed),
            ]
        markups = slicer.vtkMRMLMarkupsNode
        events = (markups.PointModifiedEvent, markups.PointRemovedEvent, markups.PointEndInteractionEvent)
        return [(event, heard.prompt_moved) for event in events]

    def _display_changed(self, display, *event) -> None:
        """Of all that is said of the display, what is hidden concerns the proposals."""
        on_show = _on_show(display.GetDisplayableNode())
        if on_show != self._on_show:
            self._on_show = on_show
            self._heard.segments_changed(display, *event)


def _on_show(node) -> list[bool]:
    return [is_on_show(node, segment_id) for segment_id in segment_ids(node)]
