"""A plane follows its object from item to item of a sequence; every item has proposals of its own."""

import numpy as np
import pytest
import scenery
from scenery import Desk
from sequence_scenery import PLANE, BeatingDesk, moving_ball

from SAMUNetSlicerLib.errors import InputError, PromptError


@pytest.fixture
def beating(mrml_host, mrml_scene):
    return BeatingDesk(mrml_host)


def accepted_in(desk, item: int) -> np.ndarray:
    desk.go(item)
    desk.logic.accept(desk.segmentation, desk.ids[0], [PLANE], orientation="axial")
    return desk.mask()[PLANE]


def test_every_item_gets_a_proposal_where_the_object_is_by_then(beating):
    beating.propose(PLANE)
    steps = beating.walk()
    answered = [step.index for step in steps if not step.stopped]
    assert sorted(answered) == [0, 1, 3, 4]
    assert steps[-1].done == 4
    for item in (0, 4):
        beating.go(item)
        assert beating.statuses()[PLANE] in ("proposed", "uncertain")
        assert sum(state != "empty" for state in beating.statuses()) == 1
        found, expected = accepted_in(beating, item), moving_ball(item)[PLANE]
        assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.9


def test_one_way_only_and_not_past_an_item_that_was_accepted(beating):
    beating.propose(PLANE)
    beating.walk(direction="up")
    beating.go(1)
    assert beating.statuses()[PLANE] == "empty"
    accepted_in(beating, 4)
    beating.go(2)
    answered = [step.index for step in beating.walk() if not step.stopped]
    assert sorted(answered) == [0, 1, 3]
    beating.go(4)
    assert beating.statuses()[PLANE] == "accepted"


def test_it_is_one_step_to_undo(beating):
    beating.propose(PLANE)
    beating.walk()
    beating.logic.undo(beating.segmentation)
    beating.go(3)
    assert beating.statuses()[PLANE] == "empty"
    beating.go(2)
    assert beating.statuses()[PLANE] != "empty", "the prompted item keeps its preview"


def test_a_volume_outside_of_a_sequence_is_told(mrml_scene):
    desk = Desk(mrml_scene)
    with pytest.raises(InputError, match="sequence browser"):
        list(desk.logic.propagateInTime(desk.segmentation, desk.ids[0], PLANE, orientation="axial"))


def test_a_plane_without_anything_is_told(beating):
    with pytest.raises(PromptError, match="nothing of"):
        beating.walk()


def test_items_on_other_grids_are_told(beating, mrml_scene):
    other = scenery.volume_node(mrml_scene, np.zeros((3, 4, 5), np.int16))
    beating.sequence.SetDataNodeAtValue(other, "120")
    beating.propose(PLANE)
    with pytest.raises(InputError, match="different grids"):
        beating.walk()


def test_a_propagation_stays_in_its_item_when_the_browser_moves_on(beating):
    beating.go(1)
    beating.propose(PLANE, at=(12, 13))
    beating.propagate()
    others = [(key, state) for key, state in beating.space.document.planes.items()]
    beating.go(3)
    for plane in (PLANE - 1, PLANE + 1):
        beating.propose(plane, at=(12, 15))
        beating.accept(planes=[plane])
    expected = None
    for moved_to in (3, 1):
        steps = beating.logic.propagate(beating.segmentation, beating.ids[0], "axial")
        taken = [next(steps)]
        beating.go(moved_to)
        taken += steps
        beating.go(3)
        expected = expected or [(step.index, step.confidence) for step in taken]
        assert [(step.index, step.confidence) for step in taken] == expected
    assert [(key, beating.space.document.plane(key)) for key, _ in others] == others
