"""Ask every method every prompt of every case, and score the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..inference.prompts import PlanePrompts
from .cases import PlaneCase, VolumeCase
from .methods import PlaneMethod
from .metrics import Scores, score
from .protocols import PlaneProtocol, case_generator
from .volume_methods import VolumeMethod

MILLIMETRES, PIXELS = "mm", "px"


@dataclass(frozen=True)
class Result:
    """One answer's scores. unit: of `scores.hd95` and of the tolerance behind `scores.nsd`."""

    source: str
    case: str
    target: str
    prompt: str
    method: str
    scores: Scores
    unit: str


@dataclass(frozen=True, eq=False)
class Shown:
    """What a picture of a result needs: the plane (H, W, 3), target and answer (H, W), and the prompts, if any."""

    result: Result
    rgb: np.ndarray
    target: np.ndarray
    answer: np.ndarray
    prompts: PlanePrompts | None


def evaluate_planes(
    cases: Iterable[PlaneCase],
    methods: Sequence[PlaneMethod],
    protocols: Sequence[PlaneProtocol],
    tolerance: float,
    seed: int,
) -> Iterator[Shown]:
    """Results one by one. A method is not asked for what it does not understand. tolerance: in mm, or pixels."""
    for case in cases:
        unit, spacing = (PIXELS, 1.0) if case.pixel_mm is None else (MILLIMETRES, case.pixel_mm)
        for protocol in protocols:
            for method in methods:
                if protocol.needs & ~method.kinds:
                    continue
                rng = case_generator(seed, protocol.name, f"{case.source} {case.name}")
                for answered in protocol.run(case, method, rng):
                    mask = answered.answer.mask
                    scores = score(mask, case.target, (spacing, spacing), tolerance)
                    result = Result(case.source, case.case, case.name, answered.prompt, method.name, scores, unit)
                    yield Shown(result, case.image.rgb, case.target, mask, answered.prompts)


def evaluate_volumes(
    cases: Iterable[VolumeCase], methods: Sequence[VolumeMethod], tolerance_mm: float
) -> Iterator[Shown]:
    """Results one by one, each with the plane that has most wrong pixels."""
    for case in cases:
        spacing = case.geometry.spacing_ijk[::-1]
        for method in methods:
            for answered in method.run(case):
                scores = score(answered.mask_kji, case.target_kji, spacing, tolerance_mm)
                result = Result(case.source, case.case, case.name, answered.prompt, method.name, scores, MILLIMETRES)
                yield _most_wrong_plane(case, result, answered.mask_kji)


def _most_wrong_plane(case: VolumeCase, result: Result, mask_kji: np.ndarray) -> Shown:
    wrong = case.voxels_per_plane(mask_kji != case.target_kji)
    index = int(wrong.argmax()) if wrong.any() else int(case.labelled_planes()[0])
    return Shown(result, case.planes.image(index).rgb, case.target_on(index), case.on_plane(mask_kji, index), None)
