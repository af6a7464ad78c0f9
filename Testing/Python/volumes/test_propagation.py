import numpy as np
import pytest
from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlanePredictor
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, bounding_box_xyxy
from SAMUNetSlicerLib.networks.base import PromptKind
from SAMUNetSlicerLib.volumes.propagation import (
    Direction,
    NeighbourRule,
    PlaneRange,
    Propagation,
    PropagationPolicy,
    StopReason,
    default_rule,
)

PLANES = 21
FIRST, LAST = 4, 16  # planes that show the object


class Ball:
    """A bright ball that shrinks towards both ends of a stack of dark planes."""

    def __init__(self, jump_at: int | None = None) -> None:
        self.jump_at = jump_at

    def __len__(self) -> int:
        return PLANES

    def mask(self, index: int) -> np.ndarray:
        rows, columns = np.mgrid[:96, :96]
        centre = 80 if self.jump_at is not None and index >= self.jump_at else 40
        radius_squared = 24**2 - (3.6 * (index - 10)) ** 2
        return (rows - 48) ** 2 + (columns - centre) ** 2 <= radius_squared

    def image(self, index: int) -> PlaneImage:
        grey = np.where(self.mask(index), 220, 30).astype(np.uint8)
        return PlaneImage(np.repeat(grey[..., None], 3, axis=2), index)


@pytest.fixture
def predictor():
    return PlanePredictor(BrightRegionNetwork())


def answer_at(planes, predictor, index):
    return predictor.predict(planes.image(index), PlanePrompts(box_xyxy=bounding_box_xyxy(planes.mask(index))))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("rule", list(NeighbourRule))
def test_the_whole_object_is_found_and_nothing_beyond_it(predictor, rule):
    planes = Ball()
    walk = Propagation(planes, predictor, PropagationPolicy(rule=rule))
    steps = list(walk.from_plane(10, answer_at(planes, predictor, 10)))
    found = {s.index: s.answer.mask for s in steps if s.answer is not None}
    assert set(range(FIRST, LAST + 1)) - {10} <= set(found) | {FIRST, LAST}
    for index, mask in found.items():
        assert dice(mask, planes.mask(index)) > 0.93, index
    assert {s.stop for s in steps if s.stop} <= {StopReason.VANISHED, StopReason.DRIFTED}


def test_planes_come_nearest_first_on_both_sides_in_turn(predictor):
    planes = Ball()
    steps = Propagation(planes, predictor).from_plane(10, answer_at(planes, predictor, 10))
    assert [next(steps).index for _ in range(4)] == [11, 9, 12, 8]


def test_one_direction_and_a_range_are_kept(predictor):
    planes = Ball()
    walk = Propagation(planes, predictor)
    steps = list(walk.from_plane(10, answer_at(planes, predictor, 10), Direction.UP, PlaneRange(8, 12)))
    assert [s.index for s in steps if s.answer is not None] == [11, 12]
    assert steps[-1].stop is StopReason.END


def test_a_jump_of_the_object_stops_the_walk_before_the_jump(predictor):
    planes = Ball(jump_at=13)
    walk = Propagation(planes, predictor, PropagationPolicy(rule=NeighbourRule.BOX_AND_POINT))
    steps = list(walk.from_plane(10, answer_at(planes, predictor, 10), Direction.UP))
    assert [s.index for s in steps if s.answer is not None] == [11, 12]
    assert steps[-1].stop in (StopReason.DRIFTED, StopReason.VANISHED)


def test_leaving_early_keeps_what_was_yielded_and_does_no_further_work(predictor):
    planes = Ball()
    steps = Propagation(planes, predictor).from_plane(10, answer_at(planes, predictor, 10))
    kept = [next(steps) for _ in range(3)]
    encoded = predictor.network.encoded
    steps.close()
    assert all(s.answer.mask.any() for s in kept)
    assert predictor.network.encoded == encoded


def test_between_two_prompted_planes_each_goes_half_way(predictor):
    planes = Ball()
    answers = {7: answer_at(planes, predictor, 7), 12: answer_at(planes, predictor, 12)}
    found = [s.index for s in Propagation(planes, predictor).from_planes(answers) if s.answer is not None]
    assert len(found) == len(set(found)), "a plane was visited twice"
    assert {8, 9, 10, 11} <= set(found)
    assert not set(found) & set(answers)


def test_confidence_is_high_inside_and_falls_where_appearance_changes(predictor):
    class Fading(Ball):
        def image(self, index):
            image = super().image(index)
            dim = 1 - 0.02 * max(0, index - 11)
            return PlaneImage((image.rgb * dim).astype(np.uint8), index)

    planes = Fading()
    steps = Propagation(planes, predictor).from_plane(10, answer_at(planes, predictor, 10), Direction.UP)
    trust = {s.index: s.confidence for s in steps if s.answer is not None}
    assert trust[11] > 0.8
    assert trust[11] > trust[14]


def test_an_empty_answer_is_not_propagated(predictor):
    planes = Ball()
    empty = predictor.predict(planes.image(0), PlanePrompts(box_xyxy=(10, 10, 30, 30)))
    steps = list(Propagation(planes, predictor).from_plane(0, empty))
    assert all(s.answer is None and s.stop is StopReason.VANISHED for s in steps)


def test_the_default_rule_uses_what_the_model_was_trained_for():
    assert default_rule(PromptKind.BOX) is NeighbourRule.BOX
    assert default_rule(PromptKind.BOX | PromptKind.MASK) is NeighbourRule.BOX_AND_MASK
