"""A session shows, accepts, discards and propagates one and the same stack of planes."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def desk(mrml_scene):
    """A ball with a preview on a sagittal plane, and after it on an axial one."""
    from scene.scenery import Desk

    desk = Desk(mrml_scene)
    desk.propose(14, at=(6, 12), orientation="sagittal")
    desk.propose(6)
    return desk


@pytest.fixture
def session(desk):
    """Without a view that was looked at: as when a scene has just been loaded."""
    from SAMUNetSlicerLib.widgets.controllers.session import Session

    session = Session(desk.logic, desk.volume, desk.segmentation)
    session.choose_segment(desk.ids[0])
    return session


def statuses(session) -> dict[int, str]:
    return {index: state.status.value for index, state in enumerate(session.states()) if state.status.value != "empty"}


def test_at_first_it_shows_the_planes_that_the_scanner_took(session):
    assert session.stack_name() == "axial"
    assert statuses(session) == {6: "proposed"}


def test_all_that_is_shown_is_accepted_and_nothing_else(session, desk):
    session.accept(None)
    assert statuses(session) == {6: "accepted"}
    assert desk.statuses(orientation="sagittal")[14] == "proposed"


def test_all_that_is_shown_is_discarded_and_nothing_else(session, desk):
    assert session.discard(None) == 1
    assert statuses(session) == {}
    assert desk.statuses(orientation="sagittal")[14] == "proposed"


def test_the_planes_that_are_shown_are_propagated(session, desk):
    list(session.propagate("both", (5, 7)))
    assert statuses(session) == {5: "proposed", 6: "proposed", 7: "proposed"}


def test_a_view_looked_at_decides_from_then_on(session, desk):
    from scene.scenery import slice_to_ras

    session.look_at(slice_to_ras((1, 0, 0), desk.world((6, 12, 14)), up=(0, 0, 1)))
    assert session.stack_name() == "sagittal"
    session.accept(None)
    assert statuses(session) == {14: "accepted"}
    assert desk.statuses()[6] == "proposed"


def test_planes_beside_end_at_the_next_key_planes(session, desk):
    desk.propose(9)
    last = len(session.states()) - 1
    for index, expected in ((6, (0, 8)), (9, (7, last)), (7, (7, 8)), (3, (0, 5))):
        session.go_to(index)
        assert session.planes_beside() == expected


def test_beside_a_plane_between_two_others_that_are_prompted_there_is_nothing(session, desk):
    from SAMUNetSlicerLib.errors import EditError

    for plane in (5, 7):
        desk.propose(plane)
    session.go_to(6)
    with pytest.raises(EditError, match="accepted or prompted"):
        session.planes_beside()


@pytest.mark.parametrize("what", ["point", "box"])
def test_a_prompt_that_was_moved_off_the_volume_stands_in_nobodys_way(session, desk, what):
    from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, PointPrompt, SegmentPrompts
    from SAMUNetSlicerLib.widgets.controllers.moved_prompts import preview_moved

    view = np.eye(4)

    def add(plane: int) -> None:
        view[:3, 3] = centre = desk.world((plane, 12, 14))
        box = SegmentPrompts("", boxes=(BoxPrompt(tuple(centre), (14.0, 14.0, 2.0)),))
        session.add_prompts(SegmentPrompts("", (PointPrompt(tuple(centre)),)) if what == "point" else box, view)

    add(5)
    placed = desk.space.prompts.nodes(desk.ids[0])[-1]
    placed.SetNthControlPointPositionWorld(placed.GetNumberOfControlPoints() - 1, 900.0, 900.0, 900.0)
    preview_moved(session)
    add(7)
    assert statuses(session)[7] in ("proposed", "uncertain")
    session.discard_plane()
    assert 7 not in statuses(session)


@pytest.fixture
def clicked(session, desk):
    """Accepted on two planes; `click(plane, at)` adds a point."""
    from SAMUNetSlicerLib.volumes.prompts import PointPrompt, SegmentPrompts

    desk.propose(8)
    session.accept(None)
    view = np.eye(4)

    def click(plane: int, at=(12, 16)) -> None:
        view[:3, 3] = centre = desk.world((plane, *at))
        session.add_prompts(SegmentPrompts("", (PointPrompt(tuple(centre)),)), view)

    return click


def prompts(session):
    return session.workspace.prompts.read(session.segment_id, session.workspace.frame)


def test_discarding_a_correction_brings_back_the_prompts_that_the_plane_was_accepted_with(session, clicked):
    accepted = prompts(session)
    clicked(6)
    clicked(6, at=(10, 14))
    clicked(8)
    session.go_to(6)
    session.discard_plane()
    assert statuses(session) == {6: "accepted", 8: "proposed"}
    assert len(prompts(session).without(accepted).points) == 1, "that of the other plane"
    assert not accepted.without(prompts(session))
    session.undo()
    assert len(prompts(session).without(accepted).points) == 3
    assert statuses(session)[6] == "proposed"


@pytest.mark.parametrize("deleted", [False, True])
def test_a_prompt_that_was_moved_or_deleted_after_accepting_is_put_back(session, desk, clicked, deleted):
    from SAMUNetSlicerLib.widgets.controllers.moved_prompts import preview_moved

    clicked(8, at=(10, 14))
    session.accept_plane()
    accepted = prompts(session)
    (node,) = (n for n in desk.space.prompts.nodes(desk.ids[0]) if n.GetNumberOfControlPoints() == 4)
    upper = max(range(4), key=lambda n: node.GetNthControlPointPosition(n)[2])  # on plane 8
    if deleted:
        node.RemoveNthControlPoint(upper)
    else:
        node.SetNthControlPointPositionWorld(upper, *desk.world((8, 13, 13)))
    assert preview_moved(session)
    assert session.place.index == 8
    assert not prompts(session).is_close_to(accepted)
    session.discard_plane()
    assert statuses(session)[8] == "accepted"
    assert prompts(session).is_close_to(accepted)


def test_a_plane_that_is_accepted_anew_keeps_what_it_was_corrected_with(session, clicked):
    clicked(6)
    session.accept_plane()
    accepted = prompts(session)
    clicked(6, at=(10, 14))
    session.discard_plane()
    assert prompts(session).is_close_to(accepted)


def test_prompts_stay_where_the_history_no_longer_tells_which_are_new(session, clicked):
    clicked(6)
    session.workspace.history.clear()
    kept = prompts(session)
    session.discard_plane()
    assert statuses(session) == {6: "accepted", 8: "accepted"}
    assert prompts(session).is_close_to(kept)


def test_prompts_that_were_deleted_after_accepting_stay_so_where_there_is_nothing_to_discard(session, desk, clicked):
    clicked(8)
    session.accept_plane()
    desk.logic.clearPrompts(session.node, session.segment_id)
    session.discard_plane()
    assert not prompts(session)
    assert session.history_texts()[0] == "Delete prompts of Liver"
