import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from SAMUNetSlicerLib.inference.mask_geometry import box_around, deepest_point_xy, depth_inside

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(np.any)


@given(masks)
def test_no_pixel_of_the_whole_picture_lies_deeper(mask):
    x, y = deepest_point_xy(mask)
    depth = depth_inside(mask)
    assert mask[int(y), int(x)]
    assert depth[int(y), int(x)] == depth.max()


def test_of_equally_deep_pixels_it_is_the_first():
    mask = np.zeros((9, 20), dtype=bool)
    mask[2:5, 4:15] = True
    assert deepest_point_xy(mask) == (5.0, 3.0)


def test_the_pictures_border_counts_as_border():
    mask = np.zeros((5, 30), dtype=bool)
    mask[:, :7] = True
    assert deepest_point_xy(mask) == (2.0, 2.0)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 0.2]), st.sampled_from([(4, 5, 6), (9, 7)]))
def test_a_masks_box_is_tight(seed, density, shape):
    mask = np.random.default_rng(seed).random(shape) < density
    inside = mask[box_around(mask)]
    assert inside.sum() == mask.sum()
    for axis in range(mask.ndim if inside.size else 0):
        assert inside.take(0, axis).any()
        assert inside.take(-1, axis).any()
    assert inside.any() or not inside.size
