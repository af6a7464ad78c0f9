"""Voxels to pixels and back: exact on grid planes, a partition on oblique stacks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_grids import affine, centres_ras, grid_geometries, ramp, random_direction, random_geometry
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.planes import ObliqueStack, Orientation, Plane, PlaneStack, oblique_plane
from SAMUNetSlicerLib.volumes.sampling import (
    mask_to_voxels,
    plane_numbers,
    sample_plane,
    voxels_of_plane,
    voxels_to_mask,
)
from SAMUNetSlicerLib.volumes.volume import Volume
from SAMUNetSlicerLib.volumes.voxels import whole_block

masks = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def upright(shape_kji, spacing=(1, 1, 1)) -> GridGeometry:
    return GridGeometry(shape_kji, affine(np.eye(3), spacing, (0, 0, 0)))


@settings(max_examples=150, deadline=None)
@given(grid_geometries(), st.sampled_from(Orientation), masks, st.sampled_from([bool, np.uint8, np.float32]))
def test_voxels_to_plane_to_voxels_is_exact_on_grid_planes(geometry, orientation, chance, kind):
    mask = chance.random(geometry.shape_kji) < 0.5
    back = np.zeros_like(mask)
    for plane in PlaneStack(geometry, orientation):
        image = voxels_to_mask(mask, plane, geometry)
        assert image.shape == plane.shape_yx
        shown = np.where(image, 1.0, -1.0).astype(kind) if kind is np.float32 else image.astype(kind)
        block = mask_to_voxels(shown, plane, geometry)
        block.write_into(back)
    assert np.array_equal(back, mask)


def test_a_round_trip_is_exact_on_planes_of_limited_size():
    geometry = upright((700, 2, 3), (0.05, 1, 5))
    mask = np.random.default_rng(0).random(geometry.shape_kji) < 0.5
    back = np.zeros_like(mask)
    for plane in PlaneStack(geometry, Orientation.CORONAL):
        assert plane.size_xy[1] == 4096
        mask_to_voxels(voxels_to_mask(mask, plane, geometry), plane, geometry).write_into(back)
    assert np.array_equal(back, mask)


@settings(max_examples=60, deadline=None)
@given(grid_geometries(), st.sampled_from(Orientation))
def test_the_voxels_of_a_grid_plane_are_its_slice(geometry, orientation):
    stack = PlaneStack(geometry, orientation)
    for plane in stack:
        voxels = voxels_of_plane(plane, geometry)
        expected = [slice(0, n) for n in geometry.shape_kji]
        expected[2 - stack.axis] = slice(plane.index, plane.index + 1)
        assert voxels == tuple(expected)


@settings(max_examples=60, deadline=None)
@given(grid_geometries(), st.integers(0, 10_000), st.tuples(*[st.floats(0, 1)] * 3))
def test_parallel_oblique_planes_hold_every_voxel_exactly_once(geometry, seed, place):
    point = geometry.to_ras(np.array(place) * (geometry.size_ijk - 1))
    slice_to_ras = affine(random_direction(seed), (1, 1, 1), point)
    step_mm = oblique_plane(slice_to_ras, geometry).thickness_mm
    stack = ObliqueStack(slice_to_ras, geometry)

    def moved(steps: int) -> Plane:
        matrix = slice_to_ras.copy()
        matrix[:3, 3] += steps * step_mm * matrix[:3, 2]
        return oblique_plane(matrix, geometry)

    each_covering_its_own_cut = [moved(steps) for steps in range(-stack.home, len(stack) - stack.home)]
    for planes in (stack, each_covering_its_own_cut):
        counts = np.zeros(geometry.shape_kji, dtype=int)
        for plane in planes:
            voxels = voxels_of_plane(plane, geometry)
            counts[voxels] += 1
        assert (counts == 1).all()


@settings(max_examples=100, deadline=None)
@given(grid_geometries(), st.integers(0, 10_000), st.tuples(*[st.floats(0, 1)] * 3))
def test_every_voxel_knows_its_plane_in_any_stack(geometry, seed, place):
    """Asked by plane or by voxel, as a block or one by one: it is the same plane."""
    point = geometry.to_ras(np.array(place) * (geometry.size_ijk - 1))
    oblique = ObliqueStack(affine(random_direction(seed), (1, 1, 1), point), geometry)
    for stack in (oblique, *(PlaneStack(geometry, orientation) for orientation in Orientation)):
        whole = plane_numbers(stack, whole_block(geometry.shape_kji))
        whole = np.broadcast_to(whole, geometry.shape_kji)
        by_plane = np.full(geometry.shape_kji, -1)
        for plane in stack:
            by_plane[voxels_of_plane(plane, geometry)] = plane.index
        assert np.array_equal(whole, by_plane)
        one_by_one = np.nonzero(by_plane >= 0)
        assert np.array_equal(plane_numbers(stack, one_by_one), by_plane[one_by_one])


@settings(max_examples=100, deadline=None)
@given(grid_geometries(), st.integers(0, 10_000), masks, st.sampled_from([0.2, 1.0, 3.7]))
def test_each_voxel_of_an_oblique_plane_reads_the_pixel_below_it(geometry, seed, chance, thickness_mm):
    """Against a plain search through all voxels, whatever the spacing, direction and thickness."""
    matrix = affine(random_direction(seed), (0.9, 0.9, thickness_mm), geometry.to_ras((geometry.size_ijk - 1) / 2))
    matrix[:3, 3] -= 5.3 * (matrix[:3, 0] + matrix[:3, 1])
    plane = Plane((12, 11), matrix)
    image = chance.random(plane.shape_yx) < 0.5
    x, y, steps = np.moveaxis(plane.to_pixels(centres_ras(geometry)), -1, 0)
    belongs = (np.abs(steps) < 0.5) & (x > -0.5) & (x < 11.5) & (y > -0.5) & (y < 10.5)
    near_a_border = (
        np.min([np.abs(np.abs(steps) - 0.5), *(np.abs(p - np.floor(p) - 0.5) for p in (x, y))], axis=0) < 1e-5
    )
    found = mask_to_voxels(image, plane, geometry)
    owned, shown = np.zeros(geometry.shape_kji, bool), np.zeros(geometry.shape_kji, bool)
    owned[found.voxels] = True
    found.write_into(shown)
    assert np.array_equal(owned[~near_a_border], belongs[~near_a_border])
    sure = belongs & ~near_a_border
    assert np.array_equal(shown[sure], image[np.rint(y[sure]).astype(int), np.rint(x[sure]).astype(int)])


@pytest.mark.parametrize("angle_degrees", [0, 45, 90, 135])
def test_voxels_exactly_between_two_planes_belong_to_one(angle_degrees):
    """Diagonal planes through voxel centres put whole sheets of voxels half-way between planes."""
    geometry = upright((12, 12, 12))
    angle = np.deg2rad(angle_degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    counts = np.zeros(geometry.shape_kji, dtype=int)
    for plane in ObliqueStack(affine(turn, (1, 1, 1), (6, 6, 6)), geometry):
        voxels = voxels_of_plane(plane, geometry)
        counts[voxels] += 1
    assert (counts == 1).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_voxels_of_an_oblique_plane_are_those_that_it_cuts(seed):
    geometry = random_geometry(seed, (9, 10, 11))
    plane = oblique_plane(affine(random_direction(seed + 7), (1, 1, 1), geometry.to_ras([4.3, 5.1, 3.2])), geometry)
    corners = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    offsets = corners @ geometry.ijk_to_ras[:3, :3].T
    depths = plane.to_pixels(centres_ras(geometry)[..., None, :] + offsets)[..., 2]
    cut = (depths.min(axis=-1) < 0) & (depths.max(axis=-1) > 0)
    found = np.zeros(geometry.shape_kji, dtype=bool)
    voxels = voxels_of_plane(plane, geometry)
    found[voxels] = True
    assert np.array_equal(found, cut)


@pytest.mark.parametrize("thickness_mm", [0.4, 2.0, 11.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_plane_of_any_thickness_owns_the_voxels_within_half_of_it(seed, thickness_mm):
    """Planes need not come from the grid that a mask is brought back to."""
    geometry = random_geometry(seed, (9, 10, 11))
    matrix = affine(random_direction(seed + 7), (1, 1, thickness_mm), geometry.to_ras([5.3, 5.1, 4.2]))
    matrix[:3, 3] -= 40 * (matrix[:3, 0] + matrix[:3, 1])
    plane = Plane((80, 80), matrix)
    found = np.zeros(geometry.shape_kji, dtype=bool)
    voxels = voxels_of_plane(plane, geometry)
    found[voxels] = True
    assert np.array_equal(found, np.abs(plane.to_pixels(centres_ras(geometry))[..., 2]) < 0.5)


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("seed", range(3))
def test_grid_planes_interpolate_linearly_between_voxel_centres(seed, orientation):
    geometry = random_geometry(seed, (7, 8, 9), (0.8, 1.1, 2.7))
    volume = ramp(geometry, (0.3, -0.5, 0.7), 11)
    for plane in PlaneStack(geometry, orientation):
        y, x = np.indices(plane.shape_yx)
        points = plane.to_ras(np.stack([x, y], axis=-1))
        between = (geometry.to_ijk(points) <= geometry.size_ijk - 1 + 1e-6).all(axis=-1)
        between &= (geometry.to_ijk(points) >= -1e-6).all(axis=-1)
        assert between.mean() > 0.8
        expected = points @ [0.3, -0.5, 0.7] + 11
        np.testing.assert_allclose(sample_plane(volume, plane)[between], expected[between], atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_oblique_planes_interpolate_linearly_between_voxel_centres(seed):
    geometry = random_geometry(seed, (17, 18, 19))
    volume = ramp(geometry, (0.3, -0.5, 0.7), 11)
    plane = oblique_plane(affine(random_direction(seed + 9), (1, 1, 1), geometry.to_ras([9, 9, 9])), geometry)
    y, x = np.indices(plane.shape_yx)
    points = plane.to_ras(np.stack([x, y], axis=-1))
    ijk = geometry.to_ijk(points)
    between = ((ijk >= 0) & (ijk <= geometry.size_ijk - 1)).all(axis=-1)
    outside = ((ijk < -0.51) | (ijk > geometry.size_ijk - 0.49)).any(axis=-1)
    image = sample_plane(volume, plane)
    assert between.sum() > 100
    np.testing.assert_allclose(image[between], (points @ [0.3, -0.5, 0.7] + 11)[between], atol=1e-3)
    assert outside.any()
    np.testing.assert_allclose(image[outside], volume.intensity_range[0], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64, np.int64])
def test_an_isotropic_grid_plane_is_the_slice_itself(dtype):
    geometry = GridGeometry((4, 5, 6), affine(np.diag([-1, -1, 1]), (1, 1, 1), (0, 0, 0)))
    voxels = np.arange(120).reshape(4, 5, 6).astype(dtype)
    image = sample_plane(Volume(voxels, geometry), PlaneStack(geometry, Orientation.AXIAL)[2])
    assert image.dtype == np.float32
    assert np.array_equal(image, voxels[2])
    oblique = oblique_plane(affine(np.diag([-1, 1, 1]), (1, 1, 1), (0, 0, 2)), geometry)
    np.testing.assert_allclose(sample_plane(Volume(voxels, geometry), oblique), voxels[2])


def test_rgb_planes_keep_their_colours():
    geometry = GridGeometry((1, 5, 6), affine(np.diag([-1, -1, 1]), (1, 1, 1), (0, 0, 0)))
    voxels = np.random.default_rng(0).integers(0, 256, (1, 5, 6, 3), dtype=np.uint8)
    image = sample_plane(Volume(voxels, geometry), PlaneStack(geometry, Orientation.AXIAL)[0])
    assert image.dtype == np.uint8
    assert np.array_equal(image, voxels[0])
    turned = affine(random_direction(1), (1, 1, 1), (-2, -2, 0))
    assert sample_plane(Volume(voxels, geometry), oblique_plane(turned, geometry)).shape[2] == 3
    beside = Plane((2, 2), affine(np.eye(3), (1, 1, 1), (100, 100, 0)))
    assert np.array_equal(sample_plane(Volume(voxels, geometry), beside), np.zeros((2, 2, 3)))


@pytest.mark.parametrize("colours", [(), (3,)])
def test_pixels_that_are_voxels_are_not_interpolated(colours, monkeypatch):
    taken, take = [], np.take
    monkeypatch.setattr(np, "take", lambda *arguments, **more: taken.append(arguments) or take(*arguments, **more))
    geometry = GridGeometry((3, 40, 50), affine(np.eye(3), (0.0005, 0.0005, 0.002), (5000, -3000, 2000)))
    voxels = np.random.default_rng(1).integers(0, 255, (3, 40, 50, *colours), dtype=np.uint8)
    image = sample_plane(Volume(voxels, geometry), PlaneStack(geometry, Orientation.AXIAL)[1])
    assert not taken
    assert np.array_equal(image, voxels[1, ::-1, ::-1])


@pytest.mark.parametrize("turned", [False, True], ids=["grid", "oblique"])
def test_a_nan_voxel_stays_in_its_neighbourhood(turned):
    geometry = upright((9, 9, 9))
    voxels = np.ones((9, 9, 9), dtype=np.float32)
    voxels[4, 4, 4] = np.nan
    slice_to_ras = affine(random_direction(3) if turned else np.diag([-1, 1, 1]), (1, 1, 1), (4, 4, 4))
    plane = oblique_plane(slice_to_ras, geometry)
    image = sample_plane(Volume(voxels, geometry), plane)
    y, x = np.indices(plane.shape_yx)
    distance = np.linalg.norm(plane.to_ras(np.stack([x, y], axis=-1)) - [4, 4, 4], axis=-1)
    assert 1 <= np.isnan(image).sum() <= 9
    assert not np.isnan(image[distance > np.sqrt(3)]).any()


@pytest.mark.parametrize("seed", range(5))
def test_a_nan_voxel_blanks_one_pixel_of_a_turned_grid(seed):
    """Rows that need no interpolation are recognised in spite of the rounding of a direction's cosines."""
    geometry = random_geometry(seed, (7, 8, 9), (1.1, 1.1, 1.1))
    voxels = np.ones(geometry.shape_kji, dtype=np.float32)
    voxels[3, 4, 5] = np.nan
    for orientation in Orientation:
        planes = PlaneStack(geometry, orientation)
        assert sum(np.isnan(sample_plane(Volume(voxels, geometry), plane)).sum() for plane in planes) == 1


def test_the_outer_half_voxel_repeats_the_border_and_beyond_is_the_minimum():
    geometry = upright((3, 3, 3))
    volume = Volume(np.full((3, 3, 3), 7, np.int16) - 10 * (np.indices((3, 3, 3)).sum(0) == 6), geometry)
    for y_axis in ((0, 1, 0), (0, np.cos(1), np.sin(1))):
        up = np.array(y_axis)
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([[1, 0, 0], -up, np.cross([1, 0, 0], up)], axis=1)
        matrix[:3, 3] = (0, 0, 0)
        plane = Plane((1, 1), matrix)
        assert sample_plane(volume, plane)[0, 0] == 7
        for x, expected in ((-0.4, 7), (-0.6, -3), (2.4, 7), (2.6, -3)):
            beside = matrix.copy()
            beside[0, 3] = x
            assert sample_plane(volume, Plane((1, 1), beside))[0, 0] == expected


def test_a_plane_between_two_slices_mixes_them_and_owns_the_nearer():
    geometry = upright((4, 3, 3), (1, 1, 2))
    volume = Volume(np.repeat([0, 10, 20, 30], 9).reshape(4, 3, 3).astype(np.int16), geometry)
    plane = oblique_plane(affine(np.diag([-1, 1, 1]), (1, 1, 1), (0, 0, 2.6)), geometry)
    np.testing.assert_allclose(sample_plane(volume, plane), 13)
    block = mask_to_voxels(np.ones(plane.shape_yx, bool), plane, geometry)
    assert block.voxels == (slice(1, 2), slice(0, 3), slice(0, 3))
    assert block.mask.all()


def test_scores_are_interpolated_at_the_voxels_own_centre():
    geometry = upright((2, 1, 3), (1, 1, 2.5))
    plane = PlaneStack(geometry, Orientation.CORONAL)[0]
    assert plane.size_xy == (3, 4)
    below = plane.to_pixels(geometry.to_ras([0, 0, 0]))[1]
    assert below == pytest.approx(2.5)
    scores = np.full(plane.shape_yx, -1.0)
    scores[3] = 1.1
    assert mask_to_voxels(scores, plane, geometry).mask[0].all()
    scores[3] = 0.9
    assert not mask_to_voxels(scores, plane, geometry).mask.any()


def test_scores_that_are_not_numbers_are_not_object():
    geometry = upright((3, 4, 5))
    for plane in (
        PlaneStack(geometry, Orientation.AXIAL)[1],
        oblique_plane(affine(random_direction(3), (1, 1, 1), (2, 2, 1)), geometry),
    ):
        assert not mask_to_voxels(np.full(plane.shape_yx, np.nan), plane, geometry).mask.any()


def test_only_voxels_under_the_plane_are_written():
    """A plane that shows a part of its slice must not erase the rest of it."""
    geometry = upright((4, 6, 6))
    whole = PlaneStack(geometry, Orientation.AXIAL)[2]
    part = Plane((3, 2), whole.pixel_to_ras)
    turned = oblique_plane(affine(random_direction(3), (1, 1, 1), (2, 2, 2)), geometry)
    smaller = Plane((max(turned.size_xy[0] - 3, 1), turned.size_xy[1]), turned.pixel_to_ras)
    for plane, complete in ((part, whole), (smaller, turned)):
        target = np.ones(geometry.shape_kji, dtype=np.uint8)
        mask_to_voxels(np.zeros(plane.shape_yx, bool), plane, geometry).write_into(target)
        erased = target == 0
        pixels = plane.to_pixels(centres_ras(geometry)[erased])[:, :2]
        assert (pixels < np.array(plane.size_xy) - 0.5 + 1e-6).all()
        assert 0 < erased.sum() < np.ones(geometry.shape_kji)[voxels_of_plane(complete, geometry)].sum()


@pytest.mark.parametrize("seed", range(3))
def test_a_mask_cut_by_an_oblique_plane_is_that_of_the_nearest_voxels(seed):
    geometry = random_geometry(seed, (9, 10, 11))
    mask = np.random.default_rng(seed).random(geometry.shape_kji) < 0.5
    plane = oblique_plane(affine(random_direction(seed), (1, 1, 1), geometry.to_ras([5, 5, 5])), geometry)
    image = voxels_to_mask(mask, plane, geometry)
    for x, y in np.random.default_rng(1).integers(0, plane.size_xy, (200, 2)):
        i, j, k = np.rint(geometry.to_ijk(plane.to_ras([x, y]))).astype(int)
        inside = 0 <= i < 11 and 0 <= j < 10 and 0 <= k < 9
        assert image[y, x] == (inside and mask[k, j, i])


def test_a_plane_beside_the_grid_shows_and_owns_nothing():
    geometry = upright((3, 3, 3))
    mask = np.ones(geometry.shape_kji, bool)
    for direction in (np.eye(3), random_direction(2)):
        plane = Plane((4, 4), affine(direction, (1, 1, 1), (100, 100, 100)))
        assert not voxels_to_mask(mask, plane, geometry).any()
        block = mask_to_voxels(np.ones((4, 4), bool), plane, geometry)
        assert block.mask.size == 0
        block.write_into(mask)
        assert mask.all()
        assert (sample_plane(Volume(mask, geometry), plane) == 1).all()


def test_masks_of_another_shape_are_refused():
    geometry = upright((3, 4, 5))
    plane = PlaneStack(geometry, Orientation.AXIAL)[0]
    with pytest.raises(ValueError, match="does not fit a plane"):
        mask_to_voxels(np.zeros((5, 4), bool), plane, geometry)
    with pytest.raises(ValueError, match="does not fit a grid"):
        voxels_to_mask(np.zeros((5, 4, 3), bool), plane, geometry)


def test_a_volume_is_never_copied_for_a_plane():
    geometry = upright((120, 150, 160), (1, 1, 2))
    voxels = np.random.default_rng(0).integers(-1000, 1000, geometry.shape_kji, dtype=np.int16)
    volume = Volume(voxels, geometry)
    planes = [PlaneStack(geometry, orientation)[60] for orientation in Orientation]
    planes.append(oblique_plane(affine(random_direction(2), (1, 1, 1), (80, 80, 120)), geometry))
    for plane in planes:
        tracemalloc.start()
        sample_plane(volume, plane)
        voxels_to_mask(voxels, plane, geometry)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.7 * voxels.nbytes


def test_the_voxels_of_an_oblique_plane_take_no_memory_for_the_box_around_them():
    geometry = upright((200, 300, 300), (0.8, 0.8, 2))
    plane = oblique_plane(affine(random_direction(2), (1, 1, 1), geometry.to_ras((150, 150, 100))), geometry)
    tracemalloc.start()
    marked = mask_to_voxels(np.ones(plane.shape_yx, bool), plane, geometry)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(marked.mask) > 50_000
    assert peak < np.prod(geometry.shape_kji)


def test_sampling_leaves_the_volume_as_it_was():
    geometry = random_geometry(1, (8, 9, 10))
    voxels = np.random.default_rng(0).normal(size=(8, 9, 10))
    before = voxels.copy()
    volume = Volume(voxels, geometry)
    sample_plane(volume, oblique_plane(affine(np.eye(3), (1, 1, 1), geometry.to_ras([5, 5, 4])), geometry))
    for orientation in Orientation:
        sample_plane(volume, PlaneStack(geometry, orientation)[3])
    assert np.array_equal(voxels, before)
