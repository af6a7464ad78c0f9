"""DICOM files to stacks of images that form one volume each.

The files' own headers decide: images of one series that share size, pixel spacing and direction are one stack,
sorted along their normal; images at the same positions again and again are the frames of a time series; an image
without a position (photographs, X-rays, ultrasound) or with many frames is a stack by itself.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .geometry import LPS_TO_RAS, GridGeometry
from .volume import Modality

_MODALITIES = {
    "CT": Modality.CT,
    "MR": Modality.MR,
    "PT": Modality.PET,
    "NM": Modality.PET,
    "US": Modality.US,
    **dict.fromkeys(("CR", "DX", "MG", "XA", "RF", "PX", "IO"), Modality.XRAY),
}
# DICOM objects that hold pixels but no picture.
_NOT_PICTURES = {"SEG", "PR", "SR", "RTSTRUCT"}
# Slices farther than this part of a step from where an even stack would have them are reported.
_UNEVEN = 0.1
_SAME_POSITION_MM = 1e-3


@dataclass(frozen=True)
class _Header:
    path: Path
    series_uid: str
    image_uid: str
    series_number: int
    instance: int
    description: str
    modality: str
    rescale: tuple[str, str]
    has_position: bool
    size: tuple[int, int, int]
    spacing: np.ndarray  # (3,) mm
    origin_lps: np.ndarray  # (3,) mm
    direction_lps: np.ndarray  # (3, 3), columns: along a row, down a column, normal

    @property
    def depth_mm(self) -> float:
        """Position along the normal."""
        return float(np.cross(self.direction_lps[:, 0], self.direction_lps[:, 1]) @ self.origin_lps)

    @property
    def place(self) -> tuple:
        """Images with equal places can be stacked on each other."""
        if not self.has_position or self.size[2] > 1:
            return (str(self.path),)
        return (self.size, *np.round(self.spacing[:2], 4), *np.round(self.direction_lps[:, :2], 3).ravel() + 0.0)


@dataclass(frozen=True)
class DicomStack:
    """The files of one volume, or of several frames of it. key: what the user can choose it by."""

    key: str
    modality: str
    description: str
    frames: tuple[tuple[_Header, ...], ...]

    @property
    def images(self) -> int:
        return sum(len(frame) for frame in self.frames)


def find_stacks(folder: Path) -> list[DicomStack]:
    """All stacks of a folder; its sub-folders are searched only if it holds no DICOM image itself.
    Raises InputError where there is none.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file())
    headers = [header for header in map(_read_header, files) if header]
    if not headers:
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.parent != folder)
        headers = [header for header in map(_read_header, files) if header]
    pictures = [header for header in headers if header.modality not in _NOT_PICTURES]
    if headers and not pictures:
        raise InputError(f"'{folder.name}' holds DICOM {headers[0].modality} objects but no images. Give the images.")
    if not pictures:
        raise InputError(f"The folder '{folder.name}' holds no DICOM images. Give a DICOM series folder or an image.")
    return _stacks(pictures)


def stack_of_file(file: Path) -> DicomStack:
    """The stack that a DICOM file in its folder belongs to. Raises InputError for a file without a picture."""
    header = _read_header(file)
    if header is None:
        raise InputError(f"'{file.name}' is a DICOM file, but not an image that can be read. Give an image.")
    if header.modality in _NOT_PICTURES:
        raise InputError(f"'{file.name}' is a DICOM {header.modality} object, not an image. Give an image.")
    for stack in find_stacks(file.parent):
        for member in (member for frame in stack.frames for member in frame):
            # A copy of an image under another name is not itself a member.
            if member.path == file or (header.image_uid and member.image_uid == header.image_uid):
                return stack
    raise InputError(f"'{file.name}' belongs to no DICOM series in its folder. Give the folder.")


def choose_stack(stacks: list[DicomStack], series_id: str | None) -> DicomStack:
    """The stack of that number in the list (from 1) or that key; without either the only one.
    Raises InputError with the list of stacks where that does not tell.
    """
    wanted = None if series_id is None else str(series_id).strip()
    chosen = [s for n, s in enumerate(stacks, 1) if wanted in (None, s.key, str(n))]
    if len(chosen) == 1:
        return chosen[0]
    lines = [
        f"  {n}: {s.modality} '{s.description}', {s.images} {'image' if s.images == 1 else 'images'}, {s.key}"
        for n, s in enumerate(stacks, 1)
    ]
    problem = "There are several DICOM series." if wanted is None else f"There is no DICOM series '{wanted}'."
    raise InputError("\n".join([f"{problem} Choose one by its number or its identifier (series):", *lines]))


def read_stack(stack: DicomStack, frame: int) -> tuple[np.ndarray, GridGeometry, Modality]:
    """Voxels (K, J, I) or (K, J, I, components) with rescale slope and intercept applied, geometry, modality.

    Images stored with inverted grey (MONOCHROME1) come out as viewers show them: ITK turns them. Uneven slice
    distances are warned of. Raises InputError where the pixels cannot be decoded.
    """
    headers = stack.frames[frame]
    _warn_of_uneven_slices(headers)
    names = [str(header.path) for header in headers]
    try:
        if len(names) == 1:
            image = sitk.ReadImage(names[0], imageIO="GDCMImageIO")
        else:
            reader = sitk.ImageSeriesReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileNames(names)
            if len({header.rescale for header in headers}) > 1:
                # The first slice decides the type; slices scaled one by one (PET) need fractions.
                reader.SetOutputPixelType(sitk.sitkFloat32)
            image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            "The DICOM images cannot be decoded: they are damaged or compressed in a way that is not supported. "
            "Export them uncompressed."
        ) from error
    voxels = sitk.GetArrayFromImage(image)
    return voxels, _geometry(headers, voxels.shape[:3]), _MODALITIES.get(stack.modality, Modality.OTHER)


def _read_header(path: Path) -> _Header | None:
    """None for files that are not DICOM images."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None

    def text(tag: str) -> str:
        return reader.GetMetaData(tag).strip(" \0") if reader.HasMetaDataKey(tag) else ""

    def number(tag: str) -> int:
        try:
            return int(text(tag))
        except ValueError:
            return 0

    size = (*reader.GetSize(), 1)[:3]
    direction = np.array(reader.GetDirection()).reshape(reader.GetDimension(), -1)[:3, :3]
    return _Header(
        path=path,
        series_uid=text("0020|000e"),
        image_uid=text("0008|0018"),
        series_number=number("0020|0011"),
        instance=number("0020|0013"),
        description=text("0008|103e"),
        modality=text("0008|0060"),
        rescale=(text("0028|1053"), text("0028|1052")),
        has_position=bool(text("0020|0032")),
        size=size,
        spacing=np.array(reader.GetSpacing())[:3],
        origin_lps=np.array(reader.GetOrigin())[:3],
        direction_lps=direction,
    )


def _stacks(headers: list[_Header]) -> list[DicomStack]:
    series: dict[str, dict[tuple, list[_Header]]] = defaultdict(lambda: defaultdict(list))
    seen: set[str] = set()
    for header in sorted(headers, key=lambda h: (h.series_number, h.series_uid, h.instance, h.path)):
        # The same image under two file names counts once.
        if header.image_uid and header.image_uid in seen:
            continue
        seen.add(header.image_uid)
        series[header.series_uid][header.place].append(header)
    stacks = []
    for uid, places in series.items():
        for number, members in enumerate(places.values(), 1):
            key = (uid or "series") + (f"#{number}" if len(places) > 1 else "")
            stacks.append(DicomStack(key, members[0].modality, members[0].description, _frames(members)))
    return stacks


def _frames(headers: list[_Header]) -> tuple[tuple[_Header, ...], ...]:
    """Split images that repeat the same positions into frames, each sorted along the normal."""
    by_position: list[list[_Header]] = []
    for header in sorted(headers, key=lambda h: h.depth_mm):
        if by_position and header.depth_mm - by_position[-1][0].depth_mm < _SAME_POSITION_MM:
            by_position[-1].append(header)
        else:
            by_position.append([header])
    counts = {len(images) for images in by_position}
    if len(counts) > 1:
        raise InputError(
            f"The DICOM series '{headers[0].description}' shows some positions {max(counts)} times and others "
            f"{min(counts)} times. Export a series with every slice once, or complete frames."
        )
    ordered = [sorted(images, key=lambda h: (h.instance, h.path)) for images in by_position]
    return tuple(zip(*ordered, strict=True))


def _warn_of_uneven_slices(headers: tuple[_Header, ...]) -> None:
    depths = np.array([header.depth_mm for header in headers])
    if len(depths) < 3:
        return
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    if np.abs(depths - np.linspace(depths[0], depths[-1], len(depths))).max() <= _UNEVEN * usual:
        return
    widest = int(gaps.argmax())
    warnings.warn(
        f"The DICOM slices are not evenly spaced: slices {widest + 1} and {widest + 2} are {gaps[widest]:.3g} mm "
        f"apart, usually it is {usual:.3g} mm. Slices may be missing; positions along this direction are wrong.",
        stacklevel=4,
    )


def _geometry(headers: tuple[_Header, ...], shape_kji: tuple[int, ...]) -> GridGeometry:
    """From the first and last positions, so that a tilted gantry's shear is kept."""
    first, last = headers[0], headers[-1]
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = first.direction_lps * first.spacing
    if len(headers) > 1:
        ijk_to_lps[:3, 2] = (last.origin_lps - first.origin_lps) / (len(headers) - 1)
    ijk_to_lps[:3, 3] = first.origin_lps
    return GridGeometry(shape_kji, LPS_TO_RAS @ ijk_to_lps)
