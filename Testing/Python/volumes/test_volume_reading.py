"""Files to volumes. The files' headers are written here byte by byte, not by the library that reads them."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from example_grids import affine, random_direction
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack, acquisition_orientation
from SAMUNetSlicerLib.volumes.reading import describe_volume, read_sequence_length, read_volume
from SAMUNetSlicerLib.volumes.volume import Modality, Volume

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
        dataset.ImageOrientationPatient = [float(v) for v in np.asarray(direction)[:, :2].T.ravel()]
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


AXIAL_POSITIONS = [(10, 20, 30 + 5 * k) for k in range(3)]


def assert_is_the_example(volume: Volume, ijk_to_ras=IJK_TO_RAS) -> None:
    assert np.array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, ijk_to_ras, atol=1e-4)


@pytest.mark.parametrize(
    ("space", "from_ras"),
    [
        ("left-posterior-superior", RAS_TO_LPS),
        ("right-anterior-superior", np.eye(4)),
        ("left-anterior-superior", np.diag([-1, 1, 1, 1])),
    ],
)
def test_nrrd_is_read_in_the_space_that_it_names(tmp_path, space, from_ras):
    volume = read_volume(write_nrrd(tmp_path / "image.nrrd", space, from_ras @ IJK_TO_RAS))
    assert_is_the_example(volume)
    assert volume.name == "image"


def test_a_detached_nrrd_header_is_read(tmp_path):
    whole = write_nrrd(tmp_path / "whole.nrrd", "right-anterior-superior", IJK_TO_RAS).read_bytes()
    header, data = whole.split(b"\n\n", 1)
    (tmp_path / "image.raw").write_bytes(data)
    (tmp_path / "image.nhdr").write_bytes(header + b"\ndata file: image.raw\n")
    assert_is_the_example(read_volume(tmp_path / "image.nhdr"))


def test_nifti_is_ras(tmp_path):
    volume = read_volume(write_nifti(tmp_path / "image.nii"))
    assert_is_the_example(volume)


def test_slope_and_intercept_of_nifti_are_applied(tmp_path):
    volume = read_volume(write_nifti(tmp_path / "image.nii", slope=0.5, intercept=-100))
    np.testing.assert_allclose(volume.voxels, VOXELS * 0.5 - 100)


def test_a_compressed_nifti_keeps_its_plain_name(tmp_path):
    image = sitk.GetImageFromArray(VOXELS)
    sitk.WriteImage(image, tmp_path / "brain.v2.nii.gz")
    assert read_volume(str(tmp_path / "brain.v2.nii.gz")).name == "brain.v2"


@pytest.mark.parametrize("extension", ["mha", "mhd"])
def test_metaimage_is_lps(tmp_path, extension):
    to_lps = RAS_TO_LPS @ IJK_TO_RAS
    image = sitk.GetImageFromArray(VOXELS)
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetDirection((to_lps[:3, :3] / spacing).ravel().tolist())
    path = tmp_path / f"image.{extension}"
    sitk.WriteImage(image, path)
    assert_is_the_example(read_volume(path))


def test_axes_of_nifti_that_are_not_at_right_angles_are_explained(tmp_path):
    sheared = IJK_TO_RAS.copy()
    sheared[:3, 1] += 0.4 * sheared[:3, 0]
    with pytest.raises(InputError, match="right angles"):
        read_volume(write_nifti(tmp_path / "image.nii", ijk_to_ras=sheared))


@pytest.mark.parametrize("extension", ["nrrd", "nii.gz"])
def test_one_frame_of_a_4d_file_is_read(tmp_path, extension):
    frames = np.stack([VOXELS, VOXELS + 1000])
    path = tmp_path / f"image.{extension}"
    sitk.WriteImage(sitk.GetImageFromArray(frames, isVector=False), path)
    assert read_sequence_length(path) == 2
    assert np.array_equal(read_volume(path).voxels, frames[0])
    assert np.array_equal(read_volume(path, frame=1).voxels, frames[1])
    for frame in (2, -1):
        with pytest.raises(InputError, match="numbered 0 to 1"):
            read_volume(path, frame=frame)


def test_one_frame_of_a_slicer_sequence_file_is_read(tmp_path):
    frames = np.stack([VOXELS, VOXELS + 1000], axis=-1)
    path = write_nrrd(
        tmp_path / "image.seq.nrrd", "right-anterior-superior", IJK_TO_RAS, frames, kinds="list domain domain domain"
    )
    assert read_sequence_length(path) == 2
    volume = read_volume(path, frame=1)
    assert np.array_equal(volume.voxels, VOXELS + 1000)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, IJK_TO_RAS, atol=1e-6)


def test_an_ordinary_volume_has_one_frame(tmp_path):
    path = write_nifti(tmp_path / "image.nii")
    assert read_sequence_length(path) == 1
    with pytest.raises(InputError, match="one frame"):
        read_volume(path, frame=1)


@pytest.mark.parametrize("extension", ["png", "tif", "jpg"])
def test_grey_pictures_are_read_upright(tmp_path, extension):
    pixels = np.full((16, 24), 40, dtype=np.uint8)
    pixels[:8, :8] = 200
    path = tmp_path / f"picture.{extension}"
    sitk.WriteImage(sitk.GetImageFromArray(pixels), path)
    volume = read_volume(path)
    assert volume.is_2d
    assert not volume.is_rgb
    assert volume.modality is Modality.OTHER
    np.testing.assert_allclose(volume.voxels[0].astype(int), pixels, atol=3)
    plane = PlaneStack(volume.geometry, acquisition_orientation(volume.geometry))[0]
    assert plane.orientation is Orientation.AXIAL
    np.testing.assert_allclose(volume.geometry.to_ijk(plane.to_ras([3, 2])), [3, 2, 0], atol=1e-9)


@pytest.mark.parametrize("components", [3, 4])
def test_colour_pictures_lose_their_transparency_only(tmp_path, components):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, components), dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), tmp_path / "picture.png")
    volume = read_volume(tmp_path / "picture.png")
    assert volume.is_rgb
    assert volume.modality is Modality.OTHER
    assert np.array_equal(volume.voxels[0], pixels[..., :3])


def test_16_bit_colours_become_8_bit(tmp_path):
    pixels = np.array([[[0, 255, 256], [0x8000, 0xFFFF, 0xFEFF]]], dtype=np.uint16)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), tmp_path / "picture.png")
    assert read_volume(tmp_path / "picture.png").voxels.ravel().tolist() == [0, 0, 1, 128, 255, 254]


def test_a_bitmap_is_read_by_its_colours(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), tmp_path / "picture.bmp")
    assert np.array_equal(read_volume(tmp_path / "picture.bmp").voxels[0], pixels)


def test_grey_with_transparency_is_refused_with_a_hint(tmp_path):
    pixels = np.zeros((6, 7, 2), dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), tmp_path / "picture.png")
    with pytest.raises(InputError, match="plain grey or RGB"):
        read_volume(tmp_path / "picture.png")


def test_rgb_volumes_are_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 7, 3), dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), tmp_path / "stack.nrrd")
    assert np.array_equal(read_volume(tmp_path / "stack.nrrd").voxels, pixels)


def test_vector_fields_are_refused(tmp_path):
    field = np.zeros((3, 6, 7, 3), dtype=np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(field, isVector=True), tmp_path / "field.mha")
    with pytest.raises(InputError, match="float32 per voxel"):
        read_volume(tmp_path / "field.mha")


def test_complex_images_are_refused(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5), np.complex64))
    sitk.WriteImage(image, tmp_path / "kspace.mha")
    with pytest.raises(InputError, match="2 values of type float32"):
        read_volume(tmp_path / "kspace.mha")


@pytest.mark.parametrize(
    ("voxels", "modality"),
    [
        (np.linspace(-1024, 1500, 60).round(), Modality.CT),
        (np.linspace(-1000.3, 1500.7, 60), Modality.CT),
        (np.linspace(-3.5, 4.5, 60), Modality.OTHER),
        (np.linspace(0, 1500, 60).round(), Modality.OTHER),
        (np.linspace(-1024, 100, 60).round(), Modality.OTHER),
        (np.linspace(-700.3, 900.7, 60), Modality.OTHER),
        (np.full(60, np.nan), Modality.OTHER),
    ],
)
def test_ct_is_recognised_by_its_hounsfield_units(tmp_path, voxels, modality):
    voxels = voxels.astype(np.float32).reshape(SHAPE_KJI)
    assert read_volume(write_nrrd(tmp_path / "a.nrrd", "RAS", IJK_TO_RAS, voxels)).modality is modality


def test_a_dicom_series_is_sorted_by_position_and_rescaled(tmp_path):
    folder = write_series(
        tmp_path / "chest", AXIAL_POSITIONS[::-1], VOXELS[::-1], RescaleSlope=2, RescaleIntercept=-1024
    )
    volume = read_volume(folder)
    assert np.array_equal(volume.voxels, VOXELS * 2 - 1024)
    expected = RAS_TO_LPS @ affine(np.eye(3), (0.5, 0.75, 5), (10, 20, 30))
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected, atol=1e-6)
    assert volume.modality is Modality.CT
    assert volume.name == "chest"


def test_one_file_stands_for_its_dicom_series(tmp_path):
    folder = write_series(tmp_path / "chest", AXIAL_POSITIONS)
    other = write_dicom(tmp_path / "chest" / "scout.dcm", VOXELS[0], (0, 0, 0), SeriesInstanceUID="9.9", SeriesNumber=2)
    assert np.array_equal(read_volume(sorted(folder.iterdir())[0]).voxels, VOXELS)
    assert np.array_equal(read_volume(other).voxels, VOXELS[:1])


def test_an_oblique_dicom_series_lies_where_its_headers_say(tmp_path):
    direction = random_direction(3)
    direction[:, 2] = np.cross(direction[:, 0], direction[:, 1])
    positions = [np.array([10, 20, 30]) + 4 * k * direction[:, 2] for k in range(3)]
    volume = read_volume(write_series(tmp_path / "mr", positions, direction=direction, Modality="MR"))
    expected = RAS_TO_LPS @ affine(direction, (0.5, 0.75, 4), (10, 20, 30))
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected, atol=1e-4)
    assert volume.modality is Modality.MR


def test_a_tilted_gantry_keeps_its_shear(tmp_path):
    positions = [(10, 20 + 1.5 * k, 30 + 5 * k) for k in range(3)]
    volume = read_volume(write_series(tmp_path / "ct", positions))
    np.testing.assert_allclose(volume.geometry.to_ras([0, 0, 2]), [-10, -23, 40], atol=1e-6)
    np.testing.assert_allclose(volume.geometry.to_ras([4, 3, 0]), [-12, -22.25, 30], atol=1e-6)


def test_slices_with_their_own_slopes_are_rescaled_one_by_one(tmp_path):
    """PET: the first slice's whole-number slope must not truncate the others."""
    for k, position in enumerate(AXIAL_POSITIONS):
        slope = [1, 0.25, 0.125][k]
        write_dicom(
            tmp_path / "pet" / f"{k}.dcm", VOXELS[k], position, Modality="PT", RescaleSlope=slope, RescaleIntercept=0
        )
    volume = read_volume(tmp_path / "pet")
    np.testing.assert_allclose(volume.voxels, VOXELS * np.array([1, 0.25, 0.125])[:, None, None])
    assert volume.modality is Modality.PET


def test_several_series_are_listed_to_choose_from(tmp_path):
    write_series(tmp_path / "a", AXIAL_POSITIONS)
    write_series(
        tmp_path / "b", AXIAL_POSITIONS[:2], VOXELS[:2] + 500, SeriesInstanceUID="1.5", SeriesNumber=7, Modality="MR"
    )
    with pytest.raises(InputError, match=r"1: CT 'chest', 3 images, 1\.2\.3\.4\n  2: MR 'chest', 2 images, 1\.5"):
        read_volume(tmp_path)
    assert np.array_equal(read_volume(tmp_path, series_id="1.2.3.4").voxels, VOXELS)
    assert np.array_equal(read_volume(tmp_path, series_id="2").voxels, VOXELS[:2] + 500)
    with pytest.raises(InputError, match="no DICOM series '3'"):
        read_volume(tmp_path, series_id="3")


def test_a_scout_within_the_series_is_a_stack_of_its_own(tmp_path):
    folder = write_series(tmp_path / "ct", AXIAL_POSITIONS)
    coronal = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T
    write_dicom(folder / "scout.dcm", VOXELS[0], (0, 0, 0), coronal, InstanceNumber=0)
    with pytest.raises(InputError, match="several DICOM series"):
        read_volume(folder)
    assert read_volume(folder, series_id="1.2.3.4#2").voxels.shape == SHAPE_KJI


def test_repeated_positions_are_frames(tmp_path):
    for frame in range(2):
        write_series(
            tmp_path / "perfusion" / str(frame), AXIAL_POSITIONS, VOXELS + 100 * frame, AcquisitionNumber=frame
        )
    for frame, path in enumerate(sorted((tmp_path / "perfusion").rglob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber += 3 * int(dataset.AcquisitionNumber)
        dataset.SOPInstanceUID = f"1.2.3.{frame + 1}"
        dataset.save_as(path)
    assert read_sequence_length(tmp_path / "perfusion") == 2
    assert np.array_equal(read_volume(tmp_path / "perfusion", frame=1).voxels, VOXELS + 100)
    sorted((tmp_path / "perfusion").rglob("*.dcm"))[0].unlink()
    with pytest.raises(InputError, match="1 times"):
        read_volume(tmp_path / "perfusion")


def test_a_file_copied_twice_counts_once(tmp_path):
    folder = write_series(tmp_path / "ct", AXIAL_POSITIONS)
    first = sorted(folder.iterdir())[0]
    (folder / "copy.dcm").write_bytes(first.read_bytes())
    assert np.array_equal(read_volume(folder).voxels, VOXELS)
    assert np.array_equal(read_volume(folder / "copy.dcm").voxels, VOXELS)


def test_missing_slices_are_warned_of(tmp_path):
    positions = [(0, 0, z) for z in (0, 2, 4, 8, 10)]
    voxels = np.zeros((5, 4, 5), np.int16)
    with pytest.warns(UserWarning, match="slices 3 and 4 are 4 mm apart, usually it is 2 mm"):
        read_volume(write_series(tmp_path / "gap", positions, voxels))


def test_positions_rounded_in_the_header_are_not_warned_of(tmp_path):
    positions = [(0, 0, round(1.25 * k, 1)) for k in range(5)]
    folder = write_series(tmp_path / "even", positions, np.zeros((5, 4, 5), np.int16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_volume(folder).geometry.spacing_ijk[2] == pytest.approx(1.25)


@pytest.mark.parametrize(("code", "modality"), [("US", Modality.US), ("CR", Modality.XRAY), ("XC", Modality.OTHER)])
def test_single_dicom_pictures_keep_their_modality(tmp_path, code, modality):
    path = write_dicom(tmp_path / "image.dcm", np.arange(20, dtype=np.uint8).reshape(4, 5), Modality=code)
    volume = read_volume(path)
    assert volume.modality is modality
    assert np.array_equal(volume.voxels[0], np.arange(20).reshape(4, 5))


def test_inverted_grey_is_turned_as_viewers_show_it(tmp_path):
    pixels = np.array([[0, 1000], [3000, 4095]], dtype=np.uint16)
    path = write_dicom(tmp_path / "x.dcm", pixels, Modality="DX", PhotometricInterpretation="MONOCHROME1")
    voxels = read_volume(path).voxels[0].astype(int)
    assert (voxels[0, 0] - voxels).tolist() == pixels.tolist()


def test_dicom_photographs_are_rgb(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert np.array_equal(read_volume(write_dicom(tmp_path / "p.dcm", pixels, Modality="XC")).voxels[0], pixels)


def test_two_xrays_of_one_series_are_not_stacked(tmp_path):
    for name in ("front", "side"):
        write_dicom(tmp_path / f"{name}.dcm", VOXELS[0], Modality="DX")
    with pytest.raises(InputError, match="several DICOM series"):
        read_volume(tmp_path)
    assert read_volume(tmp_path / "side.dcm").is_2d


def test_other_files_beside_a_series_are_passed_over(tmp_path):
    folder = write_series(tmp_path / "ct", AXIAL_POSITIONS)
    (folder / "README.txt").write_text("not an image")
    (folder / "empty.dcm").write_bytes(b"")
    write_dicom(folder / "segmentation.dcm", VOXELS[0], Modality="SEG", SeriesInstanceUID="3.3")
    assert np.array_equal(read_volume(folder).voxels, VOXELS)


def test_a_dicom_file_without_a_picture_is_explained(tmp_path):
    path = write_dicom(tmp_path / "segmentation.dcm", VOXELS[0], Modality="SEG")
    with pytest.raises(InputError, match="SEG object, not an image"):
        read_volume(path)


def test_a_folder_of_dicom_segmentations_only_is_explained(tmp_path):
    write_dicom(tmp_path / "segmentation.dcm", VOXELS[0], Modality="SEG")
    with pytest.raises(InputError, match="SEG objects but no images"):
        read_volume(tmp_path)


def test_undecodable_dicom_pixels_are_explained(tmp_path):
    path = write_dicom(tmp_path / "image.dcm", VOXELS[0], (0, 0, 0))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    with pytest.raises(InputError):
        read_volume(path)


def test_no_patient_identifier_is_kept(tmp_path):
    volume = read_volume(write_series(tmp_path / "case 12", AXIAL_POSITIONS))
    told = json.dumps(describe_volume(volume))
    assert "Doe" not in told
    assert "4711" not in told


@pytest.mark.skipif(not DEMO_SERIES.is_dir(), reason="the demo's DICOM series is not in this checkout")
def test_the_demo_series_is_decoded_and_lies_where_its_headers_say():
    volume = read_volume(DEMO_SERIES)
    files = [pydicom.dcmread(path, stop_before_pixels=True) for path in DEMO_SERIES.iterdir()]
    files.sort(key=lambda f: float(f.ImagePositionPatient[2]))
    assert volume.voxels.shape == (len(files), 512, 512)
    assert volume.modality is Modality.CT
    assert volume.intensity_range[0] == -1024
    assert 1000 < volume.intensity_range[1] < 3072
    for k, file in enumerate(files):
        x, y, z = file.ImagePositionPatient
        np.testing.assert_allclose(volume.geometry.to_ras([0, 0, k]), [-x, -y, z], atol=1e-3)
    x, y, z = files[0].ImagePositionPatient
    down, across = files[0].PixelSpacing
    np.testing.assert_allclose(
        volume.geometry.to_ras([511, 100, 0]), [-x - 511 * across, -y - 100 * down, z], atol=1e-3
    )


def test_segmentations_are_refused_with_a_hint(tmp_path):
    path = write_nrrd(tmp_path / "a.seg.nrrd", "RAS", IJK_TO_RAS)
    with pytest.raises(InputError, match="Give the volume that it was drawn on"):
        read_volume(path)
    renamed = write_nrrd(tmp_path / "a.nrrd", "RAS", IJK_TO_RAS, extra="Segment0_ID:=Segment_1\n")
    with pytest.raises(InputError, match="Give the volume that it was drawn on"):
        read_volume(renamed)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.nrrd", b"", "is empty"),
        ("notes.txt", b"hello", "is not an image"),
        ("cut.nrrd", b"NRRD0004\ntype: short\ndimension: 3\nsizes: 9 9 9\nencoding: raw\n\nab", "cannot be read"),
        ("picture.png", b"\x89PNG\r\n\x1a\n broken", "c"),
        ("image.nii.gz", b"not gzip at all", "image"),
    ],
)
def test_unreadable_files_are_explained_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_volume(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no file or folder .*nothing\.nrrd"):
        read_volume(tmp_path / "nothing.nrrd")


def test_a_folder_without_images_is_explained(tmp_path):
    with pytest.raises(InputError, match="no DICOM images"):
        read_volume(tmp_path)


def test_reading_prints_nothing(tmp_path, capfd):
    folder = write_series(tmp_path / "gap", [(0, 0, 0), (0, 0, 2), (0, 0, 8)])
    with pytest.warns(UserWarning, match="not evenly spaced"):
        read_volume(folder)
    read_volume(write_nifti(tmp_path / "image.nii"))
    assert capfd.readouterr() == ("", "")


def test_a_volume_is_described_in_json(tmp_path):
    description = describe_volume(read_volume(write_nifti(tmp_path / "image.nii")))
    assert json.loads(json.dumps(description)) == description
    assert description["size_ijk"] == [5, 4, 3]
    assert description["spacing_mm"] == pytest.approx([0.5, 0.75, 3.0], abs=1e-4)
    assert (description["minimum"], description["maximum"]) == (0, 59)
    assert sorted(description["planes"].values()) == [3, 4, 5]
    voxels = np.array([[[np.nan, 2.0]]])
    described = describe_volume(Volume(voxels, GridGeometry((1, 1, 2), np.eye(4))))
    assert described["non_finite_voxels"] == 1
    assert (described["minimum"], described["maximum"]) == (2, 2)
    rgb = describe_volume(Volume(np.zeros((1, 4, 5, 3), np.uint8), GridGeometry((1, 4, 5), np.eye(4))))
    assert rgb["colours"] == "RGB"
    assert rgb["window"] is None


def test_a_fingerprint_follows_content_and_place():
    geometry = GridGeometry(SHAPE_KJI, IJK_TO_RAS)
    fingerprint = Volume(VOXELS, geometry, name="a").fingerprint()
    assert Volume(np.asfortranarray(VOXELS), geometry, Modality.CT).fingerprint() == fingerprint
    assert Volume(VOXELS.astype(">i2"), geometry).fingerprint() == fingerprint
    changed = VOXELS.copy()
    changed[1, 2, 3] += 1
    moved = GridGeometry(SHAPE_KJI, IJK_TO_RAS + np.eye(4)[:, [3, 0, 1, 2]] * [0, 0, 0, 0.1])
    others = [Volume(changed, geometry), Volume(VOXELS, moved), Volume(VOXELS.astype(np.int32), geometry)]
    assert fingerprint not in {volume.fingerprint() for volume in others}


def test_voxels_cannot_be_written_through_a_volume():
    voxels = VOXELS.copy()
    volume = Volume(voxels, GridGeometry(SHAPE_KJI, np.eye(4)))
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1
    voxels[0, 0, 0] = 1


@pytest.mark.parametrize(
    "voxels",
    [
        np.zeros((3, 4, 6)),
        np.zeros((3, 4, 5, 3)),
        np.zeros((3, 4, 5, 4), np.uint8),
        np.zeros((3, 4, 5), np.float16),
        np.zeros((3, 4, 5), complex),
        np.zeros((3, 4)),
    ],
)
def test_voxels_that_do_not_fit_are_refused(voxels):
    with pytest.raises(ValueError, match=r"[Vv]oxels"):
        Volume(voxels, GridGeometry((3, 4, 5), np.eye(4)))
