"""Sets of voxels, small in memory: one bit per voxel of a block, or the steps between scattered voxels; compressed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from ...volumes.voxels import Block, VoxelMask, block_around, is_block, places_in, shape_of

_FASTEST = 1


@dataclass(frozen=True)
class PackedVoxels:
    """Voxels of a grid. block: the box around them; count: how many there are; scattered: not kept as a block."""

    block: Block
    count: int
    data: bytes
    scattered: bool

    @property
    def nbytes(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return self.count > 0

    def unpacked(self) -> VoxelMask:
        """The voxels, as the True ones of a mask."""
        shape, data = shape_of(self.block), np.frombuffer(zlib.decompress(self.data), dtype=np.uint8)
        if not self.scattered:
            bits = np.unpackbits(data, count=int(np.prod(shape)))
            return VoxelMask(self.block, bits.view(bool).reshape(shape))
        numbers = np.unravel_index(np.cumsum(data.view(_step_type(shape)), dtype=np.intp), shape)
        voxels = tuple(axis + span.start for axis, span in zip(numbers, self.block, strict=True))
        return VoxelMask(voxels, np.ones(self.count, dtype=bool))


def pack_voxels(marked: VoxelMask) -> PackedVoxels:
    """Keep the True voxels of a mask."""
    marked = marked.narrowed()
    block, count = block_around(marked.voxels), int(np.count_nonzero(marked.mask))
    if is_block(marked.voxels):
        return PackedVoxels(block, count, zlib.compress(np.packbits(marked.mask).data, _FASTEST), False)
    shape = shape_of(block)
    steps = np.diff(places_in(block, marked.voxels), prepend=0).astype(_step_type(shape))
    return PackedVoxels(block, count, zlib.compress(steps.data, _FASTEST), True)


def _step_type(shape_kji: tuple[int, ...]) -> type:
    """Holds the step from any voxel of a block to any other."""
    return np.int32 if np.prod(shape_kji, dtype=float) < 2**31 else np.int64
