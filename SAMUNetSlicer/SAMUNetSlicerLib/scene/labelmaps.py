"""Voxels of segments in Slicer's labelmap layers, read and written exactly: what is not named does not change.

Segments that do not overlap share a layer, each with its own label value, so one segment is written without touching
the labels of others; where it would have to overlap one of them, Slicer first gives it a layer of its own.

Slicer's own `SetBinaryLabelmapToSegment` takes voxels away (MODE_MERGE_MIN) by going over the whole layer, 0.4 s for a
large object in 512 x 512 x 200, and its MODE_MERGE_MAX gives a segment of a shared layer the label of another. So
voxels are written in place. Telling Slicer afterwards that the labelmap has changed makes it drop all 3D surfaces, so
where there are surfaces its MODE_MERGE_MASK goes last: it renews the surface of the written segment alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import EditError
from ..volumes.geometry import GridGeometry
from .packed_voxels import Slices, bounding_slices, common_slices, inner_slices, outer_slices
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
    """Voxels that a segment gains and loses in a block of the volume's grid; bool, of the block's shape."""

    slices_kji: Slices
    added: np.ndarray
    removed: np.ndarray


def check_grid(segmentation_node, geometry: GridGeometry) -> None:
    """Raise EditError where some segment does not lie on the voxels of this grid, or is not stored as a labelmap."""
    for segment_id in segmentation_node.GetSegmentation().GetSegmentIDs():
        _Layer.of(segmentation_node, segment_id, geometry)


def read_block(segmentation_node, segment_id: str, geometry: GridGeometry, slices_kji: Slices) -> np.ndarray:
    """What a segment holds in a block of the volume's grid (its own coordinates): bool, a copy.

    Raises EditError where there is no such segment, or it lies on another grid.
    """
    layer = _Layer.of(segmentation_node, segment_id, geometry)
    common = layer.overlap(slices_kji)
    if common == slices_kji:
        return layer.view(common) == layer.label
    block = np.zeros(tuple(s.stop - s.start for s in slices_kji), dtype=bool)
    if common is not None:
        block[inner_slices(common, slices_kji)] = layer.view(common) == layer.label
    return block


def read_mask(segmentation_node, segment_id: str, geometry: GridGeometry) -> np.ndarray:
    """(K, J, I) bool: the whole segment. Raises EditError as `read_block`."""
    return read_block(segmentation_node, segment_id, geometry, tuple(slice(0, n) for n in geometry.shape_kji))


def extent_slices(segmentation_node, segment_id: str, geometry: GridGeometry) -> Slices:
    """A box of the volume's grid that holds the whole segment, perhaps with room to spare; empty if it is empty."""
    layer = _Layer.of(segmentation_node, segment_id, geometry)
    whole = tuple(slice(0, n) for n in geometry.shape_kji)
    return layer.overlap(whole) or (slice(0, 0),) * 3


def write_changes(segmentation_node, changes: Mapping[str, SegmentChange], geometry: GridGeometry) -> None:
    """Give and take voxels of some segments, and change nothing else.

    Voxels are taken before others are given, so that in one call they can pass from one segment to another of the
    same layer. Raises EditError before anything is written where a segment is missing, lies on another grid, or a
    block reaches outside the volume.
    """
    changes = {segment_id: cut for segment_id, change in changes.items() if (cut := _cut(change)) is not None}
    for segment_id, change in changes.items():
        _Layer.of(segmentation_node, segment_id, geometry)
        if any(s.start < 0 or s.stop > n for s, n in zip(change.slices_kji, geometry.shape_kji, strict=True)):
            raise EditError("The edit reaches outside the volume.")
    for segment_id, change in changes.items():
        layer = _Layer.of(segmentation_node, segment_id, geometry)
        layer.take(change.slices_kji, change.removed)
    if segmentation_node.GetSegmentation().ContainsRepresentation(_CLOSED_SURFACE):
        for segment_id, change in changes.items():
            _give_with_surface(segmentation_node, segment_id, change, geometry)
        return
    for segment_id, change in changes.items():
        if change.added.any():
            _give(segmentation_node, segment_id, change, geometry)
    labelmaps = {id(labelmap): labelmap for labelmap in (_labelmap(segmentation_node, i) for i in changes)}
    for labelmap in labelmaps.values():
        labelmap.Modified()


def _cut(change: SegmentChange) -> SegmentChange | None:
    """The change without the empty margin of its block; None where nothing changes."""
    box = bounding_slices(change.added | change.removed)
    if box[0].start == box[0].stop:
        return None
    return SegmentChange(outer_slices(box, change.slices_kji), change.added[box], change.removed[box])


def _give(segmentation_node, segment_id: str, change: SegmentChange, geometry: GridGeometry) -> None:
    slices, added = bounded_by(change.slices_kji, change.added), change.added[bounding_slices(change.added)]
    layer = _Layer.of(segmentation_node, segment_id, geometry)
    if layer.others_hold(slices, added):
        segmentation_node.GetSegmentation().SeparateSegmentLabelmap(segment_id)
        layer = _Layer.of(segmentation_node, segment_id, geometry)
    layer.grow(slices, geometry)
    layer.view(slices)[added] = layer.label


def _give_with_surface(segmentation_node, segment_id: str, change: SegmentChange, geometry: GridGeometry) -> None:
    """Slicer's own merge gives the voxels, or changes nothing in the end, and renews the segment's surface."""
    layer = _Layer.of(segmentation_node, segment_id, geometry)
    if change.added.any():
        image = layer.image_of(change.slices_kji, change.added, geometry)
    else:
        kept = layer.any_voxel()
        if kept is None:
            slicer.vtkSlicerSegmentationsModuleLogic.ClearSegment(segmentation_node, segment_id)
            return
        # A merge that changes nothing renews nothing: one voxel is taken out so that Slicer can put it back.
        layer.view(kept)[...] = 0
        image = layer.image_of(kept, np.ones((1, 1, 1), dtype=bool), geometry)
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
        image, segmentation_node, segment_id, slicer.vtkSlicerSegmentationsModuleLogic.MODE_MERGE_MASK
    )


def bounded_by(slices_kji: Slices, mask: np.ndarray) -> Slices:
    """The box around the True voxels of a block, on the volume's grid."""
    return outer_slices(bounding_slices(mask), slices_kji)


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
        to_volume = geometry.ras_to_ijk @ numpy_matrix(matrix)
        offset = np.round(to_volume[:3, 3])
        drift = np.abs(to_volume[:3, :3] - np.eye(3)) * geometry.size_ijk
        if drift.max() > _LATTICE_TOLERANCE or np.abs(to_volume[:3, 3] - offset).max() > _LATTICE_TOLERANCE:
            raise EditError(
                f"The segmentation '{segmentation_node.GetName()}' lies on another grid than the volume. "
                "Choose the volume it was made on, or make a new segmentation."
            )
        layer.offset_ijk = offset.astype(int)
        return layer

    @property
    def extent(self) -> tuple[int, ...]:
        return self.labelmap.GetExtent()

    @property
    def is_empty(self) -> bool:
        e = self.extent
        return e[0] > e[1] or e[2] > e[3] or e[4] > e[5] or self.labelmap.GetPointData().GetScalars() is None

    @property
    def slices(self) -> Slices:
        """The part of the volume's grid that the labelmap covers."""
        e = self.extent
        i, j, k = self.offset_ijk
        return slice(e[4] + k, e[5] + 1 + k), slice(e[2] + j, e[3] + 1 + j), slice(e[0] + i, e[1] + 1 + i)

    @property
    def values(self) -> np.ndarray:
        """(k, j, i) writable view of the whole labelmap."""
        e = self.extent
        return vtk_to_numpy(self.labelmap.GetPointData().GetScalars()).reshape(
            e[5] - e[4] + 1, e[3] - e[2] + 1, e[1] - e[0] + 1
        )

    def overlap(self, slices_kji: Slices) -> Slices | None:
        """What the labelmap covers of a block; None where it covers nothing."""
        if self.is_empty:
            return None
        common = common_slices(slices_kji, self.slices)
        return common if common[0].start < common[0].stop else None

    def view(self, slices_kji: Slices) -> np.ndarray:
        """Writable view of a block that the labelmap covers."""
        return self.values[inner_slices(slices_kji, self.slices)]

    def take(self, slices_kji: Slices, mask: np.ndarray) -> None:
        """Empty the masked voxels of a block that hold this label."""
        common = self.overlap(slices_kji)
        if common is not None:
            view = self.view(common)
            view[mask[inner_slices(common, slices_kji)] & (view == self.label)] = 0

    def others_hold(self, slices_kji: Slices, mask: np.ndarray) -> bool:
        """Whether some masked voxel of a block holds another label."""
        common = self.overlap(slices_kji)
        if common is None:
            return False
        view = self.view(common)
        return bool((mask[inner_slices(common, slices_kji)] & (view != 0) & (view != self.label)).any())

    def grow(self, slices_kji: Slices, geometry: GridGeometry) -> None:
        """Make the labelmap cover a block too, with room to spare inside the volume, and able to hold the label."""
        if self.is_empty:
            self._replace(slices_kji, vtk.VTK_UNSIGNED_CHAR, geometry)
        elif self.overlap(slices_kji) != slices_kji:
            own = self.slices
            wider = tuple(map(_widened, own, slices_kji, geometry.shape_kji))
            values = self.values
            self._replace(wider, self.labelmap.GetScalarType(), geometry)
            self.view(own)[...] = values
        slicer.vtkOrientedImageDataResample.CastImageForValue(self.labelmap, self.label)

    def _replace(self, slices_kji: Slices, scalar_type: int, geometry: GridGeometry) -> None:
        """Give the labelmap another, empty image, in place: the segments of the layer share the object."""
        image = self._image(slices_kji, scalar_type, geometry)
        image.GetPointData().GetScalars().Fill(0)
        self.labelmap.ShallowCopy(image)

    def _image(self, slices_kji: Slices, scalar_type: int, geometry: GridGeometry):
        """An oriented image over a block, on the labelmap's lattice; voxels not set."""
        image = slicer.vtkOrientedImageData()
        if self.is_empty:
            image.SetImageToWorldMatrix(vtk_matrix(geometry.ijk_to_ras))
        else:
            image.CopyDirections(self.labelmap)
            image.SetOrigin(self.labelmap.GetOrigin())
            image.SetSpacing(self.labelmap.GetSpacing())
        extent = []
        for block, offset in zip(slices_kji[::-1], self.offset_ijk, strict=True):
            extent += [block.start - int(offset), block.stop - 1 - int(offset)]
        image.SetExtent(*extent)
        image.AllocateScalars(scalar_type, 1)
        return image

    def image_of(self, slices_kji: Slices, mask: np.ndarray, geometry: GridGeometry):
        """An oriented image over a block: 1 where masked, on the labelmap's lattice."""
        image = self._image(slices_kji, vtk.VTK_UNSIGNED_CHAR, geometry)
        vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask.ravel()
        return image

    def any_voxel(self) -> Slices | None:
        """A block of one voxel that holds the label; None for an empty segment."""
        if self.is_empty:
            return None
        k0, j0, i0 = (s.start for s in self.slices)
        for k, plane in enumerate(self.values):
            found = plane == self.label
            if found.any():
                j, i = np.unravel_index(int(found.argmax()), found.shape)
                return (
                    slice(k0 + k, k0 + k + 1),
                    slice(j0 + int(j), j0 + int(j) + 1),
                    slice(i0 + int(i), i0 + int(i) + 1),
                )
        return None


def _widened(own: slice, block: slice, size: int) -> slice:
    room = max(_SPARE_VOXELS, int(_SPARE_SHARE * (own.stop - own.start)))
    start = own.start if block.start >= own.start else max(0, block.start - room)
    stop = own.stop if block.stop <= own.stop else min(size, block.stop + room)
    return slice(start, stop)
