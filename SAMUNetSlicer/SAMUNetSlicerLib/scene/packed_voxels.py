"""Sets of voxels, small in memory: one bit per voxel of their box, compressed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

Slices = tuple[slice, slice, slice]

_FASTEST = 1


@dataclass(frozen=True)
class PackedVoxels:
    """Voxels of a grid. slices_kji: their bounding box; count: how many there are."""

    slices_kji: Slices
    count: int
    data: bytes

    @property
    def nbytes(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def mask(self) -> np.ndarray:
        """Bool, of the box's shape."""
        shape = tuple(s.stop - s.start for s in self.slices_kji)
        bits = np.frombuffer(zlib.decompress(self.data), dtype=np.uint8)
        return np.unpackbits(bits, count=int(np.prod(shape))).view(bool).reshape(shape)


def pack_voxels(slices_kji: Slices, mask: np.ndarray) -> PackedVoxels:
    """The True voxels of a block of the grid. mask: bool, of the shape that `slices_kji` spans."""
    box = bounding_slices(mask)
    inner = np.ascontiguousarray(mask[box])
    slices = tuple(slice(outer.start + s.start, outer.start + s.stop) for outer, s in zip(slices_kji, box, strict=True))
    return PackedVoxels(slices, int(np.count_nonzero(inner)), zlib.compress(np.packbits(inner).data, _FASTEST))


def bounding_slices(mask: np.ndarray) -> Slices:
    """The smallest box around the True voxels of a 3D bool array; empty where there are none."""
    box: list[slice] = []
    for axis in range(3):
        occupied = np.flatnonzero(mask[tuple(box)].any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(occupied):
            return (slice(0, 0),) * 3
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)
