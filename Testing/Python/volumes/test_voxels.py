"""Blocks and scattered voxels behave alike: both are compared with plain boolean grids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.volumes.voxels import (
    NO_BLOCK,
    VoxelMask,
    block_around,
    clip,
    common_block,
    is_block,
    joint_block,
    narrow,
    numbers_of,
    put_where,
    shape_of,
    values_at,
    whole_block,
)

GRID = (7, 6, 8)


@st.composite
def blocks(draw):
    """Inside the grid; empty ones too."""
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in GRID]
    return tuple(slice(*pair) for pair in ends)


@st.composite
def voxel_sets(draw):
    if draw(st.booleans()):
        return draw(blocks())
    # Often many, so that some lie in the blocks that they are tried with.
    places = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).permutation(int(np.prod(GRID)))
    return np.unravel_index(places[: draw(st.integers(0, len(places)))], GRID)


@st.composite
def masks(draw):
    voxels = draw(voxel_sets())
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return VoxelMask(voxels, chance.random(shape_of(voxels)) < draw(st.sampled_from([0.0, 0.2, 0.8, 1.0])))


def on_grid(voxels, values=True) -> np.ndarray:
    grid = np.zeros(GRID, bool)
    grid[voxels] = values
    return grid


@given(voxel_sets())
def test_values_have_the_shape_that_is_told(voxels):
    assert np.ones(GRID)[voxels].shape == shape_of(voxels)


@given(voxel_sets())
def test_numbers_are_those_of_the_voxels(voxels):
    for numbers, expected in zip(numbers_of(voxels), np.indices(GRID), strict=True):
        assert np.array_equal(np.broadcast_to(numbers, shape_of(voxels)), expected[voxels])


@given(voxel_sets())
def test_the_block_around_voxels_touches_them_on_all_sides(voxels):
    around = block_around(voxels)
    if is_block(voxels):
        assert around == voxels
    elif len(voxels[0]):
        assert around == tuple(slice(min(numbers), max(numbers) + 1) for numbers in voxels)


@given(masks(), blocks())
def test_clipping_leaves_what_lies_in_the_block(marked, block):
    part, where = clip(marked.voxels, block)
    assert np.array_equal(on_grid(part), on_grid(marked.voxels) & on_grid(block))
    assert np.array_equal(on_grid(part, marked.mask[where]), on_grid(marked.voxels, marked.mask) & on_grid(block))
    assert is_block(part) == is_block(marked.voxels)


@given(voxel_sets())
def test_what_lies_in_the_block_whole_is_not_copied(voxels):
    part, where = clip(voxels, whole_block(GRID))
    if all(shape_of(voxels)):
        assert part == voxels if is_block(voxels) else part is voxels
        assert where is ...


@given(masks())
def test_narrowing_keeps_the_object_and_no_more_than_its_box(marked):
    part, where = narrow(marked.voxels, marked.mask)
    assert np.array_equal(on_grid(part, marked.mask[where]), on_grid(marked.voxels, marked.mask))
    narrowed = marked.narrowed()
    assert narrowed.mask.shape == shape_of(narrowed.voxels)
    if not is_block(marked.voxels):
        assert narrowed.mask.all()
    elif marked.mask.any():
        assert part == block_around(np.nonzero(on_grid(marked.voxels, marked.mask)))
    else:
        assert not narrowed.mask.size


@given(masks(), blocks())
def test_values_are_read_and_written_in_a_part_of_the_grid(marked, block):
    part, where = clip(marked.voxels, block)
    mask = marked.mask[where]
    grid = np.arange(np.prod(GRID)).reshape(GRID)
    array = grid[block].copy()
    assert np.array_equal(values_at(array, block, part), grid[part])
    put_where(array, block, VoxelMask(part, mask), -1)
    grid[on_grid(part, mask)] = -1
    assert np.array_equal(array, grid[block])


@given(masks())
def test_a_mask_is_written_on_its_voxels_alone(marked):
    target = np.full(GRID, 7, np.uint8)
    marked.write_into(target)
    expected = np.where(on_grid(marked.voxels), on_grid(marked.voxels, marked.mask), 7)
    assert np.array_equal(target, expected)


@given(blocks(), blocks())
def test_common_and_joint_blocks(a, b):
    assert np.array_equal(on_grid(common_block(a, b)), on_grid(a) & on_grid(b))
    joint = on_grid(joint_block(a, b))
    both = on_grid(a) | on_grid(b)
    assert not (both & ~joint).any()
    assert joint_block(a, b) == (block_around(np.nonzero(both)) if both.any() else NO_BLOCK)


@pytest.mark.parametrize("voxels", [NO_BLOCK, tuple(np.zeros((3, 0), int))], ids=["block", "scattered"])
def test_no_voxels_at_all(voxels):
    assert not on_grid(voxels).any()
    assert not on_grid(block_around(voxels)).any()
    part, where = clip(voxels, (slice(2, 4),) * 3)
    assert not np.zeros(shape_of(voxels), bool)[where].size
    assert not values_at(np.zeros((2, 2, 2)), (slice(2, 4),) * 3, part).size
