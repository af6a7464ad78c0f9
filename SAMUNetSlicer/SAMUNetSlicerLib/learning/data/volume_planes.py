"""Random planes of volumes with reference labels, in three orientations."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

from ...errors import InputError
from ...volumes.nifti_length import lacks_voxels
from .windows import Intensity, to_eight_bit

_KEPT_BYTES = 4 << 30


@dataclass(frozen=True)
class Labelled:
    """voxels, labels: (K, J, I) as they are stored, labels as integers. spacing: in mm, K, J, I."""

    voxels: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]

    @property
    def bytes(self) -> int:
        return self.voxels.nbytes + self.labels.nbytes


class LabelledVolumes:
    """Volumes with their labels, read once while those used last need no more than `limit` bytes."""

    def __init__(self, limit: int = _KEPT_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[Path, Path], Labelled] = OrderedDict()

    def read(self, image: Path, mask: Path) -> Labelled:
        """Raises InputError for what is no volume of one channel, OSError or RuntimeError for broken files."""
        found = self._kept.pop((image, mask), None) or _read(image, mask)
        self._kept[image, mask] = found
        while sum(volume.bytes for volume in self._kept.values()) > self._limit:
            self._kept.popitem(last=False)
        return found


def _read(image_path: Path, mask_path: Path) -> Labelled:
    image, mask = sitk.ReadImage(str(image_path)), sitk.ReadImage(str(mask_path))
    for volume, path in ((image, image_path), (mask, mask_path)):
        if lacks_voxels(path):
            raise OSError(f"{path.name} is cut off or damaged.")
        if volume.GetDimension() != 3 or volume.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(f"{path.name} is not a volume of three dimensions and one channel.")
    if image.GetSize() != mask.GetSize() or _is_in_another_order(image, mask):
        mask = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    labels = sitk.GetArrayFromImage(mask)
    labels = labels if labels.dtype.kind in "iu" else np.nan_to_num(labels).astype(np.int32)
    return Labelled(sitk.GetArrayFromImage(image), labels, image.GetSpacing()[::-1])


def _is_in_another_order(image: sitk.Image, mask: sitk.Image) -> bool:
    """Whether the mask's voxels lie where the image's do, but are stored along other directions.

    Headers that differ otherwise are not believed: masks are often saved without one.
    """
    first, second = (
        np.array([v.TransformIndexToPhysicalPoint(c) for c in itertools.product(*((0, n - 1) for n in v.GetSize()))])
        for v in (image, mask)
    )
    near = min(image.GetSpacing()) / 2
    distances = np.linalg.norm(first[:, None] - second[None], axis=2)
    return bool((distances.min(axis=1) < near).all() and (distances.diagonal() > near).any())


def random_plane(
    volume: Labelled, intensity: Intensity, least_area: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """(H, W) uint8 under a random window, and its labels; None where no plane shows `least_area` labelled voxels."""
    labels = volume.labels
    axis = int(rng.choice(3, p=[0.5, 0.25, 0.25]))
    planes = np.flatnonzero((labels > 0).sum(axis=tuple(a for a in range(3) if a != axis)) >= least_area)
    if len(planes) == 0:
        return None
    index = int(rng.choice(planes))
    plane = np.nan_to_num(np.take(volume.voxels, index, axis).astype(np.float32))
    plane_labels = np.take(labels, index, axis).astype(np.int32)
    if rng.random() < 0.7:  # square pixels; otherwise voxels as they are stored
        rows, columns = (s for a, s in enumerate(volume.spacing) if a != axis)
        plane, plane_labels = _make_square(plane, plane_labels, rows, columns)
    return to_eight_bit(plane, intensity, rng), plane_labels


def _make_square(plane: np.ndarray, labels: np.ndarray, rows_mm: float, columns_mm: float):
    finest = min(rows_mm, columns_mm)
    height = max(1, round(plane.shape[0] * rows_mm / finest))
    width = max(1, round(plane.shape[1] * columns_mm / finest))
    if (height, width) == plane.shape:
        return plane, labels
    smooth = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
    nearest = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(smooth), np.asarray(nearest)
