"""Between the voxels of a volume and the pixels of a plane, both ways.

Grid planes (and any plane whose pixel rows run along the voxel rows) are cut out of the array and resampled only
along axes where pixels and voxels differ in size; oblique planes are interpolated trilinearly. Going back, a voxel
belongs to a plane if its centre is within half a slice step of it, and reads the plane at the foot of the
perpendicular from its centre. On grid planes voxels -> mask -> voxels gives the same voxels back, whatever the
spacing and direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .geometry import GridGeometry
from .planes import ObliqueStack, Plane, PlaneStack, nearest_plane
from .volume import Volume
from .voxels import NO_BLOCK, Block, Scattered, VoxelMask, Voxels, numbers_of

# Two rows are the same row where they differ by less than this many voxels.
_TOLERANCE_VOXELS = 1e-3
# Oblique planes are interpolated in bands of about this many pixels, to bound the memory of their coordinates.
_BAND_PIXELS = 1 << 20


def sample_plane(volume: Volume, plane: Plane) -> np.ndarray:
    """The volume on a plane: (H, W) float32 intensities, or (H, W, 3) uint8 for RGB; linear interpolation.

    The outermost half voxel repeats the outermost centre; farther out pixels have the volume's minimum (black in
    RGB). A pixel next to a NaN voxel is NaN.
    """
    alignment = _align(plane, volume.geometry)

    def cut(array_kji: np.ndarray, padding: Callable[[], float]) -> np.ndarray:
        if alignment is None:
            return _interpolate_oblique(array_kji, plane, volume.geometry, padding)
        return _interpolate_aligned(array_kji, plane, alignment, padding)

    if not volume.is_rgb:
        # Only asked for where there is something to fill: to find it, all voxels are looked at.
        return cut(volume.voxels, lambda: volume.intensity_range[0])
    image = np.empty((*plane.shape_yx, 3), dtype=np.uint8)
    for channel in range(3):
        image[..., channel] = np.clip(cut(volume.voxels[..., channel], lambda: 0.0) + 0.5, 0, 255)
    return image


def voxels_of_plane(plane: Plane, geometry: GridGeometry) -> Voxels:
    """The voxels that belong to the plane and lie under one of its pixels: for a grid plane its slice, for an oblique
    one those within half a slice step (for planes made by `oblique_plane`: those that the plane cuts).
    """
    alignment = _align(plane, geometry)
    if alignment is None:
        return _voxels_under(plane, geometry)[0]
    return _block_under(plane, alignment, geometry)


def plane_numbers(stack: PlaneStack | ObliqueStack, voxels: Voxels) -> np.ndarray:
    """To which plane of a stack each voxel belongs: integers, in an array that broadcasts to the voxels' shape."""
    if isinstance(stack, PlaneStack):
        return numbers_of(voxels)[2 - stack.axis]
    step = np.linalg.inv(_plane_to_ijk(stack[0], stack.geometry))[2]
    k, j, i = numbers_of(voxels)
    return nearest_plane(step[0] * i + step[1] * j + step[2] * k + step[3])


def mask_to_voxels(mask_yx: np.ndarray, plane: Plane, geometry: GridGeometry) -> VoxelMask:
    """Bring a mask back from a plane's pixels to the plane's voxels (those of `voxels_of_plane`).

    mask_yx: (H, W) bool or integers (object where not 0; a voxel takes the nearest pixel), or floating-point scores
    (object where the score, interpolated at the voxel's centre, is above 0). Raises ValueError for another shape.
    """
    mask = np.asarray(mask_yx)
    if mask.shape != plane.shape_yx:
        raise ValueError(f"A mask of shape {mask.shape} does not fit a plane of {plane.shape_yx} pixels (H, W).")
    mask = mask.astype(np.float32, copy=False) if mask.dtype.kind == "f" else mask != 0
    alignment = _align(plane, geometry)
    if alignment is None:
        return _spread_oblique(mask, plane, geometry)
    return _spread_aligned(mask, plane, alignment, geometry)


def voxels_to_mask(mask_kji: np.ndarray, plane: Plane, geometry: GridGeometry) -> np.ndarray:
    """Cut a plane through a mask: (K, J, I) to (H, W) bool, each pixel taking its nearest voxel, False outside.
    Raises ValueError for a mask of another shape than the grid's.
    """
    mask = np.asarray(mask_kji)
    if mask.shape != geometry.shape_kji:
        raise ValueError(f"A mask of shape {mask.shape} does not fit a grid of {geometry.shape_kji}.")
    to_ijk = _plane_to_ijk(plane, geometry)
    width, height = plane.size_xy
    image = np.zeros(plane.shape_yx, dtype=bool)
    alignment = _align(plane, geometry)
    if alignment is not None:
        (ax, xs), (ay, ys), (az, zs) = [
            (row.axis, row.voxels_of(count)) for row, count in zip(alignment, (width, height, 1), strict=True)
        ]
        sizes = geometry.size_ijk
        in_x, in_y = _within(xs, sizes[ax]), _within(ys, sizes[ay])
        if _within(zs, sizes[az]).all():
            slice_yx = _slice_yx(mask, alignment, int(zs[0]))
            image[np.ix_(in_y, in_x)] = slice_yx[np.ix_(ys[in_y], xs[in_x])] != 0
        return image
    for rows in _bands(height, width):
        ijk = _round(_pixels_ijk(to_ijk, rows, width))
        inside = np.logical_and.reduce([_within(ijk[a], geometry.size_ijk[a]) for a in range(3)])
        i, j, k = (np.where(inside, index, 0) for index in ijk)
        image[rows] = inside & (mask[k, j, i] != 0)
    return image


@dataclass(frozen=True)
class _Row:
    """One pixel axis laid on a grid axis: voxel coordinate = start + step * pixel coordinate."""

    axis: int
    start: float
    step: float

    def coordinates(self, count: int) -> np.ndarray:
        """Voxel coordinates of the first `count` pixels."""
        return self.start + self.step * np.arange(count)

    def voxels_of(self, count: int) -> np.ndarray:
        """Nearest voxel of each of the first `count` pixels."""
        return _round(self.coordinates(count))

    def pixels_of(self, count: int) -> np.ndarray:
        """Pixel coordinates of the first `count` voxels."""
        return (np.arange(count) - self.start) / self.step


def _plane_to_ijk(plane: Plane, geometry: GridGeometry) -> np.ndarray:
    return geometry.ras_to_ijk @ plane.pixel_to_ras


def _align(plane: Plane, geometry: GridGeometry) -> tuple[_Row, _Row, _Row] | None:
    """Which grid axes pixel x, pixel y and the normal run along; None for oblique planes."""
    matrix = _plane_to_ijk(plane, geometry)
    directions = matrix[:3, :3]
    axes = np.abs(directions).argmax(axis=0)
    if len(set(axes.tolist())) < 3:
        return None
    drift = np.abs(directions)
    drift[axes, range(3)] = 0
    if (drift * [*plane.size_xy, 1]).max() > _TOLERANCE_VOXELS:
        return None

    def row(column: int) -> _Row:
        axis = int(axes[column])
        start, step = matrix[axis, 3], directions[axis, column]
        # Whole numbers lose their floating-point noise, so that rows which need no interpolation are recognised.
        if abs(start - round(start)) < _TOLERANCE_VOXELS:
            start = round(start)
        if abs(abs(step) - 1) * geometry.size_ijk[axis] < _TOLERANCE_VOXELS:
            step = np.sign(step)
        return _Row(axis, float(start), float(step))

    return row(0), row(1), row(2)


def _slice_yx(array_kji: np.ndarray, alignment: tuple[_Row, _Row, _Row], index: int) -> np.ndarray:
    """View of one voxel slice, ordered (pixel y, pixel x), indices still counting voxels."""
    x, y, z = alignment
    # Plain indexing: np.take would copy the whole transposed volume.
    return array_kji.transpose([2 - y.axis, 2 - x.axis, 2 - z.axis])[:, :, index]


def _interpolate_aligned(
    array_kji: np.ndarray, plane: Plane, alignment: tuple[_Row, _Row, _Row], padding: Callable[[], float]
) -> np.ndarray:
    x, y, z = alignment
    width, height = plane.size_xy
    count_z = array_kji.shape[2 - z.axis]
    if not -0.5 <= z.start <= count_z - 0.5:
        return np.full(plane.shape_yx, padding(), dtype=np.float32)
    depth = min(max(z.start, 0.0), count_z - 1.0)
    lower = int(depth)
    image = _slice_yx(array_kji, alignment, lower).astype(np.float32)
    if depth > lower:
        image += np.float32(depth - lower) * (_slice_yx(array_kji, alignment, lower + 1) - image)
    ys, xs = y.coordinates(height), x.coordinates(width)
    outside_y, outside_x = (
        (coordinates < -0.5 - 1e-6) | (coordinates > count - 0.5 + 1e-6)
        for coordinates, count in zip((ys, xs), image.shape, strict=True)
    )
    image = np.ascontiguousarray(_resample(_resample(image, ys, axis=0), xs, axis=1))
    if outside_y.any() or outside_x.any():
        image[outside_y] = image[:, outside_x] = padding()
    return image


def _resample(image: np.ndarray, coordinates: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation along one axis at the given coordinates, clamped to the array; exact at whole numbers."""
    every = np.arange(image.shape[axis])
    # On most grid planes pixels are voxels: then nothing is to be computed, nor copied.
    for row, same in ((every, image), (every[::-1], np.flip(image, axis))):
        if np.array_equal(coordinates, row):
            return same
    clamped = np.clip(coordinates, 0, image.shape[axis] - 1)
    lower = np.floor(clamped).astype(int)
    weight = (clamped - lower).astype(np.float32)
    low = np.take(image, lower, axis=axis)
    between = weight > 0
    if not between.any():
        return low
    high = np.take(image, np.minimum(lower + 1, image.shape[axis] - 1), axis=axis)
    weight = np.expand_dims(weight, 1 - axis)
    # `where` keeps a NaN beside a whole coordinate from spreading to it.
    return np.where(np.expand_dims(between, 1 - axis), low * (1 - weight) + high * weight, low)


def _interpolate_oblique(
    array_kji: np.ndarray, plane: Plane, geometry: GridGeometry, padding: Callable[[], float]
) -> np.ndarray:
    # Only now: this file is read at Slicer's start, and scipy takes a while to load.
    from scipy.ndimage import map_coordinates

    width, height = plane.size_xy
    to_ijk = _plane_to_ijk(plane, geometry)
    image = np.empty((height, width), dtype=np.float32)
    for rows in _bands(height, width):
        ijk = _pixels_ijk(to_ijk, rows, width)
        map_coordinates(array_kji, ijk[::-1], output=image[rows], order=1, mode="nearest")
        size = geometry.size_ijk[:, None, None]
        outside = ((ijk < -0.5 - 1e-6) | (ijk > size - 0.5 + 1e-6)).any(axis=0)
        if outside.any():
            image[rows][outside] = padding()
    return image


def _block_under(plane: Plane, alignment: tuple[_Row, _Row, _Row], geometry: GridGeometry) -> Block:
    """The voxels of a grid plane that lie under its pixels."""
    x, y, z = alignment
    width, height = plane.size_xy
    size = geometry.size_ijk
    spans = {z.axis: _span(np.flatnonzero(nearest_plane(z.pixels_of(size[z.axis])) == 0))}
    for row, count in ((y, height), (x, width)):
        pixels = row.pixels_of(size[row.axis])
        spans[row.axis] = _span(np.flatnonzero((pixels > -0.5 - 1e-6) & (pixels < count - 0.5 + 1e-6)))
    block = tuple(spans[axis] for axis in (2, 1, 0))
    return block if all(span.start < span.stop for span in block) else NO_BLOCK


def _spread_aligned(
    mask: np.ndarray, plane: Plane, alignment: tuple[_Row, _Row, _Row], geometry: GridGeometry
) -> VoxelMask:
    block = _block_under(plane, alignment, geometry)
    x, y, z = alignment
    values_yx = mask
    for image_axis, row in ((0, y), (1, x)):
        pixels = row.pixels_of(geometry.size_ijk[row.axis])[block[2 - row.axis]]
        if mask.dtype.kind == "f":
            values_yx = _resample(values_yx, pixels, axis=image_axis)
        else:
            values_yx = np.take(values_yx, np.clip(_round(pixels), 0, mask.shape[image_axis] - 1), axis=image_axis)
    if mask.dtype.kind == "f":
        values_yx = values_yx > 0
    span_z = block[2 - z.axis]
    values_yxz = np.repeat(values_yx[..., None], span_z.stop - span_z.start, axis=2)
    order = [(y.axis, x.axis, z.axis).index(axis) for axis in (2, 1, 0)]
    return VoxelMask(block, np.ascontiguousarray(values_yxz.transpose(order)))


def _spread_oblique(mask: np.ndarray, plane: Plane, geometry: GridGeometry) -> VoxelMask:
    voxels, xs, ys = _voxels_under(plane, geometry)
    if mask.dtype.kind == "f":
        from scipy.ndimage import map_coordinates

        scores = map_coordinates(mask, [ys, xs], order=1, mode="nearest", output=np.float32)
        return VoxelMask(voxels, scores > 0)
    height, width = mask.shape
    return VoxelMask(voxels, mask[np.clip(_round(ys), 0, height - 1), np.clip(_round(xs), 0, width - 1)])


def _voxels_under(plane: Plane, geometry: GridGeometry) -> tuple[Scattered, np.ndarray, np.ndarray]:
    """The voxels within half a slice step of an oblique plane and under its pixels; their pixel coordinates x and y.

    The distance is linear in the voxel numbers, so along the grid axis on which it changes fastest each line of voxels
    holds a few neighbours at most: only these are looked at, not the whole volume.
    """
    # Rows: pixel x, pixel y, steps. Columns: K, J, I, 1.
    rows = np.linalg.inv(_plane_to_ijk(plane, geometry))[:3, [2, 1, 0, 3]]
    slope = rows[2, :3]
    fast = int(np.abs(slope).argmax())
    a, b = (axis for axis in range(3) if axis != fast)
    shape = geometry.shape_kji
    number_a, number_b = np.ogrid[: shape[a], : shape[b]]

    def on_lines(row: np.ndarray) -> np.ndarray:
        """What a row comes to where each line of voxels begins."""
        return (row[a] * number_a + row[b] * number_b + row[3]).ravel()

    starts = on_lines(rows[2])
    # A little more than half a step: which voxels are within it is decided by `nearest_plane` alone.
    reach = (0.5 + 1e-5) / abs(slope[fast])
    along = np.ceil(starts / -slope[fast] - reach)
    found = []
    for _ in range(int(2 * reach) + 1):
        near = nearest_plane(starts + slope[fast] * along) == 0
        near &= _within(along, shape[fast])
        lines = np.flatnonzero(near)
        found.append((lines, along[lines]))
        along += 1
    lines, along = (np.concatenate(each) for each in zip(*found, strict=True))
    xs, ys = (on_lines(row)[lines] + row[fast] * along for row in rows[:2])
    numbers = {a: lines // shape[b], b: lines % shape[b], fast: along.astype(int)}
    voxels = tuple(numbers[axis] for axis in range(3))
    width, height = plane.size_xy
    under = (xs > -0.5 - 1e-6) & (xs < width - 0.5 + 1e-6) & (ys > -0.5 - 1e-6) & (ys < height - 0.5 + 1e-6)
    if under.all():
        return voxels, xs, ys
    return tuple(numbers[under] for numbers in voxels), xs[under], ys[under]


def _round(values: np.ndarray) -> np.ndarray:
    return np.floor(values + 0.5).astype(int)


def _within(indices: np.ndarray, size: int) -> np.ndarray:
    return (indices >= 0) & (indices < size)


def _span(indices: np.ndarray) -> slice:
    return slice(int(indices.min()), int(indices.max()) + 1) if len(indices) else slice(0, 0)


def _bands(height: int, width: int) -> list[slice]:
    rows = max(1, _BAND_PIXELS // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _pixels_ijk(to_ijk: np.ndarray, rows: slice, width: int) -> np.ndarray:
    """(3, h, W) voxel coordinates (I, J, K) of a band of pixel rows."""
    y, x = np.mgrid[rows, 0:width]
    return np.stack([row[0] * x + row[1] * y + row[3] for row in to_ijk[:3]])
