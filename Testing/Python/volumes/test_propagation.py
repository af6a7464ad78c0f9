import numpy as np
import pytest
import torch

from fakes import ALL_PROMPTS, BrightRegionNetwork
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlaneMask, PlanePredictor
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, bounding_box_xyxy
from SAMUNetSlicerLib.networks.base import Decoded, PromptKind
from SAMUNetSlicerLib.volumes.propagation.steps import Direction, PlaneRange, StopReason
from SAMUNetSlicerLib.volumes.propagation.taper import Taper
from SAMUNetSlicerLib.volumes.propagation.walks import NeighbourRule, Propagation, PropagationPolicy

PLANES = 21
FIRST, LAST = 4, 16  # planes that show the object


class Ball:
    """A bright ball that shrinks towards both ends of a stack of dark planes."""

    def __init__(self, jump_at: int | None = None) -> None:
        self.jump_at = jump_at

    step_px = 4.0

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


class Blank(Ball):
    """That ball on pictures that show nothing."""

    def image(self, index: int) -> PlaneImage:
        return PlaneImage(np.full((96, 96, 3), 90, np.uint8), index)


class Doubting(BrightRegionNetwork):
    """Judges its answers lower after the first few."""

    def __init__(self, after: int, share: float) -> None:
        super().__init__()
        self.after, self.share, self.answers = after, share, 0

    def decode(self, embedding, prompts):
        decoded = super().decode(embedding, prompts)
        self.answers += 1
        return Decoded(decoded.logits, decoded.quality * (self.share if self.answers > self.after else 1.0))


class Filling(BrightRegionNetwork):
    """Draws an ellipse into any box."""

    def decode(self, embedding, prompts):
        decoded = super().decode(embedding, prompts)
        side = decoded.logits.shape[-1]
        x0, y0, x1, y1 = prompts.boxes_xyxy[0] * side / self.spec.preprocessing.input_size
        x, y = torch.arange(side) + 0.5, torch.arange(side)[:, None] + 0.5
        distance = ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2
        return Decoded((5 * (1 - distance)).expand_as(decoded.logits), decoded.quality)


@pytest.fixture
def predictor():
    return PlanePredictor(BrightRegionNetwork())


def answer_at(planes, predictor, index):
    return predictor.predict(planes.image(index), PlanePrompts(box_xyxy=bounding_box_xyxy(planes.mask(index))))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("keys", [(10,), (7, 10)])
def test_a_painted_plane_is_gone_on_from_as_closely_as_a_prompted_one(keys):
    """Nobody has looked at it, and from the whole plane an object of a quarter of it is answered coarsely."""

    class Small(Ball):
        def mask(self, index):
            rows, columns = np.mgrid[:96, :96]
            return (rows - 48) ** 2 + (columns - 40) ** 2 <= 12**2

    planes = Small()
    predictor = PlanePredictor(BrightRegionNetwork(ALL_PROMPTS | PromptKind.NEIGHBOUR_MASK))
    prompted = {key: answer_at(planes, predictor, key) for key in keys}
    painted = {key: PlaneMask.certain(planes.mask(key)) for key in keys}
    walk = Propagation(planes, predictor)
    crops = [{s.index: s.answer.crop for s in walk.from_planes(found) if s.answer} for found in (prompted, painted)]
    assert crops[0] == crops[1]
    assert max(crops[0][9].size_hw) < 96


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


def test_what_one_walk_has_finished_is_kept_where_the_other_fails(predictor):
    class HalfLost(Ball):
        def image(self, index):
            if index < 10:
                raise InputError("gone")
            return super().image(index)

    planes = HalfLost()
    steps = Propagation(planes, predictor).from_plane(10, answer_at(planes, predictor, 10))
    assert next(steps).index == 11
    with pytest.raises(InputError):
        next(steps)


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


def test_planes_between_two_key_planes_are_reached_from_both_and_key_planes_never(predictor):
    planes = Ball()
    answers = {7: answer_at(planes, predictor, 7), 12: answer_at(planes, predictor, 12)}
    steps = [s for s in Propagation(planes, predictor).from_planes(answers) if s.answer is not None]
    visits = [s.index for s in steps]
    assert not set(visits) & set(answers)
    assert all(visits.count(index) == 2 for index in range(8, 12))
    assert all(visits.count(index) == 1 for index in set(visits) - set(range(8, 12)))
    final = {s.index: s.answer.mask for s in steps}
    for index in range(8, 12):
        assert dice(final[index], planes.mask(index)) > 0.93


def test_the_second_visit_of_a_plane_costs_no_encoding(predictor):
    planes = Ball()
    answers = {7: answer_at(planes, predictor, 7), 12: answer_at(planes, predictor, 12)}
    encoded = predictor.network.encoded
    list(Propagation(planes, predictor).from_planes(answers, within=PlaneRange(7, 12)))
    assert predictor.network.encoded - encoded <= 4 + 1, "four planes lie between; at most one needs another crop"


@pytest.mark.parametrize("direction", [Direction.UP, Direction.DOWN])
def test_with_one_direction_walks_end_before_the_next_key_plane(predictor, direction):
    planes = Ball()
    answers = {7: answer_at(planes, predictor, 7), 12: answer_at(planes, predictor, 12)}
    steps = Propagation(planes, predictor).from_planes(answers, direction)
    found = {s.index for s in steps if s.answer is not None}
    assert {8, 9, 10, 11} <= found
    assert found & {7, 12} == set()
    assert min(found) >= 8 if direction is Direction.UP else max(found) <= 11


def test_confidence_is_high_inside_and_falls_where_appearance_changes(predictor):
    class Fading(Ball):
        def image(self, index):
            image = super().image(index)
            dim = 1 - 0.02 * max(0, index - 11)
            return PlaneImage((image.rgb * dim).astype(np.uint8), index)

    planes = Fading()
    steps = Propagation(planes, predictor).from_plane(10, answer_at(planes, predictor, 10), Direction.UP)
    trust = {s.index: s.confidence for s in steps if s.answer is not None}
    assert trust[11] > 0.6
    assert trust[11] > trust[14]


def test_a_walk_ends_where_the_network_thinks_much_less_of_its_answers(predictor):
    """Beyond an object's end networks still answer, but judge their answers lower."""

    planes = Ball()
    doubting = PlanePredictor(Doubting(after=4, share=0.75))
    start = answer_at(planes, doubting, 10)  # the first answer
    steps = list(Propagation(planes, doubting).from_plane(10, start, Direction.UP))
    assert [s.index for s in steps if s.answer is not None] == [11, 12, 13]
    assert steps[-1].stop is StopReason.DRIFTED
    trusting = PropagationPolicy(lowest_own_share=0.7)
    doubting.network.answers = 1
    assert len(list(Propagation(planes, doubting, trusting).from_plane(10, start, Direction.UP))) > len(steps)


def test_far_from_its_key_plane_a_walk_ends_sooner_unless_another_lies_ahead():
    """The ball's overlaps multiply to .64 on plane 14 and to .44 on plane 15."""

    def planes_found(policy, *keys):
        planes, predictor = Ball(), PlanePredictor(Doubting(after=3, share=0.82))
        answers = {index: answer_at(planes, predictor, index) for index in (10, *keys)}
        predictor.network.answers = 1
        steps = Propagation(planes, predictor, policy).from_planes(answers, Direction.UP)
        return [s.index for s in steps if s.answer is not None and s.index < 16]

    assert planes_found(PropagationPolicy(far_carried=0.5)) == [11, 12, 13, 14]
    assert planes_found(PropagationPolicy(far_carried=0.0)) == [11, 12, 13, 14, 15]
    assert planes_found(PropagationPolicy(far_carried=0.5), 16) == [11, 12, 13, 14, 15]


def test_an_object_has_vanished_below_its_smallest_area(predictor):
    planes = Ball()
    start = answer_at(planes, predictor, 10)

    def found(smallest):
        walk = Propagation(planes, predictor, PropagationPolicy(smallest_area=smallest))
        return next(walk.from_plane(10, start)).answer

    area = int(found(1).mask.sum())
    assert found(area) is not None
    assert found(area + 1) is None


def test_the_box_follows_an_object_that_grows_and_shrinks(predictor):
    """A network that draws an ellipse into any box keeps the size of a ball's middle, unless the box follows."""
    planes = Ball()
    filling = PlanePredictor(Filling())
    start = answer_at(planes, filling, 10)
    policy = PropagationPolicy(lowest_iou=0, lowest_support=0)
    steps = Propagation(planes, filling, policy).from_plane(10, start, Direction.UP)
    areas = [int(s.answer.mask.sum()) for s in steps if s.answer is not None]
    assert areas[4] < 0.8 * start.mask.sum()


def test_beyond_the_outermost_key_plane_it_ends_as_key_planes_let_expect():
    """On pictures that show nothing, with a network that fills boxes: alone a key plane's size goes on to the end."""

    planes, filling = Blank(), PlanePredictor(Filling())
    walk = Propagation(planes, filling, PropagationPolicy(lowest_iou=0, lowest_support=0))
    keys = {index: answer_at(planes, filling, index) for index in (10, 15)}

    def areas(*arguments, **options):
        steps = walk.from_planes(*arguments, direction=Direction.UP, **options)
        return {s.index: int(s.answer.mask.sum()) for s in steps if s.answer is not None and s.index > 15}

    alone, after_middle = areas({15: keys[15]}), areas(keys)
    assert max(alone) == PLANES - 1
    assert max(after_middle) < PLANES - 1
    assert after_middle[16] < alone[16]
    told = areas({15: keys[15]}, known={10: keys[10]})
    assert told == after_middle


def test_between_key_planes_the_size_follows_the_parabola_of_their_areas():
    planes, filling = Blank(), PlanePredictor(Filling())
    keys = {index: answer_at(planes, filling, index) for index in (10, 16)}
    steps = Propagation(planes, filling).from_planes(keys)
    masks = {s.index: s.answer.mask for s in steps if s.answer is not None}
    low, high = (int(keys[i].mask.sum()) for i in (10, 16))
    straight = (np.sqrt(low) + np.sqrt(high)) ** 2 / 4
    assert masks[13].sum() > 1.1 * straight


def test_each_step_is_expected_from_the_plane_that_it_leaves(monkeypatch):
    asked = []
    monkeypatch.setattr(Taper, "share_of_way", lambda self, index, step, goal: asked.append((index, step, goal)) or 0.5)
    monkeypatch.setattr(Taper, "shrink", lambda self, index, step: asked.append((index, step)) or 1.0)
    planes, filling = Blank(), PlanePredictor(Filling())
    keys = {index: answer_at(planes, filling, index) for index in (10, 13, 15)}
    list(Propagation(planes, filling).from_planes(keys, Direction.UP, PlaneRange(10, 17)))
    assert asked == [(15, 1), (16, 1), (10, 1, 13), (11, 1, 13), (13, 1, 15)]


def test_a_range_beyond_the_stack_ends_with_the_stack():
    planes, filling = Blank(), PlanePredictor(Filling())
    steps = list(Propagation(planes, filling).from_plane(10, answer_at(planes, filling, 10), within=PlaneRange(-5, 99)))
    assert {s.index for s in steps if s.stop is None} == set(range(PLANES)) - {10}
    assert [s.stop for s in steps if s.stop] == [StopReason.END] * 2


def test_an_empty_answer_is_not_propagated(predictor):
    planes = Ball()
    empty = predictor.predict(planes.image(0), PlanePrompts(box_xyxy=(10, 10, 30, 30)))
    steps = list(Propagation(planes, predictor).from_plane(0, empty))
    assert all(s.answer is None and s.stop is StopReason.VANISHED for s in steps)


class PausingNetwork(BrightRegionNetwork):
    """Encodes in more than one turn of a poll."""

    def encode_steps(self, images):
        for _ in range(3):
            yield
        return self.encode(images)


def test_the_next_plane_is_begun_while_this_one_is_shown_so_that_a_step_only_decodes(monkeypatch):
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 1e-9)
    planes, predictor = Ball(), PlanePredictor(PausingNetwork())
    walk, starts = Propagation(planes, predictor), {10: answer_at(planes, predictor, 10)}
    walk.prepare(starts, Direction.UP)
    steps = walk.from_planes(starts, Direction.UP)
    for answered in range(3):
        while predictor.count_ahead:
            predictor.poll_ahead()
        encoded = predictor.counts.encoded
        assert encoded == 2 + answered, "the prompted plane, each answered one, and one ahead"
        assert next(steps).answer is not None
        assert predictor.counts.encoded == encoded


def test_a_plane_that_cannot_be_read_does_not_cost_the_one_before_it(predictor):
    class Broken(Ball):
        def image(self, index: int) -> PlaneImage:
            if index == 13:
                raise InputError("The item is gone.")
            return super().image(index)

    steps = Propagation(Broken(), predictor).from_plane(10, answer_at(Ball(), predictor, 10), Direction.UP)
    assert [next(steps).index for _ in range(2)] == [11, 12]
    with pytest.raises(InputError):
        next(steps)


def test_the_evidence_tells_how_much_was_lost_on_the_way(predictor):
    planes = Ball()
    steps = Propagation(planes, predictor).from_plane(10, answer_at(planes, predictor, 10), Direction.UP)
    evidence = [s.evidence for s in steps if s.answer is not None]
    assert len(evidence) > 3
    assert evidence[-1].carried == pytest.approx(np.prod([e.overlap for e in evidence]))
    assert evidence[-1].carried < evidence[0].carried
