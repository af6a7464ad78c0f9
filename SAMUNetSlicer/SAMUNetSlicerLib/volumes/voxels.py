"""Some voxels of a grid, written the way numpy indexes a (K, J, I) array: `array_kji[voxels]` are their values.

A block is three slices. Any other set is three arrays of n voxel numbers (K, J, I), each voxel once, so that an oblique
plane costs what its voxels cost and not what the box around them would. Values have the block's shape, or (n,); who
works on them voxel by voxel need not know which.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import numpy as np

from ..inference.mask_geometry import box_around

Block = tuple[slice, slice, slice]
Scattered = tuple[np.ndarray, np.ndarray, np.ndarray]
Voxels = Block | Scattered
# Where some of the voxels stand among the values of all: an index into arrays of `shape_of` the voxels.
Selection = tuple[slice, ...] | np.ndarray | EllipsisType

NO_BLOCK: Block = (slice(0, 0),) * 3


@dataclass(frozen=True, eq=False)
class VoxelMask:
    """A mask on some voxels of a grid. mask: bool, of the voxels' shape."""

    voxels: Voxels
    mask: np.ndarray

    def write_into(self, mask_kji: np.ndarray) -> None:
        """Replace these voxels, and no others, in a (K, J, I) array of the grid's shape."""
        mask_kji[self.voxels] = self.mask

    def narrowed(self) -> VoxelMask:
        """The same object on fewer voxels: the box around it, or its voxels alone."""
        voxels, where = narrow(self.voxels, self.mask)
        return VoxelMask(voxels, self.mask[where])


def is_block(voxels: Voxels) -> bool:
    return isinstance(voxels[0], slice)


def shape_of(voxels: Voxels) -> tuple[int, ...]:
    """The shape of the voxels' values."""
    return tuple(s.stop - s.start for s in voxels) if is_block(voxels) else voxels[0].shape


def whole_block(shape_kji: tuple[int, ...]) -> Block:
    """All voxels of a grid."""
    return tuple(slice(0, n) for n in shape_kji)


def numbers_of(voxels: Voxels) -> Scattered:
    """K, J and I of the voxels, in arrays that broadcast to the shape of their values."""
    return tuple(np.ogrid[voxels]) if is_block(voxels) else voxels


def clip(voxels: Voxels, block: Block) -> tuple[Voxels, Selection]:
    """Those of the voxels that lie in a block, and where they stand among all."""
    if is_block(voxels):
        common = common_block(voxels, block)
        return common, (within(common, voxels) if common != voxels else ...)
    inside = np.ones(shape_of(voxels), dtype=bool)
    for numbers, span in zip(voxels, block, strict=True):
        inside &= (numbers >= span.start) & (numbers < span.stop)
    return narrow(voxels, inside)


def narrow(voxels: Voxels, mask: np.ndarray) -> tuple[Voxels, Selection]:
    """The fewest voxels of their kind that hold all the True ones (the box around them, for a block), and where they
    stand among all.
    """
    if is_block(voxels):
        box = box_around(mask)
        return tuple(slice(b.start + v.start, b.stop + v.start) for b, v in zip(box, voxels, strict=True)), box
    if mask.all():
        return voxels, ...
    where = np.flatnonzero(mask)
    return tuple(numbers[where] for numbers in voxels), where


def values_at(array_kji: np.ndarray, block: Block, voxels: Voxels) -> np.ndarray:
    """The values of voxels in an array over a block that holds them all; a view where they are a block."""
    if is_block(voxels):
        return array_kji[within(voxels, block)]
    return array_kji.reshape(-1)[places_in(block, voxels)]


def put_where(array_kji: np.ndarray, block: Block, marked: VoxelMask, value: int) -> None:
    """Give all True voxels one value in an array over a block that holds them all."""
    if is_block(marked.voxels):
        array_kji[within(marked.voxels, block)][marked.mask] = value
    else:
        np.put(array_kji, places_in(block, marked.voxels)[marked.mask], value)


def within(inner: Block, outer: Block) -> Block:
    """A block as the block around it numbers the voxels."""
    return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))


def places_in(block: Block, voxels: Scattered) -> np.ndarray:
    """Where scattered voxels stand in a flattened array over a block: numpy looks there much faster than by three
    numbers a voxel.
    """
    _, rows, columns = shape_of(block)
    k, j, i = voxels
    first = (block[0].start * rows + block[1].start) * columns + block[2].start
    return (k * rows + j) * columns + (i - first)


def block_around(voxels: Voxels) -> Block:
    """The smallest block that holds the voxels."""
    if is_block(voxels) or not len(voxels[0]):
        return voxels if is_block(voxels) else NO_BLOCK
    return tuple(slice(int(numbers.min()), int(numbers.max()) + 1) for numbers in voxels)


def common_block(a: Block, b: Block) -> Block:
    """The part of the grid that two blocks share; empty where they share nothing."""
    common = tuple(slice(max(x.start, y.start), min(x.stop, y.stop)) for x, y in zip(a, b, strict=True))
    return common if _is_filled(common) else NO_BLOCK


def joint_block(*blocks: Block) -> Block:
    """The smallest block that holds all of these."""
    filled = [block for block in blocks if _is_filled(block)]
    if not filled:
        return NO_BLOCK
    return tuple(slice(min(b[axis].start for b in filled), max(b[axis].stop for b in filled)) for axis in range(3))


def _is_filled(block: Block) -> bool:
    return all(span.start < span.stop for span in block)
