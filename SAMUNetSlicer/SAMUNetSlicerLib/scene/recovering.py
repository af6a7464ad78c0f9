"""Proposals of which the record is lost can be accepted or discarded all the same: their voxels tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..volumes.provenance import PlaneOrigin
from ..volumes.sampling import plane_numbers
from ..volumes.voxels import shape_of
from .document import PlaneEntry, PlaneState
from .stacks import StackKey

if TYPE_CHECKING:
    from .workspace import Workspace


def recover_proposals(workspace: Workspace) -> None:
    """Put every plane on which something is proposed into the record, as uncertain."""
    local = workspace.check().local
    entry = PlaneEntry(0.0, PlaneOrigin.PROPAGATED)
    for place in workspace.proposals.targets():
        stack = workspace.stack(StackKey(place.stack))
        slices_k, *others = workspace.proposals.extent(place, local)
        # One slice of the volume at a time, to bound the memory.
        for k in range(slices_k.start, slices_k.stop):
            block = (slice(k, k + 1), *others)
            numbers = np.broadcast_to(plane_numbers(stack, block), shape_of(block))
            for index in np.unique(numbers[workspace.proposals.read(place, local, block)]).tolist():
                workspace.document.set_plane(place._replace(index=index), PlaneState(proposed=entry))
    workspace.save()
