"""Region growing from seeds inside and outside, as Slicer's Segment Editor offers it.

Each voxel belongs to the seeds that reach it by the cheapest path, a step costing the difference of intensities:
Zhu et al., "An effective interactive medical image segmentation method using fast GrowCut" (MICCAI 2014 workshop),
here by scipy's Dijkstra over the six neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from ..inference.mask_geometry import box_around, depth_inside

# Outside seeds lie at least this share of the target's longer side away from it, and at most twice as far.
_MARGIN = 0.1
# A step's least cost, as share of the intensities' deviation: among equal paths the shorter wins.
_STEP_COST = 1e-3


def orthogonal_seeds(target_kji: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a careful user paints on the three grid planes through the target's deepest voxel: (K, J, I) bool, inside
    (the deeper half of the target) and outside (a frame around it).
    """
    depth = depth_inside(target_kji)
    middle = np.unravel_index(int(depth.argmax()), depth.shape)
    inside, outside = np.zeros_like(target_kji), np.zeros_like(target_kji)
    for axis, number in enumerate(middle):
        plane = tuple(number if a == axis else slice(None) for a in range(3))
        cut = target_kji[plane]
        cut_depth = depth_inside(cut)
        inside[plane] |= cut_depth >= cut_depth.max() / 2
        rows, columns = box_around(cut)
        margin = max(2.0, _MARGIN * max(rows.stop - rows.start, columns.stop - columns.start))
        away = ndimage.distance_transform_edt(~cut)
        outside[plane] |= (away >= margin) & (away <= 2 * margin)
    return inside, outside


def grow_from_seeds(
    grey_kji: np.ndarray, inside: np.ndarray, outside: np.ndarray, spacing_kji: Sequence[float]
) -> np.ndarray:
    """(K, J, I) bool: the voxels that the inside seeds reach first. Growth stays within the box of all seeds."""
    box = box_around(inside | outside)
    grey = grey_kji[box].astype(np.float64)
    grey /= max(float(grey.std()), 1e-12)
    numbers = np.arange(grey.size).reshape(grey.shape)
    starts, ends, costs = [], [], []
    for axis, spacing in enumerate(spacing_kji):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        starts.append(numbers[low].ravel())
        ends.append(numbers[high].ravel())
        costs.append((np.abs(grey[low] - grey[high]) + _STEP_COST * spacing / min(spacing_kji)).ravel())
    edges = (np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends)))
    graph = sparse.coo_array(edges, shape=(grey.size, grey.size)).tocsr()
    seeds = np.flatnonzero((inside | outside)[box])
    _, _, nearest = dijkstra(graph, directed=False, indices=seeds, min_only=True, return_predecessors=True)
    result = np.zeros(grey_kji.shape, bool)
    result[box] = inside[box].ravel()[nearest].reshape(grey.shape)
    return result
