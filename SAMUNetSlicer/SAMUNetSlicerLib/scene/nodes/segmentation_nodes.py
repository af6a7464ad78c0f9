"""Segmentation nodes: making them on a volume's grid, their segments' names, colours, terminology and status."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import slicer
import vtk

from ...errors import EditError
from ...volumes.geometry import GridGeometry
from ...volumes.segmentations.segments import TERMINOLOGY_TAG, default_colours
from ...volumes.segmentations.terminology import terminology_entry
from ...volumes.voxels import Voxels
from ..record.editing_rules import OtherSegment
from .hidden_nodes import add_hidden_node
from .labelmaps import read_voxels
from .names import ROLE, ROLE_PROPOSALS
from .placement import follow, lie_alike, local_geometry, to_world

Colour = tuple[float, float, float]


class SegmentStatus(Enum):
    """Slicer's status of a segment. Finished segments (COMPLETED, FLAGGED) are never written."""

    NOT_STARTED = "NotStarted"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FLAGGED = "Flagged"

    @property
    def is_finished(self) -> bool:
        return self in (SegmentStatus.COMPLETED, SegmentStatus.FLAGGED)


@dataclass(frozen=True, eq=False)
class SegmentLook:
    """What a segment is besides its voxels: enough to make it again. metadata: a vtkSegment without voxels."""

    segment_id: str
    metadata: object
    position: int
    visible: bool

    @property
    def name(self) -> str:
        return self.metadata.GetName()


def create_segmentation(scene, volume_node, name: str, role: str):
    """A new segmentation node on the volume's grid, under its parent transform. Raises InputError."""
    local_geometry(volume_node)
    to_world(volume_node)
    class_name = "vtkMRMLSegmentationNode"
    if role == ROLE_PROPOSALS:
        node = add_hidden_node(scene, class_name, name)
    else:
        node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(name))
    node.SetAttribute(ROLE, role)
    node.CreateDefaultDisplayNodes()
    # In this order: the reference geometry, to which Slicer resamples when it saves, is stated in the segmentation's
    # own coordinates.
    follow(node, volume_node)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    return node


def check_fits(segmentation_node, volume_node) -> None:
    """Raise EditError where the segmentation lies under another transform than the volume.

    Grids are compared when voxels are read or written.
    """
    if not lie_alike(segmentation_node, volume_node):
        raise EditError(
            f"The segmentation '{segmentation_node.GetName()}' and the volume '{volume_node.GetName()}' lie under "
            "different transforms. Put both under the same one (Data module, transform hierarchy)."
        )


def segment_ids(segmentation_node) -> tuple[str, ...]:
    return tuple(segmentation_node.GetSegmentation().GetSegmentIDs())


def find_segment(segmentation_node, segment_id: str):
    """The vtkSegment. Raises EditError where it is gone."""
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        raise EditError("The segment is no longer in the segmentation. Choose or add another one.")
    return segment


def segment_name(segmentation_node, segment_id: str) -> str:
    return find_segment(segmentation_node, segment_id).GetName()


def add_segment(segmentation_node, name: str, colour_rgb: Colour | None = None, segment_id: str = "") -> str:
    """Add an empty segment and return its ID. Terminology is by its name; so is the colour, one that no other has."""
    segmentation = segmentation_node.GetSegmentation()
    if colour_rgb is None:
        names = [segment_name(segmentation_node, i) for i in segment_ids(segmentation_node)]
        colour_rgb = default_colours([*names, name])[-1]
    new_id = segmentation.AddEmptySegment(segment_id, name, colour_rgb)
    segmentation.GetSegment(new_id).SetTag(TERMINOLOGY_TAG, terminology_entry(name))
    return new_id


def remove_segment(segmentation_node, segment_id: str) -> SegmentLook:
    """Remove a segment, whatever it holds, and return what makes it again. Raises EditError where it is gone."""
    metadata = slicer.vtkSegment()
    _copy_metadata(find_segment(segmentation_node, segment_id), metadata)
    look = SegmentLook(
        segment_id,
        metadata,
        segmentation_node.GetSegmentation().GetSegmentIndex(segment_id),
        is_visible(segmentation_node, segment_id),
    )
    segmentation_node.GetSegmentation().RemoveSegment(segment_id)
    _tell_places(segmentation_node)
    return look


def restore_segment(segmentation_node, look: SegmentLook) -> None:
    """Add a removed segment again, empty, where it stood. Raises EditError where its ID is in use."""
    segmentation = segmentation_node.GetSegmentation()
    if segmentation.GetSegment(look.segment_id) is not None:
        raise EditError(f"The segment '{look.name}' stands in the segmentation already.")
    segmentation.AddEmptySegment(look.segment_id, look.name, look.metadata.GetColor())
    segment = segmentation.GetSegment(look.segment_id)
    label = segment.GetLabelValue()
    _copy_metadata(look.metadata, segment)
    segment.SetLabelValue(label)
    segment.Modified()  # said of tags once they stand there, while its place is still the one that tables know
    segmentation.SetSegmentIndex(look.segment_id, min(look.position, segmentation.GetNumberOfSegments() - 1))
    _tell_places(segmentation_node)
    display = segmentation_node.GetDisplayNode()
    if display is not None:
        display.SetSegmentVisibility(look.segment_id, look.visible)


def _copy_metadata(source, target) -> None:
    """All but the voxels."""
    # First these two, which the copy leaves out: it tells tables, and they write what they show of the segment into it.
    target.SetNameAutoGenerated(source.GetNameAutoGenerated())
    target.SetColorAutoGenerated(source.GetColorAutoGenerated())
    target.DeepCopyMetadata(source)


def _tell_places(segmentation_node) -> None:
    """Let Slicer's tables look anew where each segment stands.

    Of a segment whose place has changed they would otherwise write the name, colour and status that they still show
    back into it at its next change, in place of that change (qMRMLSegmentsModel of Slicer 5.8 to 5.13).
    """
    segmentation_node.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.SegmentModified)


def get_tag(segmentation_node, segment_id: str, key: str) -> str | None:
    value = vtk.reference("")
    return str(value) if find_segment(segmentation_node, segment_id).GetTag(key, value) else None


def set_tag(segmentation_node, segment_id: str, key: str, value: str | None) -> None:
    """Set a tag, or remove it. Nothing happens where it has that value, so that observers hear of changes only."""
    segment = find_segment(segmentation_node, segment_id)
    if get_tag(segmentation_node, segment_id, key) == value:
        return
    if value is None:
        segment.RemoveTag(key)
    else:
        segment.SetTag(key, value)


def tags_like(segmentation_node, segment_id: str, prefix: str) -> set[str]:
    """The tags that a prefix begins and that are numbered from 2 on: "prefix", "prefix.2", "prefix.3", ..."""
    segment = find_segment(segmentation_node, segment_id)
    found = {prefix} if segment.HasTag(prefix) else set()
    number = 2
    while segment.HasTag(f"{prefix}.{number}"):
        found.add(f"{prefix}.{number}")
        number += 1
    return found


def is_visible(segmentation_node, segment_id: str) -> bool:
    display = segmentation_node.GetDisplayNode()
    return display is None or bool(display.GetSegmentVisibility(segment_id))


def is_on_show(segmentation_node, segment_id: str) -> bool:
    """Whether neither the segment nor its whole segmentation is hidden."""
    display = segmentation_node.GetDisplayNode()
    return display is None or (bool(display.GetVisibility()) and is_visible(segmentation_node, segment_id))


def show_segment(segmentation_node, segment_id: str) -> None:
    """Let a segment be seen that the user has hidden."""
    display = segmentation_node.GetDisplayNode()
    if display is not None and not is_on_show(segmentation_node, segment_id):
        display.SetVisibility(True)
        display.SetSegmentVisibility(segment_id, True)


def status_of(segmentation_node, segment_id: str) -> SegmentStatus:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    number = logic.GetSegmentStatus(find_segment(segmentation_node, segment_id))
    return next((s for s in SegmentStatus if getattr(logic, s.value) == number), SegmentStatus.NOT_STARTED)


def set_status(segmentation_node, segment_id: str, status: SegmentStatus) -> None:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segment, number = find_segment(segmentation_node, segment_id), getattr(logic, status.value)
    logic.SetSegmentStatus(segment, number)
    if logic.GetSegmentStatus(segment) != number:  # a table has put the former one back: see `_tell_places`
        logic.SetSegmentStatus(segment, number)


def check_writable(segmentation_node, segment_id: str) -> None:
    """Raise EditError where the segment is gone or finished."""
    if status_of(segmentation_node, segment_id).is_finished:
        raise EditError(
            f"The segment '{segment_name(segmentation_node, segment_id)}' is finished and therefore locked. "
            "Set its status back to 'in progress' to change it."
        )


def other_segments(
    segmentation_node, segment_id: str, geometry: GridGeometry, voxels: Voxels, shown_by=None
) -> list[OtherSegment]:
    """Which of some voxels of the volume's grid all other segments hold.

    shown_by: the segmentation node whose display tells which are visible, where it is another one.
    """
    return [
        OtherSegment(
            other,
            read_voxels(segmentation_node, other, geometry, voxels),
            is_visible(shown_by or segmentation_node, other),
            status_of(segmentation_node, other).is_finished,
        )
        for other in segment_ids(segmentation_node)
        if other != segment_id
    ]
