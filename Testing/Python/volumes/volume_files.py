"""Files of volumes, their headers written byte by byte and not by the library that reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from example_grids import affine, random_direction
from SAMUNetSlicerLib.volumes.volume import Volume

DEMO_SERIES = Path(__file__).parents[2] / "Data" / "ct_abdomen_dicom"
SHAPE_KJI = (3, 4, 5)
VOXELS = np.arange(60, dtype="<i2").reshape(SHAPE_KJI)
# An oblique, anisotropic, left-handed place in the patient.
IJK_TO_RAS = affine(random_direction(5), (0.5, 0.75, 3.0), (11.5, -22.25, 33.0))
RAS_TO_LPS = np.diag([-1, -1, 1, 1])
UPRIGHT = np.eye(3)


def write_nrrd(
    path: Path, space: str, to_space: np.ndarray, voxels=VOXELS, extra: str = "", kinds="domain domain domain"
):
    """to_space: voxel to the header's own space. Axes before the three spatial ones are listed in `kinds`."""
    vectors = ["(" + ",".join(repr(float(v)) for v in column) + ")" for column in to_space[:3, :3].T]
    vectors = ["none"] * (voxels.ndim - 3) + vectors
    types = {"int16": "short", "uint8": "uchar", "float32": "float"}
    header = (
        f"NRRD0004\ntype: {types[voxels.dtype.name]}\ndimension: {voxels.ndim}\nspace: {space}\n"
        f"sizes: {' '.join(str(n) for n in voxels.shape[::-1])}\nspace directions: {' '.join(vectors)}\n"
        f"kinds: {kinds}\nendian: little\nencoding: raw\n"
        f"space origin: ({','.join(repr(float(v)) for v in to_space[:3, 3])})\n{extra}\n"
    )
    path.write_bytes(header.encode() + voxels.tobytes())
    return path


def write_nifti(path: Path, voxels=VOXELS, ijk_to_ras=IJK_TO_RAS, slope=1.0, intercept=0.0) -> Path:
    """NIfTI-1 with an sform, which is RAS by definition."""
    codes = {"int16": 4, "float32": 16, "uint8": 2}
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    dims = voxels.shape[::-1]
    struct.pack_into("<8h", header, 40, voxels.ndim, *dims, *[1] * (7 - voxels.ndim))
    struct.pack_into("<hh", header, 70, codes[voxels.dtype.name], voxels.dtype.itemsize * 8)
    struct.pack_into("<8f", header, 76, 1, *spacing, *[1] * 4)
    struct.pack_into("<fff", header, 108, 352, slope, intercept)
    header[123] = 2  # mm
    struct.pack_into("<hh", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, *ijk_to_ras[:3].ravel())
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + voxels.tobytes())
    return path


def write_dicom(path: Path, pixels: np.ndarray, position_lps=None, direction=UPRIGHT, **tags) -> Path:
    """One uncompressed image; `tags` by their DICOM keyword, UIDs from the file's path where not given."""
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[str(path)])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "ID4711"
    dataset.Modality, dataset.SeriesDescription, dataset.SeriesNumber, dataset.InstanceNumber = "CT", "chest", 1, 1
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.PixelSpacing = [0.75, 0.5]
    if position_lps is not None:
        dataset.ImagePositionPatient = [float(v) for v in position_lps]
        dataset.ImageOrientationPatient = _cosines(direction)
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, positions_lps, voxels=VOXELS, direction=UPRIGHT, **tags) -> Path:
    """One file per position; file names do not follow the order of the slices."""
    for number, (pixels, position) in enumerate(zip(voxels, positions_lps, strict=True)):
        name = f"{(number * 7) % 11:02d}_{number}.dcm"
        write_dicom(folder / name, pixels, position, direction, **{"InstanceNumber": number + 1, **tags})
    return folder


def write_enhanced(path: Path, positions_lps, voxels: np.ndarray, **others) -> Path:
    """One enhanced MR file with a frame for each position, 0.5 mm across and 0.75 mm down.

    others: directions, shared or one per frame; scales, times and moments, that is (slope, intercept), index, and date
    and time, one per frame; the rest are tags.
    """
    directions, scales = others.pop("directions", UPRIGHT), others.pop("scales", None)
    times, moments = others.pop("times", None), others.pop("moments", None)
    measures = {"PixelSpacing": [0.75, 0.5], "SliceThickness": 2.5}
    shared, frames = _macros(PixelMeasuresSequence=measures), []
    if np.ndim(directions) == 2:
        shared.update(_macros(PlaneOrientationSequence={"ImageOrientationPatient": _cosines(directions)}))
    for n, position in enumerate(positions_lps):
        groups = {"PlanePositionSequence": {"ImagePositionPatient": [float(v) for v in position]}}
        if np.ndim(directions) == 3:
            groups["PlaneOrientationSequence"] = {"ImageOrientationPatient": _cosines(directions[n])}
        if scales is not None:
            slope, intercept = scales[n]
            groups["PixelValueTransformationSequence"] = {"RescaleSlope": slope, "RescaleIntercept": intercept}
        if times is not None:
            groups["FrameContentSequence"] = {"TemporalPositionIndex": times[n]}
        if moments is not None:
            groups.setdefault("FrameContentSequence", {})["FrameAcquisitionDateTime"] = moments[n]
        frames.append(_macros(**groups))
    tags = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1",
        "Modality": "MR",
        "NumberOfFrames": len(frames),
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(frames),
        "PixelData": voxels.tobytes(),
    }
    return write_dicom(path, voxels[0], **{**tags, **others})


def _macros(**groups: dict) -> Dataset:
    item = Dataset()
    for keyword, values in groups.items():
        macro = Dataset()
        macro.update(values)
        setattr(item, keyword, Sequence([macro]))
    return item


def _cosines(direction) -> list[float]:
    return [float(v) for v in np.asarray(direction)[:, :2].T.ravel()]


AXIAL_POSITIONS = [(10, 20, 30 + 5 * k) for k in range(3)]


def assert_is_the_example(volume: Volume, ijk_to_ras=IJK_TO_RAS) -> None:
    assert np.array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, ijk_to_ras, atol=1e-4)
