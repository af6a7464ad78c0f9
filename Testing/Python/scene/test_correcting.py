"""Points on a propagated plane correct what is proposed there, rather than beginning anew."""

import numpy as np
import pytest
from scenery import Desk

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.inference.prompts import Sign
from SAMUNetSlicerLib.networks.base import Decoded, PromptKind
from SAMUNetSlicerLib.scene.actions.propagating import is_key
from SAMUNetSlicerLib.scene.actions.segmenting import known_answer
from SAMUNetSlicerLib.volumes.prompts import PointPrompt
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneOrigin


def two_tubes():
    """A bright tube along K, and another that joins it on the upper half of the planes."""
    voxels = np.zeros((12, 24, 28), np.int16)
    voxels[:, 8:16, 8:14] = 200
    voxels[6:, 8:16, 14:20] = 200
    return voxels


class MaskKeeper(BrightRegionNetwork):
    """With a mask prompt: that mask, less a square around each negative point and with one around each positive."""

    def decode(self, embedding, prompts):
        self.last = prompts
        if prompts.mask_logits is None:
            return super().decode(embedding, prompts)
        logits = prompts.mask_logits.clone()
        for (x, y), label in zip(prompts.points_xy[0].tolist(), prompts.point_labels[0].tolist(), strict=True):
            row, column = round(y), round(x)
            logits[..., max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = 8.0 if label else -8.0
        return Decoded(logits, super().decode(embedding, prompts).quality)


@pytest.fixture
def desk(mrml_scene):
    desk = Desk(mrml_scene, two_tubes())
    desk.network = MaskKeeper()
    desk.logic.setPredictor(PlanePredictor(desk.network))
    desk.propose(2, at=(12, 11))
    desk.propagate()
    return desk


def click(desk, plane, at, sign):
    point = PointPrompt(tuple(desk.world((plane, *at))), sign)
    (result,) = desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], points=[point]).planes
    return result


def proposed(desk, plane):
    return desk.states()[plane].proposed


def proposed_mask(desk, plane):
    keys = [key for key, _ in desk.space.document.of_segment(desk.space.frame, desk.ids[0]) if key.index == plane]
    return known_answer(desk.space, *keys).mask


def test_a_negative_point_alone_takes_away_from_what_was_propagated(desk):
    assert proposed(desk, 4).origin is PlaneOrigin.PROPAGATED
    before = proposed_mask(desk, 4)
    click(desk, 4, (9, 9), Sign.NEGATIVE)
    after = proposed_mask(desk, 4)
    assert after.any()
    assert not (after & ~before).any()
    assert np.count_nonzero(after) < np.count_nonzero(before)
    assert proposed(desk, 4).origin is PlaneOrigin.CORRECTED


def test_further_points_go_on_from_the_corrected_mask(desk):
    first = click(desk, 4, (9, 9), Sign.NEGATIVE)
    second = click(desk, 4, (14, 12), Sign.NEGATIVE)
    assert np.count_nonzero(second.mask_yx) < np.count_nonzero(first.mask_yx)
    assert desk.network.last.points_xy.shape[1] == 2


def test_a_corrected_plane_is_a_key_plane_and_is_accepted_as_the_users_own(desk):
    click(desk, 4, (9, 9), Sign.NEGATIVE)
    assert is_key(desk.states()[4])
    corrected = proposed(desk, 4)
    desk.propagate()
    assert proposed(desk, 4) == corrected
    desk.accept()
    assert desk.states()[4].accepted.origin is PlaneOrigin.CORRECTED
    assert desk.mask()[4].any()


def test_undo_brings_the_propagated_mask_back(desk):
    before = proposed(desk, 4)
    click(desk, 4, (9, 9), Sign.NEGATIVE)
    while proposed(desk, 4) != before:
        assert desk.logic.undo(desk.segmentation) is not None
    assert before.origin is PlaneOrigin.PROPAGATED


def test_a_plane_that_was_prompted_from_the_start_is_answered_from_its_prompts_alone(desk):
    click(desk, 2, (14, 12), Sign.POSITIVE)
    assert desk.network.last.mask_logits is None
    assert proposed(desk, 2).origin is PlaneOrigin.PROMPTED


def test_a_model_that_knows_no_masks_begins_anew(mrml_scene):
    desk = Desk(mrml_scene, two_tubes())
    network = MaskKeeper(PromptKind.BOX | PromptKind.POINTS)
    desk.logic.setPredictor(PlanePredictor(network))
    desk.propose(2, at=(12, 11))
    desk.propagate()
    with pytest.raises(PromptError, match="negative"):
        click(desk, 4, (9, 9), Sign.NEGATIVE)
    assert proposed(desk, 4).origin is PlaneOrigin.PROPAGATED


def move_points(desk, plane, *points):
    """What a drag or a deletion in a view does: the plane's points are these now, and it is answered anew."""
    desk.logic.clearPrompts(desk.segmentation, desk.ids[0], planes=[plane])
    given = [PointPrompt(tuple(desk.world((plane, *at))), sign) for at, sign in points]
    return desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], points=given, planes=[plane])


def test_a_point_that_is_dragged_leaves_no_trace(desk):
    move_points(desk, 4, ((14, 12), Sign.NEGATIVE))
    there = proposed_mask(desk, 4)
    desk.logic.undo(desk.segmentation)
    for at in ((9, 9), (9, 12), (14, 12)):
        move_points(desk, 4, (at, Sign.NEGATIVE))
    assert (proposed_mask(desk, 4) == there).all()


def test_deleting_the_last_point_gives_back_what_was_propagated(desk):
    before, mask = proposed(desk, 4), proposed_mask(desk, 4)
    click(desk, 4, (9, 9), Sign.NEGATIVE)
    move_points(desk, 4)
    assert proposed(desk, 4) == before
    assert (proposed_mask(desk, 4) == mask).all()


def test_where_nothing_was_propagated_a_predictor_is_not_asked_what_it_was_trained_for(mrml_scene):
    """A stand-in need not know, and torch is not imported for it."""

    class OnlyPredicts:
        def predict(self, image, prompts, crop=None):
            return PlanePredictor(BrightRegionNetwork()).predict(image, prompts, crop)

    desk = Desk(mrml_scene, two_tubes())
    desk.logic.setPredictor(OnlyPredicts())
    desk.propose(2, at=(12, 11))
    assert proposed(desk, 2).origin is PlaneOrigin.PROMPTED
