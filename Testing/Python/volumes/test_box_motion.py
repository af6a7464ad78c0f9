"""Boxes that follow their object from plane to plane."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMUNetSlicerLib.inference.prompts import bounding_box_xyxy
from SAMUNetSlicerLib.volumes.propagation import box_motion
from SAMUNetSlicerLib.volumes.propagation.box_motion import Course, expect, moved_logits

SIDE = 96


def disc(centre_xy=(48, 48), radius=14, side=SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 <= radius**2


def logits(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 4.0, -4.0)


def picture(mask: np.ndarray) -> np.ndarray:
    """A bright object on a dark ground."""
    return np.repeat(np.where(mask, 200, 40).astype(np.uint8)[..., None], 3, axis=2)


def test_a_plane_like_the_last_one_is_given_the_same_box():
    mask = disc()
    expected = expect(picture(mask), picture(mask), logits(mask), Course())
    assert expected.box_xyxy == bounding_box_xyxy(mask)
    assert np.array_equal(expected.mask, mask)


@pytest.mark.parametrize("there", [disc((51, 46)), disc(radius=17), disc(radius=11), disc((300, 290), 60, 600)])
def test_a_mask_moves_with_what_the_pictures_show(there):
    here = disc() if len(there) == SIDE else disc((294, 290), 64, 600)

    def dice(a, b):
        return 2 * (a & b).sum() / (a.sum() + b.sum())

    moved = moved_logits(picture(here), picture(there), logits(here)) > 0
    assert dice(moved, there) > 0.95
    assert dice(moved, there) > dice(here, there) + 0.03


def step_of(here: np.ndarray, there: np.ndarray, course: Course) -> np.ndarray:
    """(4,) by how much the box is expected to move."""
    box_xyxy = expect(picture(here), picture(there), logits(here), course).box_xyxy
    return np.array(box_xyxy) - bounding_box_xyxy(here)


def test_the_box_goes_half_of_the_way_that_the_pictures_show():
    assert step_of(disc(), disc((52, 48)), Course()) == pytest.approx([2, 0, 2, 0], abs=0.6)


def test_half_of_the_last_motion_is_added_but_no_leap():
    here = disc(radius=20)
    assert step_of(here, here, Course(disc(radius=22))) == pytest.approx([1, 1, -1, -1])
    leap = step_of(here, here, Course(disc((78, 48), radius=20)))
    assert leap == pytest.approx([-4.1, 0, -4.1, 0]), "a tenth of the box's side"


def test_an_edge_of_which_the_answer_is_unsure_is_not_carried_on_but_hardly_moves():
    mask = disc(radius=20)
    unsure = logits(mask)
    unsure[:, :29] = np.minimum(unsure[:, :29], 0.2)  # one column of the mask
    unsure[65:] = np.minimum(unsure[65:], 0.2)  # four rows
    picture_here = picture(mask)
    x0, y0, x1, y1 = expect(picture_here, picture_here, unsure, Course(), doubt=0.5).box_xyxy
    assert bounding_box_xyxy(mask) == (28, 28, 69, 69)
    assert (x0, y0, x1) == pytest.approx((29, 28, 69))
    assert y1 == pytest.approx(69 - 0.05 * 41)
    assert expect(picture_here, picture_here, unsure, Course()).box_xyxy == (28, 28, 69, 69)


def test_what_the_answer_hardly_holds_is_not_carried_on():
    mask, core = disc(radius=20), disc(radius=15)
    answer = np.where(core, 4.0, np.where(mask, 0.7, -4.0))
    expected = expect(picture(mask), picture(mask), answer, Course(), doubt=1.0)
    assert np.array_equal(expected.mask, core)
    assert expected.logits[48, 48] == pytest.approx(3.0)


def test_where_the_answer_is_sure_of_nothing_it_is_carried_on():
    mask = disc()
    expected = expect(picture(mask), picture(mask), logits(mask) / 10, Course(), doubt=0.5)
    assert expected.box_xyxy == bounding_box_xyxy(mask)
    assert np.array_equal(expected.mask, mask)


def test_towards_a_key_plane_half_of_the_way_is_added_instead():
    here = disc(radius=20)
    course = Course(before=disc(radius=22), goal=disc((58, 48), radius=20), share=1 / 5)
    assert step_of(here, here, course) == pytest.approx([1, 0, 1, 0])


def test_a_box_shrinks_around_its_middle_half_as_much_as_its_sides_should():
    here = disc(radius=20)
    expected = 0.05 * 41 * np.array([1, 1, -1, -1])
    assert step_of(here, here, Course(shrink=0.81)) == pytest.approx(expected)


def test_what_is_too_small_to_be_registered_stays():
    here, there = disc((2, 5), 2, 12)[:, :5], disc((2, 8), 2, 12)[:, :5]
    assert np.array_equal(moved_logits(picture(here), picture(there), logits(here)), logits(here))


def test_where_registration_loses_the_object_it_is_expected_where_it_is(monkeypatch):
    mask = disc()
    monkeypatch.setattr(box_motion, "moved_logits", lambda here, there, logits_here: np.full(mask.shape, -8.0))
    expected = expect(picture(mask), picture(mask), logits(mask), Course())
    assert np.array_equal(expected.mask, mask)
    assert expected.box_xyxy == bounding_box_xyxy(mask)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 95),
    st.integers(0, 95),
    st.integers(1, 30),
    st.integers(0, 95),
    st.integers(0, 95),
    st.integers(0, 9),
)
def test_boxes_stay_inside_the_plane_and_keep_a_pixel(x, y, radius, before_x, before_y, seed):
    mask = disc((x, y), radius)
    there = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    x0, y0, x1, y1 = expect(picture(mask), there, logits(mask), Course(disc((before_x, before_y), radius))).box_xyxy
    assert 0 <= x0 < x1 <= SIDE
    assert 0 <= y0 < y1 <= SIDE
    assert min(x1 - x0, y1 - y0) >= 1
