"""From proposals to the result: accept, discard, reopen. Accepted planes are safe from propagation, voxel by voxel."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...errors import EditError
from ...volumes.sampling import plane_numbers, voxels_of_plane
from ...volumes.segmentations.provenance import PlaneOrigin
from ...volumes.voxels import VoxelMask, Voxels, clip, is_block, joint_block, narrow, shape_of
from ..nodes.labelmaps import SegmentChange, extent_block, read_voxels
from ..nodes.segmentation_nodes import SegmentStatus, check_writable, other_segments, set_status, status_of
from ..record.document import PlaneEntry, PlaneKey
from ..record.editing_rules import EditPlan, HeldBack, WriteMode, plan_edit
from ..record.stacks import StackKey
from .provenance_tags import write_provenance
from .recorder import Recorder, recording
from .workspace import Workspace, require_segment

# Grid planes written in one go: enough to read whole stretches of memory, few enough to stay in the processor's cache.
_PLANES_AT_ONCE = 32


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
    return [
        key
        for key, state in workspace.known_planes(segment_id, stack)
        if state.proposed is not None and (indices is None or key.index in indices)
    ]


def accept(
    workspace: Workspace,
    segment_id: str,
    stack: StackKey,
    indices: Collection[int] | None = None,
    mode: WriteMode = WriteMode.REPLACE,
) -> AcceptOutcome:
    """Write the proposals on some planes (None: on all) into the segment, by the editing rules; one step to undo.

    A prompted plane replaces what was accepted there before; a propagated one leaves accepted planes, of any stack,
    as they are. A plane on which the rules let nothing be written stays proposed, which the notes say. Raises EditError
    for a segment that is gone or finished, and where nothing is proposed.
    """
    name = require_segment(workspace, segment_id)
    check_writable(workspace.segmentation_node, segment_id)
    keys = proposed_planes(workspace, segment_id, stack, indices)
    if not keys:
        raise EditError(f"There is nothing to accept for '{name}' on these planes. Place a prompt or propagate first.")
    held_back: dict[HeldBack, int] = {}
    planes = f"plane {keys[0].index}" if len(keys) == 1 else f"{len(keys)} planes"
    with recording(workspace, f"Accept {planes} of {name}") as recorder:
        changed, shut = _write(recorder, keys, mode, held_back)
        accepted = tuple(key.index for key in keys if key.index not in shut)
        if accepted and status_of(workspace.segmentation_node, segment_id) is SegmentStatus.NOT_STARTED:
            set_status(workspace.segmentation_node, segment_id, SegmentStatus.IN_PROGRESS)
        write_provenance(workspace, segment_id)
    notes = [f"{count} voxels of '{name}' were left out: they {why.value}." for why, count in held_back.items()]
    if shut:
        where = f"plane {min(shut)}, which stays" if len(shut) == 1 else f"{len(shut)} planes, which stay"
        notes.insert(0, f"The editing rules let nothing be written on {where} proposed.")
    return AcceptOutcome(accepted, changed, tuple(notes))


def discard(workspace: Workspace, segment_id: str, stack: StackKey, indices: Collection[int] | None = None) -> int:
    """Drop the proposals on some planes (None: on all), and the marks of where propagation stopped; one step to undo.

    Returns the number of planes.
    """
    name = require_segment(workspace, segment_id)
    keys = proposed_planes(workspace, segment_id, stack, indices)
    with recording(workspace, f"Discard proposals of {name}") as recorder:
        drop_proposals(recorder, keys)
        for key, state in workspace.known_planes(segment_id, stack):
            if state.stopped and (indices is None or key.index in indices):
                recorder.set_plane(key, replace(state, stopped=""))
    return len(keys)


def reopen(workspace: Workspace, segment_id: str, stack: StackKey, indices: Collection[int] | None = None) -> int:
    """Let planes be proposed and overwritten again; their voxels stay until then. Returns the number of planes."""
    name = require_segment(workspace, segment_id)
    accepted = [
        (key, state)
        for key, state in workspace.known_planes(segment_id, stack)
        if state.accepted is not None and (indices is None or key.index in indices)
    ]
    with recording(workspace, f"Reopen planes of {name}") as recorder:
        for key, state in accepted:
            recorder.set_plane(key, replace(state, accepted=None))
    return len(accepted)


def keep_as_is(workspace: Workspace, segment_id: str, stack: StackKey, indices: Iterable[int]) -> list[int]:
    """Mark planes as accepted as the segment stands there: drawn by hand, or corrected in the Segment Editor.

    Returns those on which the segment is empty, where propagations will end.
    """
    name = require_segment(workspace, segment_id)
    indices, count = list(indices), len(workspace.stack(stack))
    if not all(0 <= index < count for index in indices):
        raise EditError(f"The volume has planes 0 to {count - 1} only.")
    empty = []
    with recording(workspace, f"Keep planes of {name}") as recorder:
        for index in indices:
            key = PlaneKey(workspace.frame, segment_id, stack.text, index)
            drop_proposals(recorder, [key])
            entry = PlaneEntry(1.0, PlaneOrigin.PROMPTED)
            recorder.set_plane(key, replace(workspace.document.plane(key), accepted=entry, stopped=""))
            held = read_voxels(
                workspace.segmentation_node, segment_id, workspace.check().local, plane_voxels(workspace, key)
            )
            if not held.any():
                empty.append(index)
    return empty


def drop_proposals(recorder: Recorder, keys: Iterable[PlaneKey]) -> None:
    """Empty the proposals on these planes, which are of one stack."""
    workspace = recorder.workspace
    keys = [key for key in keys if workspace.document.plane(key).proposed is not None]
    if keys and workspace.proposals.segment_of(keys[0]) is not None:
        recorder.write_proposal(keys[0], [_nothing_on(voxels) for voxels in _areas(workspace, keys)])
    for key in keys:
        recorder.set_plane(key, replace(workspace.document.plane(key), proposed=None))


def plane_voxels(workspace: Workspace, key: PlaneKey) -> Voxels:
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


def protected_voxels(workspace: Workspace, keys: Iterable[PlaneKey], voxels: Voxels) -> np.ndarray:
    """Bool, of the voxels' shape: those that belong to any of these planes."""
    protected = np.zeros(shape_of(voxels), dtype=bool)
    indices: dict[str, list[int]] = {}
    for key in keys:
        indices.setdefault(key.stack, []).append(key.index)
    for stack, chosen in indices.items():
        protected |= np.isin(plane_numbers(workspace.stack(StackKey(stack)), voxels), chosen)
    return protected


def _areas(workspace: Workspace, keys: Iterable[PlaneKey]) -> Iterator[Voxels]:
    """The voxels of planes of one stack, in rising order; grid planes that lie side by side as one block.

    Sagittal planes one by one would read each stretch of memory once a plane.
    """
    area, last, count = None, None, 0
    for key in keys:
        voxels = plane_voxels(workspace, key)
        if area is not None and is_block(voxels) and key.index - 1 == last and count < _PLANES_AT_ONCE:
            area, count = joint_block(area, voxels), count + 1
        else:
            if area is not None:
                yield area
            area, count = voxels, 1
        last = key.index
    if area is not None:
        yield area


def _nothing_on(voxels: Voxels) -> VoxelMask:
    return VoxelMask(voxels, np.zeros(shape_of(voxels), dtype=bool))


def _write(
    recorder: Recorder, keys: list[PlaneKey], mode: WriteMode, held_back: dict[HeldBack, int]
) -> tuple[int, set[int]]:
    """Write planes of one stack, which share no voxel, and mark them.

    Returns the number of changed voxels, and the planes on which the rules let nothing be written: those stay proposed.
    """
    workspace, segment_id = recorder.workspace, keys[0].segment_id
    states = {key: workspace.document.plane(key) for key in keys}
    # What the user said himself stands, also where it crosses accepted planes.
    prompted = [key for key in keys if states[key].proposed.origin.is_users_own]
    propagated = [key for key in keys if not states[key].proposed.origin.is_users_own]
    own, others, kept = [], [], []
    shut: set[int] = set()
    for group, protected in ((prompted, []), (propagated, protected_planes(workspace, segment_id, keys))):
        for area in _areas(workspace, group):
            voxels, mask, plan = _plan(workspace, keys[0], area, mode, protected)
            planes, on_them = _shut_planes(workspace, keys[0], voxels, plan)
            shut |= planes
            kept.append(VoxelMask(voxels, mask & on_them))
            own.append(SegmentChange(segment_id, voxels, plan.added, plan.removed))
            others += [SegmentChange(other, voxels, np.zeros_like(lost), lost) for other, lost in plan.taken.items()]
            for why, count in plan.held_back.items():
                held_back[why] = held_back.get(why, 0) + count
    recorder.write_result([*others, *own])
    recorder.write_proposal(keys[0], kept)
    for key, state in states.items():
        if key.index not in shut:
            recorder.set_plane(key, replace(state, accepted=state.proposed, proposed=None, stopped=""))
    return sum(int(np.count_nonzero(change.added) + np.count_nonzero(change.removed)) for change in own), shut


def _shut_planes(workspace: Workspace, key: PlaneKey, voxels: Voxels, plan: EditPlan) -> tuple[set[int], np.ndarray]:
    """The planes of the key's stack on which the rules let nothing be written, and which of the voxels lie on them."""
    if not plan.refused.any():
        return set(), np.zeros_like(plan.refused)
    numbers = np.broadcast_to(plane_numbers(workspace.stack(StackKey(key.stack)), voxels), shape_of(voxels))
    written = np.logical_or.reduce([plan.added, plan.removed, *plan.taken.values()])
    shut = np.setdiff1d(numbers[plan.refused], numbers[written])
    return set(shut.tolist()), np.isin(numbers, shut)


def _plan(
    workspace: Workspace, key: PlaneKey, area: Voxels, mode: WriteMode, protected: list[PlaneKey]
) -> tuple[Voxels, np.ndarray, EditPlan]:
    """The voxels of the area where something can change, what is proposed there, and the edit by the user's rules.

    area: on planes of the key's stack.
    """
    reading, node = workspace.check(), workspace.segmentation_node
    # Nothing changes but where something is proposed or held.
    held = extent_block(node, key.segment_id, reading.local), workspace.proposals.extent(key, reading.local)
    voxels, _ = clip(area, joint_block(*held))
    mask = workspace.proposals.read(key, reading.local, voxels)
    before = read_voxels(node, key.segment_id, reading.local, voxels)
    voxels, where = narrow(voxels, mask | before)
    rules = workspace.document.rules
    intensities = None
    if rules.intensity_range is not None:
        intensities = reading.volume.voxels[voxels]
        if reading.volume.is_rgb:
            intensities = intensities.mean(axis=-1)
    plan = plan_edit(
        before[where],
        mask[where],
        other_segments(node, key.segment_id, reading.local, voxels, workspace.items.shown),
        rules,
        mode,
        intensities,
        protected_voxels(workspace, protected, voxels) if protected else None,
    )
    return voxels, mask[where], plan
