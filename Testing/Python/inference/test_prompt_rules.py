import numpy as np
import pytest

from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.inference.prompt_rules import admit, kinds_of
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, Sign
from SAMUNetSlicerLib.networks.base import PromptKind

BOX = (10.0, 12.0, 30.0, 40.0)
MASK = np.zeros((64, 64), dtype=bool)
MASK[20:31, 5:26] = True
POSITIVE, NEGATIVE = Sign.POSITIVE, Sign.NEGATIVE


def test_prompts_the_model_knows_pass_unchanged_and_silently():
    prompts = PlanePrompts(((5, 5),), (POSITIVE,), BOX, MASK)
    admitted = admit(prompts, PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK, "m")
    assert admitted.prompts is prompts
    assert admitted.notes == ()


def test_boxes_only_leaves_points_beside_a_box_out_and_says_so():
    admitted = admit(PlanePrompts(((5, 5),), (NEGATIVE,), BOX), PromptKind.BOX, "m")
    assert kinds_of(admitted.prompts) == PromptKind.BOX
    assert admitted.prompts.box_xyxy == BOX
    assert any("points" in note for note in admitted.notes)


def test_boxes_only_uses_the_box_around_two_positive_points():
    prompts = PlanePrompts(((5, 7), (20, 30), (60, 60)), (POSITIVE, POSITIVE, NEGATIVE))
    admitted = admit(prompts, PromptKind.BOX, "m")
    assert admitted.prompts.box_xyxy == (5, 7, 21, 31)
    assert not admitted.prompts.points_xy
    assert len(admitted.notes) == 2


def test_the_box_around_points_covers_the_pixels_in_which_they_lie():
    prompts = PlanePrompts(((4.6, 7.4), (20.6, 30.4)), (POSITIVE, POSITIVE))
    assert admit(prompts, PromptKind.BOX, "m").prompts.box_xyxy == (5, 7, 22, 31)


def test_boxes_only_uses_the_box_around_a_mask():
    admitted = admit(PlanePrompts(mask=MASK), PromptKind.BOX, "m")
    assert admitted.prompts.box_xyxy == (5, 20, 26, 31)
    assert admitted.prompts.mask is None
    assert admitted.notes


def test_boxes_only_refuses_a_single_point():
    with pytest.raises(PromptError, match="Draw a box"):
        admit(PlanePrompts(((5, 5),), (POSITIVE,)), PromptKind.BOX, "m")


def test_a_model_without_mask_prompts_keeps_the_points():
    prompts = PlanePrompts(((5, 5),), (POSITIVE,), mask=MASK)
    admitted = admit(prompts, PromptKind.BOX | PromptKind.POINTS, "m")
    assert kinds_of(admitted.prompts) == PromptKind.POINTS
    assert any("mask" in note for note in admitted.notes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no prompt"),
        ({"points_xy": ((1, 1),), "signs": (NEGATIVE,)}, "negative"),
        ({"box_xyxy": (3, 3, 3, 9)}, "no size"),
        ({"box_xyxy": (3, 3, float("nan"), 9)}, "not a number"),
        ({"points_xy": ((float("inf"), 1),), "signs": (POSITIVE,)}, "not a number"),
        ({"mask": np.zeros((4, 4), dtype=bool)}, "empty"),
    ],
)
def test_unusable_prompts_are_refused_in_plain_words(arguments, message):
    with pytest.raises(PromptError, match=message):
        PlanePrompts(**arguments)


def test_extent_holds_box_points_and_mask():
    prompts = PlanePrompts(((50, 2),), (POSITIVE,), BOX, MASK)
    assert prompts.extent_xyxy() == (5, 2, 51, 40)
