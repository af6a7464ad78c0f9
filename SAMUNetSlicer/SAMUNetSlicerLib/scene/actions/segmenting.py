"""From the prompts on some planes to proposals there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...errors import EditError, PromptError
from ...inference.zoom import Crop
from ...volumes.plane_prompts import prompted_planes, prompts_on_plane
from ...volumes.prompts import SegmentPrompts, Sign
from ...volumes.sampling import mask_to_voxels, voxels_of_plane, voxels_to_mask
from ...volumes.segmentations.provenance import PlaneOrigin
from ..nodes.labelmaps import read_voxels
from ..nodes.proposals import CorrectionBase
from ..nodes.segmentation_nodes import check_writable
from ..record.document import ModelIdentity, PlaneEntry, PlaneKey, PlaneStatus
from ..record.stacks import Stack, StackKey
from .accepting import drop_proposals
from .recorder import Recorder, recording
from .workspace import Workspace, require_segment

if TYPE_CHECKING:  # brings torch, which Slicer gets only later
    from ...inference.predictor import PlaneImage, PlaneMask
    from ...inference.prompts import PlanePrompts
    from ...networks.base import PromptKind


class Predictor(Protocol):
    """Answers prompts on a plane; `inference.predictor.PlanePredictor` is one."""

    @property
    def trained_prompts(self) -> PromptKind: ...

    def predict(self, image: PlaneImage, prompts: PlanePrompts, crop: Crop | None = None) -> PlaneMask: ...


@dataclass(frozen=True)
class Engine:
    """What answers: a predictor, and which model it is (None where that is not to be recorded)."""

    predictor: Predictor
    model: ModelIdentity | None = None


@dataclass(frozen=True, eq=False)
class PlaneResult:
    """The proposal on one plane. mask_yx: (H, W) bool in the plane's pixels; notes: what the user must be told."""

    index: int
    status: PlaneStatus
    confidence: float
    mask_yx: np.ndarray
    notes: tuple[str, ...] = ()


def segment_planes(
    workspace: Workspace, engine: Engine, segment_id: str, stack: StackKey, indices: Iterable[int] | None = None
) -> list[PlaneResult]:
    """Answer the segment's prompts on some planes of a stack (None: on all that have prompts), as proposals.

    One step to undo. A named plane without prompts loses its proposal. Raises PromptError for prompts that cannot be
    used, EditError for a segment that is gone or finished.
    """
    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    reading = workspace.check()
    planes = workspace.stack(stack)
    kept = workspace.prompts.read(segment_id, reading.frame).on_stack(stack)
    prompts = kept.in_world(name, reading.to_world)
    if indices is None:
        indices = prompted_indices(prompts, planes)
    chosen = sorted(set(indices))
    if not chosen:
        raise PromptError(f"There is no prompt for '{name}' on these planes. Place a point or a box on the object.")
    where = f"plane {chosen[0]}" if len(chosen) == 1 else f"{len(chosen)} planes"
    results = []
    with recording(workspace, f"Segment {name} on {where}") as recorder:
        for index in chosen:
            key = PlaneKey(reading.frame, segment_id, stack.text, index)
            base = _correction_base(workspace, key)
            to_correct = _mask_to_correct(engine.predictor, base)
            plane_prompts = prompts_on_plane(prompts, planes, index, to_correct)
            if plane_prompts is None:
                if base is None:
                    drop_proposals(recorder, [key])
                else:
                    _propose_again(recorder, key, base)
                continue
            image = workspace.pictures(stack).image(index)
            answer = engine.predictor.predict(image, plane_prompts, _crop_of(workspace, key))
            origin = PlaneOrigin.PROMPTED if plane_prompts.mask is None else PlaneOrigin.CORRECTED
            results.append(propose(recorder, key, answer, _own_confidence(answer), origin, engine.model))
    return results


def _correction_base(workspace: Workspace, key: PlaneKey) -> CorrectionBase | None:
    """What points on a plane correct: what was propagated there, whatever points have made of it since.

    So a point that is dragged leaves no trace, and one that is deleted gives back what it took. After a scene was
    loaded only the corrected mask is known. None where the plane was not propagated.
    """
    proposed = workspace.document.plane(key).proposed
    if proposed is None or proposed.origin not in (PlaneOrigin.PROPAGATED, PlaneOrigin.CORRECTED):
        return None
    kept = workspace.proposals.correction_bases.get(key)
    is_kept = kept is not None and kept.logits.shape == workspace.plane(key).shape_yx
    if proposed.origin is PlaneOrigin.PROPAGATED or not is_kept:
        kept = workspace.proposals.correction_bases[key] = CorrectionBase(proposed, known_answer(workspace, key).logits)
    return kept


def _propose_again(recorder: Recorder, key: PlaneKey, base: CorrectionBase) -> None:
    """Without points a corrected plane shows what was propagated."""
    workspace = recorder.workspace
    mask = mask_to_voxels(base.logits, workspace.plane(key), workspace.check().geometry)
    recorder.write_proposal(key, [mask])
    recorder.set_plane(key, replace(workspace.document.plane(key), proposed=base.entry))


def _mask_to_correct(predictor: Predictor, base: CorrectionBase | None) -> np.ndarray | None:
    """What points correct, (H, W) logits, where there is a mask and the network takes masks.

    The predictor is only asked where there is a mask: elsewhere nothing may need torch (see the module's own test).
    """
    if base is None or base.logits.max() <= 0:
        return None
    from ...networks.base import PromptKind

    return base.logits if PromptKind.MASK in predictor.trained_prompts else None


def prompted_indices(prompts: SegmentPrompts, stack: Stack) -> set[int]:
    """The planes of a stack on which prompts lie. Raises PromptError for those outside the volume."""
    found: set[int] = set()
    for point in prompts.points:
        # Alone, a negative point would be refused; which plane it is on does not depend on its sign.
        alone = SegmentPrompts(prompts.segment, (replace(point, sign=Sign.POSITIVE),))
        found.update(prompted_planes(alone, stack))
    for box in prompts.boxes:
        found.update(prompted_planes(SegmentPrompts(prompts.segment, boxes=(box,)), stack))
    return found


def propose(
    recorder: Recorder,
    key: PlaneKey,
    answer: PlaneMask,
    confidence: float,
    origin: PlaneOrigin,
    model: ModelIdentity | None,
) -> PlaneResult:
    """Make an answer the proposal of its plane. Raises EditError where it does not fit the plane."""
    workspace = recorder.workspace
    plane = workspace.plane(key)
    if answer.logits.shape != plane.shape_yx:
        raise EditError(
            f"The model answered with {answer.logits.shape} pixels for a plane of {plane.shape_yx}. "
            "Nothing was changed. Choose another model, or report this."
        )
    recorder.write_proposal(key, [mask_to_voxels(answer.logits, plane, workspace.check().geometry)])
    crop = (answer.crop.x0, answer.crop.y0, answer.crop.x1, answer.crop.y1)
    entry = PlaneEntry(float(np.clip(confidence, 0, 1)), origin, crop, workspace.document.number_of(model))
    state = replace(workspace.document.plane(key), proposed=entry, stopped="")
    recorder.set_plane(key, state)
    notes = answer.notes
    if not answer.mask.any():
        notes = (*notes, "The model found nothing here. Place more prompts, or draw a box.")
    return PlaneResult(key.index, state.status, entry.confidence, answer.mask, notes)


def known_answer(workspace: Workspace, key: PlaneKey) -> PlaneMask:
    """What stands on a plane, as an answer to go on from: its proposal, else what the segment holds there."""
    from ...inference.predictor import PlaneMask

    reading = workspace.check()
    state, plane = workspace.document.plane(key), workspace.plane(key)
    voxels = voxels_of_plane(plane, reading.geometry)
    if state.proposed is not None:
        held = workspace.proposals.read(key, reading.local, voxels)
    else:
        held = read_voxels(workspace.segmentation_node, key.segment_id, reading.local, voxels)
    # Pages that are never written take no memory, however large the volume.
    mask_kji = np.zeros(reading.geometry.shape_kji, dtype=bool)
    mask_kji[voxels] = held
    mask_yx = voxels_to_mask(mask_kji, plane, reading.geometry)
    return PlaneMask.certain(mask_yx, _crop_of(workspace, key))


def _crop_of(workspace: Workspace, key: PlaneKey) -> Crop | None:
    """Where the network looked last on this plane, if that still lies inside it."""
    state = workspace.document.plane(key)
    entry = state.proposed or state.accepted
    if entry is None or entry.crop_xyxy is None:
        return None
    crop = Crop(*entry.crop_xyxy)
    width, height = workspace.plane(key).size_xy
    fits = 0 <= crop.x0 < crop.x1 <= width and 0 <= crop.y0 < crop.y1 <= height
    return crop if fits else None


def _own_confidence(answer: PlaneMask) -> float:
    from ...inference.agreement import own_estimate

    return own_estimate(answer) if answer.mask.any() else 0.0
