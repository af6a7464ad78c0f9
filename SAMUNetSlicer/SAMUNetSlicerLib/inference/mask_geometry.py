"""Where in a mask: its largest part, the point deepest inside."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a bool mask of any dimension; parts that touch at a corner are connected.

    Of equal parts the first one; an empty mask stays empty.
    """
    parts, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    if count <= 1:
        return mask.astype(bool)
    sizes = np.bincount(parts.ravel())
    return parts == 1 + sizes[1:].argmax()


def depth_inside(mask_yx: np.ndarray) -> np.ndarray:
    """Distance in pixels to the nearest pixel outside; the picture's own border counts as outside."""
    return ndimage.distance_transform_edt(np.pad(mask_yx, 1))[1:-1, 1:-1]


def deepest_point_xy(mask_yx: np.ndarray) -> tuple[float, float]:
    """The pixel farthest from the border of a non-empty mask (the picture's own border counts as border)."""
    rows, columns = (np.flatnonzero(mask_yx.any(axis=axis)) for axis in (1, 0))
    # No pixel outside of the bounding box is nearer than its border, so a large picture's rest is not looked at.
    depth = depth_inside(mask_yx[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(columns[0] + column), float(rows[0] + row)
