from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from example_grids import affine, grid_geometries, random_direction
from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.plane_prompts import prompted_planes, prompts_on_plane
from SAMUNetSlicerLib.volumes.planes import ObliqueStack, Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign

# 1 mm voxels of a volume in Slicer's simplest position: axial plane k lies at S = k, pixel x towards L.
UNIT = GridGeometry((10, 20, 30), np.eye(4))
AXIAL = PlaneStack(UNIT, Orientation.AXIAL)


UPRIGHT = np.eye(3)


def boxed(centre, size, axes=UPRIGHT, extent=BoxExtent.CENTRE_PLANE, label="R") -> SegmentPrompts:
    return SegmentPrompts("liver", boxes=(BoxPrompt(centre, size, tuple(map(tuple, axes)), extent, label),))


def pointed(*positions, sign=Sign.POSITIVE) -> SegmentPrompts:
    return SegmentPrompts("liver", points=tuple(PointPrompt(p, sign, f"F-{n}") for n, p in enumerate(positions, 1)))


def box_around(grid: GridGeometry, first_ijk, last_ijk, **fields) -> SegmentPrompts:
    """The ROI that exactly encloses the voxels first .. last, along the grid's own axes."""
    first, last = np.array(first_ijk), np.array(last_ijk)
    axes = (grid.ijk_to_ras[:3, :3] / grid.spacing_ijk).T
    return boxed(grid.to_ras((first + last) / 2), (last - first + 1) * grid.spacing_ijk, axes, **fields)


@st.composite
def voxel_ranges(draw, grid: GridGeometry):
    pairs = [sorted(draw(st.tuples(*[st.integers(0, int(n) - 1)] * 2))) for n in grid.size_ijk]
    return tuple(np.array(pairs).T)


def test_a_box_around_pixels_is_half_open():
    """On an axial plane pixel x runs from R to L: voxel i is pixel 29 - i, and y runs from A to P."""
    found = prompted_planes(box_around(UNIT, (2, 3, 4), (5, 9, 4)), AXIAL)
    assert list(found) == [4]
    assert found[4].box_xyxy == (29 - 5, 19 - 9, 29 - 2 + 1, 19 - 3 + 1)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), grid=grid_geometries(), orientation=st.sampled_from(Orientation))
def test_a_box_around_voxels_covers_just_their_area_on_any_grid(data, grid, orientation):
    first, last = data.draw(voxel_ranges(grid))
    stack = PlaneStack(grid, orientation)
    index, prompts = only(prompted_planes(box_around(grid, first, last), stack))
    assert first[stack.axis] <= index <= last[stack.axis]
    assert index == np.floor((first + last)[stack.axis] / 2 + 0.5)
    x0, y0, x1, y1 = prompts.box_xyxy
    plane = stack[index]
    corners_ijk = grid.to_ijk(plane.to_ras([(x0 - 0.5, y0 - 0.5), (x1 - 0.5, y1 - 0.5)]))
    low, high = np.delete(np.sort(corners_ijk, axis=0), stack.axis, axis=1)
    # Planes end at the middle of the outermost voxels where their pixels are finer than the voxels.
    border = grid.to_ijk(plane.to_ras([(-0.5, -0.5), np.array(plane.size_xy) - 0.5]))
    border_low, border_high = np.delete(np.sort(border, axis=0), stack.axis, axis=1)
    assert np.allclose(low, np.maximum(np.delete(first, stack.axis) - 0.5, border_low), atol=1e-4)
    assert np.allclose(high, np.minimum(np.delete(last, stack.axis) + 0.5, border_high), atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), grid=grid_geometries(), orientation=st.sampled_from(Orientation))
def test_a_box_prompts_all_its_planes_when_asked(data, grid, orientation):
    first, last = data.draw(voxel_ranges(grid))
    stack = PlaneStack(grid, orientation)
    found = prompted_planes(box_around(grid, first, last, extent=BoxExtent.ALL_PLANES), stack)
    assert list(found) == list(range(first[stack.axis], last[stack.axis] + 1))
    assert len({prompts.box_xyxy for prompts in found.values()}) == 1


@settings(max_examples=100, deadline=None)
@given(data=st.data(), grid=grid_geometries(), orientation=st.sampled_from(Orientation))
def test_a_point_goes_to_its_nearest_plane_and_back(data, grid, orientation):
    shares = np.array(data.draw(st.tuples(*[st.floats(0, 1)] * 3)))
    position = grid.to_ras(shares * (grid.size_ijk - 1))
    index, prompts = only(prompted_planes(pointed(position), PlaneStack(grid, orientation)))
    plane = PlaneStack(grid, orientation)[index]
    steps = plane.to_pixels(position)[2]
    assert abs(steps) <= 0.5 + 1e-9
    assert np.allclose(plane.to_ras(np.append(prompts.points_xy[0], steps)), position, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), grid=grid_geometries(), rotation=st.tuples(*[st.floats(-0.6, 0.6)] * 3))
def test_an_oblique_cross_section_is_enclosed_tightly(data, grid, rotation):
    """Against a fine sampling of the box: no sample on the plane lies outside the rectangle, and samples reach it."""
    turned = Rotation.from_rotvec(rotation).as_matrix()
    middle = grid.to_ras((grid.size_ijk - 1) / 2)
    slice_to_ras = np.eye(4)
    slice_to_ras[:3, :3], slice_to_ras[:3, 3] = turned, middle
    stack = ObliqueStack(slice_to_ras, grid)
    plane = stack[stack.home]
    share = data.draw(st.floats(0.3, 0.8))
    size = share * grid.spacing_ijk * grid.size_ijk
    assume(min(size) > 0.2)
    prompts = boxed(middle, size, (grid.ijk_to_ras[:3, :3] / grid.spacing_ijk).T)
    x0, y0, x1, y1 = prompts_on_plane(prompts, stack, stack.home).box_xyxy
    xy = np.stack(np.meshgrid(np.linspace(x0 - 2, x1 + 2, 120), np.linspace(y0 - 2, y1 + 2, 120)), -1).reshape(-1, 2)
    box = prompts.boxes[0]
    local = (plane.to_ras(xy - 0.5) - np.array(box.centre_ras)) @ np.array(box.axes_ras).T
    inside = xy[(np.abs(local) <= np.array(box.size_mm) / 2).all(axis=1)]
    pitch = np.array([x1 - x0 + 4, y1 - y0 + 4]) / 119
    assert (inside >= np.array([x0, y0]) - 1e-6).all()
    assert (inside <= np.array([x1, y1]) + 1e-6).all()
    assert (inside.min(axis=0) <= np.array([x0, y0]) + 4 * pitch).all()
    assert (inside.max(axis=0) >= np.array([x1, y1]) - 4 * pitch).all()


def only(found: dict):
    ((index, prompts),) = found.items()
    return index, prompts


def test_a_turned_box_becomes_the_upright_rectangle_around_its_section():
    turn = Rotation.from_euler("z", 45, degrees=True).as_matrix().T
    _, prompts = only(prompted_planes(boxed((15, 10, 5), (4, 4, 3), turn), AXIAL))
    half = 2 * np.sqrt(2)
    x, y = 29 - 15 + 0.5, 19 - 10 + 0.5
    assert prompts.box_xyxy == pytest.approx((x - half, y - half, x + half, y + half), abs=1e-5)


def test_a_tilted_flat_box_prompts_its_centre_plane_with_its_whole_outline_there():
    """Thinner than a slice and tilted about x, it crosses the middle of plane 5 in a sliver only."""
    tilt = Rotation.from_euler("x", 10, degrees=True).as_matrix().T
    prompts = boxed((15, 10, 5.3), (6, 8, 0.2), tilt)
    index, found = only(prompted_planes(prompts, AXIAL))
    assert index == 5
    x0, _, x1, _ = found.box_xyxy
    assert (x0, x1) == pytest.approx((29 - 15 + 0.5 - 3, 29 - 15 + 0.5 + 3))


@pytest.mark.parametrize("extent", BoxExtent)
@pytest.mark.parametrize("thickness", [0, 0.01, 0.5])
def test_a_box_thinner_than_a_slice_prompts_its_centre_plane(extent, thickness):
    index, found = only(prompted_planes(boxed((15, 10, 5.4), (6, 8, thickness), extent=extent), AXIAL))
    assert index == 5
    assert found.box_xyxy == (29 - 18 + 0.5, 19 - 14 + 0.5, 29 - 12 + 0.5, 19 - 6 + 0.5)


def test_a_box_is_clipped_to_the_plane():
    _, found = only(prompted_planes(boxed((0, 0, 5), (10, 10, 3)), AXIAL))
    assert found.box_xyxy == (24.5, 14.5, 30, 20)


def test_a_box_that_leaves_the_volume_prompts_the_planes_inside():
    found = prompted_planes(boxed((15, 10, 8), (6, 8, 7), extent=BoxExtent.ALL_PLANES), AXIAL)
    assert list(found) == [5, 6, 7, 8, 9]
    found = prompted_planes(boxed((15, 10, 12), (6, 8, 9), extent=BoxExtent.ALL_PLANES), AXIAL)
    assert list(found) == [8, 9]


def test_a_box_that_just_reaches_the_middle_of_a_plane_prompts_it():
    found = prompted_planes(boxed((15, 10, 5), (6, 8, 2 - 1e-9), extent=BoxExtent.ALL_PLANES), AXIAL)
    assert list(found) == [4, 5, 6]


def test_points_and_box_of_a_plane_come_together():
    prompts = replace(boxed((15, 10, 5), (6, 8, 3)), points=pointed((15, 10, 5.2), (1, 2, 2)).points)
    prompts = replace(prompts, points=(*prompts.points, PointPrompt((14, 9, 4.6), Sign.NEGATIVE)))
    found = prompted_planes(prompts, AXIAL)
    assert list(found) == [2, 5]
    assert found[5].points_xy == ((14, 9), (15, 10))
    assert found[5].signs == (Sign.POSITIVE, Sign.NEGATIVE)
    assert found[5].box_xyxy is not None
    assert found[2].box_xyxy is None


@settings(max_examples=100, deadline=None)
@given(data=st.data(), grid=grid_geometries(), extent=st.sampled_from(BoxExtent), seed=st.integers(0, 10_000))
def test_each_plane_alone_gives_what_its_stack_gives(data, grid, extent, seed):
    """Also for prompts exactly between two planes, and in the corners of a volume that the planes cross obliquely."""
    first, last = data.draw(voxel_ranges(grid))
    shares = data.draw(st.lists(st.tuples(*[st.sampled_from([0, 0.3, 0.5, 1])] * 3), max_size=3))
    points = pointed(*(grid.to_ras(np.array(share) * grid.size_ijk - 0.5) for share in shares)).points
    prompts = replace(box_around(grid, first, last, extent=extent), points=points)
    oblique = ObliqueStack(affine(random_direction(seed), (1, 1, 1), grid.to_ras((grid.size_ijk - 1) / 2)), grid)
    for stack in (oblique, *(PlaneStack(grid, orientation) for orientation in Orientation)):
        found = prompted_planes(prompts, stack)
        assert {n: alone for n in range(len(stack)) if (alone := prompts_on_plane(prompts, stack, n))} == found


def test_a_box_that_belongs_to_the_next_plane_is_no_second_box_of_this_one():
    """Around an even number of slices its centre lies exactly between two."""
    even, own = box_around(UNIT, (2, 3, 4), (5, 9, 5)), box_around(UNIT, (10, 3, 4), (15, 9, 4))
    both = replace(even, boxes=even.boxes + own.boxes)
    assert prompts_on_plane(both, AXIAL, 4) == prompts_on_plane(own, AXIAL, 4)
    assert prompts_on_plane(both, AXIAL, 5) == prompts_on_plane(even, AXIAL, 5)


def test_an_oblique_stack_takes_prompts_too():
    slice_to_ras = np.eye(4)
    slice_to_ras[:3, :3] = Rotation.from_euler("x", 30, degrees=True).as_matrix()
    slice_to_ras[:3, 3] = (15, 10, 5)
    stack = ObliqueStack(slice_to_ras, UNIT)
    index, found = only(prompted_planes(pointed((15, 10, 5)), stack))
    assert index == stack.home
    assert np.allclose(stack[index].to_ras(found.points_xy[0]), (15, 10, 5), atol=1e-5)


def test_a_point_in_the_outer_half_of_a_thick_slice_is_on_the_border_pixel():
    """Coronal pixels are 1 mm, slices 5 mm: the first pixel's centre is the first slice's."""
    thick = GridGeometry((4, 20, 30), np.diag([1.0, 1, 5, 1]))
    _, found = only(prompted_planes(pointed((15, 10, -2.4)), PlaneStack(thick, Orientation.CORONAL)))
    assert found.points_xy == ((14, 15.5),)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (SegmentPrompts("liver"), "'liver' has no prompt"),
        (pointed((15, 10, 5), (15, 10, 9.6)), "'F-2' of segment 'liver' at R 15.0, A 10.0, S 9.6 mm lies outside"),
        (pointed((-0.6, 10, 5)), "'F-1' of segment 'liver' .* lies outside"),
        (pointed((15, 10, 5), sign=Sign.NEGATIVE), "'liver', axial plane 5: All points are negative"),
        (boxed((15, 10, 12), (6, 8, 9)), "'R' of segment 'liver' lies outside the volume or has no size"),
        (boxed((15, 10, 20), (6, 8, 9), extent=BoxExtent.ALL_PLANES), "lies outside the volume or has no size"),
        (boxed((50, 10, 5), (6, 8, 9)), "lies outside the volume or has no size"),
        (boxed((15, 10, 5), (0, 8, 9)), "lies outside the volume or has no size on the plane through its centre"),
        (replace(boxed((15, 10, 5), (6, 8, 3)), boxes=boxed((15, 10, 5), (6, 8, 3)).boxes * 2), "2 boxes on axial"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused_by_name(prompts, message):
    with pytest.raises(PromptError, match=message):
        prompted_planes(prompts, AXIAL)


def test_a_prompt_beside_the_volume_concerns_its_plane_alone():
    for beside in (pointed((40, 10, 5)), boxed((40, 10, 5), (6, 8, 3))):
        with pytest.raises(PromptError, match="of segment 'liver' .*lies outside the volume"):
            prompts_on_plane(beside, AXIAL, 5)
        assert prompts_on_plane(beside, AXIAL, 6) is None
    for below in (pointed((15, 10, -3)), boxed((15, 10, -3), (6, 8, 3))):
        assert prompts_on_plane(below, AXIAL, 0) is None
