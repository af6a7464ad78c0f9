"""Targets to segment, read from the files of a source: planes with a 2D mask, volumes with a 3D mask.

The target is always the largest connected component of a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError
from ..inference.mask_geometry import largest_component
from ..inference.predictor import PlaneImage
from ..learning.data.sources import MIN_AREA, Objects, labels_of
from ..volumes.files.reading import read_volume
from ..volumes.geometry import GridGeometry
from ..volumes.plane_source import VolumePlanes
from ..volumes.planes import PlaneStack, acquisition_orientation
from ..volumes.sampling import voxels_to_mask
from ..volumes.segmentations.label_images import read_labels_on_grid
from ..volumes.volume import Volume
from ..volumes.windows import default_window, parse_window, percentile_window, to_uint8
from .case_sets import CaseFiles, CaseSource, SourceSettings, spread

# Of a picture with dozens of instances (cells), these many, evenly spaced from the smallest to the largest.
INSTANCES_PER_PICTURE = 4
_BINARY_THRESHOLD = 127  # masks that are JPEG pictures have values between 0 and 255
_DEEP_MODES = ("I", "F")  # Pillow's names of grey pictures with 16 or 32 bits
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class PlaneCase:
    """A picture and a non-empty target on it.

    target: (H, W) bool. pixel_mm: side of a pixel; None for pictures without a scale, which are measured in pixels.
    """

    source: str
    case: str
    name: str
    image: PlaneImage
    target: np.ndarray
    pixel_mm: float | None = None


@dataclass(frozen=True, eq=False)
class VolumeCase:
    """A volume, cut along its acquisition axis, and a non-empty target. target_kji: (K, J, I) bool."""

    source: str
    case: str
    name: str
    planes: VolumePlanes
    target_kji: np.ndarray

    @property
    def geometry(self) -> GridGeometry:
        return self.planes.volume.geometry

    def on_plane(self, mask_kji: np.ndarray, index: int) -> np.ndarray:
        """(H, W) bool: what a plane shows of a mask."""
        return voxels_to_mask(mask_kji, self.planes.stack[index], self.geometry)

    def target_on(self, index: int) -> np.ndarray:
        """(H, W) bool: the target on a plane."""
        return self.on_plane(self.target_kji, index)

    def labelled_planes(self) -> np.ndarray:
        """Numbers of the planes that show the target."""
        return np.flatnonzero(self.voxels_per_plane(self.target_kji))

    def voxels_per_plane(self, mask_kji: np.ndarray) -> np.ndarray:
        """(planes,) number of a mask's voxels on each plane."""
        axis = 2 - self.planes.stack.axis
        return np.count_nonzero(mask_kji, axis=tuple(a for a in range(3) if a != axis))


def plane_cases(source: CaseSource, limit: int | None = None) -> Iterator[PlaneCase]:
    """2D targets, at most `limit` of them, spread evenly over files and then over each file's targets."""
    yield from _limited(source, limit, _planes_of_files)


def volume_cases(source: CaseSource, limit: int | None = None) -> Iterator[VolumeCase]:
    """3D targets, at most `limit` of them; none for a source of pictures or one whose settings say so."""
    if source.settings.volumes:
        yield from _limited(source, limit, _volumes_of_files)


def _limited(source: CaseSource, limit: int | None, targets_of) -> Iterator:
    files = spread(source.files, limit)
    for position, entry in enumerate(files):
        quota = None if limit is None else limit // len(files) + (position < limit % len(files))
        yield from targets_of(source, entry, quota)


def _planes_of_files(source: CaseSource, entry: CaseFiles, quota: int | None) -> Iterator[PlaneCase]:
    if entry.image.suffix.lower() in _PICTURES:
        return _pictured(source, entry, quota)
    return _cut(source, entry, quota)


def _pictured(source: CaseSource, entry: CaseFiles, quota: int | None) -> Iterator[PlaneCase]:
    picture, mask = _read_picture(entry.image), _read_picture(entry.mask)
    rgb = _in_eight_bits(picture, source.settings.window)
    labels = labels_of(mask, source.settings.objects)
    if rgb.shape[:2] != labels.shape:
        raise InputError(f"{entry.image.name} and {entry.mask.name} have different sizes.")
    image = PlaneImage(rgb, (source.name, str(entry.image)))
    targets = list(_targets(labels, source.settings.objects))
    for label, target in spread(targets, quota):
        yield PlaneCase(source.name, entry.case, f"{entry.name} {label}", image, target)


def _read_picture(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(f"The picture {path.name} cannot be read: it is damaged, or too large.") from error


def _in_eight_bits(picture: Image.Image, window: str) -> np.ndarray:
    """(H, W, 3) uint8; what has more than 8 bits, such as an X-ray of 16, in the window."""
    if not picture.mode.startswith(_DEEP_MODES):
        return np.asarray(picture.convert("RGB"))
    grey = np.asarray(picture)
    volume = Volume(grey[None], GridGeometry((1, *grey.shape), np.eye(4)))
    return to_uint8(grey, parse_window(window) or percentile_window(volume))


def _targets(labels: np.ndarray, objects: Objects) -> Iterator[tuple[str, np.ndarray]]:
    """Label and (H, W) target of each label of a picture."""
    if objects is Objects.BINARY:
        labels = labels > _BINARY_THRESHOLD
    elif objects is Objects.FOREGROUND:
        labels = labels > 0
    values, areas = np.unique(labels[labels > 0], return_counts=True)
    if objects is Objects.INSTANCES:
        by_area = values[areas.argsort(kind="stable")][np.count_nonzero(areas < MIN_AREA) :]
        values = spread(by_area, INSTANCES_PER_PICTURE)
    for value in values:
        target = largest_component(labels == value)
        if np.count_nonzero(target) >= MIN_AREA:
            yield f"label {int(value)}", target


def _cut(source: CaseSource, entry: CaseFiles, quota: int | None) -> Iterator[PlaneCase]:
    planes, labels = _read_volume(entry, source.settings)
    axis = 2 - planes.stack.axis
    others = tuple(a for a in range(3) if a != axis)
    found = []
    for value in np.unique(labels[labels > 0]):
        labelled = np.flatnonzero((labels == value).any(axis=others))
        count = source.settings.planes_per_label
        numbers = {int(labelled[len(labelled) * (n + 1) // (count + 1)]) for n in range(count)}
        found += [(int(value), number) for number in sorted(numbers)]
    for value, number in spread(found, quota):
        plane = planes.stack[number]
        target = largest_component(voxels_to_mask(labels == value, plane, planes.volume.geometry))
        if np.count_nonzero(target) >= MIN_AREA:
            name = f"{entry.name} label {value} plane {number}"
            yield PlaneCase(source.name, entry.case, name, planes.image(number), target, plane.pixel_size_mm)


def _volumes_of_files(source: CaseSource, entry: CaseFiles, quota: int | None) -> Iterator[VolumeCase]:
    if entry.image.suffix.lower() in _PICTURES:
        return
    planes, labels = _read_volume(entry, source.settings)
    values = [int(v) for v in source.settings.volume_labels or np.unique(labels[labels > 0])]
    for value in spread(values, quota):
        target = largest_component(labels == value)
        if target.any():
            yield VolumeCase(source.name, entry.case, f"{entry.name} label {value}", planes, target)


def _read_volume(entry: CaseFiles, settings: SourceSettings) -> tuple[VolumePlanes, np.ndarray]:
    volume = read_volume(entry.image)
    stack = PlaneStack(volume.geometry, acquisition_orientation(volume.geometry))
    window = parse_window(settings.window) or default_window(volume)
    return VolumePlanes(volume, stack, window), read_labels_on_grid(entry.mask, volume.geometry)
