"""Where nodes lie in the patient: their own grid, and the linear transforms above it."""

from __future__ import annotations

import numpy as np
import vtk

from ...errors import InputError
from ...volumes.geometry import GridGeometry


def numpy_matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """(4, 4) copy."""
    return np.array(matrix.GetData()).reshape(4, 4)


def vtk_matrix(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=float).ravel().tolist())
    return result


def to_world(node) -> np.ndarray:
    """4 x 4: the node's own coordinates to world RAS, through the whole chain of its parent transforms.

    Raises InputError where one of them is not linear.
    """
    parent = node.GetParentTransformNode()
    matrix = vtk.vtkMatrix4x4()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f"'{node.GetName()}' lies under a transform that is not linear ('{parent.GetName()}'). "
            "Harden the transform first (Data module, right click, Harden transform)."
        )
    parent.GetMatrixTransformToWorld(matrix)
    return numpy_matrix(matrix)


def local_matrix(volume_node) -> np.ndarray:
    """4 x 4: IJK to the volume's own coordinates, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return numpy_matrix(matrix)


def local_geometry(volume_node) -> GridGeometry:
    """The volume's grid in its own coordinates, without parent transforms. Raises InputError for an empty volume."""
    image = volume_node.GetImageData()
    if image is None or min(image.GetDimensions()) < 1 or image.GetPointData().GetScalars() is None:
        raise InputError(f"The volume '{volume_node.GetName()}' is empty. Load an image into it or choose another.")
    try:
        return GridGeometry(image.GetDimensions()[::-1], local_matrix(volume_node))
    except ValueError as error:
        raise InputError(f"The volume '{volume_node.GetName()}' has a damaged geometry: {error}") from error


def follow(node, leader) -> None:
    """Put `node` under the parent transform of `leader`."""
    if node.GetTransformNodeID() != leader.GetTransformNodeID():
        node.SetAndObserveTransformNodeID(leader.GetTransformNodeID())


def lie_alike(node, other) -> bool:
    """Whether both nodes' own coordinates go to the same place in the world. Raises InputError as `to_world`."""
    if node.GetTransformNodeID() == other.GetTransformNodeID():
        return True
    return np.allclose(to_world(node), to_world(other), rtol=0, atol=1e-6)


def require_present(scene, node, what: str) -> None:
    """Raise InputError where a node was removed from the scene, or the scene was closed."""
    if node is None or scene is None or not scene.IsNodePresent(node):
        raise InputError(f"The {what} is no longer in the scene. Choose one that is.")
