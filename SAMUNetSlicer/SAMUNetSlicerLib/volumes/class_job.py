"""A whole volume by a network that needs no prompts: every plane, every class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from ..inference.classes import label_planes
from ..networks.base import PromptedNetwork
from .job import PlaneDone, SegmentResult
from .plane_source import VolumePlanes
from .prompts import SegmentPrompts
from .provenance import PlaneOrigin, PlaneRecord
from .sampling import mask_to_voxels


def class_name(number: int) -> str:
    """What a class is called: checkpoints do not say what theirs mean."""
    return f"Class_{number}"


@dataclass(eq=False)
class ClassJob:
    """Labels a volume stack by stack. `results` holds what is finished, as `SegmentationJob.results` does."""

    planes: VolumePlanes
    network: PromptedNetwork
    device: torch.device
    results: dict[str, SegmentResult] = field(default_factory=dict)

    def run(self) -> Iterator[PlaneDone]:
        """One step a plane; these networks give no confidence, so each plane's is 1.

        A volume of fewer planes than the network looks at repeats its last one.
        """
        shape = self.planes.volume.geometry.shape_kji
        numbers = range(1, self.network.spec.classes + 1)
        self.results |= {
            class_name(n): SegmentResult(SegmentPrompts(class_name(n)), np.zeros(shape, dtype=bool)) for n in numbers
        }
        total, stack = len(self.planes), self.network.spec.stack
        done = 0
        for first in range(0, total, stack):
            # The last stack is moved back, so that the network never sees planes that are not there.
            start = max(0, min(first, total - stack))
            indices = [min(start + i, total - 1) for i in range(stack)]
            labels = label_planes(self.network, [self.planes.image(i) for i in indices], self.device)
            for index, labels_yx in zip(indices, labels, strict=True):
                if index < first or index in self.results[class_name(1)].planes:
                    continue
                self._keep(index, labels_yx, numbers)
                done += 1
                yield PlaneDone("all classes", index, 1.0, done, total)

    def _keep(self, index: int, labels_yx: np.ndarray, numbers: range) -> None:
        for n in numbers:
            result = self.results[class_name(n)]
            block = mask_to_voxels(labels_yx == n, self.planes.stack[index], self.planes.volume.geometry)
            block.write_into(result.mask_kji)
            result.planes[index] = PlaneRecord(index, 1.0, PlaneOrigin.AUTOMATIC)
