"""Scenes that are added share node IDs with the one that is there."""

import gc
import weakref

import pytest
from scenery import Desk
from sequence_scenery import ITEMS, PLANE, BeatingDesk, accept_in

from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask


@pytest.fixture
def sequence_scene(mrml_host, mrml_scene, tmp_path):
    """A saved sequence with results in items 1 and 3, of which item 1 is shown."""
    desk = BeatingDesk(mrml_host)
    accept_in(desk, 3)
    accept_in(desk, 1)
    path = tmp_path / "earlier.mrb"
    desk.logic.saveScene(path)
    return path


@pytest.mark.parametrize("shown", [0, 1, 4])
def test_a_sequence_added_to_another_takes_no_result_from_it(mrml_host, sequence_scene, shown):
    mrml_host.clear()
    desk = BeatingDesk(mrml_host)
    accept_in(desk, 0)
    accept_in(desk, 4)
    desk.go(shown)
    assert mrml_host.scene.ReadFromMRB(str(sequence_scene), False)
    added = next(work.workspace for work in desk.logic.restore() if not work.was_open)
    for space, with_result in ((desk.space, (0, 4)), (added, (1, 3))):
        for item in range(ITEMS):
            space.items.results.browser.SetSelectedItemNumber(item)
            space.check()
            (segment_id,) = space.shown_segmentation.GetSegmentation().GetSegmentIDs()
            drawn = read_mask(space.shown_segmentation, segment_id, space.check().local)
            assert drawn.any() == (item in with_result)
    assert desk.logic.undo(desk.segmentation)
    assert [total > 0 for total in desk.item_sums()] == [True, False, False, False, False]


def test_an_earlier_state_of_the_same_work_added_leaves_the_later_one(mrml_host, mrml_scene, tmp_path):
    desk = BeatingDesk(mrml_host)
    accept_in(desk, 1)
    desk.logic.saveScene(tmp_path / "earlier.mrb")
    desk.propose(PLANE + 1, at=(12, 13))
    desk.accept(planes=[PLANE + 1])
    later = desk.item_sums()
    assert mrml_host.scene.ReadFromMRB(str(tmp_path / "earlier.mrb"), False)
    assert desk.item_sums() == later


def test_a_result_that_all_items_share_is_left_as_well(mrml_host, sequence_scene):
    mrml_host.clear()
    desk = BeatingDesk(mrml_host)
    desk.space.items.shares_result = True
    accept_in(desk, 2)
    before = desk.mask()
    assert mrml_host.scene.ReadFromMRB(str(sequence_scene), False)
    assert (desk.mask() == before).all()


def test_the_scene_keeps_no_work_alive(mrml_scene):
    desk = Desk(mrml_scene)
    guarded = weakref.ref(desk.space)
    desk.logic.reset()
    del desk
    gc.collect()
    assert guarded() is None
    mrml_scene.InvokeEvent(mrml_scene.StartImportEvent)
    mrml_scene.InvokeEvent(mrml_scene.EndImportEvent)
