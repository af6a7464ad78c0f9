"""Planes: which voxel row is right and down, how many pixels, oblique frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_grids import affine, grid_geometries, random_direction, random_geometry
from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.planes import (
    MAX_SIDE_PIXELS,
    ObliqueStack,
    Orientation,
    Plane,
    PlaneStack,
    acquisition_orientation,
    oblique_plane,
    patient_axes,
)

LPS_GRID = GridGeometry((6, 5, 4), affine(np.diag([-1, -1, 1]), (1, 1, 1), (0, 0, 0)))
RIGHT, ANTERIOR, SUPERIOR = np.eye(3)


@pytest.mark.parametrize(
    ("orientation", "to_the_right", "downwards"),
    [
        (Orientation.AXIAL, -RIGHT, -ANTERIOR),
        (Orientation.CORONAL, -RIGHT, -SUPERIOR),
        (Orientation.SAGITTAL, -ANTERIOR, -SUPERIOR),
    ],
)
@pytest.mark.parametrize("seed", range(6))
def test_planes_of_upright_grids_are_shown_as_in_slicer(orientation, to_the_right, downwards, seed):
    chance = np.random.default_rng(seed)
    direction = np.eye(3)[:, chance.permutation(3)] * chance.choice([-1, 1], 3)
    plane = PlaneStack(GridGeometry((6, 5, 4), affine(direction, (1, 2, 3), (7, 8, 9))), orientation)[0]
    across, down = plane.to_ras([1, 0]) - plane.to_ras([0, 0]), plane.to_ras([0, 1]) - plane.to_ras([0, 0])
    np.testing.assert_allclose(across, plane.pixel_size_mm * to_the_right, atol=1e-9)
    np.testing.assert_allclose(down, plane.pixel_size_mm * downwards, atol=1e-9)


def test_a_picture_in_lps_is_shown_upright():
    plane = PlaneStack(LPS_GRID, Orientation.AXIAL)[2]
    assert plane.size_xy == (4, 5)
    corners_ijk = LPS_GRID.to_ijk(plane.to_ras([[0, 0], [3, 0], [0, 4]]))
    np.testing.assert_allclose(corners_ijk, [[0, 0, 2], [3, 0, 2], [0, 4, 2]])


@settings(max_examples=80, deadline=None)
@given(grid_geometries())
def test_each_grid_axis_is_the_normal_of_one_orientation(geometry):
    stacks = [PlaneStack(geometry, orientation) for orientation in Orientation]
    assert sorted(stack.axis for stack in stacks) == [0, 1, 2]
    assert sorted(patient_axes(geometry)) == [0, 1, 2]


@settings(max_examples=80, deadline=None)
@given(grid_geometries(), st.sampled_from(Orientation))
def test_grid_planes_are_made_of_square_pixels_on_voxel_rows(geometry, orientation):
    stack = PlaneStack(geometry, orientation)
    assert len(stack) == geometry.size_ijk[stack.axis]
    in_plane = np.delete(geometry.spacing_ijk, stack.axis)
    for plane in stack:
        lengths = np.linalg.norm(plane.pixel_to_ras[:3, :2], axis=0)
        np.testing.assert_allclose(lengths, in_plane.min(), rtol=2e-3)
        corners = geometry.to_ijk(plane.to_ras([(0, 0), np.array(plane.size_xy) - 1]))
        np.testing.assert_allclose(corners[:, stack.axis], plane.index, atol=1e-6)
        # From a corner voxel's centre to within half a pixel of the opposite one's.
        first = np.delete(corners[0], stack.axis)
        last_voxel = np.delete(geometry.size_ijk, stack.axis) - 1
        np.testing.assert_allclose(np.minimum(first, last_voxel - first), 0, atol=1e-6)
        span = np.abs(np.delete(corners[1] - corners[0], stack.axis))
        missing_mm = (last_voxel - span) * in_plane
        assert (np.abs(missing_mm) <= plane.pixel_size_mm / 2 + 1e-6).all()


@settings(max_examples=50, deadline=None)
@given(grid_geometries(), st.sampled_from(Orientation), st.tuples(*[st.floats(-20, 20)] * 3))
def test_pixels_and_positions_convert_both_ways(geometry, orientation, point_xyz):
    plane = PlaneStack(geometry, orientation)[0]
    np.testing.assert_allclose(plane.to_pixels(plane.to_ras(point_xyz)), point_xyz, atol=1e-6)


def test_the_third_pixel_coordinate_counts_planes():
    stack = PlaneStack(random_geometry(3), Orientation.CORONAL)
    point = stack[7].to_ras([4, 5])
    assert stack[3].to_pixels(point)[2] == pytest.approx(4)
    assert stack.index_of(point) == pytest.approx(7)
    step = stack[1].to_ras([0, 0]) - stack[0].to_ras([0, 0])
    np.testing.assert_allclose(stack[0].normal_ras * stack[0].thickness_mm, step, atol=1e-9)


@pytest.mark.parametrize("index", [-1, 30, 1000])
def test_a_stack_has_no_planes_beyond_its_ends(index):
    geometry = GridGeometry((30, 5, 5), affine(np.eye(3), (1, 1, 1), (0, 0, 0)))
    with pytest.raises(IndexError):
        PlaneStack(geometry, Orientation.AXIAL)[index]


def test_spacings_that_differ_by_rounding_need_no_resampling():
    spacing = (0.9765625, 0.976562, 2.0)
    geometry = GridGeometry((20, 512, 512), affine(np.eye(3), spacing, (0, 0, 0)))
    plane = PlaneStack(geometry, Orientation.AXIAL)[0]
    assert plane.size_xy == (512, 512)
    np.testing.assert_allclose(np.linalg.norm(plane.pixel_to_ras[:3, :2], axis=0), spacing[:2], rtol=1e-12)


def test_exotic_spacing_is_limited_but_every_voxel_keeps_its_pixel():
    geometry = GridGeometry((100, 3, 5000), affine(np.eye(3), (0.01, 1, 5), (0, 0, 0)))
    stack = PlaneStack(geometry, Orientation.CORONAL)
    plane = stack[0]
    assert plane.size_xy == (5000, MAX_SIDE_PIXELS)
    assert plane.pixel_size_mm == pytest.approx(0.01)
    last = geometry.to_ijk(plane.to_ras(np.array(plane.size_xy) - 1))
    np.testing.assert_allclose(last, [0, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("spacing", "shape_kji", "expected"),
    [
        ((1, 1, 5), (20, 20, 20), Orientation.AXIAL),
        ((1, 5, 1), (20, 20, 20), Orientation.CORONAL),
        ((5, 1, 1), (20, 20, 20), Orientation.SAGITTAL),
        ((1, 1, 1), (20, 20, 20), Orientation.AXIAL),
        ((1, 1.002, 1), (20, 20, 20), Orientation.AXIAL),
        ((2, 2, 1), (20, 20, 20), Orientation.CORONAL),
        ((1, 1, 0.1), (1, 20, 20), Orientation.AXIAL),
        ((0.1, 1, 9), (20, 20, 1), Orientation.SAGITTAL),
    ],
)
def test_the_acquired_orientation_crosses_the_coarsest_axis(spacing, shape_kji, expected):
    assert acquisition_orientation(GridGeometry(shape_kji, affine(np.eye(3), spacing, (0, 0, 0)))) is expected


def slice_matrix(seed: int, point_ras) -> np.ndarray:
    return affine(random_direction(seed), (1, 1, 1), point_ras)


@pytest.mark.parametrize("seed", range(8))
def test_an_oblique_plane_keeps_the_slice_views_frame(seed):
    geometry = random_geometry(seed)
    centre = geometry.to_ras((geometry.size_ijk - 1) / 2)
    slice_to_ras = slice_matrix(seed + 100, centre)
    plane = oblique_plane(slice_to_ras, geometry)
    right, down, step = plane.pixel_to_ras[:3, :3].T
    np.testing.assert_allclose(right / plane.pixel_size_mm, slice_to_ras[:3, 0], atol=1e-9)
    np.testing.assert_allclose(down / plane.pixel_size_mm, -slice_to_ras[:3, 1], atol=1e-9)
    np.testing.assert_allclose(step / plane.thickness_mm, slice_to_ras[:3, 2], atol=1e-9)
    assert plane.to_pixels(centre)[2] == pytest.approx(0)
    assert geometry.spacing_ijk.min() - 1e-9 <= plane.pixel_size_mm <= geometry.spacing_ijk.max() + 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_an_oblique_plane_covers_all_that_it_cuts(seed):
    geometry = random_geometry(seed, shape_kji=(9, 14, 11))
    slice_to_ras = slice_matrix(seed, geometry.to_ras([3, 9, 2]))
    plane = oblique_plane(slice_to_ras, geometry)
    # Points all over the slice, far beyond the volume.
    offsets = np.stack(np.meshgrid(np.linspace(-60, 60, 241), np.linspace(-60, 60, 241)), axis=-1).reshape(-1, 2)
    points = slice_to_ras[:3, 3] + offsets @ slice_to_ras[:3, :2].T
    cut = points[geometry.contains(points)]
    pixels = plane.to_pixels(cut)
    assert len(cut)
    assert (pixels[:, :2] >= -0.5 - 1e-6).all()
    assert (pixels[:, :2] <= np.array(plane.size_xy) - 0.5 + 1e-6).all()


def test_a_slice_along_the_grid_gives_the_grids_own_pixel_and_step():
    geometry = GridGeometry((8, 20, 16), affine(np.diag([-1, -1, 1]), (0.5, 0.7, 3), (10, 20, 30)))
    plane = oblique_plane(affine(np.diag([-1, 1, 1]), (1, 1, 1), geometry.to_ras([2, 3, 4])), geometry)
    assert plane.pixel_size_mm == pytest.approx(0.5)
    assert plane.thickness_mm == pytest.approx(3)


def test_pixels_of_an_oblique_plane_grow_rather_than_exceed_the_limit():
    geometry = GridGeometry((50, 50, 50), affine(np.eye(3), (0.001, 1, 1), (0, 0, 0)))
    plane = oblique_plane(slice_matrix(5, (0.025, 25, 25)), geometry)
    assert max(plane.size_xy) == MAX_SIDE_PIXELS


@pytest.mark.parametrize("builder", [oblique_plane, ObliqueStack])
def test_a_slice_beside_the_volume_is_refused(builder):
    geometry = GridGeometry((10, 10, 10), affine(np.eye(3), (1, 1, 1), (0, 0, 0)))
    builder(affine(np.eye(3), (1, 1, 1), (0, 0, 9.4)), geometry)
    with pytest.raises(PromptError, match="does not cross the volume"):
        builder(affine(np.eye(3), (1, 1, 1), (0, 0, 9.6)), geometry)


def test_the_given_slice_is_one_of_the_oblique_stack():
    geometry = random_geometry(4)
    point = geometry.to_ras([11, 22, 13])
    stack = ObliqueStack(slice_matrix(9, point), geometry)
    assert stack[stack.home].to_pixels(point)[2] == pytest.approx(0, abs=1e-9)
    assert stack.index_of(point) == pytest.approx(stack.home)
    assert {plane.size_xy for plane in stack} == {stack[0].size_xy}
    with pytest.raises(IndexError):
        stack[len(stack)]


def test_voxels_of_a_nanometre_are_not_taken_for_a_broken_grid():
    geometry = GridGeometry((4, 4, 4), affine(np.eye(3), (5e-6, 5e-6, 5e-6), (0, 0, 0)))
    assert PlaneStack(geometry, Orientation.AXIAL)[1].pixel_size_mm == pytest.approx(5e-6)


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.diag([1, 1, 0, 1]), np.full((4, 4), np.nan), np.eye(3)])
def test_a_plane_needs_a_usable_matrix(matrix):
    with pytest.raises(ValueError, match="matrix"):
        Plane((4, 4), matrix)


def test_a_plane_needs_a_size():
    with pytest.raises(ValueError, match="sizes"):
        Plane((0, 4), np.eye(4))
