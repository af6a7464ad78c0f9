"""What a DICOM file of many frames (enhanced CT, MR, PET and their like) says of each of them.

ITK decodes such files, but looks at the first frame only: it takes even steps in the order of the file for granted
(1 mm where they are not even) and scales all frames alike. The functional groups say where each frame lies.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_UID = "1.2.840.10008.5.1.4.1.1."
# Enhanced CT, MR and PET, as made by scanners and as converted from single images; X-ray tomography (angiography,
# craniofacial, breast). For these GDCM applies the scale of the groups while it decodes, for others none.
_SCALED_IN_DECODING = {
    _UID + ending
    for ending in (
        *("2.1", "2.2", "4.1", "4.4", "130", "128.1"),
        *("13.1.1", "13.1.2", "13.1.3", "13.1.4", "13.1.5"),
    )
}
_READ = (
    *("SOPClassUID", "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ConcatenationUID", "InConcatenationNumber", "AcquisitionDateTime"),
)


class FramesUnknownError(Exception):
    """The places of a file's frames cannot be told; the text is the reason, a clause without a full stop."""


@dataclass(frozen=True)
class Frame:
    """One frame. time: its number in a time series, 0 where the file gives none. rescale: slope and intercept."""

    time: int
    origin_lps: np.ndarray  # (3,) mm
    direction_lps: np.ndarray  # (3, 3), columns: along a row, down a column, normal
    spacing: np.ndarray | None  # (3,) mm, the last one between slices or else their thickness; None if not given
    rescale: tuple[float, float]


@dataclass(frozen=True)
class FrameTable:
    """The frames of one file in the order of its pixels.

    concatenation: identifies the object that the file is only a part of, and `part` its number there; "" and 0 where
    it is whole. decoded_rescale: slope and intercept that decoding applies to all frames. moment: when the first of
    them was taken, as DICOM writes date and time; "" where nothing tells.
    """

    frames: tuple[Frame, ...]
    concatenation: str
    part: int
    decoded_rescale: tuple[float, float]
    moment: str


def read_frames(path: Path) -> FrameTable | None:
    """From the header alone. None where the file gives no frame a position in the patient (films, photographs).
    Raises FramesUnknownError where only some frames have one, it makes no sense, or pydicom is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise FramesUnknownError("the Python package pydicom is not installed") from error
    with warnings.catch_warnings():
        # Of values that break the standard's rules of form.
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_READ))
            return _table(dataset)
        except FramesUnknownError:
            raise
        except Exception as error:  # a damaged header makes pydicom fail in many ways
            raise FramesUnknownError("the file's list of frames is damaged") from error


def _table(dataset: Any) -> FrameTable | None:
    """dataset: pydicom's. Raises FramesUnknownError."""
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    placed = [_value(frame, shared, "PlanePositionSequence", "ImagePositionPatient") is not None for frame in each]
    if not any(placed):
        return None
    if not all(placed) or len(placed) != int(dataset.get("NumberOfFrames") or 1):
        raise FramesUnknownError("the file gives positions for some of them only")
    decoded = (1.0, 0.0)
    if dataset.get("SOPClassUID") in _SCALED_IN_DECODING:
        decoded = _rescale(shared, None) or _rescale(each[0], None) or decoded
    return FrameTable(
        tuple(_frame(frame, shared) for frame in each),
        str(dataset.get("ConcatenationUID") or ""),
        int(dataset.get("InConcatenationNumber") or 0),
        decoded,
        min(_moment(frame, shared) for frame in each) or str(dataset.get("AcquisitionDateTime") or ""),
    )


def _moment(groups: Any, shared: Any) -> str:
    names = ("FrameReferenceDateTime", "FrameAcquisitionDateTime")
    values = (_value(groups, shared, "FrameContentSequence", name) for name in names)
    return next((str(value) for value in values if value is not None), "")


def _frame(groups: Any, shared: Any) -> Frame:
    def numbers(macro: str, keyword: str, count: int) -> np.ndarray | None:
        value = _value(groups, shared, macro, keyword)
        found = None if value is None else np.atleast_1d(np.array(value, float))
        return found if found is not None and found.shape == (count,) and np.isfinite(found).all() else None

    origin = numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    axes = numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    if origin is None or axes is None:
        raise FramesUnknownError("positions or directions are missing in the file")
    row, column = axes[:3], axes[3:]
    normal = np.cross(row, column)
    if not np.allclose([row @ row, column @ column, normal @ normal], 1, atol=1e-2):
        raise FramesUnknownError("the directions in the file are not at right angles")
    direction = np.stack([vector / np.linalg.norm(vector) for vector in (row, column, normal)], axis=1)

    in_plane = numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    step = numbers("PixelMeasuresSequence", "SpacingBetweenSlices", 1)
    thickness = numbers("PixelMeasuresSequence", "SliceThickness", 1)
    between = next((abs(s[0]) for s in (step, thickness) if s is not None and s[0]), 1.0)
    spacing = None
    if in_plane is not None and (in_plane > 0).all():
        spacing = np.array([in_plane[1], in_plane[0], between])
    time = _value(groups, shared, "FrameContentSequence", "TemporalPositionIndex")
    return Frame(int(time or 0), origin, direction, spacing, _rescale(groups, shared) or (1.0, 0.0))


def _rescale(groups: Any, shared: Any) -> tuple[float, float] | None:
    """Slope and intercept, None unless both are given."""
    names = ("RescaleSlope", "RescaleIntercept")
    values = [_value(groups, shared, "PixelValueTransformationSequence", name) for name in names]
    return None if None in values else (float(values[0]), float(values[1]))


def _value(groups: Any, shared: Any, macro: str, keyword: str) -> Any:
    """From the frame's own groups, or else from those that all frames share; None where it is nowhere."""
    for source in (groups, shared):
        item = _first(source, macro)
        value = None if item is None else item.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _first(dataset: Any, keyword: str) -> Any:
    items = None if dataset is None else dataset.get(keyword)
    return items[0] if items else None
