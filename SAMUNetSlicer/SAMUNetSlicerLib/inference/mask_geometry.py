"""Of a mask: its largest part, its box, the point deepest inside. Of two: how much they share."""

from __future__ import annotations

import numpy as np


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a bool mask of any dimension; parts that touch at a corner are connected.

    Of equal parts the first one; an empty mask stays empty.
    """
    # Only now: this file is read at Slicer's start, and scipy takes a while to load.
    from scipy import ndimage

    parts, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    if count <= 1:
        return mask.astype(bool)
    sizes = np.bincount(parts.ravel())
    return parts == 1 + sizes[1:].argmax()


def box_around(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around a bool mask of any dimension; empty where the mask is."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        occupied = np.flatnonzero(mask[tuple(box)].any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(occupied):
            return (slice(0, 0),) * mask.ndim
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)


def depth_inside(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels to the nearest pixel outside of a mask of any dimension; beyond its borders all is outside."""
    from scipy import ndimage

    return ndimage.distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]


def deepest_point_xy(mask_yx: np.ndarray) -> tuple[float, float]:
    """The pixel farthest from the border of a non-empty mask (the picture's own border counts as border)."""
    # No pixel outside of the bounding box is nearer than its border, so a large picture's rest is not looked at.
    box = box_around(mask_yx)
    depth = depth_inside(mask_yx[box])
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(box[1].start + column), float(box[0].start + row)


def intersection_over_union(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two bool masks; 1 where both are empty."""
    union = np.count_nonzero(a | b)
    return 1.0 if union == 0 else np.count_nonzero(a & b) / union


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two bool masks; 1 where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 1.0 if total == 0 else 2 * np.count_nonzero(a & b) / total
