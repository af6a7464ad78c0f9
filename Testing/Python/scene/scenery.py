"""Scenes for the tests: volumes with bright balls, transforms, and a model that finds bright regions."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from scipy.spatial.transform import Rotation
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.inference.zoom import ZoomMode, ZoomPolicy
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry, vtk_matrix
from SAMUNetSlicerLib.scene.record.document import ModelIdentity

MODEL = ModelIdentity("bright_region", "ab" * 32, "bright")
SHAPE = (12, 24, 28)
# An axis-aligned grid whose voxels are wider along S.
SPACING = (1.0, 1.0, 2.0)


def ijk_to_ras(spacing=SPACING, rotation=None, origin=(-10.0, 5.0, 20.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if rotation is None else rotation) * np.asarray(spacing)
    matrix[:3, 3] = origin
    return matrix


def rigid(seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = chance.uniform(-50, 50, 3)
    return matrix


def tilted() -> np.ndarray:
    """A rigid transform that leaves axial planes the most axial ones."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (12, -17, 9), degrees=True).as_matrix()
    matrix[:3, 3] = (3, -20, 41)
    return matrix


def ball(centre_kji=(6, 12, 14), radius_mm=6.0, shape=SHAPE, spacing=SPACING) -> np.ndarray:
    """(K, J, I) bool."""
    k, j, i = np.indices(shape)
    offsets = [(a - c) * s for a, c, s in zip((i, j, k), centre_kji[::-1], spacing, strict=True)]
    return np.sqrt(sum(o**2 for o in offsets)) <= radius_mm


def picture(*balls: np.ndarray) -> np.ndarray:
    """Int16 voxels: 200 in the balls, 0 outside."""
    inside = np.logical_or.reduce(balls) if balls else ball()
    return np.where(inside, 200, 0).astype(np.int16)


def volume_node(scene, voxels=None, matrix=None, name="CT"):
    voxels = picture() if voxels is None else np.ascontiguousarray(voxels)
    colour = voxels.ndim == 4
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode" if colour else "vtkMRMLScalarVolumeNode", name)
    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape[2], voxels.shape[1], voxels.shape[0])
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.reshape(-1, voxels.shape[3]) if colour else voxels.ravel(), 1))
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(vtk_matrix(ijk_to_ras() if matrix is None else matrix))
    return node


def linear_transform(scene, matrix, parent=None):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(vtk_matrix(matrix))
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def bent_transform(scene):
    """A transform that is not linear."""
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for x in (0, 50):
        for y in (0, 50):
            for z in (0, 50):
                source.InsertNextPoint(x, y, z)
                target.InsertNextPoint(x + 0.1 * y, y + 3 * (z > 0) * (x > 0), z)
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node.SetAndObserveTransformToParent(spline)
    return node


def fiducials(scene, *points_world, labels=(), descriptions=()):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    for number, point in enumerate(points_world):
        node.AddControlPointWorld(vtk.vtkVector3d(*point))
        if number < len(labels):
            node.SetNthControlPointLabel(number, labels[number])
        if number < len(descriptions):
            node.SetNthControlPointDescription(number, descriptions[number])
    return node


def sequences_logic(host):
    """The logic of sequences, kept by the host: MRML crashes when a logic is freed."""
    if "sequences" not in host.logics:
        logic = host.logics["sequences"] = slicer.vtkSlicerSequencesLogic()
        logic.SetMRMLApplicationLogic(host.application_logic)
        logic.SetMRMLScene(host.scene)
    return host.logics["sequences"]


def predictor() -> PlanePredictor:
    return PlanePredictor(BrightRegionNetwork(), zoom=ZoomPolicy(ZoomMode.WHOLE_PLANE))


class Desk:
    """A volume, an empty segmentation with segments, and the logic with the bright-region model."""

    def __init__(self, scene, voxels=None, segments=("Liver",), matrix=None, transform=None, volume=None) -> None:
        self.scene = scene
        self.volume = volume_node(scene, voxels, matrix) if volume is None else volume
        if transform is not None:
            self.volume.SetAndObserveTransformNodeID(transform.GetID())
        self.logic = SegmentationLogic(scene)
        self.logic.setPredictor(predictor(), MODEL)
        self.segmentation = self.logic.createSegmentation(self.volume)
        self.ids = [self.logic.addSegment(self.segmentation, name, volumeNode=self.volume) for name in segments]
        self.space = self.logic.workspace(self.segmentation)

    def mask(self, number: int = 0) -> np.ndarray:
        return read_mask(self.segmentation, self.ids[number], local_geometry(self.volume))

    def world(self, kji) -> np.ndarray:
        """World RAS of a voxel."""
        return self.space.check().geometry.to_ras(np.array(kji)[::-1])

    def propose(self, plane: int, number: int = 0, at=(12, 14), orientation="axial"):
        """A point on one plane, answered."""
        kji = {"axial": (plane, *at), "coronal": (at[0], plane, at[1]), "sagittal": (*at, plane)}[orientation]
        return self.logic.segment(
            self.volume, self.segmentation, self.ids[number], points=[self.world(kji)], orientation=orientation
        )

    def accept(self, number: int = 0, planes=None, orientation="axial", **more):
        return self.logic.accept(self.segmentation, self.ids[number], planes, orientation, **more)

    def propagate(self, number: int = 0, orientation="axial", **more) -> list:
        return list(self.logic.propagate(self.segmentation, self.ids[number], orientation, **more))

    def states(self, number: int = 0, orientation="axial"):
        return self.logic.planeStates(self.segmentation, self.ids[number], orientation)

    def statuses(self, number: int = 0, orientation="axial") -> list[str]:
        return [state.status.value for state in self.states(number, orientation)]


def slice_to_ras(normal, through, up=(0.3, 1.0, 0.2)) -> np.ndarray:
    """A slice view through a point."""
    normal = np.array(normal, dtype=float) / np.linalg.norm(normal)
    right = np.cross(up, normal)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = right, np.cross(normal, right), normal
    matrix[:3, 3] = through
    return matrix


def closed_surface_points(segmentation, segment_id: str) -> int | None:
    """Number of points of the 3D surface; None where there is none."""
    surface = segmentation.GetClosedSurfaceInternalRepresentation(segment_id)
    return None if surface is None else surface.GetNumberOfPoints()


def exported_by_slicer(scene, segmentation, segment_id: str, volume) -> np.ndarray:
    """(K, J, I) bool of a segment as Slicer's own export to a labelmap sees it."""
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    ids = vtk.vtkStringArray()
    ids.InsertNextValue(segment_id)
    slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(segmentation, ids, node, volume)
    mask = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars()).reshape(local_geometry(volume).shape_kji) > 0
    scene.RemoveNode(node)
    return mask
