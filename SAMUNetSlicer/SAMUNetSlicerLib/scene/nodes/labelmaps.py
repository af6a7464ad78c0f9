"""Voxels of segments in Slicer's labelmap layers, read and written exactly: what is not named does not change.

Segments that do not overlap share a layer, each with its own label value, so one segment is written without touching
the labels of others; where it would have to overlap one of them, Slicer first gives it a layer of its own.

Slicer's own `SetBinaryLabelmapToSegment` takes voxels away (MODE_MERGE_MIN) by going over the whole layer, 0.4 s for a
large object in 512 x 512 x 200, and its MODE_MERGE_MAX gives a segment of a shared layer the label of another. So
voxels are written in place. Telling Slicer afterwards that the labelmap has changed makes it drop all 3D surfaces, so
where there are surfaces its MODE_MERGE_MASK goes last: it renews the surface of the written segment alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ...errors import EditError
from ...volumes.geometry import GridGeometry
from ...volumes.voxels import (
    NO_BLOCK,
    Block,
    Selection,
    VoxelMask,
    Voxels,
    block_around,
    clip,
    common_block,
    joint_block,
    put_where,
    shape_of,
    values_at,
    whole_block,
    within,
)
from .placement import numpy_matrix, vtk_matrix

_BINARY_LABELMAP = "Binary labelmap"
_CLOSED_SURFACE = "Closed surface"
# A layer that must grow takes this many more voxels (or this share of its length) on that side, so that going through
# neighbouring planes does not copy it each time.
_SPARE_VOXELS = 8
_SPARE_SHARE = 0.25
_LATTICE_TOLERANCE = 1e-3  # voxels


@dataclass(frozen=True, eq=False)
class SegmentChange:
    """What a segment gains and loses among some voxels of the volume's grid; bool, of the voxels' shape."""

    segment_id: str
    voxels: Voxels
    added: np.ndarray
    removed: np.ndarray

    @cached_property
    def gain(self) -> VoxelMask:
        """What is added, and no more voxels around it than needed."""
        return VoxelMask(self.voxels, self.added).narrowed()

    @cached_property
    def loss(self) -> VoxelMask:
        """What is removed, as `gain`."""
        return VoxelMask(self.voxels, self.removed).narrowed()


def check_grid(segmentation_node, geometry: GridGeometry) -> None:
    """Raise EditError where some segment does not lie on the voxels of this grid, or is not stored as a labelmap."""
    for segment_id in segmentation_node.GetSegmentation().GetSegmentIDs():
        _Layer.of(segmentation_node, segment_id, geometry)


def lattice_offset(ijk_to_ras: np.ndarray, geometry: GridGeometry) -> np.ndarray | None:
    """(3,) int: the voxel of a grid in which voxel 0, 0, 0 of another image lies; None where their lattices differ."""
    to_grid = geometry.ras_to_ijk @ ijk_to_ras
    offset = np.round(to_grid[:3, 3])
    drift = np.abs(to_grid[:3, :3] - np.eye(3)) * geometry.size_ijk
    is_shared = max(drift.max(), np.abs(to_grid[:3, 3] - offset).max()) <= _LATTICE_TOLERANCE
    return offset.astype(int) if is_shared else None


def read_voxels(segmentation_node, segment_id: str, geometry: GridGeometry, voxels: Voxels) -> np.ndarray:
    """Which voxels of the volume's grid (its own coordinates) a segment holds: bool, of the voxels' shape, a copy.

    Raises EditError where there is no such segment, or it lies on another grid.
    """
    layer = _Layer.of(segmentation_node, segment_id, geometry)
    covered, where = layer.clip(voxels)
    present = np.zeros(shape_of(voxels), dtype=bool)
    present[where] = layer.read(covered) == layer.label
    return present


def read_mask(segmentation_node, segment_id: str, geometry: GridGeometry) -> np.ndarray:
    """(K, J, I) bool: the whole segment. Raises EditError as `read_voxels`."""
    return read_voxels(segmentation_node, segment_id, geometry, whole_block(geometry.shape_kji))


def extent_block(segmentation_node, segment_id: str, geometry: GridGeometry) -> Block:
    """A box of the volume's grid that holds the whole segment, perhaps with room to spare; empty if it is empty."""
    return common_block(whole_block(geometry.shape_kji), _Layer.of(segmentation_node, segment_id, geometry).block)


def holds_voxels(segmentation_node, segment_id: str, geometry: GridGeometry) -> bool:
    """Whether a segment holds any voxel. Raises EditError as `read_voxels`."""
    extent = extent_block(segmentation_node, segment_id, geometry)
    return bool(read_voxels(segmentation_node, segment_id, geometry, extent).any())


def write_changes(segmentation_node, changes: Iterable[SegmentChange], geometry: GridGeometry) -> None:
    """Give and take voxels of some segments, and change nothing else.

    Voxels are taken before others are given, so that in one call they can pass from one segment to another of the
    same layer. Several changes of one segment share no voxel. Raises EditError before anything is written where a
    segment is missing, lies on another grid, or a change reaches outside the volume.
    """
    gains: dict[str, list[VoxelMask]] = {}
    losses: dict[str, list[VoxelMask]] = {}
    for change in changes:
        for what, marked in ((gains, change.gain), (losses, change.loss)):
            if marked.mask.size:
                what.setdefault(change.segment_id, []).append(marked)
    whole = whole_block(geometry.shape_kji)
    for segment_id in (changed := gains | losses):
        _Layer.of(segmentation_node, segment_id, geometry)
        if any(clip(marked.voxels, whole)[1] is not ... for marked in changed[segment_id]):
            raise EditError("The edit reaches outside the volume.")
    for segment_id, lost in losses.items():
        layer = _Layer.of(segmentation_node, segment_id, geometry)
        for marked in lost:
            layer.take(marked)
    if segmentation_node.GetSegmentation().ContainsRepresentation(_CLOSED_SURFACE):
        for segment_id in changed:
            _give_with_surface(segmentation_node, segment_id, gains.get(segment_id, ()), geometry)
        return
    for segment_id, gained in gains.items():
        _give(segmentation_node, segment_id, gained, geometry)
    labelmaps = {id(labelmap): labelmap for labelmap in (_labelmap(segmentation_node, i) for i in changed)}
    for labelmap in labelmaps.values():
        labelmap.Modified()


def _give(segmentation_node, segment_id: str, gained: Sequence[VoxelMask], geometry: GridGeometry) -> None:
    layer = _Layer.of(segmentation_node, segment_id, geometry)
    if any(layer.others_hold(marked) for marked in gained):
        segmentation_node.GetSegmentation().SeparateSegmentLabelmap(segment_id)
        layer = _Layer.of(segmentation_node, segment_id, geometry)
    layer.grow(joint_block(*(block_around(marked.voxels) for marked in gained)), geometry)
    for marked in gained:
        layer.give(marked)


def _give_with_surface(segmentation_node, segment_id: str, gained: Sequence[VoxelMask], geometry: GridGeometry) -> None:
    """Slicer's own merge gives the voxels, or changes nothing in the end, and renews the segment's surface."""
    layer = _Layer.of(segmentation_node, segment_id, geometry)
    if gained:
        image = layer.image_of(gained, geometry)
    else:
        kept = layer.any_voxel()
        if kept is None:
            logic = slicer.vtkSlicerSegmentationsModuleLogic
            segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
            status = logic.GetSegmentStatus(segment)
            logic.ClearSegment(segmentation_node, segment_id)
            logic.SetSegmentStatus(segment, status)  # Slicer takes an emptied segment for one not begun
            return
        # A merge that changes nothing renews nothing: one voxel is taken out so that Slicer can put it back.
        layer.take(kept)
        image = layer.image_of([kept], geometry)
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
        image, segmentation_node, segment_id, slicer.vtkSlicerSegmentationsModuleLogic.MODE_MERGE_MASK
    )


def _labelmap(segmentation_node, segment_id: str):
    segmentation = segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(segment_id)
    if segment is None:
        raise EditError("The segment is no longer in the segmentation. Choose or add another one.")
    if segmentation.GetSourceRepresentationName() != _BINARY_LABELMAP:
        raise EditError(
            f"The segmentation '{segmentation_node.GetName()}' is not stored as a binary labelmap. "
            "Make that its source representation first (Segmentations module)."
        )
    labelmap = segment.GetRepresentation(_BINARY_LABELMAP)
    if labelmap is None:
        raise EditError(
            f"The segment '{segment.GetName()}' has no binary labelmap. Create it in the Segmentations module."
        )
    return labelmap


@dataclass(eq=False)
class _Layer:
    """The labelmap that a segment shares with others, in the voxel numbers of the volume.

    offset_ijk: volume voxel number minus the labelmap's own.
    """

    labelmap: object
    label: int
    offset_ijk: np.ndarray

    @classmethod
    def of(cls, segmentation_node, segment_id: str, geometry: GridGeometry) -> _Layer:
        labelmap = _labelmap(segmentation_node, segment_id)
        segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
        layer = cls(labelmap, int(segment.GetLabelValue()), np.zeros(3, dtype=int))
        if layer.is_empty:
            return layer
        matrix = vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(matrix)
        offset = lattice_offset(numpy_matrix(matrix), geometry)
        if offset is None:
            raise EditError(
                f"The segmentation '{segmentation_node.GetName()}' lies on another grid than the volume. "
                "Choose the volume it was made on, or make a new segmentation."
            )
        layer.offset_ijk = offset
        return layer

    @property
    def extent(self) -> tuple[int, ...]:
        return self.labelmap.GetExtent()

    @property
    def is_empty(self) -> bool:
        e = self.extent
        return e[0] > e[1] or e[2] > e[3] or e[4] > e[5] or self.labelmap.GetPointData().GetScalars() is None

    @property
    def block(self) -> Block:
        """The part of the volume's grid that the labelmap covers."""
        if self.is_empty:
            return NO_BLOCK
        e = self.extent
        i, j, k = self.offset_ijk
        return slice(e[4] + k, e[5] + 1 + k), slice(e[2] + j, e[3] + 1 + j), slice(e[0] + i, e[1] + 1 + i)

    @property
    def values(self) -> np.ndarray:
        """(k, j, i) writable view of the whole labelmap; empty where there is none."""
        if self.is_empty:
            return np.zeros((0, 0, 0), dtype=np.uint8)
        return vtk_to_numpy(self.labelmap.GetPointData().GetScalars()).reshape(shape_of(self.block))

    def clip(self, voxels: Voxels) -> tuple[Voxels, Selection]:
        """Those of the voxels that the labelmap covers, and where they stand among all."""
        return clip(voxels, self.block)

    def read(self, covered: Voxels) -> np.ndarray:
        """The labels of voxels that the labelmap covers."""
        return values_at(self.values, self.block, covered)

    def take(self, marked: VoxelMask) -> None:
        """Empty the marked voxels that hold this label."""
        covered, where = self.clip(marked.voxels)
        held = VoxelMask(covered, marked.mask[where] & (self.read(covered) == self.label))
        put_where(self.values, self.block, held, 0)

    def give(self, marked: VoxelMask) -> None:
        """Write this label on the marked voxels, all of which the labelmap covers."""
        put_where(self.values, self.block, marked, self.label)

    def others_hold(self, marked: VoxelMask) -> bool:
        """Whether some marked voxel holds another label."""
        covered, where = self.clip(marked.voxels)
        labels = self.read(covered)
        return bool((marked.mask[where] & (labels != 0) & (labels != self.label)).any())

    def grow(self, block: Block, geometry: GridGeometry) -> None:
        """Make the labelmap cover a block too, with room to spare inside the volume, and able to hold the label."""
        if self.is_empty:
            self._replace(block, vtk.VTK_UNSIGNED_CHAR, geometry)
        elif common_block(block, self.block) != block:
            own, values = self.block, self.values
            wider = tuple(map(_widened, own, block, geometry.shape_kji))
            self._replace(wider, self.labelmap.GetScalarType(), geometry)
            self.values[within(own, self.block)] = values
        slicer.vtkOrientedImageDataResample.CastImageForValue(self.labelmap, self.label)

    def _replace(self, block: Block, scalar_type: int, geometry: GridGeometry) -> None:
        """Give the labelmap another, empty image, in place: the segments of the layer share the object."""
        image = self._image(block, scalar_type, geometry)
        image.GetPointData().GetScalars().Fill(0)
        self.labelmap.ShallowCopy(image)

    def _image(self, block: Block, scalar_type: int, geometry: GridGeometry):
        """An oriented image over a block, on the labelmap's lattice; voxels not set."""
        image = slicer.vtkOrientedImageData()
        if self.is_empty:
            image.SetImageToWorldMatrix(vtk_matrix(geometry.ijk_to_ras))
        else:
            image.CopyDirections(self.labelmap)
            image.SetOrigin(self.labelmap.GetOrigin())
            image.SetSpacing(self.labelmap.GetSpacing())
        extent = []
        for span, offset in zip(block[::-1], self.offset_ijk, strict=True):
            extent += [span.start - int(offset), span.stop - 1 - int(offset)]
        image.SetExtent(*extent)
        image.AllocateScalars(scalar_type, 1)
        return image

    def image_of(self, marked: Sequence[VoxelMask], geometry: GridGeometry):
        """An oriented image, on the labelmap's lattice: 1 on the marked voxels, 0 around them."""
        block = joint_block(*(block_around(part.voxels) for part in marked))
        image = self._image(block, vtk.VTK_UNSIGNED_CHAR, geometry)
        values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape_of(block))
        values[...] = 0
        for part in marked:
            put_where(values, block, part, 1)
        return image

    def any_voxel(self) -> VoxelMask | None:
        """A voxel that holds the label; None for an empty segment."""
        if self.is_empty:
            return None
        k0, j0, i0 = (span.start for span in self.block)
        for k, plane in enumerate(self.values):
            found = plane == self.label
            if found.any():
                j, i = np.unravel_index(int(found.argmax()), found.shape)
                voxel = tuple(slice(n, n + 1) for n in (k0 + k, j0 + int(j), i0 + int(i)))
                return VoxelMask(voxel, np.ones((1, 1, 1), dtype=bool))
        return None


def _widened(own: slice, block: slice, size: int) -> slice:
    room = max(_SPARE_VOXELS, int(_SPARE_SHARE * (own.stop - own.start)))
    start = own.start if block.start >= own.start else max(0, block.start - room)
    stop = own.stop if block.stop <= own.stop else min(size, block.stop + room)
    return slice(start, stop)
