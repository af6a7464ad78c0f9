"""When a volume's own grid moves: its transform was hardened, it was centred, its origin was edited.

Voxels are what the work is about, so proposals, prompts and our own result move along with them; whatever the user
(or Slicer, hardening a whole hierarchy) has moved already stays. A segmentation that is not ours is the user's to move.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...volumes.geometry import GridGeometry
from .labelmaps import lattice_offset
from .placement import local_geometry, vtk_matrix

_SAME_PLACE_MM = 1e-6
_ROUNDING_MM = 1e-3  # of numbers that Slicer keeps as text
REFERENCE_GEOMETRY = "Reference image geometry"


def grid_move(before: GridGeometry | None, now: GridGeometry) -> np.ndarray | None:
    """4 x 4: where the grid went, in the volume's own coordinates; None where it stands or became another grid."""
    if before is None or before.shape_kji != now.shape_kji:
        return None
    if np.allclose(before.ijk_to_ras, now.ijk_to_ras, rtol=0, atol=_SAME_PLACE_MM):
        return None
    return now.ijk_to_ras @ before.ras_to_ijk


def move_segmentations(nodes: Iterable, before: GridGeometry, move: np.ndarray) -> None:
    """Move those that still state the old grid as the one they were made on."""
    for node in nodes:
        stated = _reference_matrix(node)
        if stated is not None and _is_of(stated, before):
            node.ApplyTransformMatrix(vtk_matrix(move))


def bring_to_grid(segmentation_node, local: GridGeometry) -> None:
    """Move a segmentation that states the same grid at another place to where the grid stands now."""
    stated = _reference_matrix(segmentation_node)
    if stated is None or _reference_shape(segmentation_node) != local.shape_kji:
        return
    if not _is_of(stated, local):
        segmentation_node.ApplyTransformMatrix(vtk_matrix(local.ijk_to_ras @ np.linalg.inv(stated)))


def state_grid(segmentation_node, volume_node) -> None:
    """Name the volume's grid as the one that the segmentation was made on, where it names one with other voxels.

    Slicer resamples to the named grid when it saves: voxels of the volume's would come back changed.
    """
    stated = _reference_matrix(segmentation_node)
    if stated is not None and lattice_offset(stated, local_geometry(volume_node)) is None:
        segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)


def _reference_numbers(segmentation_node) -> list[float]:
    """A 4 x 4 matrix, then an extent, as Slicer writes them; [] where none are stated."""
    text = segmentation_node.GetSegmentation().GetConversionParameter(REFERENCE_GEOMETRY)
    return [float(number) for number in text.split(";") if number]


def _reference_matrix(segmentation_node) -> np.ndarray | None:
    """4 x 4 of the segmentation's reference geometry; None where it has none."""
    numbers = _reference_numbers(segmentation_node)
    return np.reshape(numbers[:16], (4, 4)) if len(numbers) >= 16 else None


def _is_of(stated: np.ndarray, grid: GridGeometry) -> bool:
    """Whether a stated 4 x 4 is the grid's, but for rounding."""
    return np.allclose(stated, grid.ijk_to_ras, rtol=0, atol=grid.rounding(_ROUNDING_MM))


def _reference_shape(segmentation_node) -> tuple[int, ...]:
    """(K, J, I) of the segmentation's reference geometry; () where it has none."""
    extent = np.reshape(_reference_numbers(segmentation_node)[16:22], (-1, 2))
    return tuple(int(last - first) + 1 for first, last in extent[::-1])


def move_markups(nodes: Iterable, move: np.ndarray) -> None:
    for node in nodes:
        node.ApplyTransformMatrix(vtk_matrix(move))
