"""Our planes against Slicer's own slice node and slice logic (slicer-core)."""

from __future__ import annotations

import numpy as np
import pytest

from example_grids import affine, random_direction, random_geometry
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.planes import Orientation, Plane, PlaneStack, oblique_plane
from SAMUNetSlicerLib.volumes.sampling import sample_plane
from SAMUNetSlicerLib.volumes.volume import Volume

PRESETS = {Orientation.AXIAL: "Axial", Orientation.CORONAL: "Coronal", Orientation.SAGITTAL: "Sagittal"}
SHAPE_KJI = (12, 15, 18)
SPACING = (0.8, 1.1, 2.7)


def as_array(vtk_matrix) -> np.ndarray:
    return np.array([[vtk_matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def as_vtk(matrix: np.ndarray):
    import vtk

    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=float).ravel())
    return result


def smooth_voxels(seed: int, shape_kji=SHAPE_KJI) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=shape_kji)
    return (1000 * gaussian_filter(noise, 1.5)).astype(np.float32)


@pytest.fixture
def slice_view(mrml_scene, mrml_host):
    """A slice logic with its node, as behind Slicer's Red view."""
    import slicer

    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(mrml_host.application_logic)
    logic.SetMRMLScene(mrml_scene)
    logic.AddSliceNode("Red")
    yield logic
    # It is a singleton, which emptying the scene leaves there for other tests to stumble over.
    mrml_scene.RemoveNode(logic.GetSliceNode())
    logic.SetMRMLScene(None)


def add_volume(scene, geometry: GridGeometry, voxels: np.ndarray):
    import slicer.util
    import vtk

    image = vtk.vtkImageData()
    image.SetDimensions(*(int(n) for n in geometry.size_ijk))
    image.AllocateScalars(vtk.VTK_FLOAT, 1)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(as_vtk(geometry.ijk_to_ras))
    slicer.util.arrayFromVolume(node)[:] = voxels
    node.CreateDefaultDisplayNodes()
    return node


def show(logic, plane: Plane) -> None:
    """Set the view's size and field of view so that its pixels should be the plane's."""
    node = logic.GetSliceNode()
    width, height = plane.size_xy
    size = plane.pixel_size_mm
    node.SetDimensions(width, height, 1)
    node.SetFieldOfView(width * size, height * size, plane.thickness_mm)
    # The slice's origin is the corner between pixels in the middle of the view; its y counts upwards.
    node.JumpSliceByCentering(*plane.to_ras([width / 2, height - 1 - height / 2]))


def pixel_to_ras_of(node, plane: Plane) -> np.ndarray:
    """The view's matrix, with y counted downwards as in the plane."""
    flip = np.diag([1.0, -1, 1, 1])
    flip[1, 3] = plane.size_xy[1] - 1
    return as_array(node.GetXYToRAS()) @ flip


@pytest.mark.parametrize("orientation", Orientation)
def test_upright_planes_have_the_axes_of_slicers_presets(slice_view, orientation):
    node = slice_view.GetSliceNode()
    node.SetOrientation(PRESETS[orientation])
    right, up = as_array(node.GetSliceToRAS())[:3, :2].T
    plane = PlaneStack(GridGeometry((3, 3, 3), np.eye(4)), orientation)[1]
    np.testing.assert_allclose(plane.pixel_to_ras[:3, 0], right, atol=1e-12)
    np.testing.assert_allclose(plane.pixel_to_ras[:3, 1], -up, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_grid_planes_have_the_axes_of_rotate_to_volume_plane(slice_view, mrml_scene, seed):
    geometry = random_geometry(seed, SHAPE_KJI, SPACING)
    volume_node = add_volume(mrml_scene, geometry, np.zeros(SHAPE_KJI, np.float32))
    node = slice_view.GetSliceNode()
    for orientation, preset in PRESETS.items():
        node.SetOrientation(preset)
        node.RotateToVolumePlane(volume_node)
        right, up, normal = as_array(node.GetSliceToRAS())[:3, :3].T
        plane = PlaneStack(geometry, orientation)[0]
        np.testing.assert_allclose(plane.pixel_to_ras[:3, 0] / plane.pixel_size_mm, right, atol=1e-6)
        np.testing.assert_allclose(plane.pixel_to_ras[:3, 1] / plane.pixel_size_mm, -up, atol=1e-6)
        np.testing.assert_allclose(abs(plane.normal_ras @ normal), 1, atol=1e-6)


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("seed", range(4))
def test_grid_planes_have_slicers_matrix_and_pixels(slice_view, mrml_scene, seed, orientation):
    geometry = random_geometry(seed, SHAPE_KJI, SPACING)
    voxels = smooth_voxels(seed)
    volume_node = add_volume(mrml_scene, geometry, voxels)
    slice_view.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
    node = slice_view.GetSliceNode()
    node.SetOrientation(PRESETS[orientation])
    node.RotateToVolumePlane(volume_node)
    plane = PlaneStack(geometry, orientation)[5]
    show(slice_view, plane)
    expected = pixel_to_ras_of(node, plane)
    np.testing.assert_allclose(plane.pixel_to_ras[:, [0, 1, 3]], expected[:, [0, 1, 3]], atol=1e-5)
    assert_same_pixels(slice_view, Volume(voxels, geometry), plane)


@pytest.mark.parametrize("seed", range(6))
def test_oblique_planes_have_slicers_matrix_and_pixels(slice_view, mrml_scene, seed):
    geometry = random_geometry(seed, SHAPE_KJI, SPACING)
    voxels = smooth_voxels(seed)
    volume_node = add_volume(mrml_scene, geometry, voxels)
    slice_view.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
    node = slice_view.GetSliceNode()
    slice_to_ras = affine(random_direction(seed + 30), (1, 1, 1), geometry.to_ras([8, 7, 6]))
    node.GetSliceToRAS().DeepCopy(slice_to_ras.ravel())
    node.UpdateMatrices()
    plane = oblique_plane(as_array(node.GetSliceToRAS()), geometry)
    show(slice_view, plane)
    np.testing.assert_allclose(plane.pixel_to_ras, pixel_to_ras_of(node, plane), atol=1e-5)
    assert_same_pixels(slice_view, Volume(voxels, geometry), plane)


def assert_same_pixels(logic, volume: Volume, plane: Plane) -> None:
    from vtk.util.numpy_support import vtk_to_numpy

    layer = logic.GetBackgroundLayer()
    layer.UpdateTransforms()
    logic.UpdatePipeline()
    reslice = layer.GetReslice()
    reslice.SetInterpolationModeToLinear()
    reslice.Update()
    shown = vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(plane.shape_yx)[::-1]
    y, x = np.indices(plane.shape_yx)
    ijk = volume.geometry.to_ijk(plane.to_ras(np.stack([x, y], axis=-1)))
    within = ((ijk >= 0.01) & (ijk <= volume.geometry.size_ijk - 1.01)).all(axis=-1)
    assert within.sum() > 50
    np.testing.assert_allclose(sample_plane(volume, plane)[within], shown[within], atol=0.05)


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("seed", range(3))
def test_grid_planes_are_those_that_slicer_snaps_to(slice_view, mrml_scene, seed, orientation):
    geometry = random_geometry(seed, SHAPE_KJI, SPACING)
    volume_node = add_volume(mrml_scene, geometry, smooth_voxels(seed))
    slice_view.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
    node = slice_view.GetSliceNode()
    node.SetOrientation(PRESETS[orientation])
    node.RotateToVolumePlane(volume_node)
    stack = PlaneStack(geometry, orientation)
    for plane in (stack[2], stack[7]):
        middle = plane.to_ras((np.array(plane.size_xy) - 1) / 2)
        nearby = middle + 0.3 * plane.thickness_mm * plane.normal_ras
        node.JumpSliceByCentering(*nearby)
        slice_view.SnapSliceOffsetToIJK()
        snapped = as_array(node.GetSliceToRAS())[:3, 3]
        assert plane.to_pixels(snapped)[2] == pytest.approx(0, abs=1e-5)
        assert stack.index_of(snapped) == pytest.approx(plane.index, abs=1e-5)
