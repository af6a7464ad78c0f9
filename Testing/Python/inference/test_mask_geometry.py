import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from SAMUNetSlicerLib.inference.mask_geometry import deepest_point_xy, depth_inside

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
