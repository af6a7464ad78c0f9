"""From a finished (or stopped) job to segments with their provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..planes import ObliqueStack, PlaneStack
from ..segmentations.provenance import Provenance
from ..segmentations.segments import Segment, named_segments
from ..windows import describe_window
from .class_job import ClassJob
from .segmentation_job import SegmentationJob, SegmentResult


def result_segments(results: Mapping[str, SegmentResult]) -> list[Segment]:
    """One segment per name, with the default colour and terminology of its name."""
    return named_segments({name: result.mask_kji for name, result in results.items()})


def result_provenance(
    job: SegmentationJob | ClassJob, model_family: str, model_sha256: str, frame: int | None = None
) -> dict[str, Provenance]:
    """By segment name: model, window, orientation, prompts, planes and their confidences.

    frame: which volume of several the job's is, from 0; None where there is one only.
    """
    window, orientation = describe_window(job.planes.window), orientation_name(job.planes.stack)
    shared = Provenance(model_family, model_sha256, window, orientation, frame=frame)
    return {
        name: replace(shared.of(result.prompts), planes=tuple(result.planes[i] for i in sorted(result.planes)))
        for name, result in job.results.items()
    }


def orientation_name(stack: PlaneStack | ObliqueStack) -> str:
    """One of "axial", "coronal", "sagittal", "oblique"."""
    return stack.orientation.value if isinstance(stack, PlaneStack) else "oblique"
