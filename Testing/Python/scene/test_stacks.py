"""Names of planes that survive saving and moving."""

import numpy as np
import pytest
import scenery
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.scene.record.stacks import (
    StackKey,
    axis_orientation,
    build_stack,
    nearest_index,
    orientation_key,
    stack_name,
    view_key,
)
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.planes import ObliqueStack, Orientation, PlaneStack

STILL = np.eye(4)


def geometry(seed=None) -> GridGeometry:
    rotation = np.eye(3) if seed is None else scenery.rigid(seed)[:3, :3]
    return GridGeometry((12, 24, 28), scenery.ijk_to_ras((0.7, 0.7, 2.5), rotation))


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_grid_planes_are_named_by_the_voxel_axis_they_cross(orientation, seed):
    grid = geometry(seed)
    key = orientation_key(orientation, grid)
    assert "IJK"[PlaneStack(grid, orientation).axis] == key.text
    assert axis_orientation(key.axis, grid) is orientation
    assert stack_name(key, grid) == orientation.value
    assert len(build_stack(key, grid, STILL)) == grid.size_ijk[key.axis]


@given(st.integers(0, 1000), st.integers(0, 2), st.floats(0, 2 * np.pi), st.floats(-1, 1))
@settings(max_examples=60, deadline=None)
def test_a_view_along_a_grid_plane_is_that_plane_however_it_is_turned(seed, axis, turn, tilt):
    grid = geometry(seed)
    directions = grid.ijk_to_ras[:3, :3] / grid.spacing_ijk
    a, b = (directions[:, n] for n in range(3) if n != axis)
    # At most a tenth of a slice over the volume.
    leaning = tilt * 0.1 * grid.spacing_ijk[axis] / np.linalg.norm(grid.size_ijk * grid.spacing_ijk)
    view = np.eye(4)
    view[:3, 0] = np.cos(turn) * a + np.sin(turn) * b + leaning * directions[:, axis]
    view[:3, 1] = -np.sin(turn) * a + np.cos(turn) * b
    view[:3, 2] = np.cross(view[:3, 0], view[:3, 1])
    view[:3, 3] = grid.to_ras((grid.size_ijk - 1) / 2)
    assert view_key(view, grid, STILL).axis == axis


def test_a_slanting_view_is_a_stack_of_its_own_that_moves_with_the_volume():
    local = geometry()
    move = scenery.rigid(5)
    world = local.transformed(move)
    middle = local.to_ras((local.size_ijk - 1) / 2)
    view = scenery.slice_to_ras((1, 2, 3), middle)
    key = view_key(move @ view, world, move)
    assert key == view_key(view, local, STILL)
    assert stack_name(key, world) == "oblique"
    before, after = build_stack(key, local, STILL), build_stack(key, world, move)
    assert len(before) == len(after)
    points = local.to_ras(np.random.default_rng(0).uniform(0, 10, (20, 3)))
    for point in points:
        moved = move[:3, :3] @ point + move[:3, 3]
        assert before.index_of(point) == pytest.approx(after.index_of(moved), abs=1e-6)


def test_the_planes_of_a_stretched_and_sheared_volume_are_parallel_to_the_view():
    local = geometry()
    move = scenery.rigid(5)
    move[:3, :3] = move[:3, :3] @ [[1.4, 0.3, 0], [0, 0.8, 0.2], [0, 0, 1.1]]
    world = local.transformed(move)
    view = scenery.slice_to_ras((1, 2, 3), world.to_ras(world.size_ijk // 2))
    stack = build_stack(view_key(view, world, move), world, move)
    plane = stack[nearest_index(stack, view[:3, 3])]
    np.testing.assert_allclose(plane.normal_ras, view[:3, 2], atol=1e-5)
    np.testing.assert_allclose(plane.pixel_to_ras[:3, 0] / plane.pixel_size_mm, view[:3, 0], atol=1e-5)


def test_views_of_one_direction_share_their_planes_wherever_they_are():
    grid = geometry()
    middle = grid.to_ras(grid.size_ijk // 2)
    here = scenery.slice_to_ras((1, 2, 3), middle)
    there = here.copy()
    there[:3, 3] += 4.2 * here[:3, 2] + 3 * here[:3, 0]
    key = view_key(here, grid, STILL)
    assert view_key(there, grid, STILL) == key
    stack = build_stack(key, grid, STILL)
    assert isinstance(stack, ObliqueStack)
    assert nearest_index(stack, here[:3, 3]) == stack.home
    step = stack[0].thickness_mm
    assert nearest_index(stack, there[:3, 3]) == stack.home + round(4.2 / step)


def test_a_view_that_differs_by_rounding_takes_the_known_name():
    grid = geometry()
    view = scenery.slice_to_ras((1, 2, 3), grid.to_ras([5, 5, 5]))
    key = view_key(view, grid, STILL)
    wobbling = view.copy()
    wobbling[:3, :3] += 2e-6
    assert view_key(wobbling, grid, STILL, [StackKey("K"), key]) == key
    turned = scenery.slice_to_ras((1, 2, 3.1), grid.to_ras([5, 5, 5]))
    assert view_key(turned, grid, STILL, [key]) != key


def test_a_view_off_the_volume_is_refused():
    grid = geometry()
    stack = build_stack(StackKey("K"), grid, STILL)
    for inside, index in ((-0.4, 0), (11.4, 11)):
        assert nearest_index(stack, grid.to_ras([0, 0, inside])) == index
    for outside in (-0.6, 11.6):
        with pytest.raises(PromptError, match="does not cross"):
            nearest_index(stack, grid.to_ras([0, 0, outside]))


@pytest.mark.parametrize("text", ["", "X", "1,2,3", "1,0,0,0,nan,0", "1,0,0,0.7,0.7,0", "0,0,0,0,0,0", "KK"])
def test_a_text_that_names_no_stack_is_refused(text):
    with pytest.raises(PromptError, match="names no stack"):
        StackKey(text)
