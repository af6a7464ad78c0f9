"""Grid and oblique planes proposed, accepted, discarded, undone at random: exactly as a model of plain arrays says."""

from __future__ import annotations

import numpy as np
import pytest
import scenery
from scenery import Desk
from test_accepting import paint

from SAMUNetSlicerLib.inference.predictor import PlaneMask
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.scene.actions.accepting import accept, discard, proposed_planes
from SAMUNetSlicerLib.scene.actions.recorder import recording
from SAMUNetSlicerLib.scene.actions.segmenting import propose
from SAMUNetSlicerLib.scene.actions.workspace import Workspace
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry
from SAMUNetSlicerLib.scene.record.document import PlaneKey
from SAMUNetSlicerLib.scene.record.editing_rules import EditingRules, Overwrite, WriteMode
from SAMUNetSlicerLib.scene.record.stacks import StackKey
from SAMUNetSlicerLib.volumes.sampling import voxels_of_plane
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneOrigin
from SAMUNetSlicerLib.volumes.voxels import VoxelMask, whole_block

SHAPE = (7, 9, 8)
KEYS = ["I", "J", "K", "0.8,0.6,0,0,0,1", "0.36,0.48,0.8,-0.8,0.6,0"]


def oblique_desk(scene, seed: int = 3) -> Desk:
    """An anisotropic grid that lies askew in the patient, under a transform."""
    matrix = scenery.ijk_to_ras((0.9, 1.3, 2.2), scenery.rigid(seed)[:3, :3])
    transform = scenery.linear_transform(scene, scenery.rigid(seed + 1))
    return Desk(scene, np.zeros(SHAPE, np.int16), ("Liver", "Spleen"), matrix, transform)


def numbers_in(space: Workspace, stack: StackKey) -> np.ndarray:
    """(K, J, I): each voxel's plane, one voxel after the other and by the stack's own measure."""
    geometry, planes = space.check().geometry, space.stack(stack)
    numbers = np.zeros(geometry.shape_kji, int)
    for k, j, i in np.ndindex(geometry.shape_kji):
        numbers[k, j, i] = np.floor(planes.index_of(geometry.to_ras([i, j, k])) + 0.5 + 1e-6)
    return numbers


class Model:
    """What result and proposals should hold."""

    def __init__(self, desk: Desk) -> None:
        self.ids = desk.ids
        self.numbers = {key: numbers_in(desk.space, StackKey(key)) for key in KEYS}
        self.result = {i: np.zeros(SHAPE, bool) for i in desk.ids}
        self.proposed = {(i, key): np.zeros(SHAPE, bool) for i in desk.ids for key in KEYS}
        self.origins: dict[tuple[str, str, int], PlaneOrigin] = {}
        self.accepted: set[tuple[str, str, int]] = set()

    def accept(self, segment_id: str, key: str, index: int, mode: WriteMode) -> None:
        origin = self.origins.pop((segment_id, key, index))
        plane = self.numbers[key] == index
        mask = self.proposed[segment_id, key] & plane
        self.proposed[segment_id, key] &= ~plane
        if origin is PlaneOrigin.PROPAGATED:
            for other, other_key, number in self.accepted:
                if other == segment_id and other_key != key:
                    plane &= self.numbers[other_key] != number
        before = self.result[segment_id]
        wanted = {WriteMode.REPLACE: mask, WriteMode.ADD: before | mask, WriteMode.SUBTRACT: before & ~mask}[mode]
        if mode is not WriteMode.SUBTRACT:
            for other in self.ids:
                if other != segment_id:
                    self.result[other] &= ~(mask & plane)
        self.result[segment_id] = np.where(plane, wanted, before)
        self.accepted.add((segment_id, key, index))


def propose_mask(desk: Desk, key: PlaneKey, mask_kji: np.ndarray, origin: PlaneOrigin) -> None:
    """Propose what a mask holds on a plane, voxel by voxel: pixels of oblique planes do not tell them apart."""
    plane = desk.space.plane(key)
    height, width = plane.shape_yx
    answer = PlaneMask(np.full(plane.shape_yx, -5, np.float32), 0.9, Crop(0, 0, width, height))
    voxels = voxels_of_plane(plane, desk.space.check().geometry)
    with recording(desk.space, "Propose") as recorder:
        propose(recorder, key, answer, 0.9, origin, None)
        recorder.write_proposal(key, [VoxelMask(voxels, mask_kji[voxels])])


def check(desk: Desk, model: Model) -> None:
    geometry = local_geometry(desk.volume)
    for number, segment_id in enumerate(desk.ids):
        assert np.array_equal(desk.mask(number), model.result[segment_id])
        for key in KEYS:
            place = PlaneKey("", segment_id, key, 0)
            assert np.array_equal(
                desk.space.proposals.read(place, geometry, whole_block(SHAPE)),
                model.proposed[segment_id, key],
            )


@pytest.mark.parametrize("seed", range(3))
def test_random_stories_agree_with_plain_arrays_and_are_undone_to_the_beginning(mrml_scene, seed):
    desk = oblique_desk(mrml_scene, seed)
    desk.logic.setEditingRules(desk.segmentation, EditingRules(Overwrite.ALL))
    desk.space.history.clear()
    chance = np.random.default_rng(seed)
    model = Model(desk)
    for _ in range(60):
        segment_id, key = desk.ids[chance.integers(2)], KEYS[chance.integers(len(KEYS))]
        stack = StackKey(key)
        waiting = [k.index for k in proposed_planes(desk.space, segment_id, stack)]
        action = chance.choice(["propose", "accept", "discard"], p=[0.6, 0.33, 0.07])
        if action == "propose" or not waiting:
            # Neighbours, so that some are accepted side by side.
            first = int(chance.integers(len(desk.space.stack(stack))))
            mask = chance.random(SHAPE) < chance.choice([0.2, 0.6])
            for index in range(first, min(first + 3, len(desk.space.stack(stack)))):
                origin = PlaneOrigin.PROMPTED if chance.random() < 0.3 else PlaneOrigin.PROPAGATED
                propose_mask(desk, PlaneKey("", segment_id, key, index), mask, origin)
                plane = model.numbers[key] == index
                model.proposed[segment_id, key] = np.where(plane, mask, model.proposed[segment_id, key])
                model.origins[segment_id, key, index] = origin
        elif action == "accept":
            chosen = [index for index in waiting if chance.random() < 0.8] or waiting
            mode = WriteMode(chance.choice([mode.value for mode in WriteMode], p=[0.8, 0.1, 0.1]))
            before = model.result[segment_id]
            outcome = accept(desk.space, segment_id, stack, chosen, mode)
            for index in chosen:
                model.accept(segment_id, key, index, mode)
            assert outcome.changed_voxels == np.count_nonzero(before != model.result[segment_id])
        else:
            discard(desk.space, segment_id, stack, waiting[:2])
            for index in waiting[:2]:
                model.proposed[segment_id, key] &= model.numbers[key] != index
                model.origins.pop((segment_id, key, index))
        check(desk, model)
    assert len(model.accepted) > 15
    steps = len(desk.space.history)
    while (outcome := desk.logic.undo(desk.segmentation)) is not None:
        assert not outcome.notes
    assert not desk.space.document.planes
    check(desk, Model(desk))
    for _ in range(steps):
        assert not desk.logic.redo(desk.segmentation).notes
    check(desk, model)


@pytest.mark.parametrize("key", KEYS)
def test_undoing_a_whole_stack_leaves_what_was_drawn_elsewhere(mrml_scene, key):
    desk = oblique_desk(mrml_scene)
    chance = np.random.default_rng(5)
    before = chance.random(SHAPE) < 0.5
    paint(desk, 0, before)
    wanted = chance.random(SHAPE) < 0.5
    for plane in desk.space.stack(StackKey(key)):
        place = PlaneKey("", desk.ids[0], key, plane.index)
        propose_mask(desk, place, wanted, PlaneOrigin.PROPAGATED)
    accept(desk.space, desk.ids[0], StackKey(key))
    assert np.array_equal(desk.mask(), wanted)
    by_hand = wanted ^ (chance.random(SHAPE) < 0.2)
    paint(desk, 0, by_hand)
    outcome = desk.logic.undo(desk.segmentation)
    assert np.array_equal(desk.mask(), np.where(by_hand != wanted, by_hand, before))
    foreign = np.count_nonzero((by_hand != wanted) & (before != wanted))
    assert len(outcome.notes) == 1
    assert outcome.notes[0].startswith(f"{foreign} voxels of 'Liver' were changed elsewhere")
    assert not desk.logic.redo(desk.segmentation).notes
    assert np.array_equal(desk.mask(), by_hand)


@pytest.mark.parametrize("key", KEYS)
def test_proposals_without_a_record_are_found_by_their_voxels(mrml_scene, key):
    desk = oblique_desk(mrml_scene)
    chosen = [1, 2, len(desk.space.stack(StackKey(key))) - 2]
    mask = np.ones(SHAPE, bool)
    for index in chosen:
        propose_mask(desk, PlaneKey("", desk.ids[1], key, index), mask, PlaneOrigin.PROPAGATED)
    desk.space.document.planes.clear()
    desk.space.save()
    again = Workspace(mrml_scene, desk.volume, desk.segmentation)
    assert sorted((k.segment_id, k.stack, k.index) for k in again.document.planes) == sorted(
        (desk.ids[1], key, index) for index in set(chosen)
    )
