"""Slicer's slice views: which plane each shows, and moving them to a plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import slicer

from ..scene.nodes.placement import numpy_matrix


def slice_nodes() -> Iterator:
    """The slice nodes of the views in the layout."""
    manager = slicer.app.layoutManager()
    if manager is not None:
        for name in manager.sliceViewNames():
            yield manager.sliceWidget(name).mrmlSliceNode()


def matrix_of(slice_node) -> np.ndarray:
    """SliceToRAS, 4 x 4."""
    return numpy_matrix(slice_node.GetSliceToRAS())


def view_of_point(point_ras):
    """The slice node of the view in which a point was placed: the one under the mouse, else the nearest plane."""
    nodes = list(slice_nodes())
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    under_mouse = crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0]) if crosshair is not None else None
    if under_mouse is not None:
        nodes.sort(key=lambda node: node is not under_mouse)  # first of equally near ones
    return nodes[_nearest(point_ras, [matrix_of(node) for node in nodes])]


def _nearest(point_ras: Sequence[float], slice_matrices: Sequence[np.ndarray]) -> int:
    """The matrix (SliceToRAS) on whose plane a point lies, or which is nearest; of equally near ones the first."""
    distances = []
    for matrix in slice_matrices:
        normal = np.cross(matrix[:3, 0], matrix[:3, 1])
        distances.append(abs((np.asarray(point_ras) - matrix[:3, 3]) @ normal / np.linalg.norm(normal)))
    # Planes that meet at the point differ by rounding, which must not choose among them.
    return int(np.argmin(np.round(distances, 3)))


def show_point(point_ras, slice_node) -> None:
    """Move a slice view along its normal so that its plane holds the point."""
    slice_node.JumpSliceByOffsetting(*(float(v) for v in point_ras))


def show_volume(volume_node) -> None:
    """Show a volume in the slice views, along its own axes, unless it is shown there already."""
    manager = slicer.app.layoutManager()
    logics = manager.mrmlSliceLogics() if manager is not None else None
    shown = {
        logics.GetItemAsObject(n).GetSliceCompositeNode().GetBackgroundVolumeID()
        for n in range(logics.GetNumberOfItems() if logics is not None else 0)
    }
    if shown != {volume_node.GetID()}:
        slicer.util.setSliceViewerLayers(background=volume_node, fit=True, rotateToVolumePlane=True)
