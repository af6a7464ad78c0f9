"""One result for each item of a sequence, in Slicer's own way: a sequence of segmentations beside that of the volumes.

The segmentation node that the user sees is what the sequence browser shows of it, and shares the voxels of the item
that is shown ("Save changes" of the module Sequences): the Segment Editor edits the item, and the scene saves them
all. The other items are written where they are, without moving the browser.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import slicer

from ...errors import EditError
from ...volumes.segmentations.segments import TERMINOLOGY_TAG
from .following import REFERENCE_GEOMETRY
from .names import ROLE
from .segmentation_nodes import (
    SegmentStatus,
    add_segment,
    find_segment,
    get_tag,
    segment_ids,
    set_status,
    set_tag,
    status_of,
)
from .volume_nodes import browser_of


@dataclass(frozen=True, eq=False)
class ItemResults:
    """browser: shows `sequence`, the segmentations, by way of `shown`, the node in the scene.

    Items are named by their number in the browser, as text: `PlaneKey.frame`.
    """

    browser: object
    sequence: object
    shown: object

    @property
    def frames(self) -> list[str]:
        return [str(number) for number in range(self.browser.GetNumberOfItems())]

    def node(self, frame: str):
        """The item's own segmentation node, which stands in no scene of the user's. Raises EditError without it."""
        if frame not in self.frames:
            raise EditError("The item of the sequence in which this was done is not there any more.")
        value = self.browser.GetMasterSequenceNode().GetNthIndexValue(int(frame))
        node = self.sequence.GetDataNodeAtValue(value, True)
        if node is None:
            node = self.sequence.SetDataNodeAtValue(_emptied(self.shown), value)
        return node

    @property
    def saves_changes(self) -> bool:
        """Whether what is drawn in the item that is shown stays there when the browser moves on."""
        return self.browser.GetSaveChanges(self.sequence)

    def complete(self) -> None:
        """Let every item have a segmentation, and the node in the scene share the voxels of the one that is shown.

        Changes are saved from then on; where they were not, what the node shows counts, else what the sequence holds.
        """
        frame = str(self.browser.GetSelectedItemNumber())
        # Held first: whatever changes a sequence lets the browser show anew what the sequence holds.
        unsaved = None if self.saves_changes else self.shown.GetSegmentation()
        self.browser.SetSaveChanges(self.sequence, True)
        for other in self.frames:
            self.node(other)
        if frame in self.frames:
            own = self.node(frame)
            if unsaved is not None:
                own.SetAndObserveSegmentation(unsaved)
            self.shown.SetAndObserveSegmentation(own.GetSegmentation())

    def align(self, frame: str) -> None:
        """Let all items have the segments of one, with their names, colours, codes and status. None loses a segment.

        What made a segment (its provenance) is each item's own.
        """
        if frame not in self.frames:
            return
        leader = self.node(frame)
        for other in self.frames:
            if other != frame and _follow(self.node(other), leader):
                self.sequence.StorableModified()


def find_item_results(volume_node, segmentation_node) -> ItemResults | None:
    """The results of the sequence's items, where the segmentation stands in the volume's browser; else None."""
    browser = browser_of(volume_node)
    if browser is None or not browser.IsProxyNodeID(segmentation_node.GetID()):
        return None
    sequence = browser.GetSequenceNode(segmentation_node)
    return None if sequence is None else ItemResults(browser, sequence, segmentation_node)


def keep_one_per_item(scene, volume_node, segmentation_node, begins_with: Collection[str]) -> ItemResults:
    """Give every item of the sequence that shows the volume a segmentation of its own.

    begins_with: the items that begin with a copy of what the segmentation holds now; the others have its segments,
    empty. Raises EditError for a volume that no sequence browser shows.
    """
    browser = browser_of(volume_node)
    if browser is None:
        raise EditError(f"The volume '{volume_node.GetName()}' is not shown by a sequence browser.")
    master = browser.GetMasterSequenceNode()
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{segmentation_node.GetName()} of each item")
    sequence.SetIndexName(master.GetIndexName())
    sequence.SetIndexUnit(master.GetIndexUnit())
    sequence.SetIndexType(master.GetIndexType())
    empty = _emptied(segmentation_node)
    for number in range(browser.GetNumberOfItems()):
        begin = segmentation_node if str(number) in begins_with else empty
        sequence.SetDataNodeAtValue(begin, master.GetNthIndexValue(number))
    # All at once: between the calls the browser would show the new sequence by other rules.
    before = browser.StartModify()
    browser.AddSynchronizedSequenceNode(sequence.GetID())
    browser.AddProxyNode(segmentation_node, sequence, False)
    browser.SetMissingItemMode(sequence, slicer.vtkMRMLSequenceBrowserNode.MissingItemCreateFromDefault)
    browser.SetSaveChanges(sequence, True)
    browser.EndModify(before)
    results = ItemResults(browser, sequence, segmentation_node)
    results.complete()
    return results


def looks_of(segmentation_node) -> tuple:
    """What `ItemResults.align` makes the same everywhere; differs wherever that has changed."""
    return tuple(_look(segmentation_node, segment_id) for segment_id in segment_ids(segmentation_node))


def _look(node, segment_id: str) -> tuple:
    segment = find_segment(node, segment_id)
    code = get_tag(node, segment_id, TERMINOLOGY_TAG)
    return segment_id, segment.GetName(), tuple(segment.GetColor()), code, status_of(node, segment_id)


def _follow(node, leader) -> bool:
    """Whether anything had to be changed."""
    if not node.GetSegmentation().GetConversionParameter(REFERENCE_GEOMETRY):
        node.GetSegmentation().CopyConversionParameters(leader.GetSegmentation())
    changed = False
    there = segment_ids(node)
    for segment_id in segment_ids(leader):
        look = _look(leader, segment_id)
        if segment_id in there and _look(node, segment_id) == look:
            continue
        _, name, colour, code, status = look
        if segment_id not in there:
            add_segment(node, name, colour, segment_id)
        segment = find_segment(node, segment_id)
        segment.SetName(name)
        segment.SetColor(colour)
        set_tag(node, segment_id, TERMINOLOGY_TAG, code)
        # A segment that was never begun has no such tag.
        if status_of(node, segment_id) is not status or status is not SegmentStatus.NOT_STARTED:
            set_status(node, segment_id, status)
        changed = True
    return changed


def _emptied(segmentation_node):
    """A node of its own with the same segments, without voxels."""
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(segmentation_node.GetName())
    if segmentation_node.GetAttribute(ROLE):
        node.SetAttribute(ROLE, segmentation_node.GetAttribute(ROLE))
    _follow(node, segmentation_node)
    return node
