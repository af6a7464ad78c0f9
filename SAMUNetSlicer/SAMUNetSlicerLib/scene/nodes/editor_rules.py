"""The editing rules that the user has chosen in Slicer's own Segment Editor."""

from __future__ import annotations

import slicer

from ..record.editing_rules import Area, EditingRules, Overwrite


def segment_editor_rules(editor_node) -> EditingRules:
    """The overwrite mode, editable area and intensity range of a vtkMRMLSegmentEditorNode."""
    overwrite = {
        editor_node.OverwriteAllSegments: Overwrite.ALL,
        editor_node.OverwriteVisibleSegments: Overwrite.VISIBLE,
        editor_node.OverwriteNone: Overwrite.NONE,
    }
    node_class = slicer.vtkMRMLSegmentationNode
    area = {
        node_class.EditAllowedEverywhere: Area.EVERYWHERE,
        node_class.EditAllowedInsideAllSegments: Area.INSIDE_ALL,
        node_class.EditAllowedInsideVisibleSegments: Area.INSIDE_VISIBLE,
        node_class.EditAllowedOutsideAllSegments: Area.OUTSIDE_ALL,
        node_class.EditAllowedOutsideVisibleSegments: Area.OUTSIDE_VISIBLE,
        node_class.EditAllowedInsideSingleSegment: Area.INSIDE_SEGMENT,
    }
    intensities = None
    if editor_node.GetSourceVolumeIntensityMask():
        low, high = editor_node.GetSourceVolumeIntensityMaskRange()
        intensities = (float(low), float(high))
    return EditingRules(
        overwrite[editor_node.GetOverwriteMode()],
        area[editor_node.GetMaskMode()],
        editor_node.GetMaskSegmentID() or "",
        intensities,
    )
