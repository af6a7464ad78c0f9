"""Each item of a sequence keeps a result of its own: accepting in one never paints over another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scenery
from sequence_scenery import ITEMS, PLANE, BeatingDesk, accept_in, dice, draw, moving_ball

from SAMUNetSlicerLib.errors import EditError
from SAMUNetSlicerLib.scene.nodes.labelmaps import SegmentChange, write_changes
from SAMUNetSlicerLib.scene.nodes.names import ROLE, ROLE_RESULT
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import (
    SegmentStatus,
    add_segment,
    get_tag,
    segment_ids,
    segment_name,
    set_status,
    status_of,
)
from SAMUNetSlicerLib.scene.record.editing_rules import EditingRules, Overwrite
from SAMUNetSlicerLib.volumes.segmentations.provenance import PROVENANCE_TAG, provenance_of


@pytest.fixture
def beating(mrml_host, mrml_scene):
    return BeatingDesk(mrml_host)


def test_accepting_in_one_item_leaves_the_others_alone(beating):
    accept_in(beating, 1)
    accept_in(beating, 4)
    for item in range(ITEMS):
        beating.go(item)
        found = beating.mask()[PLANE]
        if item in (1, 4):
            assert dice(found, moving_ball(item)[PLANE]) > 0.9
        else:
            assert not beating.mask().any(), "an item that was not visited is empty"


def test_accepting_through_time_writes_every_item_and_is_one_step(beating):
    beating.propose(PLANE)
    beating.walk()
    outcome = beating.accept_in_time()
    assert outcome.items == tuple(range(ITEMS))
    for item in range(ITEMS):
        assert dice(beating.item_mask(item)[PLANE], moving_ball(item)[PLANE]) > 0.9
    assert outcome.changed_voxels == sum(beating.item_sums())
    sums = beating.item_sums()
    said = beating.logic.undo(beating.segmentation)
    assert beating.item_sums() == [0] * ITEMS
    assert "items 1, 2, 4, 5 of the sequence" in " ".join(said.notes)
    beating.go(0)
    assert beating.statuses()[PLANE] in ("proposed", "uncertain"), "the proposals are back"
    beating.logic.redo(beating.segmentation)
    assert beating.item_sums() == sums
    assert beating.statuses()[PLANE] == "accepted"


def test_accepting_through_time_that_is_stopped_keeps_what_is_done_as_one_step(beating):
    beating.propose(PLANE)
    beating.walk()
    turns = iter([True, False])
    outcome = beating.accept_in_time(go_on=lambda: next(turns))
    assert outcome.items == (0, 1)
    assert outcome.left == ITEMS - 2
    assert [bool(s) for s in beating.item_sums()] == [True, True] + [False] * (ITEMS - 2)
    assert beating.accept_in_time().items == tuple(range(2, ITEMS)), "the others stay proposed"
    beating.logic.undo(beating.segmentation)
    beating.logic.undo(beating.segmentation)
    assert beating.item_sums() == [0] * ITEMS


def test_provenance_says_the_item_also_where_it_is_accepted_through_time(beating):
    beating.propose(PLANE)
    beating.walk()
    beating.accept_in_time()
    tags = [get_tag(beating.item_node(item), beating.ids[0], PROVENANCE_TAG) for item in range(ITEMS)]
    assert [provenance_of({PROVENANCE_TAG: tag}).frame for tag in tags] == list(range(ITEMS))


def test_an_undo_goes_to_the_item_of_the_step(beating):
    accept_in(beating, 1)
    beating.go(3)
    draw(beating, beating.segmentation, 2)
    said = beating.logic.undo(beating.segmentation)
    assert not beating.item_mask(1).any()
    assert beating.item_sums()[3] == 9, "what was drawn in the item that is shown stays"
    assert "item 2 of the sequence" in " ".join(said.notes)
    beating.logic.redo(beating.segmentation)
    assert dice(beating.item_mask(1)[PLANE], moving_ball(1)[PLANE]) > 0.9
    assert beating.item_sums()[3] == 9


def test_an_undo_in_another_item_leaves_foreign_edits_there(beating):
    accept_in(beating, 1)
    draw(beating, beating.segmentation, 2)
    beating.go(3)
    beating.logic.undo(beating.segmentation)
    assert beating.item_mask(1)[2].sum() == 9
    assert not beating.item_mask(1)[PLANE].any()


def test_what_the_segment_editor_draws_stays_in_its_item(beating):
    beating.go(0)
    draw(beating, beating.segmentation, 3)
    beating.go(2)
    assert not beating.mask().any()
    beating.go(0)
    assert beating.mask()[3].sum() == 9


def test_segments_names_colours_and_status_are_those_of_all_items(beating):
    spleen = beating.logic.addSegment(beating.segmentation, "Spleen")
    node = beating.segmentation
    node.GetSegmentation().GetSegment(spleen).SetName("Milz")
    node.GetSegmentation().GetSegment(spleen).SetColor(0.1, 0.2, 0.3)
    set_status(node, spleen, SegmentStatus.FLAGGED)
    beating.go(4)
    beating.space.check()
    for item in range(ITEMS):
        own = beating.item_node(item)
        assert segment_ids(own) == (beating.ids[0], spleen)
        assert segment_name(own, spleen) == "Milz"
        assert own.GetSegmentation().GetSegment(spleen).GetColor() == pytest.approx((0.1, 0.2, 0.3))
        assert status_of(own, spleen) is SegmentStatus.FLAGGED


def test_a_segment_that_was_finished_in_one_item_is_not_accepted_in_others(beating):
    beating.propose(PLANE)
    beating.walk()
    set_status(beating.segmentation, beating.ids[0], SegmentStatus.COMPLETED)
    with pytest.raises(EditError, match="finished"):
        beating.accept_in_time()
    assert not any(beating.item_sums())


def test_a_segment_that_was_finished_in_one_item_is_not_changed_in_others_by_undo(beating):
    accept_in(beating, 1)
    sums = beating.item_sums()
    beating.go(2)
    beating.space.check()
    set_status(beating.segmentation, beating.ids[0], SegmentStatus.COMPLETED)
    with pytest.raises(EditError, match="finished"):
        beating.logic.undo(beating.segmentation)
    assert beating.item_sums() == sums


def test_a_segment_added_elsewhere_comes_along(beating):
    added = add_segment(beating.segmentation, "by hand")
    beating.go(0)
    beating.space.check()
    assert added in segment_ids(beating.segmentation)
    assert all(added in segment_ids(beating.item_node(item)) for item in range(ITEMS))


def test_deleting_a_segment_deletes_it_in_all_items_and_undo_brings_all_back(beating):
    accept_in(beating, 1)
    accept_in(beating, 4)
    sums = beating.item_sums()
    beating.logic.deleteSegment(beating.segmentation, beating.ids[0])
    assert all(segment_ids(beating.item_node(item)) == () for item in range(ITEMS))
    beating.go(0)
    beating.logic.undo(beating.segmentation)
    assert beating.item_sums() == sums
    beating.go(4)
    assert beating.statuses()[PLANE] == "accepted"


def test_an_added_segment_is_taken_back_everywhere(beating):
    spleen = beating.logic.addSegment(beating.segmentation, "Spleen")
    beating.go(0)
    beating.logic.undo(beating.segmentation)
    assert not any(spleen in segment_ids(beating.item_node(item)) for item in range(ITEMS))
    beating.logic.redo(beating.segmentation)
    assert all(spleen in segment_ids(beating.item_node(item)) for item in range(ITEMS))


def test_provenance_is_each_items_own(beating):
    accept_in(beating, 1)
    beating.go(3)
    beating.space.check()
    tag = get_tag(beating.item_node(1), beating.ids[0], PROVENANCE_TAG)
    assert provenance_of({PROVENANCE_TAG: tag}).frame == 1
    assert get_tag(beating.item_node(3), beating.ids[0], PROVENANCE_TAG) is None
    beating.logic.undo(beating.segmentation)
    assert get_tag(beating.item_node(1), beating.ids[0], PROVENANCE_TAG) is None


def test_hidden_segments_are_hidden_in_all_items(beating):
    """Overwriting only what is visible asks the display of the node that is shown."""
    hidden = beating.logic.addSegment(beating.segmentation, "hidden")
    beating.ids.append(hidden)
    for item in (0, 1):
        voxels = moving_ball(item)
        change = SegmentChange(hidden, tuple(slice(0, n) for n in voxels.shape), voxels, np.zeros_like(voxels))
        write_changes(beating.item_node(item), [change], local_geometry(beating.volume))
    sums = beating.item_sums(1)
    beating.segmentation.GetDisplayNode().SetSegmentVisibility(hidden, False)
    beating.logic.setEditingRules(beating.segmentation, EditingRules(Overwrite.VISIBLE))
    beating.propose(PLANE)
    beating.walk()
    beating.accept_in_time()
    assert beating.item_sums(1) == sums


def test_an_item_added_later_begins_empty_with_all_segments(beating):
    accept_in(beating, 4)
    late = scenery.volume_node(beating.scene, scenery.picture(moving_ball(5)))
    beating.sequence.SetDataNodeAtValue(late, "200")
    beating.scene.RemoveNode(late)
    beating.go(5)
    beating.space.check()
    assert segment_ids(beating.segmentation) == (beating.ids[0],)
    assert not beating.mask().any()
    beating.propose(PLANE, at=(12, 17))
    beating.accept(planes=[PLANE])
    assert dice(beating.mask()[PLANE], moving_ball(5)[PLANE]) > 0.9


@pytest.mark.parametrize("reopened", [False, True])
def test_what_is_known_of_items_goes_with_them_when_others_are_removed_or_added(beating, reopened):
    accept_in(beating, 1)
    accept_in(beating, 3)
    beating.go(4)
    beating.propose(PLANE, at=(12, 16))
    if reopened:
        beating.logic.reset()
    beating.sequence.RemoveDataNodeAtValue("40")
    early = scenery.volume_node(beating.scene, scenery.picture(moving_ball(0)))
    for value in ("-80", "-40"):
        beating.sequence.SetDataNodeAtValue(early, value)
    beating.scene.RemoveNode(early)
    marks = []
    for item in range(ITEMS + 1):
        beating.go(item)
        marks.append(beating.statuses()[PLANE])
    assert marks == [*["empty"] * 4, "accepted", "proposed"]
    assert any("added or removed" in note for note in beating.logic.takeNotes(beating.segmentation))
    assert beating.accept(planes=[PLANE]).planes == (PLANE,)
    assert dice(beating.mask()[PLANE], moving_ball(4)[PLANE]) > 0.9
    assert not beating.space.prompts.nodes(frame="1")


def test_a_closed_scene_ends_it_quietly(beating):
    accept_in(beating, 1)
    beating.logic.reset()
    beating.scene.Clear(0)
    assert not beating.space.is_alive()


def test_items_under_a_transform_and_on_a_moved_grid_follow(beating):
    """The shown volume is moved in its own coordinates at one item, as hardening a transform does."""
    accept_in(beating, 1)
    before = beating.item_sums()[1]
    matrix = scenery.vtk_matrix(scenery.ijk_to_ras(origin=(0.0, 0.0, 0.0)))
    beating.volume.SetIJKToRASMatrix(matrix)
    beating.space.check()
    assert beating.mask().sum() == before
    beating.go(3)  # the browser shows the item where the sequence has it
    accept_in(beating, 3)
    beating.go(1)
    beating.space.check()
    assert beating.mask().sum() == before


def test_the_role_of_the_result_stays(beating):
    beating.go(0)
    assert beating.segmentation.GetAttribute(ROLE) == ROLE_RESULT


def test_other_work_has_no_results_of_items(mrml_scene):
    desk = scenery.Desk(mrml_scene)
    assert desk.space.items.results is None
    assert mrml_scene.GetFirstNodeByClass("vtkMRMLSequenceNode") is None
    with pytest.raises(EditError, match="sequence browser"):
        desk.logic.keepOneResultPerItem(desk.segmentation)


def run_story(part: str, folder: Path) -> dict:
    story = Path(__file__).with_name("items_story.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(story), part, str(folder)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / f"{part}.json").read_text())


def test_a_saved_scene_goes_on_in_a_new_process_item_by_item(tmp_path):
    begun = run_story("begin", tmp_path)
    assert [bool(item["Liver"]) for item in begun["items"]] == [False, True, False, True, False]
    resumed = run_story("go on", tmp_path)
    assert resumed["notes"] == []
    assert resumed["shown"] == 4
    assert resumed["items"] == begun["items"]
    assert resumed["record"] == begun["record"]
    assert resumed["accepted"] == list(range(ITEMS))
    for before, after in zip(begun["items"], resumed["after"], strict=True):
        assert after["Liver"] > before["Liver"]
        assert after["Spleen"] == 0
