"""Sets of voxels in little memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from SAMUNetSlicerLib.scene.history.packed_voxels import pack_voxels
from SAMUNetSlicerLib.volumes.voxels import VoxelMask, whole_block


@given(
    arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=9)), st.tuples(*[st.integers(0, 50)] * 3), st.booleans()
)
def test_voxels_come_back_where_they_were(mask, corner, scattered):
    grid = np.zeros([c + n for c, n in zip(corner, mask.shape, strict=True)], bool)
    block = tuple(slice(c, None) for c in corner)
    grid[block] = mask
    # All voxels of the block are listed, in no order.
    among = np.argwhere(np.pad(np.ones(mask.shape, bool), [(c, 0) for c in corner]))
    voxels = tuple(np.random.default_rng(0).permutation(among).T) if scattered else whole_block(grid.shape)
    packed = pack_voxels(VoxelMask(voxels, grid[voxels]))
    again, unpacked = np.zeros_like(grid), packed.unpacked()
    again[unpacked.voxels] = unpacked.mask
    assert np.array_equal(again, grid)
    assert packed.count == mask.sum()
    assert bool(packed) == mask.any()
    assert packed.nbytes == len(packed.data)


def test_a_full_plane_takes_a_thousandth_of_its_voxels():
    packed = pack_voxels(VoxelMask((slice(5, 6), slice(0, 512), slice(0, 512)), np.ones((1, 512, 512), bool)))
    assert packed.nbytes < 512 * 512 / 1000


def test_a_slanted_plane_takes_a_bit_a_voxel_and_no_more_for_the_box_around_it():
    j, i = np.indices((512, 512)).reshape(2, -1)
    packed = pack_voxels(VoxelMask((200 - (i + j) // 6, j, i), np.ones(512 * 512, bool)))
    assert packed.nbytes < 512 * 512 / 8


def test_voxels_far_apart_come_back_too():
    """Steps longer than 32 bits hold, in a grid that nobody could keep in memory."""
    voxels = (np.array([0, 4000, 1]), np.array([3, 999, 0]), np.array([7, 1999, 1]))
    unpacked = pack_voxels(VoxelMask(voxels, np.ones(3, bool))).unpacked()
    assert [tuple(int(n) for n in axis) for axis in unpacked.voxels] == [tuple(axis.tolist()) for axis in voxels]
    assert unpacked.mask.all()
