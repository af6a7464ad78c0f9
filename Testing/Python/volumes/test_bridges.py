"""Planes between two key planes, which are answered from both."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
from test_propagation import Ball, answer_at, dice

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.predictor import PlaneMask, PlanePredictor
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.volumes.propagation.steps import Direction, PlaneRange, PropagationStep, StopReason, reconcile
from SAMUNetSlicerLib.volumes.propagation.walks import Propagation


def test_a_plane_where_the_way_back_is_lost_keeps_the_answer_of_the_way_there():
    class LostOnTheWayBack(PlanePredictor):
        visits = 0

        def predict(self, image, prompts, crop=None):
            answer = super().predict(image, prompts, crop)
            self.visits += image.key == 10
            lost = image.key == 10 and self.visits == 2
            return replace(answer, logits=np.full_like(answer.logits, -6)) if lost else answer

    planes, predictor = Ball(), LostOnTheWayBack(BrightRegionNetwork())
    answers = {7: answer_at(planes, predictor, 7), 12: answer_at(planes, predictor, 12)}
    steps = list(Propagation(planes, predictor).from_planes(answers, within=PlaneRange(8, 11)))
    final = {s.index: s for s in steps if s.stop is not StopReason.END}
    assert [s.index for s in steps if s.stop is None] == [8, 9, 10, 11, 11, 10]
    assert dice(final[10].answer.mask, planes.mask(10)) > 0.93
    assert (final[10].confidence, final[10].direction) == (0, Direction.DOWN)


def test_whole_planes_of_the_way_there_are_not_kept_for_the_way_back():
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork())
    answers = {4: answer_at(planes, predictor, 4), 16: answer_at(planes, predictor, 16)}
    walk = Propagation(planes, predictor).from_planes(answers, within=PlaneRange(5, 15))
    kept = []
    while len(kept) < 11:
        step = next(walk)
        if step.answer is not None:
            kept.append(weakref.ref(step.answer.logits))
    step = next(walk)
    assert (step.index, step.stop) == (15, StopReason.END)
    assert [logits for logits in kept[:-1] if logits() is not None] == []


def test_where_both_ways_disagree_the_nearer_key_plane_wins_and_confidence_falls():
    shape = (60, 60)

    def step(columns, trust, inside=6.0):
        logits = np.full(shape, -6.0, dtype=np.float32)
        logits[20:40, columns] = inside
        return PropagationStep(5, Direction.UP, PlaneMask(logits, None, Crop(0, 0, 60, 60)), trust)

    left, right = step(slice(10, 30), 0.9), step(slice(20, 40), 0.9)
    merged = reconcile(left, right, weight_of_one=0.8)
    assert merged.answer.mask[30, 12]
    assert not merged.answer.mask[30, 38]
    assert merged.confidence == pytest.approx(0.9 * (1 / 3) ** 0.5)
    assert reconcile(left, left, 0.5).confidence == pytest.approx(0.9)
    here, there = step(slice(10, 30), 0.9, inside=1.0), step(slice(40, 50), 0.9, inside=1.0)
    for weight, nearer in ((0.6, here), (0.4, there)):
        apart = reconcile(here, there, weight_of_one=weight)
        assert np.array_equal(apart.answer.mask, nearer.answer.mask), "their mean would be empty"
        assert apart.confidence == 0


def test_between_key_planes_the_answer_of_the_nearer_one_weighs_more(monkeypatch):
    weights = {}

    def weighed(one, other, weight_of_one):
        weights[other.index] = weight_of_one
        return reconcile(one, other, weight_of_one)

    monkeypatch.setattr("SAMUNetSlicerLib.volumes.propagation.walks.reconcile", weighed)
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork())
    answers = {7: answer_at(planes, predictor, 7), 12: answer_at(planes, predictor, 12)}
    list(Propagation(planes, predictor).from_planes(answers))
    assert weights == pytest.approx({8: 0.8, 9: 0.6, 10: 0.4, 11: 0.2})


def test_the_way_back_looks_where_the_way_there_did():
    """So that hardly any plane is encoded twice, also where the object moves on (without it, 24 encodings)."""

    class Moving(Ball):
        def mask(self, index):
            rows, columns = np.mgrid[:192, :400]
            return (rows - 96) ** 2 + (columns - 40 - 2 * index) ** 2 <= 64

    planes, predictor = Moving(), PlanePredictor(BrightRegionNetwork())
    answers = {2: answer_at(planes, predictor, 2), 14: answer_at(planes, predictor, 14)}
    encoded = predictor.network.encoded
    steps = Propagation(planes, predictor).from_planes(answers, within=PlaneRange(3, 13))
    assert sum(step.answer is not None for step in steps) == 2 * 11
    assert predictor.network.encoded - encoded <= 11 + 2


def test_a_key_plane_is_not_encoded_ahead():
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork())
    answers = {index: answer_at(planes, predictor, index) for index in (9, 10)}
    predictor.cache.clear()
    Propagation(planes, predictor).prepare(answers)
    while predictor.count_ahead:
        predictor.poll_ahead()
    assert predictor.counts.encoded == 4, "two key planes, and one plane beside each"
