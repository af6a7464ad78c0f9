"""Sets of voxels, small in memory: one bit per voxel of their box, compressed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

Slices = tuple[slice, slice, slice]

_FASTEST = 1
_NOTHING: Slices = (slice(0, 0),) * 3


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
    return PackedVoxels(
        outer_slices(box, slices_kji), int(np.count_nonzero(inner)), zlib.compress(np.packbits(inner).data, _FASTEST)
    )


def bounding_slices(mask: np.ndarray) -> Slices:
    """The smallest box around the True voxels of a 3D bool array; empty where there are none."""
    box: list[slice] = []
    for axis in range(3):
        occupied = np.flatnonzero(mask[tuple(box)].any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(occupied):
            return _NOTHING
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)


def common_slices(a: Slices, b: Slices) -> Slices:
    """The part of the grid that two blocks share; empty where they share nothing."""
    common = tuple(slice(max(x.start, y.start), min(x.stop, y.stop)) for x, y in zip(a, b, strict=True))
    return common if all(s.start < s.stop for s in common) else _NOTHING


def joint_slices(*blocks: Slices) -> Slices:
    """The smallest block that holds all of these."""
    filled = [block for block in blocks if all(s.start < s.stop for s in block)]
    if not filled:
        return _NOTHING
    return tuple(slice(min(b[axis].start for b in filled), max(b[axis].stop for b in filled)) for axis in range(3))


def inner_slices(inner: Slices, outer: Slices) -> Slices:
    """A block in the coordinates of the block around it."""
    return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))


def outer_slices(inner: Slices, outer: Slices) -> Slices:
    """A block given in the coordinates of the one around it, on the grid: the inverse of `inner_slices`."""
    return tuple(slice(i.start + o.start, i.stop + o.start) for i, o in zip(inner, outer, strict=True))
