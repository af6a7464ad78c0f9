"""Proposals of which the record is lost can be accepted or discarded all the same: their voxels tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...volumes.geometry import GridGeometry
from ...volumes.sampling import plane_numbers
from ...volumes.segmentations.provenance import PlaneOrigin
from ...volumes.voxels import shape_of
from ..nodes.proposals import ProposalStore
from ..record.document import Document, PlaneEntry, PlaneState
from ..record.stacks import Stack, StackKey


def recover_proposals(
    proposals: ProposalStore, local: GridGeometry, stack_of: Callable[[StackKey], Stack], document: Document
) -> None:
    """Put every plane on which something is proposed into the record, as uncertain.

    local: the volume's grid. stack_of: the planes that a key names.
    """
    entry = PlaneEntry(0.0, PlaneOrigin.PROPAGATED)
    for place in proposals.targets():
        stack = stack_of(StackKey(place.stack))
        slices_k, *others = proposals.extent(place, local)
        # One slice of the volume at a time, to bound the memory.
        for k in range(slices_k.start, slices_k.stop):
            block = (slice(k, k + 1), *others)
            numbers = np.broadcast_to(plane_numbers(stack, block), shape_of(block))
            for index in np.unique(numbers[proposals.read(place, local, block)]).tolist():
                document.set_plane(place._replace(index=index), PlaneState(proposed=entry))
