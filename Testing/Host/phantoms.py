"""Small volumes in which the tests' network finds what it should."""

from __future__ import annotations

import numpy as np
import slicer

SHAPE_KJI = (16, 64, 64)
SPACING_IJK = (1.5, 1.5, 3.0)
# Bright balls: centre (k, j, i) and radius in mm.
BALL = ((8, 32, 20), 13.0)
OTHER_BALL = ((8, 32, 46), 10.0)


def balls_kji() -> list[np.ndarray]:
    """One bool mask per ball."""
    k, j, i = np.indices(SHAPE_KJI)
    masks = []
    for (ck, cj, ci), radius in (BALL, OTHER_BALL):
        squared = ((k - ck) * SPACING_IJK[2]) ** 2 + ((j - cj) * SPACING_IJK[1]) ** 2 + ((i - ci) * SPACING_IJK[0]) ** 2
        masks.append(squared <= radius**2)
    return masks


def add_phantom(name: str = "Phantom", directions: np.ndarray | None = None):
    """A volume node with both balls. directions: 3 x 3, columns I, J, K; Slicer's RAS by default."""
    voxels = np.full(SHAPE_KJI, 20, dtype=np.int16)
    for mask in balls_kji():
        voxels[mask] = 220
    voxels[0, 0, 0], voxels[0, 0, 1] = 0, 255
    matrix = np.eye(4)
    matrix[:3, :3] = (np.diag([-1.0, -1.0, 1.0]) if directions is None else directions) @ np.diag(SPACING_IJK)
    node = slicer.util.addVolumeFromArray(voxels, matrix, name)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevel(255, 127)
    return node


def to_ras(volume_node, kji) -> np.ndarray:
    """World position of a voxel."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    world = vtk.vtkMatrix4x4()
    if volume_node.GetParentTransformNode():
        volume_node.GetParentTransformNode().GetMatrixTransformToWorld(world)
    vtk.vtkMatrix4x4.Multiply4x4(world, matrix, matrix)
    return np.array(matrix.MultiplyPoint((*kji[::-1], 1)))[:3]


def put_under_turned_transform(volume) -> None:
    """A rotation about an odd axis, and a shift."""
    import vtk

    matrix = vtk.vtkTransform()
    matrix.RotateWXYZ(30, 0.2, 0.3, 1)
    matrix.Translate(12, -7, 5)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Turned")
    transform.SetMatrixTransformToParent(matrix.GetMatrix())
    volume.SetAndObserveTransformNodeID(transform.GetID())
