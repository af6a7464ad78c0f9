"""Image files to volumes: NRRD, NIfTI, MetaImage, DICOM, and pictures (PNG, JPEG, BMP, TIFF).

SimpleITK reads all of them in LPS; here they become RAS. Nothing that could name the patient is kept, apart from
what the user put into the file's or folder's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import InputError
from ..geometry import GridGeometry
from ..image_geometry import geometry_of_image
from ..itk_names import itk_name
from ..nifti_length import lacks_voxels
from ..planes import Orientation, PlaneStack, acquisition_orientation
from ..volume import Modality, Volume
from ..windows import default_window, thinned
from .dicom_series import DicomStack, choose_stack, find_stacks, read_stack, stack_of_file
from .flat_nifti import with_three_dimensions
from .picture_length import lacks_pixels

_DICOM = "GDCMImageIO"


def read_volume(path: str | Path, series_id: str | None = None, frame: int = 0) -> Volume:
    """Read an image file, a DICOM series folder, or the series that one DICOM file belongs to.

    series_id: which series of a DICOM folder, by its number in the list that the error gives, or its identifier.
    frame: which volume of a 4D file or DICOM time series. Rescaling (slope, intercept) is applied; transparency is
    dropped, 16-bit colours become 8 bit. The modality is DICOM's; other grey volumes count as CT where their
    intensities look like Hounsfield units. Warns (UserWarning) of DICOM slices that are uneven, shifted, unreadable or
    whose positions are unknown. Raises InputError.
    """
    return read_frame(path, series_id, frame)[0]


def read_frame(path: str | Path, series_id: str | None = None, frame: int = 0) -> tuple[Volume, int]:
    """As `read_volume`, and how many frames there are to choose from, 1 for an ordinary volume: both at once, since a
    look into a folder reads all its headers. Raises InputError.
    """
    path = _existing(path)
    with _quiet_itk():
        if _is_dicom(path):
            stack = _dicom_stack(path, series_id)
            frames = len(stack.frames)
            _check_frame(frame, frames)
            voxels, geometry, modality = read_stack(stack, frame)
            voxels = voxels if voxels.ndim == 3 else np.ascontiguousarray(_colours(voxels))
            name = (path if path.is_dir() else path.parent).resolve().name or "series"
        else:
            if series_id is not None:
                raise InputError(
                    f"'{path.name}' is not DICOM, so it has no series to choose from. Leave the series out."
                )
            with with_three_dimensions(path) as file:
                voxels, geometry, frames = _read_file(file, frame)
            modality, name = None, _stem(path)
    if modality is None:
        modality = guess_modality(voxels)
    try:
        return Volume(voxels, geometry, modality, name), frames
    except ValueError as error:
        raise InputError(f"'{path.name}' holds pixels of a kind that is not supported: {error}") from error


def describe_volume(volume: Volume) -> dict:
    """What a volume is, in values that JSON can hold: sizes in voxels, lengths in mm, positions in RAS."""
    geometry, window = volume.geometry, default_window(volume)
    minimum, maximum = volume.intensity_range
    return {
        "name": volume.name,
        "modality": volume.modality.value,
        "colours": "RGB" if volume.is_rgb else "grey",
        "voxel_type": str(volume.voxels.dtype),
        "size_ijk": geometry.size_ijk.tolist(),
        "spacing_mm": np.round(geometry.spacing_ijk, 6).tolist(),
        "extent_mm": np.round(geometry.spacing_ijk * geometry.size_ijk, 3).tolist(),
        "ijk_to_ras": np.round(geometry.ijk_to_ras, 6).tolist(),
        "acquired": acquisition_orientation(geometry).value,
        "planes": {orientation.value: len(PlaneStack(geometry, orientation)) for orientation in Orientation},
        "minimum": minimum,
        "maximum": maximum,
        "non_finite_voxels": sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in volume.voxels),
        "window": window.to_dict() if window else None,
    }


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """ITK prints warnings about files to the console; what matters is reported as errors and warnings here."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    itk_name(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            next(path.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise InputError(f"There is no file or folder '{path}'. Check the name.") from error
    except OSError as error:
        raise InputError(f"'{path}' cannot be opened: {error.strerror}. Check its name and who may read it.") from error
    if path.is_file() and size == 0:
        raise InputError(f"'{path.name}' is empty. Copy or export it again.")
    if path.name.lower().endswith((".seg.nrrd", ".seg.nhdr")):
        raise InputError(f"'{path.name}' is a segmentation, not an image. Give the volume that it was drawn on.")
    return path


def _stem(path: Path) -> str:
    name = path.name
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else path.stem


def _is_dicom(path: Path) -> bool:
    return path.is_dir() or sitk.ImageFileReader.GetImageIOFromFileName(str(path)) == _DICOM


def _dicom_stack(path: Path, series_id: str | None) -> DicomStack:
    if path.is_file() and series_id is None:
        return stack_of_file(path)
    return choose_stack(find_stacks(path if path.is_dir() else path.parent), series_id)


def _check_frame(frame: int, frames: int) -> None:
    if not 0 <= frame < frames:
        count = "one frame, number 0" if frames == 1 else f"{frames} frames, numbered 0 to {frames - 1}"
        raise InputError(f"There is no frame {frame}: the file has {count}.")


def _header(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    if not reader.GetImageIOFromFileName(str(path)):
        raise InputError(
            f"'{path.name}' is not an image that can be read. Give NRRD, NIfTI, MetaImage, DICOM, PNG, JPEG, BMP or "
            "TIFF."
        )
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    if reader.HasMetaDataKey("Segment0_ID"):
        raise InputError(f"'{path.name}' is a segmentation, not an image. Give the volume that it was drawn on.")
    if reader.GetDimension() > 4:
        raise InputError(f"'{path.name}' has {reader.GetDimension()} dimensions; volumes of up to 4 can be read.")
    if lacks_voxels(path) or lacks_pixels(path):
        raise InputError(f"'{path.name}' is cut off or damaged: voxels are missing. Copy or export it again.")
    return reader


def _unreadable(path: Path, error: RuntimeError) -> InputError:
    if "orthonormal" in str(error):
        return InputError(
            f"The axes of '{path.name}' are not at right angles. Resample it to a regular grid, for example with "
            "Slicer's 'Resample scalar volume'."
        )
    if "Unknown PixelType" in str(error):
        return InputError(f"'{path.name}' has pixels of an unusual kind. Save it as plain grey or RGB.")
    return InputError(f"'{path.name}' cannot be read as an image: it is damaged, incomplete or of an unknown variant.")


def _is_list(reader: sitk.ImageFileReader) -> bool:
    """True where the components of each voxel are time frames: Slicer's sequence files (.seq.nrrd)."""
    kinds = [reader.GetMetaData(key) for key in reader.GetMetaDataKeys() if key.startswith("NRRD_kinds")]
    return reader.GetNumberOfComponents() > 1 and "list" in kinds


def _frame_count(reader: sitk.ImageFileReader) -> int:
    if _is_list(reader):
        return reader.GetNumberOfComponents()
    return reader.GetSize()[3] if reader.GetDimension() == 4 else 1


def _read_file(path: Path, frame: int) -> tuple[np.ndarray, GridGeometry, int]:
    """Voxels (K, J, I), or (K, J, I, 3) uint8, and geometry, of one frame; how many frames there are."""
    reader = _header(path)
    frames = _frame_count(reader)
    _check_frame(frame, frames)
    if reader.GetDimension() == 4:
        reader.SetExtractIndex((0, 0, 0, frame))
        reader.SetExtractSize((*reader.GetSize()[:3], 0))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    # The image's own memory: only what is needed is copied, of a long list of frames one.
    voxels = sitk.GetArrayViewFromImage(image)
    if image.GetDimension() == 2:
        voxels = voxels[None]
    if _is_list(reader):
        voxels = voxels[..., frame]
    elif voxels.ndim == 4:
        voxels = _colours(voxels)
    voxels = voxels if voxels.flags.owndata else np.array(voxels, order="C")
    try:
        return voxels, geometry_of_image(image), frames
    except ValueError as error:
        raise InputError(f"'{path.name}' says no usable position and spacing of its voxels.") from error


def _colours(voxels: np.ndarray) -> np.ndarray:
    """(K, J, I, components) to (K, J, I, 3) uint8; a view where they are 8 bit."""
    components = voxels.shape[3]
    if voxels.dtype not in (np.uint8, np.uint16) or components not in (3, 4):
        raise InputError(
            f"The image has {components} values of type {voxels.dtype} per voxel. Give a grey image or 8-bit RGB."
        )
    colours = voxels[..., :3]
    if colours.dtype == np.uint8:
        return colours
    return np.right_shift(colours, 8, out=np.empty(colours.shape, dtype=np.uint8), casting="unsafe")


def guess_modality(voxels: np.ndarray) -> Modality:
    """CT where intensities reach from air (-500 HU or less) to above soft tissue (200 HU) and are whole numbers, as
    scanners store them, or at least end near air's own -1000 HU, as resampled CT does; otherwise unknown.
    """
    if voxels.ndim != 3 or voxels.dtype.kind == "u":
        return Modality.OTHER
    values = thinned(voxels)
    values = values[np.isfinite(values)]
    if not values.size or values.min() > -500 or values.max() <= 200:
        return Modality.OTHER
    whole = np.abs(values - np.round(values)).max() < 1e-2
    return Modality.CT if whole or -1100 <= values.min() <= -900 else Modality.OTHER
