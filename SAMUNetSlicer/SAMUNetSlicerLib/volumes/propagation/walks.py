"""From one segmented plane to its neighbours, plane by plane, until the object ends.

A generator: each step costs one encode and one decode, so that any host can pace it, show it and stop it, and what
was yielded is finished work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, partial
from itertools import pairwise

import numpy as np

from ...inference.agreement import Appearance, Evidence, confidence
from ...inference.mask_geometry import deepest_point_xy, dice
from ...inference.predictor import PlaneImage, PlaneMask, PlanePredictor
from ...inference.prompts import PlanePrompts, Sign, bounding_box_xyxy
from ...inference.zoom import Crop
from ...networks.base import PromptKind
from .ahead import LookAhead
from .between import ShapeBetween
from .box_motion import Course, expect
from .learnt_pixels import LearntPixels
from .steps import Direction, PlaneRange, PlaneSource, PropagationStep, StopReason, crop_alone, on_plane, reconcile
from .taper import Taper

_LEARNT_FROM = 4  # key planes: more take longer, and are further away


class NeighbourRule(Enum):
    """How the mask of a plane becomes the prompts of the next."""

    BOX = "bounding box"
    BOX_AND_POINT = "bounding box and the point deepest inside"
    BOX_AND_MASK = "bounding box and the mask, both moved"


@dataclass(frozen=True)
class PropagationPolicy:
    """When to stop, and how prompts pass on.

    rule: None chooses by what the model was trained for.
    loose_margin: for models trained on boxes alone, which were drawn loosely (LiteMedSAM, MedSAM): share of the box's
        longer side by which the expected box is widened on every side, at least 1 pixel. Others get the box as it is:
        they trust boxes, fill what they are given, and masks would grow from plane to plane.
    doubt: taken off the logits that are carried on with a mask (see `box_motion.expect`), but between key planes.
        Masks that are carried on as they are never shrink with their object, and walk on where it has ended.
    smallest_area: fewer pixels count as vanished.
    lowest_iou, lowest_support: below either (see `agreement.Evidence`) the walk has drifted and ends before that plane.
    lowest_own_share: so it has where the network's estimate of its answer falls below this share of the estimate for
        the first plane of the walk; beyond an object's end it does.
    same_dice: between key planes a model that could carry the mask is given box and point nevertheless, where those
        make the key plane's mask again, with at least this Dice: where they do not, the mask holds what the user has
        corrected. A mask that box and point explain may be wrong as well, and would be carried on with its errors.
    far_carried, lowest_far_share: once the overlaps since the key plane multiply to less than the former, and no key
        plane lies ahead, so it has where estimate times likeness of the grey values falls below the latter share.
    """

    rule: NeighbourRule | None = None
    loose_margin: float = 0.03
    doubt: float = 1.25
    smallest_area: int = 12
    lowest_iou: float = 0.3
    lowest_support: float = 0.25
    lowest_own_share: float = 0.8
    same_dice: float = 0.97
    far_carried: float = 0.1
    lowest_far_share: float = 0.9


@dataclass(frozen=True, eq=False)
class KeyPlane:
    """A plane whose mask, (H, W) bool and not empty, is known beforehand."""

    index: int
    mask: np.ndarray

    @staticmethod
    def of(index: int, answers: Mapping[int, PlaneMask]) -> KeyPlane | None:
        """None where the object is not on that plane."""
        mask = answers[index].mask
        return KeyPlane(index, mask) if mask.any() else None


@dataclass(frozen=True, eq=False)
class Stretch:
    """Planes that walks go over, and what key planes tell of them.

    taper: how the object's size changes on the way to the next key plane, or ends. pixels: learns which are the
        object's, or remembers; asked only where a plane is looked at, since learning takes time.
    """

    within: PlaneRange
    taper: Taper | None
    pixels: Callable[[], LearntPixels | None]


@dataclass
class Propagation:
    """Walks over the planes of one stack with one predictor."""

    planes: PlaneSource
    predictor: PlanePredictor
    policy: PropagationPolicy = field(default_factory=PropagationPolicy)

    def from_plane(
        self, start: int, answer: PlaneMask, direction: Direction = Direction.BOTH, within: PlaneRange | None = None
    ) -> Iterator[PropagationStep]:
        """Walk from the answered plane `start`, nearest planes first, both ways in turn for BOTH."""
        yield from self.from_planes({start: answer}, direction, within)

    def from_planes(
        self,
        answers: Mapping[int, PlaneMask],
        direction: Direction = Direction.BOTH,
        within: PlaneRange | None = None,
        known: Mapping[int, PlaneMask] | None = None,
    ) -> Iterator[PropagationStep]:
        """Walk from several answered planes (the key planes), which themselves are never answered anew.

        known: answers on further planes that are certain, from which no walk begins.

        Beyond the outermost key planes it walks outwards, nearest planes first. A plane between two key planes is
        reached from both sides: first from below, and once more from above, reconciled with the first answer; the
        later step counts. Where the walk from above is lost, the first answer stays, with the lower confidence. With
        one direction only, each key plane's walk ends before the next key plane. What both key planes' outlines tell
        is added to answers between them, and what several key planes' pixels tell to all.
        """
        within = PlaneRange.of_stack(len(self.planes), within)
        starts = sorted(answers)
        if not starts or direction is Direction.NONE:
            return
        known = {**(known or {}), **answers}
        areas = {index: int(np.count_nonzero(answer.mask)) for index, answer in known.items()}

        @cache
        def learnt(indices: tuple[int, ...]) -> LearntPixels | None:
            return LearntPixels.of({i: (self.planes.image(i), known[i].mask) for i in indices})

        def pixels(*beside: int) -> Callable[[], LearntPixels | None]:
            return partial(learnt, _nearest(areas, *beside))

        outwards = [
            self._walk(
                start,
                answers[start],
                way,
                Stretch(within, Taper.beyond(areas, start, self.planes.step_px), pixels(start)),
            )
            for start, way in ((starts[-1], Direction.UP), (starts[0], Direction.DOWN))
            if direction in (way, Direction.BOTH)
        ]
        yield from _in_turn(outwards)
        for low, high in pairwise(starts):
            if high - low == 1:
                continue
            between = PlaneRange(max(within.first, low + 1), min(within.last, high - 1))
            stretch = Stretch(between, Taper.through(areas, low, high), pixels(low, high))
            if direction is Direction.BOTH:
                steps = self._bridge(low, high, answers, stretch)
            elif direction is Direction.UP:
                steps = self._walk(low, answers[low], direction, stretch, KeyPlane.of(high, answers))
            else:
                steps = self._walk(high, answers[high], direction, stretch, KeyPlane.of(low, answers))
            shape = ShapeBetween.of(low, answers[low].mask, high, answers[high].mask)
            yield from steps if shape is None else (self._beside(shape, step) for step in steps)

    def prepare(self, answers: Mapping[int, PlaneMask], direction: Direction = Direction.BOTH) -> None:
        """Begin to encode the planes that the walks of `from_planes` look at first.

        For hosts that must not stand still: they poll `predictor.poll_ahead` before every step, the first included.
        """
        within = PlaneRange.of_stack(len(self.planes))
        if not answers:
            return
        for way, start, step in ((Direction.UP, max(answers), 1), (Direction.DOWN, min(answers), -1)):
            if direction in (way, Direction.BOTH) and answers[start].mask.any():
                LookAhead(self.planes, self.predictor, step, within).begin_after(start, answers[start])

    def _bridge(
        self, low: int, high: int, answers: Mapping[int, PlaneMask], stretch: Stretch
    ) -> Iterator[PropagationStep]:
        """Both walks between two key planes; where they meet, the nearer key plane weighs more."""
        from_below: dict[int, PropagationStep] = {}
        for step in self._walk(low, answers[low], Direction.UP, stretch, KeyPlane.of(high, answers)):
            if step.answer is not None:
                from_below[step.index] = replace(step, answer=crop_alone(step.answer))
            yield step
        crops = {index: step.answer.crop for index, step in from_below.items()}
        for step in self._walk(high, answers[high], Direction.DOWN, stretch, KeyPlane.of(low, answers), crops):
            there = None if step.stop is StopReason.END else from_below.pop(step.index, None)
            if there is None:
                yield step
                continue
            there = replace(there, answer=on_plane(there.answer, answers[low].logits.shape))
            if step.answer is None:  # lost on the way back: what the way there has found stays, believed less
                yield replace(there, direction=step.direction, confidence=min(there.confidence, step.confidence))
            else:
                yield reconcile(there, step, (high - step.index) / (high - low))

    def _beside(self, shape: ShapeBetween, step: PropagationStep) -> PropagationStep:
        """What the shape tells, added to a step's answer; but it takes no plane away on which something was found."""
        if step.answer is None:
            return step
        heard = shape.beside(step.answer, step.index)
        is_left = np.count_nonzero(heard.mask) >= self.policy.smallest_area
        return replace(step, answer=heard) if is_left else step

    def _walk(
        self,
        start: int,
        answer: PlaneMask,
        direction: Direction,
        stretch: Stretch,
        goal: KeyPlane | None = None,
        crops: Mapping[int, Crop] | None = None,
    ) -> Iterator[PropagationStep]:
        """goal: behind the stretch's end.

        crops: those that planes were already encoded from, kept where they serve.
        """
        step = 1 if direction is Direction.UP else -1
        if not answer.mask.any():
            yield PropagationStep(start, direction, None, 0.0, StopReason.VANISHED)
            return
        here, before = self.planes.image(start), None
        rule = self.rule_from(here, answer, is_between=goal is not None)
        expected = Appearance.under(here.rgb, answer.mask)
        own_at_first, carried = None, 1.0
        taper, within = stretch.taper, stretch.within
        index = start + step
        with LookAhead(self.planes, self.predictor, step, within, crops) as ahead:
            while index in within:
                there = ahead.take(index)
                course = Course(before)
                if goal is not None:
                    course = Course(before, goal.mask, share=taper.share_of_way(index - step, step, goal.index))
                elif taper is not None:
                    course = Course(before, shrink=taper.shrink(index - step, step))
                prompts = self.next_prompts(answer, here, there, course, rule)
                found = self.predictor.predict(there, prompts, ahead.crop(index, answer))
                pixels = stretch.pixels()
                if pixels is not None:
                    found = pixels.beside(found, there, index)
                if np.count_nonzero(found.mask) < self.policy.smallest_area:
                    yield PropagationStep(index, direction, None, 0.0, StopReason.VANISHED)
                    return
                seen = Appearance.under(there.rgb, found.mask)
                evidence = Evidence.of(found, answer.mask, expected, seen, carried)
                trust = confidence(evidence)
                own_at_first = evidence.own if own_at_first is None else own_at_first
                if self._has_drifted(evidence, own_at_first, is_between=goal is not None):
                    yield PropagationStep(index, direction, None, trust, StopReason.DRIFTED, evidence)
                    return
                ahead.begin_after(index, found)
                yield PropagationStep(index, direction, found, trust, evidence=evidence)
                expected, carried = expected.followed_by(seen), evidence.carried
                here, before, answer = there, answer.mask, found
                index += step
        yield PropagationStep(index - step, direction, None, 1.0, StopReason.END)

    def _has_drifted(self, evidence: Evidence, own_at_first: float, is_between: bool) -> bool:
        """is_between: whether a key plane lies ahead, so that the object surely goes on."""
        policy = self.policy
        is_far = evidence.carried < policy.far_carried and not is_between
        return (
            evidence.overlap < policy.lowest_iou
            or evidence.support < policy.lowest_support
            or evidence.own < policy.lowest_own_share * own_at_first
            or (is_far and evidence.own * evidence.likeness < policy.lowest_far_share * own_at_first)
        )

    def rule_from(self, image: PlaneImage, answer: PlaneMask, is_between: bool) -> NeighbourRule:
        """How the non-empty mask of a key plane goes on; is_between: to another one."""
        if self.policy.rule is not None:
            return self.policy.rule
        rule = default_rule(self.predictor.trained_prompts)
        if rule is not NeighbourRule.BOX_AND_MASK or not is_between:
            return rule
        again = self.predictor.predict(image, _box_and_point(answer.mask), answer.crop)
        is_same = dice(again.mask, answer.mask) >= self.policy.same_dice
        return NeighbourRule.BOX_AND_POINT if is_same else rule

    def next_prompts(
        self, answer: PlaneMask, here: PlaneImage, there: PlaneImage, course: Course, rule: NeighbourRule
    ) -> PlanePrompts:
        """The prompts that the non-empty mask of the plane `here` gives for the plane beside it, `there`."""
        height, width = answer.mask.shape
        doubts = rule is NeighbourRule.BOX_AND_MASK and course.goal is None
        expected = expect(here.rgb, there.rgb, answer.logits, course, self.policy.doubt if doubts else 0.0)
        x0, y0, x1, y1 = expected.box_xyxy
        knows_points = PromptKind.POINTS in self.predictor.trained_prompts
        margin = 0.0 if knows_points else max(1.0, self.policy.loose_margin * max(x1 - x0, y1 - y0))
        box = (max(0.0, x0 - margin), max(0.0, y0 - margin), min(width, x1 + margin), min(height, y1 + margin))
        if rule is NeighbourRule.BOX_AND_MASK:
            return PlanePrompts(box_xyxy=box, mask=expected.logits)
        if rule is NeighbourRule.BOX_AND_POINT:
            return _box_and_point(expected.mask, box)
        return PlanePrompts(box_xyxy=box)


def _box_and_point(mask_yx: np.ndarray, box_xyxy: tuple[float, float, float, float] | None = None) -> PlanePrompts:
    """box_xyxy: the mask's own, if None."""
    box = bounding_box_xyxy(mask_yx) if box_xyxy is None else box_xyxy
    return PlanePrompts(points_xy=(deepest_point_xy(mask_yx),), signs=(Sign.POSITIVE,), box_xyxy=box)


def _nearest(areas: Mapping[int, int], *beside: int) -> tuple[int, ...]:
    """The known planes that show the object nearest to those `beside`, in rising order."""
    shown = [index for index, area in areas.items() if area]
    return tuple(sorted(sorted(shown, key=lambda index: min(abs(index - other) for other in beside))[:_LEARNT_FROM]))


def _in_turn(walks: Iterable[Iterator[PropagationStep]]) -> Iterator[PropagationStep]:
    going = list(walks)
    while going:
        for walk in list(going):
            step = next(walk, None)
            if step is None:
                going.remove(walk)
            else:
                yield step  # before the next walk's is computed, which may fail


def default_rule(trained: PromptKind) -> NeighbourRule:
    """The mask where the model has learnt to correct one; else box and point where it knows points.

    Measured on development cases (docs/propagation.md).
    """
    if PromptKind.NEIGHBOUR_MASK in trained:
        return NeighbourRule.BOX_AND_MASK
    return NeighbourRule.BOX_AND_POINT if PromptKind.POINTS in trained else NeighbourRule.BOX
