"""From proposals to the result: accept, discard, reopen. Accepted planes are safe from propagation, voxel by voxel."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import EditError
from ..volumes.provenance import PlaneOrigin
from ..volumes.sampling import PlaneVoxels, voxels_of_plane
from .document import PlaneEntry, PlaneKey
from .editing_rules import EditPlan, HeldBack, WriteMode, plan_edit
from .labelmaps import SegmentChange, extent_slices, read_block
from .packed_voxels import Slices, bounding_slices, common_slices, inner_slices, joint_slices, outer_slices
from .provenance_tags import write_provenance
from .segmentation_nodes import SegmentStatus, check_writable, other_segments, set_status, status_of
from .stacks import StackKey
from .workspace import Recorder, Workspace, require_segment


@dataclass(frozen=True)
class AcceptOutcome:
    """What accepting came to. planes: accepted, in rising order; changed_voxels: of the segment; notes: what was held
    back, in words.
    """

    planes: tuple[int, ...]
    changed_voxels: int
    notes: tuple[str, ...] = ()


def proposed_planes(
    workspace: Workspace, segment_id: str, stack: StackKey, indices: Collection[int] | None = None
) -> list[PlaneKey]:
    """The planes of a stack that have a proposal, in rising order; only some of them if asked."""
    return sorted(
        key
        for key, state in workspace.document.of_segment(workspace.frame, segment_id)
        if state.proposed is not None and key.stack == stack.text and (indices is None or key.index in indices)
    )


def accept(
    workspace: Workspace,
    segment_id: str,
    stack: StackKey,
    indices: Collection[int] | None = None,
    mode: WriteMode = WriteMode.REPLACE,
) -> AcceptOutcome:
    """Write the proposals on some planes (None: on all) into the segment, by the editing rules; one step to undo.

    A prompted plane replaces what was accepted there before; a propagated one leaves accepted planes, of any stack,
    as they are. Raises EditError for a segment that is gone or finished, and where nothing is proposed.
    """
    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    keys = proposed_planes(workspace, segment_id, stack, indices)
    if not keys:
        raise EditError(f"There is nothing to accept for '{name}' on these planes. Place a prompt or propagate first.")
    changed, held_back = 0, {}
    planes = f"plane {keys[0].index}" if len(keys) == 1 else f"{len(keys)} planes"
    with workspace.recording(f"Accept {planes} of {name}") as recorder:
        prompted = [k for k in keys if _origin(workspace, k) is PlaneOrigin.PROMPTED]
        propagated = [k for k in keys if _origin(workspace, k) is PlaneOrigin.PROPAGATED]
        # Prompted planes first: where two stacks cross, what the user said himself stands.
        for group in ([key] for key in prompted):
            changed += _write(recorder, group, mode, None, held_back)
        if propagated:
            changed += _write(
                recorder, propagated, mode, protected_planes(workspace, segment_id, propagated), held_back
            )
        if status_of(workspace.segmentation_node, segment_id) is SegmentStatus.NOT_STARTED:
            set_status(workspace.segmentation_node, segment_id, SegmentStatus.IN_PROGRESS)
        write_provenance(workspace, segment_id)
    notes = tuple(f"{count} voxels of '{name}' were left out: they {why.value}." for why, count in held_back.items())
    return AcceptOutcome(tuple(k.index for k in keys), changed, notes)


def discard(workspace: Workspace, segment_id: str, stack: StackKey, indices: Collection[int] | None = None) -> int:
    """Drop the proposals on some planes (None: on all), and the marks of where propagation stopped; one step to undo.

    Returns the number of planes.
    """
    name = require_segment(workspace, segment_id)
    keys = proposed_planes(workspace, segment_id, stack, indices)
    with workspace.recording(f"Discard proposals of {name}") as recorder:
        drop_proposals(recorder, keys)
        for key, state in list(workspace.document.of_segment(workspace.frame, segment_id)):
            if key.stack == stack.text and state.stopped and (indices is None or key.index in indices):
                recorder.set_plane(key, replace(state, stopped=""))
    return len(keys)


def reopen(workspace: Workspace, segment_id: str, stack: StackKey, indices: Collection[int] | None = None) -> int:
    """Let planes be proposed and overwritten again; their voxels stay until then. Returns the number of planes."""
    name = require_segment(workspace, segment_id)
    accepted = [
        (key, state)
        for key, state in workspace.document.of_segment(workspace.frame, segment_id)
        if state.accepted is not None and key.stack == stack.text and (indices is None or key.index in indices)
    ]
    with workspace.recording(f"Reopen planes of {name}") as recorder:
        for key, state in accepted:
            recorder.set_plane(key, replace(state, accepted=None))
    return len(accepted)


def keep_as_is(workspace: Workspace, segment_id: str, stack: StackKey, indices: Iterable[int]) -> None:
    """Mark planes as accepted as the segment stands there: drawn by hand, or corrected in the Segment Editor."""
    name = require_segment(workspace, segment_id)
    indices, count = list(indices), len(workspace.stack(stack))
    if not all(0 <= index < count for index in indices):
        raise EditError(f"The volume has planes 0 to {count - 1} only.")
    with workspace.recording(f"Keep planes of {name}") as recorder:
        for index in indices:
            key = PlaneKey(workspace.frame, segment_id, stack.text, index)
            drop_proposals(recorder, [key])
            entry = PlaneEntry(1.0, PlaneOrigin.PROMPTED)
            recorder.set_plane(key, replace(workspace.document.plane(key), accepted=entry, stopped=""))


def drop_proposals(recorder: Recorder, keys: Iterable[PlaneKey]) -> None:
    """Empty the proposals on these planes."""
    workspace = recorder.workspace
    for key in keys:
        state = workspace.document.plane(key)
        if state.proposed is None:
            continue
        if workspace.proposals.segment_of(key) is not None:
            voxels = plane_voxels(workspace, key)
            recorder.write_proposal(key, voxels.slices_kji, voxels.inside, np.zeros_like(voxels.inside))
        recorder.set_plane(key, replace(state, proposed=None))


def plane_voxels(workspace: Workspace, key: PlaneKey) -> PlaneVoxels:
    """The voxels of the volume that belong to a plane."""
    return voxels_of_plane(workspace.plane(key), workspace.check().geometry)


def protected_planes(workspace: Workspace, segment_id: str, besides: Collection[PlaneKey]) -> list[PlaneKey]:
    """Accepted planes of the segment whose voxels others must leave alone.

    Planes of one stack share no voxel, so planes of the stack that is being written need no protection from it.
    """
    stacks = {key.stack for key in besides}
    return [
        key
        for key, state in workspace.document.of_segment(workspace.frame, segment_id)
        if state.accepted is not None and (key.stack not in stacks or len(stacks) > 1) and key not in besides
    ]


def protected_voxels(workspace: Workspace, keys: Iterable[PlaneKey], slices_kji: Slices) -> np.ndarray:
    """Bool over a block of the grid: the voxels that belong to any of these planes."""
    block = np.zeros(tuple(s.stop - s.start for s in slices_kji), dtype=bool)
    for key in keys:
        voxels = plane_voxels(workspace, key)
        common = common_slices(slices_kji, voxels.slices_kji)
        block[inner_slices(common, slices_kji)] |= voxels.inside[inner_slices(common, voxels.slices_kji)]
    return block


def _origin(workspace: Workspace, key: PlaneKey) -> PlaneOrigin:
    return workspace.document.plane(key).proposed.origin


def _write(
    recorder: Recorder,
    keys: list[PlaneKey],
    mode: WriteMode,
    protected: list[PlaneKey] | None,
    held_back: dict[HeldBack, int],
) -> int:
    """Write some planes of one stack at once, and mark them. Returns the number of changed voxels."""
    workspace = recorder.workspace
    slices, inside = _union([plane_voxels(workspace, key) for key in keys])
    plan, edited = _plan(workspace, keys[0], slices, inside, mode, protected)
    changes = {segment_id: SegmentChange(edited, np.zeros_like(lost), lost) for segment_id, lost in plan.taken.items()}
    changes[keys[0].segment_id] = SegmentChange(edited, plan.added, plan.removed)
    recorder.write_result(changes)
    for why, count in plan.held_back.items():
        held_back[why] = held_back.get(why, 0) + count
    recorder.write_proposal(keys[0], slices, inside, np.zeros_like(inside))
    for key in keys:
        state = workspace.document.plane(key)
        recorder.set_plane(key, replace(state, accepted=state.proposed, proposed=None, stopped=""))
    return int(np.count_nonzero(plan.added) + np.count_nonzero(plan.removed))


def _plan(
    workspace: Workspace,
    key: PlaneKey,
    slices: Slices,
    inside: np.ndarray,
    mode: WriteMode,
    protected: list[PlaneKey] | None,
) -> tuple[EditPlan, Slices]:
    """The edit by the user's rules, and the part of the block where something can change."""
    reading, node = workspace.check(), workspace.segmentation_node
    # Oblique planes have blocks as large as the volume: look only where something is proposed or held.
    held = (extent_slices(node, key.segment_id, reading.local), workspace.proposals.extent(key, reading.local))
    part = joint_slices(*(common_slices(slices, extent) for extent in held))
    inside = inside[inner_slices(part, slices)]
    mask = workspace.proposals.read(key, reading.local, part) & inside
    before = read_block(node, key.segment_id, reading.local, part)
    box = bounding_slices(inside & (mask | before))
    edited = outer_slices(box, part)
    rules = workspace.document.rules
    intensities = None
    if rules.intensity_range is not None:
        intensities = reading.volume.voxels[edited]
        if reading.volume.is_rgb:
            intensities = intensities.mean(axis=-1)
    plan = plan_edit(
        before[box],
        inside[box],
        mask[box],
        other_segments(node, key.segment_id, reading.local, edited, workspace.shown_segmentation),
        rules,
        mode,
        intensities,
        protected_voxels(workspace, protected, edited) if protected else None,
    )
    return plan, edited


def _union(planes: list[PlaneVoxels]) -> tuple[Slices, np.ndarray]:
    """All voxels of some planes in one block."""
    if len(planes) == 1:
        return planes[0].slices_kji, planes[0].inside
    slices = joint_slices(*(plane.slices_kji for plane in planes))
    inside = np.zeros(tuple(s.stop - s.start for s in slices), dtype=bool)
    for plane in planes:
        inside[inner_slices(plane.slices_kji, slices)] |= plane.inside
    return slices, inside
