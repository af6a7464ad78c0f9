"""A sequence of volumes with a moving ball, shown by a browser."""

from __future__ import annotations

import numpy as np
import scenery
from scenery import Desk, ball

from SAMUNetSlicerLib.scene.nodes.labelmaps import SegmentChange, read_mask, write_changes
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry

ITEMS = 5
PLANE = 6


def moving_ball(item: int) -> np.ndarray:
    return ball((PLANE, 12, 12 + item))


def add_beating_volume(host, matrix=None):
    """(sequence, browser): the browser shows item 2. Index values are not the items' numbers."""
    scene, logic = host.scene, scenery.sequences_logic(host)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beating heart")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("ms")
    for number in range(ITEMS):
        item = scenery.volume_node(scene, scenery.picture(moving_ball(number)), matrix, f"item {number}")
        sequence.SetDataNodeAtValue(item, str(40 * number))
        scene.RemoveNode(item)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.SetSelectedItemNumber(2)
    logic.UpdateProxyNodesFromSequences(browser)
    return sequence, browser


class BeatingDesk(Desk):
    """A desk whose volume is shown by a sequence browser that stands at item 2; go(n) moves it."""

    def __init__(self, host, segments=("Liver",), matrix=None) -> None:
        self.sequence, self.browser = add_beating_volume(host, matrix)
        super().__init__(host.scene, segments=segments, volume=self.browser.GetProxyNode(self.sequence))

    def go(self, item: int) -> None:
        self.browser.SetSelectedItemNumber(item)

    @property
    def results(self):
        """The sequence of segmentations, or None."""
        return self.browser.GetSequenceNode(self.segmentation)

    def item_node(self, item: int):
        return self.results.GetDataNodeAtValue(str(40 * item), True)

    def item_mask(self, item: int, number: int = 0) -> np.ndarray:
        """What the item itself holds, whatever is shown."""
        return read_mask(self.item_node(item), self.ids[number], local_geometry(self.volume))

    def item_sums(self, number: int = 0) -> list[int]:
        return [int(self.item_mask(item, number).sum()) for item in range(ITEMS)]

    def walk(self, **more) -> list:
        return list(self.logic.propagateInTime(self.segmentation, self.ids[0], PLANE, orientation="axial", **more))

    def accept_in_time(self, number: int = 0, planes=None, go_on=lambda: True):
        return self.logic.acceptInTime(self.segmentation, self.ids[number], planes, orientation="axial", goOn=go_on)


def dice(found: np.ndarray, expected: np.ndarray) -> float:
    return 2 * (found & expected).sum() / (found.sum() + expected.sum())


def draw(desk, node, plane: int, number: int = 0) -> None:
    """Voxels drawn by hand, as the Segment Editor does."""
    geometry = local_geometry(desk.volume)
    drawn = np.zeros((1, *geometry.shape_kji[1:]), dtype=bool)
    drawn[0, 2:5, 2:5] = True
    block = (slice(plane, plane + 1), *(slice(0, n) for n in geometry.shape_kji[1:]))
    write_changes(node, [SegmentChange(desk.ids[number], block, drawn, np.zeros_like(drawn))], geometry)


def accept_in(desk, item: int, number: int = 0) -> None:
    desk.go(item)
    desk.propose(PLANE, number, at=(12, 12 + item))
    desk.accept(number, [PLANE])
