"""How a plane's mask becomes the prompts of the plane beside it."""

from dataclasses import replace

import numpy as np
import pytest
from test_propagation import Ball, answer_at, dice

from fakes import ALL_PROMPTS, BrightRegionNetwork
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlanePredictor
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, bounding_box_xyxy
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.networks.base import PromptKind
from SAMUNetSlicerLib.volumes.propagation.box_motion import Course, moved_logits
from SAMUNetSlicerLib.volumes.propagation.steps import Direction, PlaneRange
from SAMUNetSlicerLib.volumes.propagation.walks import NeighbourRule, Propagation, PropagationPolicy, default_rule

CARRYING = ALL_PROMPTS | PromptKind.NEIGHBOUR_MASK


def prompts_for_the_next(walk, answer, here, there, course=None):
    course = course or Course()
    rule = walk.rule_from(here, answer, is_between=course.goal is not None)
    return walk.next_prompts(answer, here, there, course, rule)


def test_the_neighbours_box_is_widened_for_models_of_boxes_alone():
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork())
    answer = answer_at(planes, predictor, 10)
    x0, y0, x1, y1 = bounding_box_xyxy(answer.mask)
    same = planes.image(10)  # no motion
    assert prompts_for_the_next(Propagation(planes, predictor), answer, same, same).box_xyxy == (x0, y0, x1, y1)
    boxes_alone = PlanePredictor(BrightRegionNetwork(PromptKind.BOX))
    margin = max(1.0, 0.03 * max(x1 - x0, y1 - y0))
    widened = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    prompts = prompts_for_the_next(Propagation(planes, boxes_alone), answer, same, same)
    assert prompts.box_xyxy == pytest.approx(widened)


def test_the_widened_box_stays_on_the_plane():
    boxes_alone = PlanePredictor(BrightRegionNetwork(PromptKind.BOX | PromptKind.MASK))
    bright = PlaneImage(np.full((40, 60, 3), 220, np.uint8), "bright")
    answer = boxes_alone.predict(bright, PlanePrompts(box_xyxy=(0, 0, 60, 40)))
    prompts = prompts_for_the_next(Propagation(Ball(), boxes_alone), answer, bright, bright)
    assert prompts.box_xyxy == (0, 0, 60, 40)


def test_the_default_rule_uses_what_the_model_was_trained_for():
    assert default_rule(PromptKind.BOX) is NeighbourRule.BOX
    assert default_rule(PromptKind.BOX | PromptKind.MASK) is NeighbourRule.BOX
    own_masks = PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK
    assert default_rule(own_masks) is NeighbourRule.BOX_AND_POINT
    assert default_rule(own_masks | PromptKind.NEIGHBOUR_MASK) is NeighbourRule.BOX_AND_MASK


def test_a_carried_mask_is_moved_and_doubted_and_only_for_models_that_learnt_to_correct_one():
    planes = Ball()
    carrying = PlanePredictor(BrightRegionNetwork(CARRYING))
    answer = answer_at(planes, carrying, 10)
    walk = Propagation(planes, carrying)
    prompts = prompts_for_the_next(walk, answer, planes.image(10), planes.image(11))
    moved = moved_logits(planes.image(10).rgb, planes.image(11).rgb, answer.logits)
    np.testing.assert_allclose(prompts.mask, moved - walk.policy.doubt)
    assert prompts.points_xy == ()
    other = PlanePredictor(BrightRegionNetwork(ALL_PROMPTS))
    prompts = prompts_for_the_next(Propagation(planes, other), answer, planes.image(10), planes.image(11))
    assert prompts.mask is None
    assert len(prompts.points_xy) == 1


def corrected(answer):
    """Without its right half, which a box around it and a point inside it would bring back on bright pictures."""
    logits = answer.logits.copy()
    logits[:, 40:] = -8
    logits[4:92, 84] = 8  # keeps the box
    return replace(answer, logits=logits)


def test_between_key_planes_only_what_box_and_point_do_not_tell_is_carried_and_not_doubted():
    planes = Ball()
    carrying = PlanePredictor(BrightRegionNetwork(CARRYING))
    walk = Propagation(planes, carrying)
    here, there = planes.image(10), planes.image(11)
    plain = answer_at(planes, carrying, 10)
    towards = Course(goal=planes.mask(13), share=1 / 3)
    prompts = prompts_for_the_next(walk, plain, here, there, towards)
    assert prompts.mask is None
    assert len(prompts.points_xy) == 1
    painted = corrected(plain)
    prompts = prompts_for_the_next(walk, painted, here, there, towards)
    np.testing.assert_allclose(prompts.mask, moved_logits(here.rgb, there.rgb, painted.logits))
    assert prompts.points_xy == ()
    assert walk.rule_from(here, plain, is_between=False) is NeighbourRule.BOX_AND_MASK


def test_whether_box_and_point_tell_it_costs_no_encoding_and_is_asked_of_models_alone_that_could_do_otherwise():
    class Wide(Ball):
        def mask(self, index):
            rows, columns = np.mgrid[:400, :400]
            return (rows - 200) ** 2 + (columns - 200) ** 2 <= 40**2

    planes = Wide()
    prompts = PlanePrompts(box_xyxy=bounding_box_xyxy(planes.mask(10)))
    seen = Crop(110, 120, 310, 320)  # not the one that would be chosen without it
    for trained, rule, asked in (
        (CARRYING, NeighbourRule.BOX_AND_POINT, 1),
        (ALL_PROMPTS, NeighbourRule.BOX_AND_POINT, 0),
        (PromptKind.BOX, NeighbourRule.BOX, 0),
    ):
        predictor = PlanePredictor(BrightRegionNetwork(trained))
        answer = predictor.predict(planes.image(10), prompts, seen)
        assert answer.crop == seen
        encoded, answered = predictor.counts.encoded, predictor.counts.answered
        walk = Propagation(planes, predictor)
        assert walk.rule_from(planes.image(10), answer, is_between=True) is rule
        assert (predictor.counts.encoded, predictor.counts.answered) == (encoded, answered + asked)


def test_masks_that_box_and_point_tell_are_not_carried_between_key_planes():
    class Noting(PlanePredictor):
        def predict(self, image, prompts, crop=None):
            carried[image.key] = prompts.mask is not None
            return super().predict(image, prompts, crop)

    carried = {}
    planes, predictor = Ball(), Noting(BrightRegionNetwork(CARRYING))
    keys = {index: answer_at(planes, predictor, index) for index in (8, 12)}
    carried.clear()
    assert [*Propagation(planes, predictor).from_planes(keys, within=PlaneRange(6, 14))]
    assert carried == {6: True, 7: True, 8: False, 9: False, 10: False, 11: False, 12: False, 13: True, 14: True}


@pytest.mark.parametrize("rule", NeighbourRule)
def test_a_rule_that_was_asked_for_holds_between_key_planes_too(rule):
    planes = Ball()
    walk = Propagation(planes, PlanePredictor(BrightRegionNetwork(CARRYING)), PropagationPolicy(rule=rule))
    assert walk.rule_from(planes.image(10), planes.mask(10), is_between=True) is rule


def test_key_planes_side_by_side_cost_nothing():
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork(CARRYING))
    keys = {index: answer_at(planes, predictor, index) for index in (9, 10, 11)}
    answered = predictor.counts.answered
    assert [*Propagation(planes, predictor).from_planes(keys, within=PlaneRange(9, 11))]
    assert predictor.counts.answered == answered


def test_a_correction_on_both_key_planes_is_seen_between_them():
    """By a network that answers within the box, and within the mask where it gets one."""

    class Obeying(BrightRegionNetwork):
        def _answer(self, grey, prompts, i):
            score = super()._answer(grey, prompts, i)
            return score if prompts.mask_logits is None else score.minimum(prompts.mask_logits[i, 0])

    planes, predictor = Ball(), PlanePredictor(Obeying(CARRYING))
    keys = {index: corrected(answer_at(planes, predictor, index)) for index in (9, 12)}
    steps = Propagation(planes, predictor).from_planes(keys, Direction.BOTH, PlaneRange(9, 12))
    final = {s.index: s.answer.mask for s in steps if s.answer is not None}
    assert set(final) == {10, 11}
    for mask in final.values():
        assert dice(mask, planes.mask(10) & (np.arange(96) < 40)) > 0.85
