import numpy as np
import pytest

from SAMUNetSlicerLib.inference.consensus import bounded, consensus
from SAMUNetSlicerLib.inference.predictor import PlaneMask
from SAMUNetSlicerLib.inference.zoom import Crop


def answer(logit: float, quality: float | None) -> PlaneMask:
    return PlaneMask(np.full((4, 6), logit, np.float32), quality, Crop(0, 0, 6, 4))


def test_answers_judged_alike_count_alike():
    joint = consensus([answer(3, 0.8), answer(-1, 0.8), answer(1, 0.8)])
    assert joint.logits == pytest.approx(np.full((4, 6), 1.0))
    assert joint.quality == pytest.approx(0.8)
    assert joint.logits.dtype == np.float32


def test_an_answer_judged_far_better_decides():
    joint = consensus([answer(-3, 0.4), answer(2, 0.9)])
    assert joint.logits[0, 0] == pytest.approx(2, abs=0.01)
    assert joint.quality == pytest.approx(0.9, abs=0.01)


def test_a_little_better_is_only_a_little_heavier():
    joint = consensus([answer(-1, 0.80), answer(1, 0.82)])
    assert 0 < joint.logits[0, 0] < 0.5


def test_without_judgement_all_count_alike():
    joint = consensus([answer(3, None), answer(-1, None)])
    assert joint.logits[0, 0] == pytest.approx(1)
    assert joint.quality is None


def test_no_answer_is_so_sure_that_others_do_not_count():
    joint = consensus([answer(1000, 0.8), answer(-4, 0.8), answer(-4, 0.8), answer(-4, 0.8)])
    assert joint.logits[0, 0] == pytest.approx((bounded(np.float32(1000)) - 12) / 4)
