"""DICOM files to slices that know their place, whether a file holds one of them or many."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..itk_names import itk_name, itk_text
from .dicom_frames import FramesUnknownError, read_frames

# Of these positions and sizes are expected: a file of many frames without positions is no film, but a volume whose
# positions are lost.
OF_VOLUMES = {"CT", "MR", "PT"}
_PIXEL_SPACINGS = ("0028|0030", "0018|1164")  # of the object, of the detector
_SAME_SPACING_MM = 1e-4
_SAME_DIRECTION = 1e-3
# Its frames are given by their distances, which ITK follows.
_DOSE = "RTDOSE"


@dataclass(frozen=True)
class DicomSlice:
    """One image, or all frames of a file together where they have no known positions (then size[2] > 1).

    pixel_type: SimpleITK's number for the pixels as they are decoded; components: of each, 1 for grey.
    frame: which frame of the file; None where the slice is the whole file. part_of: what keeps the frames of one file
    of many, or of several that form one object, from being stacked on others; "" for single images. moment: when such
    a file was taken, as DICOM writes date and time; "" where nothing tells. time: its number in a time series, and
    acquisition: that of the acquisition; 0 where the file gives none.
    rescale: slope and intercept; decoded_rescale: those that decoding the file applies.
    unchecked: why the positions of the frames are not known, "" where they are or nobody would expect them.
    guessed_spacing: nothing says how large the pixels are, and ITK takes 1 mm.
    """

    path: Path
    series_uid: str
    image_uid: str
    series_number: int
    acquisition: int
    instance: int
    description: str
    modality: str
    pixel_type: int
    components: int
    rescale: tuple[float, float]
    has_position: bool
    size: tuple[int, int, int]
    spacing: np.ndarray  # (3,) mm
    origin_lps: np.ndarray  # (3,) mm
    direction_lps: np.ndarray  # (3, 3), columns: along a row, down a column, normal
    decoded_rescale: tuple[float, float] = (1.0, 0.0)
    frame: int | None = None
    time: int = 0
    part_of: str = ""
    moment: str = ""
    unchecked: str = ""
    guessed_spacing: bool = False

    @cached_property
    def depth_mm(self) -> float:
        """Position along the normal."""
        return float(np.cross(self.direction_lps[:, 0], self.direction_lps[:, 1]) @ self.origin_lps)

    @property
    def place(self) -> tuple:
        """Only slices with equal places can be stacked on each other, and only where they also lie alike."""
        if not self.has_position or self.size[2] > 1:
            return (str(self.path),)
        return (self.part_of, self.size, self.components)

    def lies_like(self, other: DicomSlice) -> bool:
        """Whether spacing and direction are the same, up to the rounding in headers."""
        return np.allclose(self.spacing[:2], other.spacing[:2], rtol=0, atol=_SAME_SPACING_MM) and np.allclose(
            self.direction_lps[:, :2], other.direction_lps[:, :2], rtol=0, atol=_SAME_DIRECTION
        )

    @property
    def turn(self) -> tuple:
        """Order among slices at the same position: the instance comes late, as each acquisition may number its own."""
        return (self.time, self.moment, self.acquisition, self.instance, str(self.path), self.frame or 0)


def read_header(path: Path) -> DicomSlice | None:
    """The file as ITK sees it, with all its frames together; None for files that are not DICOM images.
    Raises InputError for a name that cannot be given to ITK.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(itk_name(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None

    def text(tag: str) -> str:
        return itk_text(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""

    def number(tag: str, kind: type, default: float = 0) -> float:
        try:
            return kind(text(tag))
        except ValueError:
            return default

    size = (*reader.GetSize(), 1)[:3]
    spacing = np.array(reader.GetSpacing())[:3]
    direction = np.array(reader.GetDirection()).reshape(reader.GetDimension(), -1)[:3, :3]
    rescale = (number("0028|1053", float, 1.0), number("0028|1052", float, 0.0))
    return DicomSlice(
        path=path,
        series_uid=text("0020|000e"),
        image_uid=text("0008|0018"),
        series_number=number("0020|0011", int),
        acquisition=number("0020|0012", int),
        instance=number("0020|0013", int),
        # Without line feeds, and the escapes of Asian character sets, which a terminal would follow.
        description="".join(filter(str.isprintable, text("0008|103e"))),
        modality=text("0008|0060"),
        pixel_type=reader.GetPixelID(),
        components=reader.GetNumberOfComponents(),
        rescale=rescale,
        has_position=bool(text("0020|0032")),
        size=size,
        spacing=spacing,
        origin_lps=np.array(reader.GetOrigin())[:3],
        direction_lps=direction,
        decoded_rescale=rescale,
        time=number("0020|0100", int),
        guessed_spacing=bool((spacing[:2] == 1).all()) and not any(map(text, _PIXEL_SPACINGS)),
    )


def is_unreadable_picture(path: Path) -> bool:
    """Whether a file that `read_header` makes nothing of is a DICOM image all the same, for example cut short."""
    try:
        with path.open("rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return False
        import pydicom

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "Rows" in pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows"])
    except Exception:  # a damaged header makes pydicom fail in many ways, and it may not be installed
        return False


def slices_of(header: DicomSlice) -> list[DicomSlice]:
    """What a file holds: one slice for each frame that has a known position, or else the file as it stands."""
    many = header.size[2] > 1
    if not many and header.has_position:
        return [header]
    try:
        table = read_frames(header.path)
    except FramesUnknownError as error:
        return [replace(header, unchecked=str(error) if many else "")]
    if table is None:
        expected = header.modality in OF_VOLUMES or (header.has_position and header.modality != _DOSE)
        return [replace(header, unchecked="the file does not give them" if many and expected else "")]
    part_of = table.concatenation or (str(header.path) if many else "")
    return [
        replace(
            header,
            instance=table.part or header.instance,
            rescale=frame.rescale,
            has_position=True,
            size=(*header.size[:2], 1),
            spacing=header.spacing if frame.spacing is None else frame.spacing,
            guessed_spacing=header.guessed_spacing and frame.spacing is None,
            origin_lps=frame.origin_lps,
            direction_lps=frame.direction_lps,
            decoded_rescale=table.decoded_rescale,
            frame=number,
            time=frame.time,
            part_of=part_of,
            moment=table.moment if part_of else "",
        )
        for number, frame in enumerate(table.frames)
    ]
