"""Results of items that all items share, that were made by hand, or whose sequence is gone."""

import numpy as np
import pytest
import scenery
from sequence_scenery import ITEMS, PLANE, BeatingDesk, accept_in, add_beating_volume, draw, moving_ball

from SAMUNetSlicerLib.errors import EditError
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.labelmaps import SegmentChange, read_mask, write_changes
from SAMUNetSlicerLib.scene.nodes.names import ITEM_RESULTS
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import (
    add_segment,
)


@pytest.fixture
def beating(mrml_host, mrml_scene):
    return BeatingDesk(mrml_host)


def test_a_result_that_all_items_share_is_kept_as_it_is_and_told(mrml_host, mrml_scene):
    desk = BeatingDesk(mrml_host)
    desk.scene.RemoveNode(desk.results)
    shared = old_scene(desk)
    logic = SegmentationLogic(desk.scene)
    notes = " ".join(logic.workspace(desk.segmentation, desk.volume).notes)
    assert "share one segmentation" in notes
    assert desk.results is None
    assert np.array_equal(desk.mask(), shared)
    logic.addSegment(desk.segmentation, "another")
    assert desk.results is None, "nothing changes by itself"
    with pytest.raises(EditError, match="share one segmentation"):
        logic.acceptInTime(desk.segmentation, desk.ids[0], orientation="axial")


def old_scene(desk) -> np.ndarray:
    """Leave the scene as an older version did: accepted in items 1 and 2, in one labelmap. Returns what it holds."""
    desk.space.state_node.RemoveAttribute(ITEM_RESULTS)
    desk.space.items.shares_result = True
    for item in (1, 2):
        accept_in(desk, item)
    draw(desk, desk.segmentation, 2)
    return desk.mask()


def test_a_shared_result_can_be_given_to_each_item(mrml_host, mrml_scene):
    desk = BeatingDesk(mrml_host)
    desk.scene.RemoveNode(desk.results)
    shared = old_scene(desk)
    desk.logic = SegmentationLogic(desk.scene)
    desk.go(3)
    desk.logic.workspace(desk.segmentation, desk.volume)
    desk.logic.keepOneResultPerItem(desk.segmentation)
    for item in (1, 2, 3):
        assert np.array_equal(desk.item_mask(item), shared), "accepted there, or shown"
    assert desk.item_sums()[0] == desk.item_sums()[4] == 0
    assert not desk.logic.workspace(desk.segmentation).history.can_undo


def test_a_segmentation_sequence_made_by_hand_is_used(mrml_host, mrml_scene):
    """By Slicer's module Sequences, with an item missing and without "Save changes"."""
    sequence, browser = add_beating_volume(mrml_host)
    volume = browser.GetProxyNode(sequence)
    node = mrml_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = add_segment(node, "Liver")
    logic = scenery.sequences_logic(mrml_host)
    results = logic.AddSynchronizedNode(None, node, browser)
    results.SetDataNodeAtValue(node, "0")
    results.SetDataNodeAtValue(node, "80")
    drawn = moving_ball(0)
    change = SegmentChange(segment, tuple(slice(0, n) for n in drawn.shape), drawn, np.zeros_like(drawn))
    write_changes(node, [change], local_geometry(volume))
    ours = SegmentationLogic(mrml_scene)
    ours.setPredictor(scenery.predictor(), scenery.MODEL)
    space = ours.workspace(node, volume)
    assert "'Save changes' was off" in " ".join(ours.takeNotes(node))
    assert browser.GetSaveChanges(results)
    assert np.array_equal(mask_of(node, segment, volume), drawn), "what was drawn and not saved is not lost"
    assert results.GetNumberOfDataNodes() == ITEMS
    world = space.check().geometry.to_ras(np.array((14, 12, PLANE)))
    ours.segment(volume, node, segment, points=[world], orientation="axial")
    ours.accept(node, segment, orientation="axial")
    browser.SetSelectedItemNumber(1)
    assert not mask_of(node, segment, volume).any()
    browser.SetSelectedItemNumber(2)
    assert mask_of(node, segment, volume)[PLANE].any()


def mask_of(node, segment, volume):
    return read_mask(node, segment, local_geometry(volume))


def test_the_browser_removed_in_the_middle_is_told_and_loses_nothing(beating):
    accept_in(beating, 1)
    accept_in(beating, 3)
    results, sums = beating.results, beating.item_sums()
    beating.scene.RemoveNode(beating.browser)
    assert beating.mask().sum() == sums[3], "what was shown stays in the node"
    said = beating.logic.undo(beating.segmentation)
    assert "not there any more" in " ".join(said.notes)
    assert beating.mask().sum() == sums[3], "an undo writes into no other item"
    beating.logic.addSegment(beating.segmentation, "Spleen")
    assert "no longer has one result for each item" in " ".join(beating.logic.takeNotes(beating.segmentation))
    assert beating.scene.IsNodePresent(results)
    kept = [results.GetNthDataNode(n) for n in range(ITEMS)]
    assert [int(mask_of(n, beating.ids[0], beating.volume).sum()) for n in kept] == sums


@pytest.mark.parametrize("record", ["kept", "made again"])
def test_the_results_sequence_removed_in_the_middle_is_told(beating, record):
    accept_in(beating, 1)
    shown = beating.mask()
    if record == "made again":
        beating.scene.RemoveNode(beating.space.state_node)
        beating.space.check()
    beating.scene.RemoveNode(beating.results)
    beating.go(2)
    beating.logic.undo(beating.segmentation)
    assert np.array_equal(beating.mask(), shown), "nothing is written into the wrong item"
    beating.logic.addSegment(beating.segmentation, "Spleen")
    assert "no longer has one result for each item" in " ".join(beating.logic.takeNotes(beating.segmentation))
