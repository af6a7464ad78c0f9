"""Answers without learning do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from requirements_guard import need
from SAMUNetSlicerLib.evaluation.grow_from_seeds import grow_from_seeds, orthogonal_seeds
from SAMUNetSlicerLib.evaluation.peers import filled_box, grab_cut, inscribed_ellipse, region_growing, rule_methods
from SAMUNetSlicerLib.inference.mask_geometry import depth_inside
from SAMUNetSlicerLib.inference.predictor import PlaneImage
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, Sign

CHANCE = np.random.default_rng(3)
ROWS, COLUMNS = np.mgrid[:60, :80]
DISC = (ROWS - 30) ** 2 + (COLUMNS - 40) ** 2 < 15**2
RGB = np.repeat((np.where(DISC, 190, 60) + CHANCE.normal(0, 8, DISC.shape)).astype(np.uint8)[..., None], 3, axis=2)


def dice(a, b) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def box(*xyxy) -> PlanePrompts:
    return PlanePrompts(box_xyxy=xyxy)


def test_a_filled_box_covers_its_pixels():
    filled = filled_box(RGB, box(3, 5, 10, 7))
    assert filled.sum() == 14
    assert filled[5:7, 3:10].all()


def test_the_ellipse_fits_into_the_box():
    ellipse = inscribed_ellipse(RGB, box(10, 10, 50, 30))
    assert ellipse.sum() == pytest.approx(np.pi * 20 * 10, rel=0.02)
    rows, columns = np.nonzero(ellipse)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 29, 10, 49)


def test_region_growing_finds_the_disc_of_a_point():
    grown = region_growing(RGB, PlanePrompts(points_xy=((40.0, 30.0),), signs=(Sign.POSITIVE,)))
    assert dice(grown, DISC) > 0.85


def test_grab_cut_finds_the_disc_of_a_box_the_same_each_time():
    need("cv2")
    answers = [grab_cut(RGB, box(22, 12, 58, 48)) for _ in range(2)]
    assert dice(answers[0], DISC) > 0.95
    np.testing.assert_array_equal(*answers)


def test_grab_cut_of_a_box_that_leaves_nothing_outside_is_empty():
    need("cv2")
    assert not grab_cut(RGB, box(0, 0, 80, 60)).any()


def test_rules_answer_as_models_do():
    answer = rule_methods()["filled box"].answer(PlaneImage(RGB, "key"), box(3, 5, 10, 7))
    assert answer.mask.sum() == 14
    assert answer.crop.size_hw == (60, 80)


def ball_volume():
    k, j, i = np.mgrid[:24, :40, :40]
    ball = ((k - 12) * 2) ** 2 + (j - 20) ** 2 + (i - 18) ** 2 < 11**2
    return ball, np.where(ball, 150.0, 60.0) + CHANCE.normal(0, 5, ball.shape)


def test_seeds_lie_inside_and_outside_on_three_planes():
    ball, _ = ball_volume()
    inside, outside = orthogonal_seeds(ball)
    assert inside.any()
    assert outside.any()
    assert not (inside & ~ball).any()
    assert not (outside & ball).any()
    painted = inside | outside
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        assert painted.any(axis=others).sum() > 8, "planes of the other two directions reach along this axis"


def test_seeds_grow_to_the_edge():
    ball, grey = ball_volume()
    grown = grow_from_seeds(grey, *orthogonal_seeds(ball), (2.0, 1.0, 1.0))
    assert dice(grown, ball) > 0.97


def test_without_contrast_seeds_meet_half_way():
    inside, outside = np.zeros((2, 1, 1, 21), bool)
    inside[..., 0] = outside[..., -1] = True
    grown = grow_from_seeds(np.zeros((1, 1, 21)), inside, outside, (1.0, 1.0, 1.0))
    assert 10 <= grown.sum() <= 11


def test_seeds_are_the_deeper_half_and_a_frame_that_is_neither_near_nor_far():
    cube = np.zeros((50, 50, 50), bool)
    cube[10:40, 10:40, 10:40] = True
    inside, outside = orthogonal_seeds(cube)
    assert depth_inside(cube[25])[inside[25]].min() == 8  # of 15
    away = distance_transform_edt(~cube[25])[outside[25]]
    assert (away.min(), away.max()) == (3, 6)


def test_the_frame_around_a_small_target_is_two_voxels_away():
    cube = np.zeros((20, 20, 20), bool)
    cube[8:12, 8:12, 8:12] = True
    away = distance_transform_edt(~cube[9])[orthogonal_seeds(cube)[1][9]]
    assert (away.min(), away.max()) == (2, 4)


@pytest.mark.parametrize("contrast", [1e-9, 1.0, 1e6])
def test_seeds_grow_to_an_edge_whatever_the_unit(contrast):
    inside, outside = np.zeros((2, 1, 1, 21), bool)
    inside[..., 0] = outside[..., -1] = True
    grey = np.where(np.arange(21) < 16, 0, contrast)[None, None]
    assert grow_from_seeds(grey, inside, outside, (1.0, 1.0, 1.0)).sum() == 16


def test_a_step_between_thick_planes_is_longer():
    inside, outside = np.zeros((2, 4, 1, 6), bool)
    inside[0, 0, 0] = outside[3, 0, 5] = True  # three planes away from the corner, and five voxels
    flat = np.zeros((4, 1, 6))
    corners = [grow_from_seeds(flat, inside, outside, (k, 1.0, 1.0))[3, 0, 0] for k in (1.0, 3.0)]
    assert corners == [True, False]
