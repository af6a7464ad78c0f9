"""Sets of voxels in little memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from SAMUNetSlicerLib.scene.packed_voxels import bounding_slices, pack_voxels


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=9)), st.tuples(*[st.integers(0, 50)] * 3))
def test_voxels_come_back_where_they_were(mask, corner):
    slices = tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))
    packed = pack_voxels(slices, mask)
    again = np.zeros([c + n for c, n in zip(corner, mask.shape, strict=True)], bool)
    again[packed.slices_kji] = packed.mask
    assert np.array_equal(again[slices], mask)
    assert packed.count == again.sum() == mask.sum()
    assert bool(packed) == mask.any()


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=9)))
def test_the_box_is_tight(mask):
    box = bounding_slices(mask)
    assert mask[box].sum() == mask.sum()
    for axis in range(3):
        ends = [np.take(mask[box], end, axis=axis).any() for end in (0, -1)] if mask.any() else [True]
        assert all(ends)


def test_a_full_plane_takes_a_thousandth_of_its_voxels():
    packed = pack_voxels((slice(5, 6), slice(0, 512), slice(0, 512)), np.ones((1, 512, 512), bool))
    assert packed.nbytes < 512 * 512 / 1000
