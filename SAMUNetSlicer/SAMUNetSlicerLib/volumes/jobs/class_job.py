"""A whole volume by a network that needs no prompts: every plane, every class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ...inference.class_maps import PlaneClasses, classify_planes
from ...networks.base import PromptedNetwork
from ..plane_source import VolumePlanes
from ..prompts import SegmentPrompts
from ..sampling import mask_to_voxels
from ..segmentations.provenance import PlaneOrigin, PlaneRecord
from .segmentation_job import PlaneDone, SegmentResult


def class_name(number: int) -> str:
    """What a class is called: checkpoints do not say what theirs mean."""
    return f"Class_{number}"


@dataclass(eq=False)
class ClassJob:
    """Labels a volume stack by stack. `results` holds what is finished, as `SegmentationJob.results` does.

    told: called with a sentence when a shortage of memory changes how the work is done.
    """

    planes: VolumePlanes
    network: PromptedNetwork
    device: torch.device
    told: Callable[[str], None] = lambda _message: None
    results: dict[str, SegmentResult] = field(default_factory=dict)

    def run(self) -> Iterator[PlaneDone]:
        """One step a plane. Raises ValueError for a network that needs prompts."""
        shape = self.planes.volume.geometry.shape_kji
        numbers = range(1, self.network.spec.classes + 1)
        self.results |= {
            class_name(n): SegmentResult(SegmentPrompts(class_name(n)), np.zeros(shape, dtype=bool)) for n in numbers
        }
        pictures = _Pictures(self.planes)
        answers = classify_planes(self.network, pictures, self.device, self.told)
        for done, answer in enumerate(answers, start=1):
            self._keep(answer, numbers)
            yield PlaneDone("all classes", answer.index, answer.confidence, done, len(pictures))

    def _keep(self, answer: PlaneClasses, numbers: range) -> None:
        plane, geometry = self.planes.stack[answer.index], self.planes.volume.geometry
        for n in numbers:
            result = self.results[class_name(n)]
            mask_to_voxels(answer.classes_yx == n, plane, geometry).write_into(result.mask_kji)
            result.planes[answer.index] = PlaneRecord(answer.index, answer.confidence, PlaneOrigin.AUTOMATIC)


class _Pictures(Sequence):
    """The planes' 8-bit pictures, cut when they are asked for."""

    def __init__(self, planes: VolumePlanes) -> None:
        self._planes = planes

    def __len__(self) -> int:
        return len(self._planes)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._planes.image(index).rgb
