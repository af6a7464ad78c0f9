import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.inference.predictor import PlaneMask
from SAMUNetSlicerLib.inference.prompts import bounding_box_xyxy
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.networks.base import PromptKind
from SAMUNetSlicerLib.volumes.neighbour_rules import NeighbourRule, default_rule, neighbour_prompts

HEIGHT, WIDTH = 60, 80
POINTS_TOO = PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK


def answer(x0, y0, x1, y1):
    logits = np.full((HEIGHT, WIDTH), -4.0, np.float32)
    logits[y0:y1, x0:x1] = 4.0
    return PlaneMask(logits, 0.9, Crop(0, 0, WIDTH, HEIGHT))


def test_the_default_rule_uses_what_the_model_was_trained_for():
    assert default_rule(PromptKind.BOX) is NeighbourRule.BOX
    assert default_rule(PromptKind.BOX | PromptKind.MASK) is NeighbourRule.BOX
    assert default_rule(POINTS_TOO) is NeighbourRule.SIZED_BOXES_AND_POINT


@given(st.data())
def test_alternatives_lie_inside_each_other_and_in_the_plane_and_hold_the_point(data):
    x0, y0 = data.draw(st.integers(0, WIDTH - 1)), data.draw(st.integers(0, HEIGHT - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, WIDTH)), data.draw(st.integers(y0 + 1, HEIGHT))
    exact, small, wide = neighbour_prompts(answer(x0, y0, x1, y1), POINTS_TOO)
    assert exact.box_xyxy == (x0, y0, x1, y1)
    for inner, outer in ((small, exact), (exact, wide)):
        assert all(inner.box_xyxy[i] >= outer.box_xyxy[i] for i in (0, 1))
        assert all(inner.box_xyxy[i] <= outer.box_xyxy[i] for i in (2, 3))
        assert inner.points_xy == outer.points_xy
    left, top, right, bottom = wide.box_xyxy
    assert 0 <= left < right <= WIDTH
    assert 0 <= top < bottom <= HEIGHT
    ((x, y),) = exact.points_xy
    assert x0 <= x < x1
    assert y0 <= y < y1


def test_the_sizes_share_their_centre():
    _exact, small, wide = neighbour_prompts(answer(20, 10, 50, 40), POINTS_TOO)
    assert small.box_xyxy == pytest.approx((21.5, 11.5, 48.5, 38.5))
    assert wide.box_xyxy == pytest.approx((18.5, 8.5, 51.5, 41.5))


def test_models_of_boxes_alone_get_one_box_a_little_wider():
    (only,) = neighbour_prompts(answer(20, 10, 60, 40), PromptKind.BOX, loose_margin=0.05)
    assert only.box_xyxy == (18, 8, 62, 42)
    assert not only.points_xy


def test_the_mask_rule_passes_the_logits_on():
    given_answer = answer(20, 10, 60, 40)
    (only,) = neighbour_prompts(given_answer, POINTS_TOO, NeighbourRule.BOX_AND_MASK)
    assert only.mask is given_answer.logits
    assert only.box_xyxy == bounding_box_xyxy(given_answer.mask)
