"""DICOM files to stacks of slices that form one volume each.

The files' own headers decide: slices of one series that share size, pixel spacing and direction are one stack,
sorted along their normal; slices at the same positions again and again are the frames of a time series. A file of many
frames (enhanced CT, MR, PET) is taken apart into slices alike, but not mixed with other files of its series, unless
they are parts of one object or show the same positions at other times. Images without positions (photographs, X-rays,
ultrasound) are stacks by themselves.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..geometry import LPS_TO_RAS, GridGeometry
from ..volume import DICOM_MODALITIES, Modality
from .dicom_pixels import read_pixels
from .dicom_slices import OF_VOLUMES, DicomSlice, is_unreadable_picture, read_header, slices_of

# DICOM objects that hold pixels but no picture.
_NOT_PICTURES = {"SEG", "PR", "SR", "RTSTRUCT"}
# Slices farther than this part of a step from where an even stack would have them are reported.
_UNEVEN = 0.1
# Slices closer than this part of a pixel are the same one, shown again: a repetition may be rounded otherwise.
_SAME_POSITION = 0.01


@dataclass(frozen=True)
class DicomStack:
    """The slices of one volume, or of several frames of it, in no order. key: what the user can choose it by."""

    key: str
    modality: str
    description: str
    members: tuple[DicomSlice, ...]

    @cached_property
    def frames(self) -> tuple[tuple[DicomSlice, ...], ...]:
        """Volumes that show the same positions, each sorted along the normal. Raises InputError where some are
        incomplete: only here, so that the other series of a folder can be read.
        """
        return _frames(self.members)


def find_stacks(folder: Path) -> list[DicomStack]:
    """All stacks of a folder; its sub-folders are searched only if it holds no DICOM image itself.
    Raises InputError where there is none.
    """
    headers = _headers(folder.iterdir())
    if not headers:
        headers = _headers(p for p in folder.rglob("*") if p.parent != folder)
    pictures = [header for header in headers if header.modality not in _NOT_PICTURES]
    name = folder.resolve().name
    if headers and not pictures:
        raise InputError(f"'{name}' holds DICOM {headers[0].modality} objects but no images. Give the images.")
    if not pictures:
        raise InputError(f"The folder '{name}' holds no DICOM images. Give a DICOM series folder or an image.")
    return _stacks(pictures)


def _headers(paths: Iterable[Path]) -> list[DicomSlice]:
    headers, unreadable = [], []
    for path in sorted(paths):
        if path.is_file():
            if header := read_header(path):
                headers.append(header)
            elif is_unreadable_picture(path):
                unreadable.append(path.name)
    if unreadable:
        warnings.warn(
            f"{_images(len(unreadable))} of the folder cannot be read and will be missing, first '{unreadable[0]}': "
            "damaged, incomplete or of an unknown kind. Copy or export the series again.",
            stacklevel=5,
        )
    return headers


def stack_of_file(file: Path) -> DicomStack:
    """The stack that a DICOM file in its folder belongs to; of a time series with a file of many frames for each time,
    the file's own part. Raises InputError for a file without a picture and for one whose frames form several stacks.
    """
    header = read_header(file)
    if header is None:
        raise InputError(f"'{file.name}' is a DICOM file, but not an image that can be read. Give an image.")
    if header.modality in _NOT_PICTURES:
        raise InputError(f"'{file.name}' is a DICOM {header.modality} object, not an image. Give an image.")
    stacks = find_stacks(file.parent)

    def is_of_file(member: DicomSlice) -> bool:
        # A copy of an image under another name is not itself a member.
        return member.path == file or bool(header.image_uid and member.image_uid == header.image_uid)

    holding = [stack for stack in stacks if any(map(is_of_file, stack.members))]
    if not holding:
        raise InputError(f"'{file.name}' belongs to no DICOM series in its folder. Give the folder.")
    if len(holding) > 1:
        # Frames of different directions, as in a localizer of three planes, leave the choice to the user.
        return choose_stack(stacks, None)
    (stack,) = holding
    own = {member.part_of for member in stack.members if is_of_file(member)}
    return replace(stack, members=tuple(member for member in stack.members if member.part_of in own))


def choose_stack(stacks: list[DicomStack], series_id: str | None) -> DicomStack:
    """The stack of that number in the list (from 1) or that key; without either the only one.
    Raises InputError with the list of stacks where that does not tell.
    """
    wanted = None if series_id is None else str(series_id).strip()
    chosen = [s for n, s in enumerate(stacks, 1) if wanted in (None, s.key, str(n))]
    if len(chosen) == 1:
        return chosen[0]
    lines = [
        f"  {n}: {s.modality} '{s.description}', {_images(len(s.members))}, {s.key}" for n, s in enumerate(stacks, 1)
    ]
    problem = "There are several DICOM series." if wanted is None else f"There is no DICOM series '{wanted}'."
    raise InputError("\n".join([f"{problem} Choose one by its number or its identifier (series):", *lines]))


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def read_stack(stack: DicomStack, frame: int) -> tuple[np.ndarray, GridGeometry, Modality]:
    """Voxels (K, J, I) or (K, J, I, components) with rescale slope and intercept applied, geometry, modality.

    Images stored with inverted grey (MONOCHROME1) come out as viewers show them: ITK turns them. Uneven slice
    distances, frames of unknown position and pixels of unknown size are warned of. Raises InputError where the pixels
    cannot be decoded or scaled, or their place makes no sense.
    """
    headers = stack.frames[frame]
    _warn_of_unknown_positions(headers)
    _warn_of_guessed_spacing(headers)
    _warn_of_uneven_slices(headers)
    voxels = read_pixels(headers)
    try:
        geometry = _geometry(headers, voxels.shape[:3])
    except ValueError as error:
        raise InputError("The DICOM images say no usable position and spacing of their pixels.") from error
    return voxels, geometry, DICOM_MODALITIES.get(stack.modality, Modality.OTHER)


def _stacks(headers: list[DicomSlice]) -> list[DicomStack]:
    series: dict[str, dict[tuple, list[list[DicomSlice]]]] = defaultdict(lambda: defaultdict(list))
    seen: set[tuple] = set()
    for header in sorted(headers, key=lambda h: (h.series_number, h.series_uid, h.instance, h.path)):
        # The same image under two file names counts once. Some anonymisers give all images one identifier.
        image = (header.image_uid, header.instance, *header.origin_lps)
        if header.image_uid and image in seen:
            continue
        seen.add(image)
        for slice_ in slices_of(header):
            there = series[header.series_uid][slice_.place]
            alike = next((members for members in there if slice_.lies_like(members[0])), None)
            if alike is None:
                there.append([slice_])
            else:
                alike.append(slice_)
    stacks = []
    for uid, places in series.items():
        joined = _join_times([members for there in places.values() for members in there])
        for number, members in enumerate(joined, 1):
            key = (uid or "series") + (f"#{number}" if len(joined) > 1 else "")
            stacks.append(DicomStack(key, members[0].modality, members[0].description, tuple(members)))
    return stacks


def _join_times(stacks: list[list[DicomSlice]]) -> list[list[DicomSlice]]:
    """Files of many frames that show the same positions, each at a time of its own, put together; others as they are.
    What the files do not tell apart by time may be magnitude and phase, or other pictures that are no series.
    """
    groups: list[tuple[np.ndarray, list[list[DicomSlice]]]] = []
    for members in stacks:
        positions = np.array([images[0].origin_lps for images in _by_position(members)])
        alike = next((g for there, g in groups if _show_the_same(members[0], positions, g[0][0], there)), None)
        if alike is None:
            groups.append((positions, [members]))
        else:
            alike.append(members)
    joined = []
    for _, group in groups:
        times = {min((member.time, member.moment) for member in members) for members in group}
        together = len(times) == len(group)
        joined += [[member for members in group for member in members]] if together else group
    return joined


def _show_the_same(first: DicomSlice, positions: np.ndarray, other: DicomSlice, there: np.ndarray) -> bool:
    """Whether two files of many frames, given by a slice and the positions (N, 3) of each, show the same places."""
    return (
        # But for what they are part of, slices that can be stacked have the same place.
        bool(first.part_of and other.part_of)
        and first.place[1:] == other.place[1:]
        and first.lies_like(other)
        and positions.shape == there.shape
        and np.allclose(positions, there, rtol=0, atol=_SAME_POSITION * first.spacing[:2].min())
    )


def _frames(headers: Sequence[DicomSlice]) -> tuple[tuple[DicomSlice, ...], ...]:
    """Split images that repeat the same positions into frames, each sorted along the normal."""
    by_position = _by_position(headers)
    counts = {len(images) for images in by_position}
    if len(counts) > 1:
        raise InputError(
            f"The DICOM series '{headers[0].description}' shows some positions {max(counts)} times and others "
            f"{min(counts)} times. Export a series with every slice once, or complete frames."
        )
    ordered = [sorted(images, key=lambda h: h.turn) for images in by_position]
    return tuple(zip(*ordered, strict=True))


def _by_position(headers: Sequence[DicomSlice]) -> list[list[DicomSlice]]:
    """Images along the normal, those of the same position together."""
    by_position: list[list[DicomSlice]] = []
    tolerance_mm = _SAME_POSITION * headers[0].spacing[:2].min()
    for header in sorted(headers, key=lambda h: h.depth_mm):
        if by_position and header.depth_mm - by_position[-1][0].depth_mm < tolerance_mm:
            by_position[-1].append(header)
        else:
            by_position.append([header])
    return by_position


def _warn_of_unknown_positions(headers: tuple[DicomSlice, ...]) -> None:
    for header in headers:
        if header.unchecked:
            warnings.warn(
                f"The positions of the {header.size[2]} frames of '{header.path.name}' could not be checked: "
                f"{header.unchecked}. Their order, distance and scale may be wrong.",
                stacklevel=4,
            )


def _warn_of_guessed_spacing(headers: tuple[DicomSlice, ...]) -> None:
    if headers[0].guessed_spacing and headers[0].modality in OF_VOLUMES:
        warnings.warn(
            "The DICOM images do not say how large their pixels are; 1 mm is assumed. Lengths and volumes may be "
            "wrong.",
            stacklevel=4,
        )


def _warn_of_uneven_slices(headers: tuple[DicomSlice, ...]) -> None:
    if len(headers) < 3:
        return
    depths = np.array([header.depth_mm for header in headers])
    origins = np.array([header.origin_lps for header in headers])
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    if np.abs(depths - np.linspace(depths[0], depths[-1], len(depths))).max() > _UNEVEN * usual:
        widest = int(gaps.argmax())
        how = (
            f"evenly spaced: slices {widest + 1} and {widest + 2} are {gaps[widest]:.3g} mm apart, usually it is "
            f"{usual:.3g} mm. Slices may be missing; positions along this direction are wrong."
        )
    # Half a pixel changes which voxel a place falls into.
    elif np.linalg.norm(origins - np.linspace(origins[0], origins[-1], len(origins)), axis=1).max() > max(
        _UNEVEN * usual, headers[0].spacing[:2].min() / 2
    ):
        how = "in one line: some are shifted sideways. Positions in them are wrong."
    else:
        return
    warnings.warn(f"The DICOM slices are not {how}", stacklevel=4)


def _geometry(headers: tuple[DicomSlice, ...], shape_kji: tuple[int, ...]) -> GridGeometry:
    """From the first and last positions, so that a tilted gantry's shear is kept."""
    first, last = headers[0], headers[-1]
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = first.direction_lps * first.spacing
    if len(headers) > 1:
        ijk_to_lps[:3, 2] = (last.origin_lps - first.origin_lps) / (len(headers) - 1)
    ijk_to_lps[:3, 3] = first.origin_lps
    return GridGeometry(shape_kji, LPS_TO_RAS @ ijk_to_lps)
