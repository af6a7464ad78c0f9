"""What key planes' outlines tell of the planes between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_propagation import Ball, answer_at

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.predictor import PlaneMask, PlanePredictor
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.volumes.propagation.between import ShapeBetween
from SAMUNetSlicerLib.volumes.propagation.steps import Direction, PlaneRange
from SAMUNetSlicerLib.volumes.propagation.walks import Propagation


def disc(radius, x=40, y=40, shape=(80, 90)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def silent(shape=(80, 90), logit=0.0):
    """An answer that says nothing."""
    return PlaneMask(np.full(shape, logit, np.float32), 0.9, Crop(0, 0, shape[1], shape[0]))


@given(st.integers(8, 25), st.integers(8, 25), st.integers(1, 9))
def test_between_two_discs_the_radius_changes_evenly(low, high, index):
    shape = ShapeBetween.of(0, disc(low), 10, disc(high))
    expected = low + (high - low) * index / 10
    area = shape.beside(silent(), index).mask.sum()
    assert np.sqrt(area / np.pi) == pytest.approx(expected, abs=0.8)


def test_outlines_in_the_corners_of_a_plane_are_told_whole():
    corner = np.zeros((60, 50), bool)
    corner[:20, :20] = True
    shape = ShapeBetween.of(3, corner, 5, corner)
    assert np.array_equal(shape.beside(silent(corner.shape), 4).mask, corner)
    other = corner[::-1, ::-1]
    assert np.array_equal(ShapeBetween.of(3, other, 5, other).beside(silent(corner.shape), 4).mask, other)


def test_what_differs_between_the_outlines_is_told_less():
    same = ShapeBetween.of(0, disc(15), 2, disc(15)).beside(silent(), 1).logits
    moved = ShapeBetween.of(0, disc(15, x=34), 2, disc(15, x=46)).beside(silent(), 1).logits
    assert same[40, 40] == pytest.approx(8)
    radius = np.sqrt(disc(15).sum() / np.pi)
    assert same[40, 54] - same[40, 51] == pytest.approx(-3 * 16 / radius), "16 logits at a radius"
    assert same[0, 0] == pytest.approx(-8)
    overlap = (disc(15, x=34) & disc(15, x=46)).sum() / (disc(15, x=34) | disc(15, x=46)).sum()
    assert moved[0, 0] == pytest.approx(-8 * overlap)


def test_a_sure_network_is_not_outvoted_near_the_outline_but_far_from_it():
    shape = ShapeBetween.of(0, disc(16), 2, disc(16))
    answer = silent()
    answer.logits[40, 54:60] = 4.0  # goes on by three pixels, which are 3 logits, and by what leaks
    answer.logits[40, 59:90] = 4.0
    seen = shape.beside(answer, 1)
    assert seen.mask[40, 57]
    assert not seen.mask[40, 65]
    assert (seen.quality, seen.crop) == (answer.quality, answer.crop)
    assert answer.logits[40, 57] == 4.0, "the network's answer itself, which goes on to the next plane, stays"


@pytest.mark.parametrize(
    ("low", "high"), [(disc(8, x=20), disc(8, x=70)), (disc(8), disc(8) & False), (disc(8) & False, disc(8) & False)]
)
def test_outlines_that_share_nothing_tell_nothing(low, high):
    assert ShapeBetween.of(0, low, 4, high) is None


@pytest.mark.parametrize(("direction", "times"), [(Direction.BOTH, 2), (Direction.UP, 1), (Direction.DOWN, 1)])
def test_every_answer_between_key_planes_is_told_and_none_beyond(monkeypatch, direction, times):
    told = []
    monkeypatch.setattr(ShapeBetween, "beside", lambda shape, answer, index: told.append(index) or answer)
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork())
    keys = {index: answer_at(planes, predictor, index) for index in (8, 12)}
    found = {s.index for s in Propagation(planes, predictor).from_planes(keys, direction) if s.answer is not None}
    assert sorted(told) == sorted([9, 10, 11] * times)
    assert found > {9, 10, 11}


def test_outlines_take_no_plane_away(monkeypatch):
    """An object that bows out between the key planes goes on, wherever they expect it."""
    monkeypatch.setattr(ShapeBetween, "beside", lambda _shape, answer, _index: silent(answer.logits.shape, -1.0))
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork())
    keys = {index: answer_at(planes, predictor, index) for index in (8, 12)}
    between = PlaneRange(8, 12)
    found = {s.index: s.answer for s in Propagation(planes, predictor).from_planes(keys, within=between) if s.answer}
    assert set(found) == {9, 10, 11}
    assert all(answer.mask.any() for answer in found.values())
