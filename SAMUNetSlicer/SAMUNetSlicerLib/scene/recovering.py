"""Proposals of which the record is lost can be accepted or discarded all the same: their voxels tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..volumes.provenance import PlaneOrigin
from ..volumes.sampling import voxels_of_plane
from .document import PlaneEntry, PlaneState
from .stacks import StackKey

if TYPE_CHECKING:
    from .workspace import Workspace


def recover_proposals(workspace: Workspace) -> None:
    """Put every plane on which something is proposed into the record, as uncertain."""
    local = workspace.check().local
    for place in workspace.proposals.targets():
        stack = workspace.stack(StackKey(place.stack))
        whole = tuple(slice(0, n) for n in local.shape_kji)
        mask = workspace.proposals.read(place, local, whole)
        for plane in stack if mask.any() else ():
            voxels = voxels_of_plane(plane, workspace.check().geometry)
            if (mask[voxels.slices_kji] & voxels.inside).any():
                entry = PlaneEntry(0.0, PlaneOrigin.PROPAGATED)
                workspace.document.set_plane(place._replace(index=plane.index), PlaneState(proposed=entry))
    workspace.save()
