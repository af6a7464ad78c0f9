"""How prompts look in the views: small marks and thin outlines that leave the picture to be seen."""

from __future__ import annotations

_POINT_SCALE = 2.0
_HANDLE_SCALE = 1.2


def dress(markups_node) -> None:
    """Give a prompt's node its look. Boxes keep the handles that resize them, and lose those that turn them."""
    display = markups_node.GetDisplayNode()
    if display is None:
        return
    display.SetGlyphScale(_POINT_SCALE)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    if markups_node.IsA("vtkMRMLMarkupsROINode"):
        display.SetFillVisibility(False)
        display.SetInteractionHandleScale(_HANDLE_SCALE)
        display.SetRotationHandleVisibility(False)
        display.SetTranslationHandleVisibility(False)
