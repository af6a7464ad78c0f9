"""Everything that can be done, at random, with what others do to the nodes in between: the scene agrees with itself.

After each act the record, the proposals and the saved text say the same; what was done is taken back and done again
without a trace; and a saved scene goes on as it was left.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import numpy as np
import pytest
import scenery
from scenery import Desk, ball
from sequence_scenery import PLANE, BeatingDesk, draw

from SAMUNetSlicerLib.errors import UserError
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask
from SAMUNetSlicerLib.scene.nodes.names import FRAME, SEGMENT
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import SegmentStatus, find_segment, segment_ids, set_status
from SAMUNetSlicerLib.scene.nodes.state_node import read_document
from SAMUNetSlicerLib.scene.record.stacks import StackKey
from SAMUNetSlicerLib.volumes.prompts import PointPrompt, Sign
from SAMUNetSlicerLib.volumes.sampling import plane_numbers
from SAMUNetSlicerLib.volumes.voxels import whole_block

OURS = ["correct", "cancel", "discard", "reopen", "keep", "clear", "add", "delete"]
OURS += 8 * ["segment"] + 6 * ["propagate"] + 8 * ["accept"]
OTHERS = [
    "paint",
    "rename",
    "lock",
    "unlock",
    "remove_proposals",
    "remove_prompts",
    "drag",
    "remove_record",
    "show_in_3d",
]
# These change voxels of the result.
WRITING = {"accept", "accept_in_time", "delete"}


class Story:
    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.logic, self.node, self.space = desk, desk.logic, desk.segmentation, desk.space
        self.chance = np.random.default_rng(seed)
        self.view = scenery.slice_to_ras((1, 2, 2), desk.world((6, 12, 14)))
        self.done: Counter[str] = Counter()
        self.taken_back = 0

    def pick(self, choices):
        return choices[int(self.chance.integers(len(choices)))]

    def segment_id(self) -> str:
        return self.pick(segment_ids(self.node))

    def planes(self) -> dict:
        return self.pick([*3 * [{"orientation": "axial"}], {"orientation": "coronal"}, {"sliceToRAS": self.view}])

    def some(self) -> list[int] | None:
        return self.pick([None, self.chance.integers(3, 10, 3).tolist()])

    def point(self) -> np.ndarray:
        return self.desk.world(self.chance.integers((4, 9, 9), (9, 16, 20)))

    # What we do

    def segment(self, sign: Sign = Sign.POSITIVE) -> None:
        point = PointPrompt(tuple(self.point()), sign)
        self.logic.segment(self.desk.volume, self.node, self.segment_id(), points=[point], **self.planes())

    def correct(self) -> None:
        self.segment(Sign.NEGATIVE)

    def propagate(self) -> None:
        list(self.logic.propagate(self.node, self.segment_id(), **self.planes()))

    def cancel(self) -> None:
        steps = self.logic.propagate(self.node, self.segment_id(), **self.planes())
        next(steps)
        steps.close()

    def accept(self) -> None:
        self.logic.accept(self.node, self.segment_id(), self.some(), **self.planes())

    def discard(self) -> None:
        self.logic.discard(self.node, self.segment_id(), self.some(), **self.planes())

    def reopen(self) -> None:
        self.logic.reopen(self.node, self.segment_id(), self.some(), **self.planes())

    def keep(self) -> None:
        self.logic.keepAsIs(self.node, self.segment_id(), [int(self.chance.integers(12))], **self.planes())

    def clear(self) -> None:
        self.logic.clearPrompts(self.node, self.segment_id(), self.some(), **self.planes())

    def add(self) -> None:
        self.logic.addSegment(self.node, "Another; one")

    def delete(self) -> None:
        if len(segment_ids(self.node)) > 2:
            self.logic.deleteSegment(self.node, self.segment_id())

    def propagate_in_time(self) -> None:
        list(self.logic.propagateInTime(self.node, self.segment_id(), PLANE, orientation="axial"))

    def accept_in_time(self) -> None:
        self.logic.acceptInTime(self.node, self.segment_id(), self.some(), orientation="axial")

    # What others do

    def paint(self) -> None:
        self.desk.ids = list(segment_ids(self.node))
        draw(self.desk, self.node, int(self.chance.integers(12)), int(self.chance.integers(len(self.desk.ids))))

    def rename(self) -> None:
        find_segment(self.node, self.segment_id()).SetName(self.pick(["Heart", "Herz; é"]))

    def lock(self) -> None:
        set_status(self.node, self.segment_id(), SegmentStatus.COMPLETED)

    def unlock(self) -> None:
        for segment_id in segment_ids(self.node):
            set_status(self.node, segment_id, SegmentStatus.IN_PROGRESS)

    def remove_proposals(self) -> None:
        if self.space.proposals.node is not None:
            self.desk.scene.RemoveNode(self.space.proposals.node)

    def remove_prompts(self) -> None:
        if nodes := self.space.prompts.nodes():
            self.desk.scene.RemoveNode(self.pick(nodes))
        self.note()

    def drag(self) -> None:
        if nodes := [node for node in self.space.prompts.nodes() if node.GetNumberOfControlPoints()]:
            self.pick(nodes).SetNthControlPointPosition(0, *self.point())
        self.note()

    def note(self) -> None:
        for segment_id in segment_ids(self.node):
            self.logic.notePrompts(self.node, segment_id, "axial")

    def remove_record(self) -> None:
        self.desk.scene.RemoveNode(self.space.state_node)

    def show_in_3d(self) -> None:
        self.node.CreateClosedSurfaceRepresentation()

    def move(self) -> None:
        self.desk.volume.SetAndObserveTransformNodeID(
            scenery.linear_transform(self.desk.scene, scenery.rigid(int(self.chance.integers(99)))).GetID()
        )

    def harden(self) -> None:
        self.desk.volume.HardenTransform()

    def go(self) -> None:
        self.desk.go(int(self.chance.integers(self.desk.browser.GetNumberOfItems())))

    def remove_item(self) -> None:
        sequence = self.desk.sequence
        if sequence.GetNumberOfDataNodes() > 3:
            number = int(self.chance.integers(sequence.GetNumberOfDataNodes()))
            sequence.RemoveDataNodeAtValue(sequence.GetNthIndexValue(number))

    def act(self, name: str) -> None:
        """Refusals are part of the story."""
        before, steps = snapshot(self.space), self.space.history.undo_parts
        with contextlib.suppress(UserError):
            getattr(self, name)()
            self.done[name] += 1
        check(self.space)
        if name not in (*OURS, "propagate_in_time", "accept_in_time"):
            return
        after = snapshot(self.space)
        if name not in WRITING:
            assert differences(before["result"], after["result"]) == [], name
        if self.space.history.undo_parts is steps or not self.space.history.can_undo:
            return
        self.taken_back += 1
        assert not any("since then" in note for note in self.logic.undo(self.node).notes), name
        check(self.space)
        for what, was in before.items():
            assert differences(was, snapshot(self.space)[what]) == [], (name, what)
        self.logic.redo(self.node)
        check(self.space)
        for what, was in after.items():
            assert differences(was, snapshot(self.space)[what]) == [], (name, what)


def snapshot(space) -> dict[str, dict]:
    """Voxels of the result and of the proposals, the record of planes, the prompts."""
    local = space.check().local
    whole = whole_block(local.shape_kji)
    result = {}
    for frame in space.result_frames():
        with space.at_item(frame):
            node = space.segmentation_node
            result |= {(frame, i): read_mask(node, i, local).tobytes() for i in segment_ids(node)}
    proposals = {place: space.proposals.read(place, local, whole).tobytes() for place in space.proposals.targets()}
    prompts = {}
    for place in {(node.GetAttribute(SEGMENT), node.GetAttribute(FRAME) or "") for node in space.prompts.nodes()}:
        if points := space.prompts.read(*place).points:
            prompts[place] = sorted((np.round(p.position, 2).tolist(), p.sign.name, p.stack.text) for p in points)
    return {"result": result, "proposals": proposals, "record": dict(space.document.planes), "prompts": prompts}


def differences(before: dict, after: dict) -> list:
    """Nothing there and nothing in it is the same: undo leaves empty segments of proposals."""

    def holds(value) -> bool:
        return any(value) if isinstance(value, bytes) else value is not None

    return [
        key
        for key in {**before, **after}
        if before.get(key) != after.get(key) and (holds(before.get(key)) or holds(after.get(key)))
    ]


def check(space) -> None:
    """The record is in the scene, and what it calls proposed is what the proposals hold."""
    local = space.check().local
    assert read_document(space.state_node)[0] == space.document
    known = {key for key, state in space.document.planes.items() if state.proposed is not None}
    assert all(space.proposals.segment_of(key) is not None for key in known)
    whole = whole_block(local.shape_kji)
    for place in space.proposals.targets():
        held = space.proposals.read(place, local, whole)
        numbers = np.broadcast_to(plane_numbers(space.stack(StackKey(place.stack)), whole), held.shape)
        assert {place._replace(index=int(index)) for index in np.unique(numbers[held])} <= known


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["volume", "sequence"])
def test_whatever_is_done_the_scene_agrees_with_itself(mrml_host, mrml_scene, tmp_path, kind, seed):
    if kind == "sequence":
        desk = BeatingDesk(mrml_host, ("Liver", "Spleen"))
        acts = [*OURS, *OTHERS, *5 * ["propagate_in_time", "accept_in_time", "go"], "remove_item"]
    else:
        transform = scenery.linear_transform(mrml_scene, scenery.tilted())
        voxels = scenery.picture(ball((6, 12, 10)), ball((6, 12, 19), 5.0))
        desk = Desk(mrml_scene, voxels, ("Liver", "Spleen"), transform=transform)
        acts = [*OURS, *OTHERS, "move", "harden"]
    story = Story(desk, seed)
    for _ in range(100):
        story.act(story.pick([*acts, *5 * ["unlock"]]))
    assert len(story.done) > 15
    assert story.taken_back > 20
    saved = snapshot(story.space)
    desk.logic.saveScene(tmp_path / "work.mrb")
    desk.logic.reset()
    mrml_host.clear()
    assert mrml_scene.ReadFromMRB(str(tmp_path / "work.mrb"))
    (work,) = SegmentationLogic(mrml_scene).restore()
    for what, was in snapshot(work.workspace).items():
        assert differences(saved[what], was) == [], what
