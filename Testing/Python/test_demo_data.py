"""The demo's CT is whole, and its headers say nothing of a person, a day or a place."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from repository import ROOT

FOLDER = ROOT / "Testing" / "Data" / "ct_abdomen_dicom"
REFERENCE = ROOT / "Testing" / "Data" / "ct_abdomen_reference.nii.gz"
SPLEEN, LIVER = 1, 5

# Attributes that DICOM wants present; they stay empty or hold what is made up.
MADE_UP = {
    "PatientName": "SAMUNetSlicer^Demo",
    "PatientID": "SAMUNetSlicer-demo",
    "StudyDescription": "SAMUNetSlicer demo",
    "SeriesDescription": "CT abdomen, 20 slices",
    "StudyID": "1",
    "SeriesNumber": "1",
    "AcquisitionNumber": "1",
}
EMPTY = {
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "Manufacturer"),
    *("ReferringPhysicianName", "PositionReferenceIndicator"),
}
OF_THE_PICTURE = {
    *("ImageType", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Modality", "BodyPartExamined", "SliceThickness", "KVP", "ConvolutionKernel", "PatientPosition"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "InstanceNumber", "SamplesPerPixel"),
    *("PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SmallestImagePixelValue", "LargestImagePixelValue", "WindowCenter", "WindowWidth"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "PixelData"),
    *("PatientIdentityRemoved", "DeidentificationMethod"),
}
OF_THE_FILE = {
    *("FileMetaInformationGroupLength", "FileMetaInformationVersion", "MediaStorageSOPClassUID"),
    *("MediaStorageSOPInstanceUID", "TransferSyntaxUID", "ImplementationClassUID", "ImplementationVersionName"),
}

FILES = sorted(FOLDER.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_headers_hold_the_picture_and_nothing_of_anyone(path):
    slice_ = pydicom.dcmread(path)
    keywords = {element.keyword for element in slice_}  # a private or unknown element has none
    assert keywords == OF_THE_PICTURE | EMPTY | set(MADE_UP)
    assert {element.keyword for element in slice_.file_meta} <= OF_THE_FILE
    assert not any(slice_[keyword].value for keyword in EMPTY)
    assert {keyword: str(slice_[keyword].value) for keyword in MADE_UP} == MADE_UP
    assert all(e.value.startswith("2.25.") for e in slice_ if e.VR == "UI" and e.keyword != "SOPClassUID")
    assert not any(slice_.preamble)


def test_the_series_is_one_volume_that_a_dicom_database_accepts():
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in FILES]
    assert len({s.SeriesInstanceUID for s in slices}) == len({s.StudyInstanceUID for s in slices}) == 1
    assert len({s.SOPInstanceUID for s in slices}) == len(slices) == 20
    assert [int(s.InstanceNumber) for s in slices] == list(range(1, 21))
    heights = [float(s.ImagePositionPatient[2]) for s in slices]
    assert np.allclose(np.diff(heights), 2.0)


def test_the_reference_lies_on_the_organs():
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(FOLDER)))
    ct = reader.Execute()
    assert ct.GetSize() == (512, 512, 20)
    labels = sitk.Resample(sitk.ReadImage(str(REFERENCE)), ct, sitk.Transform(), sitk.sitkNearestNeighbor)
    ct_kji, labels_kji = sitk.GetArrayViewFromImage(ct), sitk.GetArrayViewFromImage(labels)
    for organ in (SPLEEN, LIVER):
        inside = ct_kji[labels_kji == organ]
        assert inside.size > 1e5
        assert 60 < np.median(inside) < 120, "Hounsfield units of a contrasted organ"
        assert np.percentile(inside, 5) > 0, "no air and little fat"
