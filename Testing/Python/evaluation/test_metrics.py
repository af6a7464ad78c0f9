"""Scores against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from requirements_guard import need

need("monai")

from SAMUNetSlicerLib.evaluation.metrics import score  # noqa: E402


def mask(shape, *boxes) -> np.ndarray:
    result = np.zeros(shape, bool)
    for box in boxes:
        result[tuple(slice(a, b) for a, b in box)] = True
    return result


SQUARE = mask((30, 30), ((10, 20), (10, 20)))


def test_the_same_mask_scores_best():
    s = score(SQUARE, SQUARE, (1, 1), 1)
    assert (s.dice, s.iou, s.nsd, s.hd95) == (1, 1, 1, 0)


def test_overlap_of_half_a_square():
    half = mask((30, 30), ((10, 20), (10, 15)))
    s = score(half, SQUARE, (1, 1), 1)
    assert s.dice == pytest.approx(2 * 50 / 150)
    assert s.iou == pytest.approx(0.5)


def test_an_empty_answer_scores_worst_with_the_diagonal_as_distance():
    s = score(np.zeros_like(SQUARE), SQUARE, (3, 4), 1)
    assert (s.dice, s.iou, s.nsd) == (0, 0, 0)
    assert s.hd95 == pytest.approx(np.hypot(90, 120))


def test_distances_are_in_the_unit_of_the_spacing():
    a, b = mask((30, 30), ((5, 6), (5, 6))), mask((30, 30), ((5, 6), (8, 9)))
    assert score(a, b, (1, 2), 5).hd95 == pytest.approx(6)
    assert score(a.T, b.T, (1, 2), 5).hd95 == pytest.approx(3)


@pytest.mark.parametrize(("tolerance", "expected"), [(5.9, 0.0), (6.1, 1.0)])
def test_surface_dice_counts_borders_within_the_tolerance(tolerance, expected):
    a, b = mask((30, 30), ((5, 6), (5, 6))), mask((30, 30), ((5, 6), (8, 9)))
    assert score(a, b, (1, 2), tolerance).nsd == expected


def test_surface_dice_of_a_grown_square():
    grown = mask((30, 30), ((9, 21), (9, 21)))
    # Only the grown square's four corners are farther than 1 from the other's border: 4 of its 44 border pixels.
    assert score(grown, SQUARE, (1, 1), 1).nsd == pytest.approx((40 + 36) / (44 + 36))


def test_one_border_pixel_of_many_does_not_count_for_the_distance():
    answer = SQUARE.copy()
    answer[28, 28] = True  # of 37 pixels of its border
    assert score(answer, SQUARE, (1, 1), 1).hd95 == 0


def test_a_mask_at_the_images_border_has_a_surface_there():
    a, b = mask((10, 10), ((0, 5), (0, 10))), mask((10, 10), ((0, 10), (0, 10)))
    assert score(a, b, (1, 1), 0.5).hd95 == pytest.approx(5)


def test_volumes_are_scored_too():
    ball, shifted = mask((20, 20, 20), ((5, 15),) * 3), mask((20, 20, 20), ((7, 17), (5, 15), (5, 15)))
    s = score(shifted, ball, (2.5, 1, 1), 1)
    assert s.dice == pytest.approx(0.8)
    assert s.hd95 == pytest.approx(5)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not agree"):
        score(SQUARE, SQUARE[1:], (1, 1), 1)
    with pytest.raises(ValueError, match="do not agree"):
        score(SQUARE, SQUARE, (1, 1, 1), 1)
    with pytest.raises(ValueError, match="empty target"):
        score(SQUARE, np.zeros_like(SQUARE), (1, 1), 1)
