"""A large volume is hashed in idle time, and the outcome is that of hashing it at once."""

import pytest
import scenery
from scenery import Desk

from SAMUNetSlicerLib.scene.actions.workspace import Workspace
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.volumes import volume as volume_module

CHANGED = "is no longer as it was"


@pytest.fixture
def desk(mrml_scene, monkeypatch):
    """Some work on a volume, whose hash is in the record."""
    monkeypatch.setattr(volume_module, "_HASHED_AT_ONCE", 100)
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 0)
    desk = Desk(mrml_scene)
    desk.propose(6)
    return desk


def opened_again(desk) -> Workspace:
    logic = SegmentationLogic(desk.space.scene)
    logic.checkLater = True
    return logic.workspace(desk.segmentation, desk.volume)


def change(volume) -> None:
    scenery.vtk_to_numpy(volume.GetImageData().GetPointData().GetScalars())[0] += 1
    volume.GetImageData().GetPointData().GetScalars().Modified()


def turns(space) -> int:
    count = 0
    while space.content.go_on():
        count += 1
    return count


def test_a_changed_volume_is_told_after_some_short_turns(desk):
    change(desk.volume)
    space = opened_again(desk)
    assert space.notes == []
    assert turns(space) > 100
    assert len(space.notes) == 1
    assert CHANGED in space.notes[0]
    assert turns(space) == 0
    assert opened_again(desk).take_notes() == []


def test_an_unchanged_volume_is_not_told(desk):
    space = opened_again(desk)
    assert turns(space) > 100
    assert space.notes == []


def test_a_volume_of_a_loaded_scene_is_not_waited_for_either(desk):
    change(desk.volume)
    logic = SegmentationLogic(desk.space.scene)
    logic.checkLater = True
    (work,) = logic.restore()
    assert work.notes == ()
    assert turns(work.workspace) > 100
    assert CHANGED in work.workspace.notes[0]


def test_a_change_before_the_last_one_was_looked_through_is_told(desk):
    space = opened_again(desk)
    assert space.content.go_on()
    change(desk.volume)
    turns(space)
    assert CHANGED in space.notes[0]


def test_a_volume_that_moves_before_it_was_looked_through_is_the_same(desk):
    space = opened_again(desk)
    for seed in (1, 2):
        assert space.content.go_on()
        desk.volume.ApplyTransformMatrix(scenery.vtk_matrix(scenery.rigid(seed)))
        space.check()
    turns(space)
    assert space.notes == []


def test_a_scene_that_is_saved_waits_for_the_hash(desk, tmp_path):
    change(desk.volume)
    space = opened_again(desk)
    before = dict(space.document.fingerprints)
    desk.logic.saveScene(tmp_path / "work.mrb")
    assert space.document.fingerprints != before
    assert turns(space) == 0


def test_without_idle_time_it_is_done_at_once(desk):
    change(desk.volume)
    space = SegmentationLogic(desk.space.scene).workspace(desk.segmentation, desk.volume)
    assert CHANGED in space.notes[0]
    assert turns(space) == 0
