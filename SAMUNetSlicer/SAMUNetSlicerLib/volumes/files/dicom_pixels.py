"""The pixels of DICOM slices, each scaled as its own header says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import InputError
from .dicom_slices import DicomSlice

Scale = tuple[float, float]
# Stored values are whole numbers; undoing a scale leaves an error of rounding only.
_WHOLE = 1e-3


def read_pixels(slices: Sequence[DicomSlice]) -> np.ndarray:
    """Voxels (K, J, I) or (K, J, I, components) of the slices in their order, with slope and intercept applied;
    float32 where these or the type of the pixels differ from slice to slice. Of a file without known frames, K are its
    frames.

    Raises InputError where the pixels cannot be decoded or the scale of a frame cannot be applied.
    """
    if slices[0].frame is not None:
        return _frames(slices)
    # The first slice decides the type: those of another would overflow in it, and slices scaled one by one (PET) need
    # fractions.
    kinds = {(slice_.rescale, slice_.pixel_type) for slice_ in slices}
    return _decoded([slice_.path for slice_ in slices], fractions=len(kinds) > 1)


def _decoded(paths: list[Path], fractions: bool = False) -> np.ndarray:
    try:
        if len(paths) == 1:
            return sitk.GetArrayFromImage(sitk.ReadImage(str(paths[0]), imageIO="GDCMImageIO"))
        reader = sitk.ImageSeriesReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileNames([str(path) for path in paths])
        if fractions:
            reader.SetOutputPixelType(sitk.sitkFloat32)
        return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(
            "The DICOM images cannot be decoded: they are damaged or compressed in a way that is not supported. "
            "Export them uncompressed."
        ) from error


def _frames(slices: Sequence[DicomSlice]) -> np.ndarray:
    """From files of many frames, each decoded once and as a whole."""
    files: dict[Path, tuple[np.ndarray, Scale]] = {}
    for slice_ in slices:
        if slice_.path not in files:
            files[slice_.path] = _decoded_frames(slice_)
    first, _ = files[slices[0].path]
    # Colours have no scale.
    rescaling = first.ndim == 3 and any(slice_.rescale != files[slice_.path][1] for slice_ in slices)
    if not rescaling and len(files) == 1 and [slice_.frame for slice_ in slices] == list(range(len(first))):
        return first
    kind = np.float32 if rescaling else np.result_type(*(pixels for pixels, _ in files.values()))
    voxels = np.empty((len(slices), *first.shape[1:]), kind)
    for k, slice_ in enumerate(slices):
        pixels, scale = files[slice_.path]
        voxels[k] = _rescaled(pixels[slice_.frame], scale, slice_) if rescaling else pixels[slice_.frame]
    return voxels


def _decoded_frames(slice_: DicomSlice) -> tuple[np.ndarray, Scale]:
    """All frames of the slice's file, and the slope and intercept that decoding has applied to them.

    ITK refuses files whose frames lie on the spot, as those of one slice over time: for it, the spacing is zero.
    """
    try:
        return _decoded([slice_.path]), slice_.decoded_rescale
    except InputError as refusal:
        import pydicom

        try:
            dataset = pydicom.dcmread(slice_.path, force=True)
            if dataset.PhotometricInterpretation == "MONOCHROME2":
                return dataset.pixel_array, (1.0, 0.0)
        except Exception as error:  # damaged or compressed pixels make pydicom fail in many ways
            raise refusal from error
        raise


def _rescaled(pixels: np.ndarray, scale: Scale, slice_: DicomSlice) -> np.ndarray:
    """Scaled as the slice says instead of by slope and intercept `scale`, (J, I) float32."""
    if slice_.rescale == scale:
        return pixels.astype(np.float32)
    slope, intercept = scale
    stored = (pixels.astype(np.float64) - intercept) / slope
    if np.abs(stored - np.round(stored)).max() > _WHOLE:
        raise InputError(
            f"The frames of '{slice_.path.name}' have scales of their own (slope and intercept), which cannot be told "
            "apart from the one that it was decoded with. Export the series as single images."
        )
    slope, intercept = slice_.rescale
    return (np.round(stored) * slope + intercept).astype(np.float32)
