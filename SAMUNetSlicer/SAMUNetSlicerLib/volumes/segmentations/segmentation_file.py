"""Segmentations as files: Slicer's `.seg.nrrd` written and read without Slicer, and plain label images read.

The writer is our own rather than SimpleITK's, which names the axis of layers "vector" (Slicer and its other readers
expect "list") and returns without an error when the last block of a file does not fit on the disk; and rather than
slicerio's, which needs further packages and does not replace a file whole. Reading is SimpleITK's.

NRRD: http://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...atomic_file import written_whole
from ...errors import InputError, OutputError
from ...inference.mask_geometry import box_around
from ..geometry import LPS_TO_RAS, GridGeometry
from ..image_geometry import geometry_of_image
from ..nifti_length import lacks_voxels
from .provenance import Provenance, provenance_tags
from .segmentation_header import SegmentHeader, container_fields, parse_segment_headers, read_metadata
from .segments import Segment, default_colours
from .terminology import terminology_entry

_NRRD_TYPES = {np.dtype(np.uint8): "unsigned char", np.dtype(np.uint16): "unsigned short"}
_COMPRESSION_LEVEL = 6
# A label image with more values than this is an intensity image given by mistake.
_MOST_LABELS = 1000
_FEW_VALUES = 1 << 16


def write_segmentation(
    path: str | os.PathLike,
    geometry: GridGeometry,
    segments: Sequence[Segment],
    provenance: Mapping[str, Provenance] | None = None,
) -> None:
    """Write segments on one grid as a `.seg.nrrd` that 3D Slicer opens with the same voxels, names, colours and tags.

    provenance: by segment name. Overlapping and empty segments are kept. Equal input gives an equal file.
    Raises ValueError for a mask of another shape than the grid or provenance of no segment; OutputError for another
    ending than .seg.nrrd or where the file cannot be written (an earlier file at `path` is then untouched).
    """
    provenance = provenance or {}
    if not str(path).lower().endswith(".seg.nrrd"):
        raise OutputError(f"A segmentation file ends in .seg.nrrd, not {Path(path).name}. Give it that ending.")
    for segment in segments:
        if segment.mask_kji.shape != geometry.shape_kji:
            raise ValueError(
                f"The mask of segment '{segment.name}' has the shape {segment.mask_kji.shape}, "
                f"but the volume's grid has {geometry.shape_kji} (K, J, I)."
            )
    unknown = set(provenance) - {segment.name for segment in segments}
    if unknown:
        raise ValueError(f"There is provenance of segments that are not written: {sorted(unknown)}.")

    labels_kjil, headers = _packed(geometry, segments)
    fields = container_fields(geometry)
    for index, header in enumerate(headers):
        if header.name in provenance:
            header = replace(header, tags={**header.tags, **provenance_tags(provenance[header.name])})
        fields.update(header.fields(index))
    with written_whole(path) as stream:
        stream.write(_nrrd_header(geometry, labels_kjil, fields).encode())
        # No time stamp and no file name, so that equal input gives an equal file.
        with gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, stream, mtime=0) as packed:
            packed.write(memoryview(labels_kjil).cast("B"))


def _packed(geometry: GridGeometry, segments: Sequence[Segment]) -> tuple[np.ndarray, list[SegmentHeader]]:
    """(K, J, I, layers) label image and the header of each segment: each in the first layer where it overlaps none."""
    layers: list[np.ndarray] = []
    counts: list[int] = []
    headers = []
    for segment in segments:
        box = box_around(segment.mask_kji)
        mask = segment.mask_kji[box]
        layer = next((n for n, labels in enumerate(layers) if not labels[box][mask].any()), len(layers))
        if layer == len(layers):
            layers.append(np.zeros(geometry.shape_kji, np.uint16 if len(segments) > 255 else np.uint8))
            counts.append(0)
        counts[layer] += 1
        layers[layer][box][mask] = counts[layer]
        extent = tuple(n for span in box[::-1] for n in (span.start, span.stop - 1)) if mask.size else None
        headers.append(
            SegmentHeader(
                segment.name, layer, counts[layer], extent, segment.colour_rgb, segment.terminology, segment.tags
            )
        )
    if not layers:
        layers.append(np.zeros(geometry.shape_kji, np.uint8))
    return np.stack(layers, axis=-1) if len(layers) > 1 else layers[0][..., np.newaxis], headers


def _nrrd_header(geometry: GridGeometry, labels_kjil: np.ndarray, fields: Mapping[str, str]) -> str:
    def vector(numbers: np.ndarray) -> str:
        return "(" + ",".join(repr(float(n) + 0.0) for n in numbers) + ")"

    ijk_to_lps = LPS_TO_RAS @ geometry.ijk_to_ras
    sizes = [str(n) for n in geometry.size_ijk]
    directions = [vector(ijk_to_lps[:3, axis]) for axis in range(3)]
    kinds = ["domain"] * 3
    if labels_kjil.shape[-1] > 1:
        sizes.insert(0, str(labels_kjil.shape[-1]))
        directions.insert(0, "none")
        kinds.insert(0, "list")
    lines = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[labels_kjil.dtype]}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(sizes)}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {vector(ijk_to_lps[:3, 3])}",
    ]
    for key, value in fields.items():
        lines.append(f"{key}:=" + value.replace("\\", "\\\\"))
    return "\n".join(lines) + "\n\n"


def read_segmentation(
    path: str | os.PathLike, names: Collection[str] | None = None
) -> tuple[GridGeometry, list[Segment]]:
    """The grid and the segments of a `.seg.nrrd`, or of a plain label image (NRRD, NIfTI, MHA: one segment per value,
    named `Segment_<value>`). names: read only these, which saves memory where a file has dozens.

    Raises InputError where the file cannot be read or is no segmentation.
    """
    geometry, image, headers = _opened(path)
    wanted = [header for header in headers if names is None or header.name in names]
    try:
        return geometry, [_segment(image, header) for header in wanted]
    except ValueError as error:
        raise InputError(f"{Path(path).name} is damaged: {error}") from error


def count_segments(path: str | os.PathLike) -> tuple[GridGeometry, list[tuple[SegmentHeader, int]]]:
    """As `read_segmentation`, but of each segment its header, with a colour, and the number of its voxels.

    This is one pass over the voxels; the masks of dozens of segments take one each and may not fit into memory.
    """
    geometry, image, headers = _opened(path)
    labels = _labels_kjil(image)
    counts = {layer: _count_values(labels[..., layer]) for layer in {header.layer for header in headers}}
    return geometry, [(header, counts[header.layer][header.label_value]) for header in headers]


def _opened(path: str | os.PathLike) -> tuple[GridGeometry, sitk.Image, list[SegmentHeader]]:
    """The grid, the label image, and the headers of its segments with their colours. Raises InputError."""
    headers = parse_segment_headers(read_metadata(path))
    file_name = Path(path).name
    try:
        cut_off = lacks_voxels(Path(path))
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{file_name} cannot be read: it is damaged or cut off.") from error
    if cut_off:
        raise InputError(f"{file_name} cannot be read: it is damaged or cut off.")
    if image.GetDimension() != 3:
        raise InputError(f"{file_name} is not a 3D image.")
    if not headers:
        headers = _headers_of_plain_labels(_labels_kjil(image), file_name)
    layers = image.GetNumberOfComponentsPerPixel()
    if any(not 0 <= header.layer < layers for header in headers):
        raise InputError(f"{file_name} is damaged: a segment lies in a layer that the file does not have.")
    colours = default_colours([header.name for header in headers])
    headers = [replace(h, colour_rgb=h.colour_rgb or colour) for h, colour in zip(headers, colours, strict=True)]
    try:
        return geometry_of_image(image), image, headers
    except ValueError as error:
        raise InputError(f"{file_name} is damaged: {error}") from error


def _labels_kjil(image: sitk.Image) -> np.ndarray:
    """(K, J, I, layers) view of the image's memory, which lasts as long as the image."""
    labels = sitk.GetArrayViewFromImage(image)
    return labels if labels.ndim == 4 else labels[..., np.newaxis]


def _segment(image: sitk.Image, header: SegmentHeader) -> Segment:
    mask = _labels_kjil(image)[..., header.layer] == header.label_value
    return Segment(
        header.name, mask, header.colour_rgb, header.terminology or terminology_entry(header.name), header.tags
    )


def _count_values(labels_kji: np.ndarray) -> Counter[int]:
    """How many voxels have each value; plane by plane, since what is counted is copied."""
    counts: Counter[int] = Counter()
    for plane in labels_kji:
        if plane.dtype.kind in "iu" and plane.min() >= 0 and plane.max() < _FEW_VALUES:
            numbers = np.bincount(plane.ravel().astype(np.intp))  # much faster than `unique`, which sorts
            values = np.flatnonzero(numbers)
            numbers = numbers[values]
        else:
            values, numbers = np.unique(plane, return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    return counts


def _headers_of_plain_labels(labels_kjil: np.ndarray, file_name: str) -> list[SegmentHeader]:
    values = np.unique(labels_kjil)
    if labels_kjil.shape[-1] != 1 or len(values) > _MOST_LABELS or not np.array_equal(values, np.round(values)):
        raise InputError(f"{file_name} is an image of intensities, not of labels. Give a segmentation.")
    return [SegmentHeader(f"Segment_{int(v)}", layer=0, label_value=int(v)) for v in values if v]
