"""Whole volumes: one box and propagation with corrections, and peers that are told more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..inference.predictor import PlaneMask, PlanePredictor
from ..inference.prompts import PlanePrompts, bounding_box_xyxy
from ..volumes.propagation.steps import PlaneRange
from ..volumes.propagation.walks import Propagation
from ..volumes.sampling import mask_to_voxels
from .cases import VolumeCase
from .grow_from_seeds import grow_from_seeds, orthogonal_seeds

VOLUME_CORRECTIONS = 3
ONE_BOX = "one box in 3D"


@dataclass(frozen=True, eq=False)
class VolumeRound:
    """One answer. prompt: what was given, as tables name it. mask_kji: (K, J, I) bool."""

    prompt: str
    mask_kji: np.ndarray


class VolumeMethod(Protocol):
    name: str

    def run(self, case: VolumeCase) -> Iterator[VolumeRound]: ...


@dataclass(frozen=True)
class PropagatedBox:
    """The exact box on the median plane of the target, propagated; then corrections, of two kinds, each from there on.

    The extent along the stack is not given. A correction goes to the plane with most wrong pixels of those that have
    not been corrected likewise: there the user draws the exact box or, by hand, corrects until the plane is right;
    where the target is absent the range ends on that side where the target ends. All these planes are then propagated
    anew.
    """

    name: str
    predictor: PlanePredictor

    def run(self, case: VolumeCase) -> Iterator[VolumeRound]:
        labelled = case.labelled_planes()
        start = int(labelled[len(labelled) // 2])
        first = {start: self._boxed(case, start)}
        mask = self._propagate(case, first, PlaneRange(0, len(case.planes) - 1))
        yield VolumeRound(ONE_BOX, mask)
        yield from self._corrected(case, first, mask, self._boxed, {start}, "correction{}")
        yield from self._corrected(case, first, mask, _by_hand, set(), "plane{} by hand")

    def _corrected(
        self,
        case: VolumeCase,
        first: Mapping[int, PlaneMask],
        mask: np.ndarray,
        correct: Callable[[VolumeCase, int], PlaneMask],
        done: Set[int],
        unit: str,
    ) -> Iterator[VolumeRound]:
        """done: planes that need no correction. unit: what a correction is called, with {} for the plural."""
        answers, labelled, done = dict(first), case.labelled_planes(), set(done)
        within = PlaneRange(0, len(case.planes) - 1)
        for count in range(1, VOLUME_CORRECTIONS + 1):
            worst = worst_plane(case, mask, done)
            if worst is not None:
                if case.target_on(worst).any():
                    answers[worst] = correct(case, worst)
                    done.add(worst)
                else:
                    within = _ended(within, worst, labelled)
                mask = self._propagate(case, answers, within)
            yield VolumeRound(f"{ONE_BOX} + {count} {unit.format('s' if count > 1 else '')}", mask)

    def _boxed(self, case: VolumeCase, index: int) -> PlaneMask:
        prompts = PlanePrompts(box_xyxy=bounding_box_xyxy(case.target_on(index)))
        return self.predictor.predict(case.planes.image(index), prompts)

    def _propagate(self, case: VolumeCase, answers: Mapping[int, PlaneMask], within: PlaneRange) -> np.ndarray:
        mask_kji = np.zeros(case.target_kji.shape, bool)
        for index, answer in answers.items():
            _write(case, index, answer, mask_kji)
        found = {index: answer for index, answer in answers.items() if answer.mask.any()}
        for step in Propagation(case.planes, self.predictor).from_planes(found, within=within):
            if step.answer is not None:
                _write(case, step.index, step.answer, mask_kji)
        return mask_kji


@dataclass(frozen=True)
class FixedBox:
    """One box, the target's whole extent in plane, on every plane of its given extent along the stack."""

    name: str
    predictor: PlanePredictor

    def run(self, case: VolumeCase) -> Iterator[VolumeRound]:
        labelled = [int(index) for index in case.labelled_planes()]
        shadow = np.logical_or.reduce([case.target_on(index) for index in labelled])
        prompts = PlanePrompts(box_xyxy=bounding_box_xyxy(shadow))
        mask_kji = np.zeros(case.target_kji.shape, bool)
        for index in labelled:
            _write(case, index, self.predictor.predict(case.planes.image(index), prompts), mask_kji)
        yield VolumeRound(ONE_BOX, mask_kji)


@dataclass(frozen=True)
class SeedsOnThreePlanes:
    """Grow from seeds that are painted, inside and outside, on three orthogonal planes through the target's middle."""

    name: str

    def run(self, case: VolumeCase) -> Iterator[VolumeRound]:
        voxels = case.planes.volume.voxels
        grey = voxels.mean(axis=3) if case.planes.volume.is_rgb else voxels
        window = case.planes.window
        if window is not None:
            grey = np.clip(np.nan_to_num(grey.astype(np.float32), nan=window.lower), window.lower, window.upper)
        inside, outside = orthogonal_seeds(case.target_kji)
        yield VolumeRound(ONE_BOX, grow_from_seeds(grey, inside, outside, case.geometry.spacing_ijk[::-1]))


def _by_hand(case: VolumeCase, index: int) -> PlaneMask:
    """The plane as it should be: corrected by points, or painted, until it is."""
    return PlaneMask.certain(case.target_on(index))


def worst_plane(case: VolumeCase, mask_kji: np.ndarray, done: Set[int]) -> int | None:
    """The plane with most wrong voxels but for those that are done; None where no other has any."""
    wrong = case.voxels_per_plane(mask_kji != case.target_kji)
    wrong[list(done)] = 0
    return int(wrong.argmax()) if wrong.any() else None


def _ended(within: PlaneRange, plane: int, labelled: np.ndarray) -> PlaneRange:
    """The range cut to the labelled planes on the side where `plane` lies beyond them."""
    if plane > labelled[-1]:
        return PlaneRange(within.first, int(labelled[-1]))
    return PlaneRange(int(labelled[0]), within.last)


def _write(case: VolumeCase, index: int, answer: PlaneMask, mask_kji: np.ndarray) -> None:
    mask_to_voxels(answer.logits, case.planes.stack[index], case.geometry).write_into(mask_kji)
