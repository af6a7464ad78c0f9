"""Undo and redo over many levels, without ever undoing what someone else has done."""

import numpy as np
import pytest
import scenery
from scenery import Desk, ball
from test_accepting import paint
from test_random_accepting import propose_mask

from SAMUNetSlicerLib.errors import EditError, PromptError
from SAMUNetSlicerLib.scene.history.undo_redo import History
from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import (
    SegmentStatus,
    segment_ids,
    segment_name,
    set_status,
    status_of,
)
from SAMUNetSlicerLib.scene.nodes.state_node import read_document
from SAMUNetSlicerLib.scene.record.document import PlaneKey
from SAMUNetSlicerLib.scene.record.editing_rules import EditingRules, Overwrite
from SAMUNetSlicerLib.scene.record.stacks import StackKey
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneOrigin


class Weight:
    """A part of a step that weighs something and says what happens to it."""

    def __init__(self, log, name, nbytes=1, note=""):
        self.log, self.name, self.nbytes, self.note = log, name, nbytes, note

    def undo(self):
        self.log.append(f"-{self.name}")
        return self.note

    def redo(self):
        self.log.append(f"+{self.name}")
        return self.note


def test_steps_are_undone_backwards_and_redone_forwards():
    log = []
    history = History()
    assert history.undo_parts == history.redo_parts == ()
    history.push("one", [Weight(log, "a"), Weight(log, "b")])
    history.push("two", [Weight(log, "c", note="careful")])
    assert (history.can_undo, history.can_redo, history.undo_text) == (True, False, "two")
    assert history.undo().notes == ("careful",)
    assert history.undo().text == "one"
    assert history.undo() is None
    assert history.undo_parts == ()
    assert [part.name for part in history.redo_parts] == ["a", "b"]
    assert history.redo().text == "one"
    assert log == ["-c", "-b", "-a", "+a", "+b"]
    history.push("three", [Weight(log, "d")])
    assert not history.can_redo
    assert history.nbytes == 3
    history.push("nothing", [])
    assert len(history) == 2
    history.clear()
    assert (history.can_undo, history.can_redo, history.nbytes) == (False, False, 0)


def test_the_oldest_steps_are_forgotten_when_memory_runs_out():
    log = []
    history = History(limit_bytes=100)
    for number in range(10):
        history.push(str(number), [Weight(log, number, 30)])
        assert history.nbytes <= 100
    undone = [history.undo().text for _ in range(len(history))]
    assert undone == ["9", "8", "7"]
    assert history.undo() is None
    assert [history.redo().text for _ in range(3)] == ["7", "8", "9"]
    history.push("huge", [Weight(log, "huge", 1000)])
    assert len(history) == 1
    assert history.undo().text == "huge"


def test_a_new_step_does_not_weigh_the_earlier_ones_again():
    weighed = []

    class Weighed(Weight):
        @property
        def nbytes(self):
            weighed.append(self.name)
            return 30

        @nbytes.setter
        def nbytes(self, _):
            pass

    history = History(limit_bytes=100)
    for number in range(10):
        history.push(str(number), [Weighed([], number)])
    assert weighed == list(range(10))


def snapshot(desk):
    """All that a step may change: voxels of result and proposals, prompts, marks of planes."""
    geometry = local_geometry(desk.volume)
    result = {segment_name(desk.segmentation, i): read_mask(desk.segmentation, i, geometry).tobytes()
              for i in segment_ids(desk.segmentation)}  # fmt: skip
    node = desk.space.proposals.node
    proposed = {} if node is None else {i: read_mask(node, i, geometry).tobytes() for i in segment_ids(node)}
    prompts = {
        i: sorted((p.position, p.sign.name) for p in desk.space.prompts.read(i).points)
        for i in segment_ids(desk.segmentation)
    }
    return (
        result,
        {i: mask for i, mask in proposed.items() if any(mask)},
        prompts,
        dict(desk.space.document.planes),
    )


def test_a_long_story_is_told_backwards_and_forwards(mrml_scene):
    """Prompts, previews, propagation, accepts with overwriting, deletes: every state comes back exactly."""
    second = ball((6, 12, 20), 5.0)
    desk = Desk(mrml_scene, scenery.picture(ball((6, 12, 8), 5.0), second), segments=("Liver", "Spleen"))
    logic, node = desk.logic, desk.segmentation
    logic.setEditingRules(node, EditingRules(Overwrite.ALL))
    actions = [
        lambda: desk.propose(6, at=(12, 8)),
        lambda: desk.accept(),
        lambda: desk.propagate(),
        lambda: desk.accept(planes=[5, 7]),
        lambda: desk.propose(6, number=1, at=(12, 20)),
        lambda: desk.accept(1),
        lambda: desk.propagate(1),
        lambda: desk.propose(8, at=(6, 12), orientation="sagittal"),
        lambda: desk.accept(1),
        lambda: logic.discard(node, desk.ids[0]),
        lambda: logic.clearPrompts(node, desk.ids[1]),
        lambda: logic.reopen(node, desk.ids[0], [5]),
        lambda: desk.propose(5, number=1, at=(12, 8)),
        lambda: desk.accept(1),
        lambda: logic.deleteSegment(node, desk.ids[0]),
        lambda: logic.addSegment(node, "Kidney"),
    ]
    states = [snapshot(desk)]
    for action in actions:
        action()
        states.append(snapshot(desk))
    assert all(a != b for a, b in zip(states, states[1:], strict=False)), "every action counts"
    for turn in range(2):
        for number in range(len(actions) - 1, -1, -1):
            outcome = logic.undo(node)
            assert outcome.notes == (), (turn, number, outcome)
            assert snapshot(desk) == states[number], (turn, number, outcome.text)
        for number in range(1, len(actions) + 1):
            outcome = logic.redo(node)
            assert outcome.notes == ()
            assert snapshot(desk) == states[number], (turn, number, outcome.text)
    assert logic.redo(node) is None


def test_an_edit_made_elsewhere_is_never_undone(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    by_hand = desk.mask()
    by_hand[6, 12, 10:13] = False
    by_hand[6, 0, 0] = True
    by_hand[2, 3, 4] = True
    paint(desk, 0, by_hand)
    outcome = desk.logic.undo(desk.segmentation)
    assert outcome.notes == ("3 voxels of 'Liver' were changed elsewhere since then and were left as they are.",)
    assert np.argwhere(desk.mask()).tolist() == [[2, 3, 4], [6, 0, 0]]
    outcome = desk.logic.redo(desk.segmentation)
    assert np.array_equal(desk.mask(), by_hand)
    assert not outcome.notes


def test_a_finished_segment_is_not_changed_by_undo_or_redo(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    held = desk.mask()
    set_status(desk.segmentation, desk.ids[0], SegmentStatus.COMPLETED)
    with pytest.raises(EditError, match="'Liver' is finished"):
        desk.logic.undo(desk.segmentation)
    assert np.array_equal(desk.mask(), held)
    set_status(desk.segmentation, desk.ids[0], SegmentStatus.IN_PROGRESS)
    assert desk.logic.undo(desk.segmentation).notes == ()
    assert not desk.mask().any()
    set_status(desk.segmentation, desk.ids[0], SegmentStatus.COMPLETED)
    with pytest.raises(EditError, match="'Liver' is finished"):
        desk.logic.redo(desk.segmentation)
    assert not desk.mask().any()


def test_a_voxel_drawn_elsewhere_is_not_lost_by_a_redo(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    desk.logic.undo(desk.segmentation)
    mark = np.zeros(scenery.SHAPE, bool)
    mark[6, 12, 14] = True
    paint(desk, 0, mark)
    assert "1 voxels" in desk.logic.redo(desk.segmentation).notes[0]
    assert desk.mask()[6].sum() == ball()[6].sum()
    desk.logic.undo(desk.segmentation)
    assert np.array_equal(desk.mask(), mark)


def test_prompts_moved_elsewhere_are_left_where_they_are(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    node = desk.space.prompts.nodes(desk.ids[0])[0]
    node.SetNthControlPointPosition(0, 1.0, 2.0, 30.0)
    outcome = desk.logic.undo(desk.segmentation)
    assert outcome.notes == ("The prompts were changed elsewhere since then and were left as they are.",)
    assert desk.space.prompts.read(desk.ids[0]).points[0].position == (1.0, 2.0, 30.0)
    assert desk.statuses()[6] == "empty"


def test_prompts_placed_and_dragged_by_mouse_are_steps(mrml_scene):
    import vtk

    from SAMUNetSlicerLib.volumes.prompts import Sign

    desk = Desk(mrml_scene)
    prompts = desk.space.prompts.points_node(desk.ids[0], "Liver", Sign.POSITIVE)
    prompts.AddControlPointWorld(vtk.vtkVector3d(*desk.world((6, 12, 14))))
    assert desk.logic.notePrompts(desk.segmentation, desk.ids[0], "axial") == {StackKey("K"): {6}}
    prompts.SetNthControlPointPositionWorld(0, *desk.world((8, 12, 14)))
    assert desk.logic.notePrompts(desk.segmentation, desk.ids[0], "axial") == {StackKey("K"): {6, 8}}
    assert desk.logic.notePrompts(desk.segmentation, desk.ids[0], "axial") == {}
    desk.logic.undo(desk.segmentation)
    assert np.allclose(prompts.GetNthControlPointPositionWorld(0), desk.world((6, 12, 14)))
    desk.logic.undo(desk.segmentation)
    assert prompts.GetNumberOfControlPoints() == 0
    desk.logic.redo(desk.segmentation)
    assert desk.logic.notePrompts(desk.segmentation, desk.ids[0], "axial") == {}, "what undo does is known"


def test_a_positive_point_after_a_negative_one_is_undone_and_not_taken_for_moved(mrml_scene):
    """The nodes hold positive points first, whatever came first."""
    from SAMUNetSlicerLib.volumes.prompts import PointPrompt, Sign

    desk = Desk(mrml_scene)
    outside = [PointPrompt(desk.world((6, 2, 2)), Sign.NEGATIVE)]
    with pytest.raises(PromptError, match="negative"):
        desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], points=outside, orientation="axial")
    desk.propose(6)
    assert desk.logic.notePrompts(desk.segmentation, desk.ids[0], "axial") == {}
    assert desk.logic.undo(desk.segmentation).notes == ()
    assert [p.sign for p in desk.space.prompts.read(desk.ids[0]).points] == [Sign.NEGATIVE]


def test_moved_prompts_are_told_for_each_stack_that_they_lie_on(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.propose(12, at=(6, 14), orientation="coronal")
    (node,) = desk.space.prompts.nodes(desk.ids[0])
    for number in range(2):
        node.SetNthControlPointPositionWorld(number, *desk.world((8, 10, 14)))
    changed = desk.logic.notePrompts(desk.segmentation, desk.ids[0], "sagittal")
    assert changed == {StackKey("K"): {6, 8}, StackKey("J"): {12, 10}}
    node.SetNthControlPointPositionWorld(0, *desk.world((8, 10, 300)))
    changed = desk.logic.notePrompts(desk.segmentation, desk.ids[0], "sagittal")
    assert changed == {StackKey("K"): {8}}, "off the volume there is no plane, and the one it came from has changed"


@pytest.mark.parametrize("shown_in_3d", [False, True])
def test_the_status_of_a_segment_is_the_same_with_and_without_its_surface(mrml_scene, shown_in_3d):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    if shown_in_3d:
        desk.segmentation.CreateClosedSurfaceRepresentation()
    desk.logic.undo(desk.segmentation)
    desk.logic.redo(desk.segmentation)
    assert status_of(desk.segmentation, desk.ids[0]) is SegmentStatus.IN_PROGRESS
    desk.logic.deleteSegment(desk.segmentation, desk.ids[0])
    desk.logic.undo(desk.segmentation)
    assert status_of(desk.segmentation, desk.ids[0]) is SegmentStatus.IN_PROGRESS


def test_several_things_done_as_one_are_undone_as_one(mrml_scene):
    desk = Desk(mrml_scene)
    with desk.logic.step(desk.segmentation, "Everything"):
        desk.space.document.rules = EditingRules()
        desk.propose(6)
        desk.propose(7)
    before = len(desk.space.history)
    assert desk.space.history.undo_text == "Everything"
    desk.logic.undo(desk.segmentation)
    assert desk.statuses()[6:8] == ["empty", "empty"]
    assert len(desk.space.history) == before


def test_undo_works_where_the_proposals_node_was_deleted(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    mrml_scene.RemoveNode(desk.space.proposals.node)
    outcome = desk.logic.undo(desk.segmentation)
    assert not desk.mask().any()
    assert not outcome.notes
    assert desk.statuses()[6] == "proposed"


def test_an_empty_answer_comes_back_as_the_proposal_that_it_was(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(0, at=(2, 2))
    assert desk.statuses()[0] == "uncertain"
    desk.logic.undo(desk.segmentation)
    desk.logic.redo(desk.segmentation)
    desk.propose(12, at=(6, 14), orientation="coronal")
    assert desk.statuses()[0] == "uncertain"
    assert desk.logic.discard(desk.segmentation, desk.ids[0], orientation="axial") == 1
    desk.logic.undo(desk.segmentation)
    assert desk.statuses()[0] == "uncertain"


def test_proposals_that_were_deleted_come_back_whole_or_not_at_all(mrml_scene):
    """Else the rest of one, or none, would be accepted in their place."""
    desk = Desk(mrml_scene)
    key = PlaneKey("", desk.ids[0], "K", 6)
    for radius in (6.0, 4.0):
        propose_mask(desk, key, ball(radius_mm=radius), PlaneOrigin.PROMPTED)
    mrml_scene.RemoveNode(desk.space.proposals.node)
    said = desk.logic.undo(desk.segmentation)
    assert said.notes == ("The proposals were deleted elsewhere since then and do not come back.",)
    assert desk.statuses()[6] == "empty"
    desk.logic.redo(desk.segmentation)
    assert desk.statuses()[6] == "empty"
    for _ in range(2):
        desk.logic.undo(desk.segmentation)
    assert desk.logic.redo(desk.segmentation).notes == ()
    desk.accept()
    assert np.array_equal(desk.mask()[6], ball()[6])


def test_an_undo_is_kept_also_where_a_prompt_cannot_be_read_any_more(mrml_scene):
    desk = Desk(mrml_scene)
    box = BoxPrompt(tuple(desk.world((6, 12, 14))), (12.0, 12.0, 4.0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], boxes=[box], orientation="axial")
    desk.accept()
    (roi,) = desk.space.prompts.nodes()
    roi.SetInsideOut(True)
    with pytest.raises(PromptError, match="not a plain box"):
        desk.logic.undo(desk.segmentation)
    assert read_document(desk.space.state_node)[0] == desk.space.document
    assert not desk.mask().any()


@pytest.mark.parametrize("step", ["added", "deleted"])
def test_a_segment_that_went_or_was_drawn_on_elsewhere_is_left_so(mrml_scene, step):
    desk = Desk(mrml_scene)
    logic, node = desk.logic, desk.segmentation
    kidney = logic.addSegment(node, "Kidney")
    if step == "deleted":
        logic.deleteSegment(node, kidney)
        logic.undo(node)
    take_away, bring_back = (logic.undo, logic.redo) if step == "added" else (logic.redo, logic.undo)
    desk.ids = [kidney]
    mark = np.zeros(scenery.SHAPE, bool)
    mark[6, 12, 14] = True
    paint(desk, 0, mark)
    assert "'Kidney' was drawn on elsewhere" in take_away(node).notes[0]
    assert "stands in the segmentation already" in bring_back(node).notes[0]
    assert np.array_equal(desk.mask(), mark)
    node.GetSegmentation().RemoveSegment(kidney)
    assert take_away(node).notes == ("The segment had been removed already.",)


@pytest.mark.parametrize("gone", ["segment", "scene"])
def test_undo_after_something_has_gone_says_so(mrml_scene, mrml_host, gone):
    from SAMUNetSlicerLib.errors import InputError

    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    if gone == "segment":
        desk.segmentation.GetSegmentation().RemoveSegment(desk.ids[0])
        assert any("no longer" in note for note in desk.logic.undo(desk.segmentation).notes)
    else:
        mrml_host.clear()
        with pytest.raises(InputError, match="no longer in the scene"):
            desk.logic.undo(desk.segmentation)
