"""Planes that a walk comes to are encoded while those before are decoded and shown."""

from collections import Counter

import numpy as np
import pytest
import SimpleITK as sitk

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.encoding.encoders import Encoder, TorchEncoder
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlaneMask, PlanePredictor
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, bounding_box_xyxy
from SAMUNetSlicerLib.volumes.propagation.box_motion import moved_logits
from SAMUNetSlicerLib.volumes.propagation.steps import Direction, PlaneRange, StopReason
from SAMUNetSlicerLib.volumes.propagation.walks import Propagation

PLANES = 12
LAST_SHOWN = 8


class Rod:
    """A bright rod, up to a plane, that moves by some pixels a plane; remembers which pictures were asked for."""

    step_px = 4.0

    def __init__(self, motion: int = 0) -> None:
        self.motion, self.asked = motion, Counter()

    def __len__(self) -> int:
        return PLANES

    def mask(self, index: int) -> np.ndarray:
        rows, columns = np.mgrid[:192, :400]
        inside = (rows - 96) ** 2 + (columns - 60 - self.motion * index) ** 2 <= 100
        return inside & (index <= LAST_SHOWN)

    def image(self, index: int) -> PlaneImage:
        self.asked[index] += 1
        grey = np.where(self.mask(index), 220, 30).astype(np.uint8)
        return PlaneImage(np.repeat(grey[..., None], 3, axis=2), index)


class SlowNetwork(BrightRegionNetwork):
    def encode_steps(self, images):
        for _ in range(10):
            yield
        return self.encode(images)


class TwoAhead(Encoder):
    planes_ahead = 2

    def __init__(self, network):
        self.network = network

    def begin(self, images, ahead=False):
        return TorchEncoder(self.network).begin(images)


@pytest.fixture(params=[1, 2])
def predictor(monkeypatch, request):
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 1e-9)
    network = SlowNetwork()
    encoder = TwoAhead(network)
    encoder.planes_ahead = request.param
    return PlanePredictor(network, encode_planes=encoder)


def answer_at(planes: Rod, predictor: PlanePredictor, index: int) -> PlaneMask:
    prompts = PlanePrompts(box_xyxy=bounding_box_xyxy(planes.mask(index)))
    return predictor.predict(planes.image(index), prompts)


def begun(predictor: PlanePredictor) -> list[int]:
    return [key for key, _crop in predictor._ahead]


def test_as_many_planes_are_begun_as_the_encoder_computes_beside_one_another(predictor):
    planes = Rod()
    steps = Propagation(planes, predictor).from_plane(2, answer_at(planes, predictor, 2), Direction.UP)
    for index in (3, 4, 5):
        assert next(steps).index == index
        assert begun(predictor) == [index + 1, index + 2][: predictor.encode_planes.planes_ahead]


def test_none_is_begun_beyond_the_range(predictor):
    planes = Rod()
    answer = answer_at(planes, predictor, 2)
    steps = Propagation(planes, predictor).from_plane(2, answer, Direction.UP, PlaneRange(0, 4))
    assert next(steps).index == 3
    assert begun(predictor) == [4]
    assert [step.stop for step in steps] == [None, StopReason.END]
    assert predictor.count_ahead == 0


def test_both_ways_in_turn_have_a_plane_each_under_way(predictor):
    planes = Rod()
    steps = Propagation(planes, predictor).from_plane(4, answer_at(planes, predictor, 4))
    shown = [next(steps).index for _ in range(4)]
    assert shown == [5, 3, 6, 2]
    assert {7, 1} <= set(begun(predictor))
    assert predictor.count_ahead <= 3


def test_a_walk_that_ends_gives_up_what_it_has_begun(predictor):
    planes = Rod()
    steps = [*Propagation(planes, predictor).from_plane(6, answer_at(planes, predictor, 6), Direction.UP)]
    assert [step.index for step in steps if step.stop] == [LAST_SHOWN + 1]
    assert predictor.count_ahead == 0


def test_a_walk_that_is_closed_gives_up_what_it_has_begun(predictor):
    planes = Rod()
    steps = Propagation(planes, predictor).from_plane(2, answer_at(planes, predictor, 2), Direction.UP)
    next(steps)
    assert predictor.count_ahead
    steps.close()
    assert predictor.count_ahead == 0


def test_no_plane_is_cut_or_encoded_twice_where_the_object_stays(predictor):
    planes = Rod()
    answer = answer_at(planes, predictor, 2)
    planes.asked.clear()
    steps = [*Propagation(planes, predictor).from_plane(2, answer, Direction.UP, PlaneRange(0, 7))]
    assert [step.index for step in steps if step.answer is not None] == [3, 4, 5, 6, 7]
    assert {index: planes.asked[index] for index in range(3, 8)} == dict.fromkeys(range(3, 8), 1)
    assert predictor.counts.encoded == 6


class Asked:
    """A predictor of a script, which begins nothing ahead."""

    def __init__(self, inner):
        self.trained_prompts, self.predict = inner.trained_prompts, inner.predict


def test_a_crop_that_the_object_has_left_is_guessed_anew_and_the_answers_stay_the_same(predictor):
    planes = Rod(motion=4)
    answer = answer_at(planes, predictor, 0)
    ahead, asked = (
        [s for s in Propagation(planes, p).from_plane(0, answer, Direction.UP, PlaneRange(0, 7)) if s.answer]
        for p in (predictor, Asked(PlanePredictor(BrightRegionNetwork())))
    )
    assert len({step.answer.crop for step in ahead}) > 1
    assert [step.answer.crop for step in ahead] == [step.answer.crop for step in asked]
    for one, other in zip(ahead, asked, strict=True):
        np.testing.assert_array_equal(one.answer.logits, other.answer.logits)


def test_what_was_prepared_is_what_the_walk_asks_for(predictor):
    planes = Rod()
    walk, starts = Propagation(planes, predictor), {4: answer_at(planes, predictor, 4)}
    walk.prepare(starts)
    assert {5, 3} <= set(begun(predictor))
    while predictor.count_ahead:
        predictor.poll_ahead()
    encoded = predictor.counts.encoded
    steps = walk.from_planes(starts)
    assert [next(steps).index, next(steps).index] == [5, 3]
    assert predictor.counts.encoded == encoded


def test_registration_leaves_the_number_of_itks_threads_as_it_was():
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(3)
    try:
        planes = Rod(motion=2)
        moved_logits(planes.image(0).rgb, planes.image(1).rgb, np.where(planes.mask(0), 8.0, -8.0))
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 3
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
