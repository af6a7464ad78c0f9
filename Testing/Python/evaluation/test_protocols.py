"""Simulated users prompt as the protocols say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.evaluation.cases import PlaneCase
from SAMUNetSlicerLib.evaluation.methods import ModelMethod
from SAMUNetSlicerLib.evaluation.protocols import (
    BOX_JITTER,
    PLANE_PROTOCOLS,
    case_generator,
    jitter_box,
    largest_error,
    random_inside,
)
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlaneMask
from SAMUNetSlicerLib.inference.prompts import Sign
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.networks.base import PromptKind

SIZE = 40
ALL = PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK


def square(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y0:y1, x0:x1] = True
    return mask


class Scripted:
    """Gives prepared masks in turn and remembers what it was asked."""

    name = "scripted"
    corrects = True

    def __init__(self, *masks: np.ndarray, kinds: PromptKind = ALL) -> None:
        self.masks = list(masks)
        self.kinds = kinds
        self.asked, self.earlier = [], []

    def answer(self, image, prompts, earlier=None):
        self.asked.append(prompts)
        self.earlier.append(earlier)
        mask = self.masks[min(len(self.asked), len(self.masks)) - 1]
        return PlaneMask(np.where(mask, 2.0, -2.0).astype(np.float32), None, Crop(0, 0, SIZE, SIZE))


TARGET = square(10, 12, 25, 20)


def run(name: str, method: Scripted, target: np.ndarray = TARGET):
    case = PlaneCase("source", "case", "name", PlaneImage(np.zeros((SIZE, SIZE, 3), np.uint8), "key"), target)
    return list(PLANE_PROTOCOLS[name].run(case, method, case_generator(0, name, "name")))


def test_the_exact_box_is_half_open():
    (answered,) = run("box", Scripted(TARGET))
    assert answered.prompts.box_xyxy == (10, 12, 25, 20)


@given(seed=st.integers(0, 10_000), x0=st.integers(0, 30), y0=st.integers(0, 30), w=st.integers(1, 10))
def test_a_jittered_box_moves_each_edge_by_at_most_its_share_and_stays_inside(seed, x0, y0, w):
    box = (float(x0), float(y0), float(x0 + w), float(y0 + 5))
    moved = jitter_box(box, (SIZE, SIZE), np.random.default_rng(seed))
    limits = BOX_JITTER * np.array([w, 5, w, 5]) + 1e-9
    assert (np.abs(np.subtract(moved, box)) <= limits).all()
    assert 0 <= moved[0] < moved[2] <= SIZE
    assert 0 <= moved[1] < moved[3] <= SIZE


def test_jitter_moves_each_edge_both_ways():
    box = (10.0, 10.0, 20.0, 20.0)
    moves = [np.subtract(jitter_box(box, (SIZE, SIZE), np.random.default_rng(seed)), box) for seed in range(50)]
    assert (np.min(moves, axis=0) < -0.5).all()
    assert (np.max(moves, axis=0) > 0.5).all()


def test_a_hasty_box_is_off_by_up_to_a_tenth_of_its_side():
    box = (100.0, 100.0, 200.0, 150.0)
    moves = [np.subtract(jitter_box(box, (300, 300), np.random.default_rng(seed)), box) for seed in range(400)]
    np.testing.assert_allclose(np.abs(moves).max(axis=0), (10, 5, 10, 5), rtol=0.05)


def test_a_box_stays_inside_a_plane_that_is_not_square():
    moved = [jitter_box((0.0, 0.0, 90.0, 40.0), (40, 90), np.random.default_rng(seed)) for seed in range(20)]
    assert all(x1 <= 90 and y1 <= 40 for _, _, x1, y1 in moved)
    assert max(x1 for _, _, x1, _ in moved) == 90
    assert max(y1 for _, _, _, y1 in moved) == 40


def test_all_methods_see_the_same_jittered_box_and_another_seed_gives_another():
    first, second = (run("jittered-box", Scripted(TARGET))[0].prompts.box_xyxy for _ in range(2))
    assert first == second
    others = [(0, "box", "a"), (1, "box", "a"), (0, "points", "a"), (0, "box", "b")]
    assert len({case_generator(*words).random() for words in others}) == len(others)


def test_the_first_point_is_the_deepest_and_the_next_ones_lie_in_the_largest_error():
    answer = square(10, 12, 18, 20) | square(30, 30, 34, 34)  # misses 56 pixels, 16 too many
    method = Scripted(answer)
    rounds = run("points", method)
    assert [r.prompt for r in rounds] == ["1 point", "2 points", "3 points"]
    (x, y), (x2, y2), _ = rounds[-1].prompts.points_xy
    assert TARGET[int(y), int(x)]
    assert 12 + 3 <= y <= 20 - 4  # the middle rows of a target of 8 rows
    assert (TARGET & ~answer)[int(y2), int(x2)]
    assert rounds[1].prompts.signs == (Sign.POSITIVE, Sign.POSITIVE)


def test_too_much_is_answered_by_a_negative_point():
    region, sign = largest_error(square(10, 12, 33, 20), TARGET)
    assert sign is Sign.NEGATIVE
    np.testing.assert_array_equal(region, square(25, 12, 33, 20))


@pytest.mark.parametrize(("width", "sign"), [(3, Sign.POSITIVE), (5, Sign.NEGATIVE)])
def test_of_a_missing_and_a_surplus_region_the_larger_one_counts(width, sign):
    target, answer = np.zeros((2, 40, 40), bool)
    target[5:15, 5:9] = True  # missed
    answer[25:35, 20 : 20 + width] = True
    region, found = largest_error(answer, target)
    assert found is sign
    assert region.sum() == 10 * max(4, width)


def test_the_largest_region_counts_not_the_largest_sum():
    surplus = square(0, 0, 4, 4) | square(30, 0, 34, 4) | square(0, 30, 4, 34)  # 48 pixels in parts of 16
    answer = (TARGET & ~square(10, 12, 13, 20)) | surplus  # misses 24 in one part
    region, sign = largest_error(answer, TARGET)
    assert sign is Sign.POSITIVE
    assert region.sum() == 24


def test_corrections_keep_the_box_and_hand_on_the_answer_as_mask():
    answer = square(10, 12, 18, 20)
    method = Scripted(answer)
    rounds = run("corrections", method)
    assert [r.prompt for r in rounds] == ["box + 1 correction", "box + 2 corrections", "box + 3 corrections"]
    assert all(r.prompts.box_xyxy == (10, 12, 25, 20) for r in rounds)
    assert [len(prompts.points_xy) for prompts in method.asked] == [0, 1, 2, 3]
    np.testing.assert_array_equal(method.asked[1].mask > 0, answer)


def test_a_correction_hands_on_the_answer_before_it():
    method = Scripted(square(10, 12, 18, 20), square(10, 12, 20, 20))
    rounds = run("corrections", method)
    assert method.earlier[0] is None
    assert np.array_equal(method.earlier[1].mask, square(10, 12, 18, 20))
    assert method.earlier[2:] == [r.answer for r in rounds[:-1]]


def test_a_method_that_does_not_correct_answers_one_point_alone():
    method = Scripted(square(10, 12, 18, 20))
    method.corrects = False
    assert [r.prompt for r in run("points", method)] == ["1 point"]


def test_no_mask_is_handed_to_a_model_that_was_not_trained_for_masks():
    method = Scripted(square(10, 12, 18, 20), kinds=PromptKind.BOX | PromptKind.POINTS)
    run("corrections", method)
    assert all(prompts.mask is None for prompts in method.asked)


def test_a_perfect_answer_is_not_corrected():
    method = Scripted(TARGET)
    rounds = run("points", method)
    assert len(method.asked) == 1
    assert len(rounds) == 3
    assert len(rounds[-1].prompts.points_xy) == 1


def test_an_empty_answer_gets_a_point_and_no_mask():
    method = Scripted(np.zeros((SIZE, SIZE), bool))
    run("corrections", method)
    assert method.asked[1].mask is None
    assert method.asked[1].signs == (Sign.POSITIVE,)


@given(seed=st.integers(0, 1000))
def test_random_points_lie_inside_and_off_the_border(seed):
    x, y = random_inside(TARGET, np.random.default_rng(seed))
    assert square(11, 13, 24, 19)[int(y), int(x)]


def test_a_thin_region_still_has_a_random_point():
    line = square(5, 5, 20, 6)
    x, y = random_inside(line, np.random.default_rng(0))
    assert line[int(y), int(x)]


@pytest.mark.parametrize("name", PLANE_PROTOCOLS)
def test_protocols_need_what_they_use(name):
    """A method must be skipped exactly where a protocol would use a prompt that it does not know."""
    method = Scripted(square(10, 12, 18, 20))
    run(name, method)
    used = PromptKind.NONE
    for prompts in method.asked:
        used |= PromptKind.POINTS if prompts.points_xy else PromptKind.NONE
        used |= PromptKind.BOX if prompts.box_xyxy else PromptKind.NONE
    assert used == PLANE_PROTOCOLS[name].needs


def test_a_model_keeps_the_crop_of_its_earlier_answer():
    class Predictor:
        trained_prompts = ALL

        def predict(self, image, prompts, crop):
            self.crop = crop

    method = ModelMethod("model", Predictor())
    crop = Crop(1, 2, 30, 31)
    method.answer(None, None, PlaneMask(np.zeros((SIZE, SIZE)), None, crop))
    assert method.predictor.crop == crop
