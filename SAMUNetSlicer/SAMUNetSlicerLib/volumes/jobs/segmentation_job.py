"""The main job without a window: prompts on some planes, propagation to the others, one mask per segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...errors import PromptError
from ...inference.predictor import PlaneMask, PlanePredictor
from ...inference.prompts import PlanePrompts
from ..plane_prompts import prompted_planes
from ..plane_source import VolumePlanes
from ..prompts import SegmentPrompts
from ..propagation.steps import Direction, PlaneRange, StopReason
from ..propagation.walks import Propagation, PropagationPolicy
from ..sampling import mask_to_voxels
from ..segmentations.provenance import PlaneOrigin, PlaneRecord


@dataclass(frozen=True)
class PlaneDone:
    """One plane of one segment is finished, or one walk over its planes has ended (then `stop` says why).

    done and total count planes over all segments; `total` is an upper bound, since walks may stop early.
    """

    segment: str
    index: int
    confidence: float
    done: int
    total: int
    stop: StopReason | None = None
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class SegmentResult:
    """What is finished of one segment: its voxels, its planes and the prompts that each prompted plane was given."""

    prompts: SegmentPrompts
    mask_kji: np.ndarray
    planes: dict[int, PlaneRecord] = field(default_factory=dict)
    plane_prompts: Mapping[int, PlanePrompts] = field(default_factory=dict)


@dataclass(eq=False)
class SegmentationJob:
    """Segments one volume from prompts. `results` holds what is finished at any time, so a job may be left early."""

    planes: VolumePlanes
    predictor: PlanePredictor
    direction: Direction = Direction.BOTH
    within: PlaneRange | None = None
    policy: PropagationPolicy = field(default_factory=PropagationPolicy)
    results: dict[str, SegmentResult] = field(default_factory=dict)

    def run(self, segments: Sequence[SegmentPrompts]) -> Iterator[PlaneDone]:
        """Work plane by plane. Raises PromptError, before any work, for prompts that cannot be used."""
        if not segments:
            raise PromptError("There are no prompts. Give at least one file with points or boxes.")
        prompted = {segment.segment: prompted_planes(segment, self.planes.stack) for segment in segments}
        for name, on_planes in prompted.items():
            self._check(name, on_planes)
        for segment in segments:
            self.results[segment.segment] = SegmentResult(
                segment,
                np.zeros(self.planes.volume.geometry.shape_kji, dtype=bool),
                plane_prompts=prompted[segment.segment],
            )
        total = sum(self._planes_to_visit(on_planes) for on_planes in prompted.values())
        for name, on_planes in prompted.items():
            answers: dict[int, PlaneMask] = {}
            for index, prompts in on_planes.items():
                answer = self.predictor.predict(self.planes.image(index), prompts)
                answers[index] = answer
                trust = self._keep(name, index, answer, 1.0 if answer.mask.any() else 0.0, PlaneOrigin.PROMPTED)
                yield PlaneDone(name, index, trust, self._done(), total, notes=answer.notes)
            found = {index: answer for index, answer in answers.items() if answer.mask.any()}
            walk = Propagation(self.planes, self.predictor, self.policy)
            for step in walk.from_planes(found, self.direction, self.within):
                trust = step.confidence
                if step.answer is not None:
                    trust = self._keep(name, step.index, step.answer, trust, PlaneOrigin.PROPAGATED)
                yield PlaneDone(name, step.index, trust, self._done(), total, step.stop)

    def _check(self, name: str, on_planes: Mapping[int, PlanePrompts]) -> None:
        """Raises PromptError for prompts that the model or the range of planes leaves without use."""
        if not on_planes:
            raise PromptError(f"The segment '{name}' has no prompt inside the volume.")
        for prompts in on_planes.values():
            try:
                self.predictor.admitted(prompts)
            except PromptError as error:
                raise PromptError(f"Segment '{name}': {error}") from error
        if self.within is not None and self.direction is not Direction.NONE and not any(map(self._leads, on_planes)):
            first, last = min(on_planes), max(on_planes)
            where = f"plane {first}" if first == last else f"planes {first} to {last}"
            raise PromptError(
                f"From the prompts of segment '{name}' ({where}) no plane of the range {self.within.first}:"
                f"{self.within.last} can be reached. Choose a range that holds a prompted plane, or place a prompt in "
                f"it. The planes are numbered 0 to {len(self.planes) - 1}."
            )

    def _leads(self, index: int) -> bool:
        """Whether this plane lies in the range, or beside it so that the walk enters it."""
        reach = self._reach
        from_below = index == reach.first - 1 and self.direction is not Direction.DOWN
        from_above = index == reach.last + 1 and self.direction is not Direction.UP
        return index in reach or (reach.first <= reach.last and (from_below or from_above))

    @property
    def _reach(self) -> PlaneRange:
        """The planes to stay within, as far as there are any."""
        return PlaneRange.of_stack(len(self.planes), self.within)

    def _done(self) -> int:
        return sum(len(result.planes) for result in self.results.values())

    def _keep(self, name: str, index: int, answer: PlaneMask, trust: float, origin: PlaneOrigin) -> float:
        """Write the plane's voxels and its record; the confidence of a prompted plane is the network's own quality."""
        if origin is PlaneOrigin.PROMPTED and answer.quality is not None:
            trust = min(trust, answer.quality)
        result = self.results[name]
        block = mask_to_voxels(answer.logits, self.planes.stack[index], self.planes.volume.geometry)
        block.write_into(result.mask_kji)
        result.planes[index] = PlaneRecord(index, trust, origin)
        return trust

    def _planes_to_visit(self, on_planes: Mapping[int, PlanePrompts]) -> int:
        if self.direction is Direction.NONE:
            return len(on_planes)
        first = min(on_planes) if self.direction is Direction.UP else self._reach.first
        last = max(on_planes) if self.direction is Direction.DOWN else self._reach.last
        return len(set(range(first, last + 1)) | set(on_planes))
