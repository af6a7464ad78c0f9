import numpy as np
import pytest
import SimpleITK as sitk

from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.image_geometry import empty_image, geometry_of_image


def oblique() -> GridGeometry:
    axes, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = axes * (0.7, 1.2, 3.0)
    ijk_to_ras[:3, 3] = (-40, 12, 90)
    return GridGeometry((4, 6, 9), ijk_to_ras)


def test_an_image_lies_where_its_grid_does():
    geometry = oblique()
    image = empty_image(geometry, sitk.sitkUInt8)
    lps = image.TransformContinuousIndexToPhysicalPoint((2.0, 5.0, 1.0))
    ras = geometry.ijk_to_ras @ (2, 5, 1, 1)
    assert lps == pytest.approx((-ras[0], -ras[1], ras[2]))


def test_there_and_back_is_the_same_grid():
    assert geometry_of_image(empty_image(oblique(), sitk.sitkUInt8)).matches(oblique())


@pytest.mark.parametrize(
    ("voxel_mm", "offset_mm", "is_same"), [(1, 0.0009, True), (1, 0.002, False), (0.0005, 0.0005, False)]
)
def test_grids_a_voxel_apart_are_never_the_same(voxel_mm, offset_mm, is_same):
    here, there = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0]), np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    there[0, 3] = offset_mm
    assert GridGeometry((4, 5, 6), here).matches(GridGeometry((4, 5, 6), there)) is is_same


def test_a_picture_lies_in_the_axial_plane():
    picture = sitk.Image([7, 5], sitk.sitkUInt8)
    picture.SetSpacing((0.5, 0.25))
    geometry = geometry_of_image(picture)
    assert geometry.shape_kji == (1, 5, 7)
    assert geometry.spacing_ijk == pytest.approx((0.5, 0.25, 1))
