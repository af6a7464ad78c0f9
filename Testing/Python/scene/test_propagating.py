"""Propagation into proposals: from key planes, in ranges, again after a correction."""

import numpy as np
import pytest
import scenery
from scenery import Desk, ball

from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.scene.actions.propagating import Gap, find_gaps
from SAMUNetSlicerLib.scene.record.stacks import StackKey
from SAMUNetSlicerLib.volumes.propagation.walks import Propagation


def tube(length=12):
    """A bright tube along K, so that propagation ends only at the volume's ends."""
    voxels = np.zeros((length, 24, 28), np.int16)
    voxels[:, 8:16, 10:18] = 200
    return voxels


def test_steps_are_yielded_one_by_one_and_shown_at_once(mrml_scene):
    desk = Desk(mrml_scene, tube())
    desk.propose(6)
    steps = desk.logic.propagate(desk.segmentation, desk.ids[0])
    first = next(steps)
    assert first.index in (5, 7)
    assert (first.done, first.total) == (1, 11)
    assert desk.statuses()[first.index] == "proposed"
    assert desk.space.state_node.GetParameter("Document").count("propagated") == 1
    rest = [step for step in steps if not step.stopped]
    assert rest[-1].done == 11
    assert desk.statuses() == ["proposed"] * 12
    assert not desk.mask().any()


def test_cancelling_keeps_what_is_finished_as_one_step(mrml_scene):
    desk = Desk(mrml_scene, tube())
    desk.propose(6)
    steps = desk.logic.propagate(desk.segmentation, desk.ids[0])
    for _ in range(4):
        next(steps)
    steps.close()
    assert desk.statuses().count("proposed") == 5
    assert desk.logic.undo(desk.segmentation).text == "Propagate Liver"
    assert desk.statuses().count("proposed") == 1
    desk.logic.redo(desk.segmentation)
    assert desk.statuses().count("proposed") == 5


def test_other_work_ends_a_propagation_that_was_left_open(mrml_scene):
    desk = Desk(mrml_scene, tube())
    desk.propose(6)
    steps = desk.logic.propagate(desk.segmentation, desk.ids[0])
    next(steps)
    desk.accept()
    assert list(steps) == []
    assert [desk.logic.undo(desk.segmentation).text for _ in range(2)] == [
        "Accept 2 planes of Liver",
        "Propagate Liver",
    ]


@pytest.mark.parametrize(("direction", "expected"), [("up", range(7, 12)), ("down", range(6)), ("both", range(12))])
def test_directions(mrml_scene, direction, expected):
    desk = Desk(mrml_scene, tube())
    desk.propose(6)
    desk.propagate(direction=direction)
    assert [i for i, status in enumerate(desk.statuses()) if status == "proposed"] == sorted({6, *expected})


def test_a_range_goes_on_from_the_mask_beside_it(mrml_scene):
    desk = Desk(mrml_scene, tube())
    desk.propose(6)
    desk.propagate(planes=(7, 8))
    assert [i for i, status in enumerate(desk.statuses()) if status == "proposed"] == [6, 7, 8]
    desk.propagate(planes=(9, 10))
    assert [i for i, status in enumerate(desk.statuses()) if status == "proposed"] == [6, 7, 8, 9, 10]
    with pytest.raises(PromptError, match="no plane of 'Liver' to propagate from"):
        desk.propagate(planes=(0, 2))


def test_without_key_planes_there_is_nothing_to_go_on_from(mrml_scene):
    desk = Desk(mrml_scene)
    with pytest.raises(PromptError, match="Place a prompt"):
        desk.propagate()


def test_accepted_planes_bound_the_gaps_and_stay(mrml_scene):
    desk = Desk(mrml_scene, tube())
    for plane in (2, 9):
        desk.propose(plane)
        desk.accept()
    desk.logic.keepAsIs(desk.segmentation, desk.ids[0], [0, 11])
    gaps = find_gaps(desk.space, desk.ids[0], StackKey("K"))
    assert gaps == [Gap(1, 1, None, 2), Gap(3, 8, 2, 9), Gap(10, 10, 9, None)]
    before = desk.mask()
    steps = desk.propagate()
    assert max(step.done for step in steps) <= steps[0].total
    assert desk.statuses() == [
        "accepted",
        "proposed",
        "accepted",
        *["proposed"] * 6,
        "accepted",
        "proposed",
        "accepted",
    ]
    assert np.array_equal(desk.mask(), before)


def test_walks_know_the_key_planes_that_they_do_not_begin_at(mrml_scene, monkeypatch):
    """On the same side where only that side is walked from; all of them between two key planes."""
    desk = Desk(mrml_scene, tube())
    for plane in (2, 4, 8):
        desk.propose(plane)
        desk.accept()
    told = {}
    walk = Propagation.from_planes

    def spy(self, answers, direction, within, known):
        told[within.first, within.last] = {index: int(answer.mask.sum()) for index, answer in known.items()}
        return walk(self, answers, direction, within, known)

    monkeypatch.setattr(Propagation, "from_planes", spy)
    desk.propagate()
    area = int(desk.mask()[4].sum())
    everywhere = dict.fromkeys((2, 4, 8), area)
    assert told == {(0, 1): everywhere, (3, 3): everywhere, (5, 7): everywhere, (9, 11): everywhere}
    told.clear()
    desk.propagate(direction="up")
    assert told[5, 7] == dict.fromkeys((2, 4), area)


def test_a_corrected_plane_is_a_key_plane_for_the_next_propagation(mrml_scene):
    """Two tubes: the second begins half-way. After a correction the walk follows it, up to the plane accepted above."""
    voxels = tube()
    voxels[6:, 8:16, 20:26] = 200
    desk = Desk(mrml_scene, voxels)
    desk.propose(1)
    desk.accept()
    desk.propagate()
    assert desk.logic.worstPlane(desk.segmentation, desk.ids[0]) is not None
    desk.accept(planes=range(2, 6))
    # From plane 6 on the user wants both tubes.
    desk.logic.segment(
        desk.volume,
        desk.segmentation,
        desk.ids[0],
        points=[desk.world((6, 12, 14)), desk.world((6, 12, 23))],
        orientation="axial",
    )
    desk.accept(planes=[6])
    assert desk.mask()[6, 12, 23]
    desk.propagate(planes=(7, 11))
    desk.accept()
    assert all(desk.mask()[k, 12, 23] for k in range(6, 12))
    assert not desk.mask()[:6, 12, 23].any()


def test_proposals_of_an_earlier_run_that_the_new_one_does_not_reach_are_dropped(mrml_scene):
    desk = Desk(mrml_scene, tube())
    desk.propose(6)
    desk.propagate()
    voxels = scenery.vtk_to_numpy(desk.volume.GetImageData().GetPointData().GetScalars()).reshape(12, 24, 28)
    voxels[9:] = 0
    desk.volume.GetImageData().GetPointData().GetScalars().Modified()
    desk.propagate()
    assert desk.statuses()[8:] == ["proposed", "stopped", "empty", "empty"]
    assert "is no longer as it was" in desk.logic.takeNotes(desk.segmentation)[0]
    assert desk.logic.takeNotes(desk.segmentation) == []


def test_confidences_and_stops_are_told_for_the_strip(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.propagate()
    states = desk.states()
    assert states[6].confidence == 0.9
    assert 0 < states[5].confidence < 1
    assert states[3].stopped == "the object vanished"
    worst = desk.logic.worstPlane(desk.segmentation, desk.ids[0])
    assert states[worst].confidence == min(s.confidence for s in states if s.proposed)


def test_the_models_answer_of_a_plane_comes_back_from_its_voxels(mrml_scene):
    """What propagation starts from is the segment as it stands, corrections by hand included."""
    from test_accepting import paint

    from SAMUNetSlicerLib.scene.actions.segmenting import known_answer
    from SAMUNetSlicerLib.scene.record.document import PlaneKey

    desk = Desk(mrml_scene)
    proposed = desk.propose(6).planes[0].mask_yx
    key = PlaneKey("", desk.ids[0], "K", 6)
    assert np.array_equal(known_answer(desk.space, key).mask, proposed)
    desk.accept()
    corrected = ball() & (np.indices(scenery.SHAPE)[2] < 14)
    paint(desk, 0, corrected & (np.arange(12) == 6)[:, None, None])
    answer = known_answer(desk.space, key)
    assert answer.mask.sum() == corrected[6].sum()
    assert not (answer.mask & ~proposed).any()
