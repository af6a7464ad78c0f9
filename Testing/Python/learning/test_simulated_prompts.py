import numpy as np
import pytest
from learning_examples import disc

from SAMUNetSlicerLib.learning.prompts import (
    Habits,
    Prompt,
    coarse,
    correct,
    deepest_point,
    first_prompt,
    group,
    jittered,
    neighbouring_mask,
)

MASK = disc(256, 120, 90, 30)


def only(index: int) -> Habits:
    shares = [0.0] * 5
    shares[index] = 1.0
    return Habits(shares=tuple(shares), exact_boxes=1.0, negative_points=0.0)


def test_an_exact_box_is_half_open():
    assert first_prompt(MASK, only(0), np.random.default_rng(0)).box == (90, 60, 151, 121)


def test_first_points_lie_inside():
    for seed in range(20):
        for x, y, sign in first_prompt(MASK, only(1), np.random.default_rng(seed)).points:
            assert sign == 1
            assert MASK[round(y), round(x)]


def test_negative_points_lie_outside_and_near():
    habits = Habits(shares=(0, 1, 0, 0, 0), negative_points=1.0)
    x, y, sign = first_prompt(MASK, habits, np.random.default_rng(0)).points[-1]
    assert sign == 0
    assert 30 < np.hypot(x - 120, y - 90) < 80


def test_jitter_is_bounded():
    box = (50.0, 60.0, 150.0, 100.0)
    for seed in range(20):
        moved = np.subtract(jittered(box, 0.1, np.random.default_rng(seed)), box)
        assert np.all(np.abs(moved) <= [10, 4, 10, 4])
        assert moved.any()


@pytest.mark.parametrize("corner", [0, 254])
@pytest.mark.parametrize(
    "habits", [Habits(shares=(1, 0, 0, 0, 0), shift=5.0), Habits(shares=(1, 0, 0, 0, 0), exact_boxes=0)]
)
def test_boxes_of_small_objects_at_the_border_lie_inside_and_are_boxes(corner, habits):
    mask = np.zeros((256, 256), bool)
    mask[corner : corner + 2, corner : corner + 2] = True
    for seed in range(50):
        x0, y0, x1, y1 = first_prompt(mask, habits, np.random.default_rng(seed)).box
        assert 0 <= x0 < x1 - 1.99 < 254.1
        assert 0 <= y0 < y1 - 1.99 < 254.1


def test_negative_points_do_not_lie_on_thin_branches():
    branched = MASK.copy()
    branched[91, 150:240] = True  # a vessel of one pixel
    habits = Habits(shares=(0, 1, 0, 0, 0), negative_points=1.0)
    for seed in range(300):
        x, y, sign = first_prompt(branched, habits, np.random.default_rng(seed)).points[-1]
        assert sign == 0
        assert not branched[int(y) : int(y) + 2, int(x) : int(x) + 2].any()


def test_the_deepest_point_is_the_middle_of_a_disc():
    assert deepest_point(coarse(MASK) > 0.5) == pytest.approx((120, 90), abs=2)


@pytest.mark.parametrize(("answer", "sign"), [(disc(256, 100, 90, 8), 1), (disc(256, 140, 90, 60), 0)])
def test_a_correction_points_into_the_largest_error(answer, sign):
    logits = np.where(coarse(answer) > 0.5, 5.0, -5.0).astype(np.float32)
    corrected = correct(Prompt(box=(90, 60, 151, 121)), logits, coarse(MASK))
    ((x, y, given),) = corrected.points
    assert given == sign
    assert MASK[round(y), round(x)] == bool(sign)
    assert answer[round(y), round(x)] != bool(sign)
    assert corrected.mask_logits is logits
    assert corrected.box == (90, 60, 151, 121)


def test_a_perfect_answer_needs_no_point():
    logits = np.where(coarse(MASK) > 0.5, 5.0, -5.0).astype(np.float32)
    assert correct(Prompt(box=(90, 60, 151, 121)), logits, coarse(MASK)).points == ()


def test_a_thin_object_is_not_corrected_away():
    """A line of one pixel covers no more than half of any pixel of the answer's grid."""
    line = np.zeros((256, 256), bool)
    line[20:240, 100] = True
    found, missed = (np.where(coarse(line) > least, 5.0, -5.0).astype(np.float32) for least in (0, 1))
    assert correct(Prompt(), found, coarse(line)).points == ()
    ((x, y, sign),) = correct(Prompt(), missed, coarse(line)).points
    assert sign == 1
    assert line[round(y), int(x) : int(x) + 2].any()


@pytest.mark.parametrize(("radii", "sign"), [((35, 30), 1), ((30, 35), 0)])
def test_the_larger_error_is_corrected(radii, sign):
    """The answer misses some of the object on one side, and has too much of another size on the other."""
    truth, answer = disc(256, 120, 90, radii[0]), disc(256, 130, 90, radii[1])
    logits = np.where(coarse(answer) > 0.5, 5.0, -5.0).astype(np.float32)
    corrected = correct(Prompt(), logits, coarse(truth))
    missing, surplus = (truth & ~answer).sum(), (answer & ~truth).sum()
    assert (missing > surplus) == (sign == 1)
    assert min(missing, surplus) > 0
    assert [point[2] for point in corrected.points] == [sign]


def test_a_neighbouring_mask_of_a_thin_object_is_not_empty():
    line = np.zeros((256, 256), bool)
    line[20:240, 100:102] = True
    assert all((neighbouring_mask(line, np.random.default_rng(seed)) > 0).any() for seed in range(60))


def test_a_neighbouring_mask_is_near_but_not_the_same():
    truth = coarse(MASK) > 0.5
    for seed in range(10):
        mask = neighbouring_mask(MASK, np.random.default_rng(seed)) > 0
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert 0.6 < dice < 1


def test_tiny_objects_can_be_prompted():
    tiny = np.zeros((256, 256), bool)
    tiny[100, 101] = True
    for index in range(5):
        first_prompt(tiny, only(index), np.random.default_rng(0))


def test_prompts_are_grouped_by_kind_and_padded():
    prompts = [Prompt(box=(0, 0, 9, 9)), Prompt(points=((1, 2, 1),)), Prompt(points=((3, 4, 1), (5, 6, 0)))]
    batches = {tuple(indices): batch for indices, batch in group(prompts, [4, 5, 6])}
    assert set(batches) == {(0,), (1, 2)}
    points = batches[1, 2]
    assert points.point_labels.tolist() == [[1, -1], [1, 0]]
    assert points.points_xy[1].tolist() == [[3, 4], [5, 6]]
    assert points.plane_index.tolist() == [5, 6]
    assert batches[(0,)].boxes_xyxy.tolist() == [[0, 0, 9, 9]]
