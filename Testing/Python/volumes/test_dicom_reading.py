"""DICOM series and pictures to volumes."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pydicom
import pytest
from volume_files import (
    AXIAL_POSITIONS,
    DEMO_SERIES,
    RAS_TO_LPS,
    SHAPE_KJI,
    VOXELS,
    write_dicom,
    write_series,
)

from example_grids import affine, random_direction
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.volumes.files.reading import describe_volume, read_frame, read_volume
from SAMUNetSlicerLib.volumes.volume import Modality


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


def test_slices_of_micrometres_are_not_taken_for_one_shown_again(tmp_path):
    positions = [(0, 0, 0.01 * k) for k in range(3)]
    volume = read_volume(write_series(tmp_path / "micro", positions, PixelSpacing=[0.02, 0.02]))
    assert np.array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.geometry.spacing_ijk, (0.02, 0.02, 0.01), atol=1e-9)


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


@pytest.mark.parametrize(
    ("types", "values"),
    [(["u2", "i2", "i2"], [7, -9, 32000]), (["i2", "u2", "i2"], [-9, 65000, 7]), (["u1", "u2", "u1"], [7, 1000, 8])],
)
def test_slices_whose_pixels_differ_in_type_keep_their_values(tmp_path, types, values):
    for k, (kind, value) in enumerate(zip(types, values, strict=True)):
        write_dicom(tmp_path / "mr" / f"{k}.dcm", np.full((4, 5), value, kind), AXIAL_POSITIONS[k])
    assert read_volume(tmp_path / "mr").voxels[:, 0, 0].tolist() == values


def test_colours_are_not_stacked_on_grey_slices(tmp_path):
    folder = write_series(tmp_path / "ct", AXIAL_POSITIONS)
    write_dicom(folder / "fused.dcm", np.full((4, 5, 3), 9, np.uint8), (10, 20, 45), InstanceNumber=9)
    with pytest.raises(InputError, match=r"3 images, 1\.2\.3\.4#1\n  2: CT 'chest', 1 image"):
        read_volume(folder)
    assert np.array_equal(read_volume(folder, series_id="1").voxels, VOXELS)
    assert read_volume(folder, series_id="2").is_rgb


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


def test_descriptions_bring_no_escapes_to_the_terminal(tmp_path):
    for number in (1, 2):
        tags = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "SeriesDescription": "東京", "SeriesNumber": number}
        write_series(tmp_path / str(number), AXIAL_POSITIONS, SeriesInstanceUID=f"1.{number}", **tags)
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert all(line.isprintable() for line in str(caught.value).splitlines())


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_umlauts_in_descriptions_are_shown(tmp_path, character_set):
    for number in (1, 2):
        tags = {
            "SpecificCharacterSet": character_set,
            "SeriesDescription": "Schädel",
            "SeriesInstanceUID": f"1.{number}",
        }
        write_series(tmp_path / str(number), AXIAL_POSITIONS, **tags)
    with pytest.raises(InputError, match="CT 'Schädel', 3 images"):
        read_volume(tmp_path)


def test_an_incomplete_series_does_not_bar_the_others_of_its_folder(tmp_path):
    folder = write_series(tmp_path / "study", AXIAL_POSITIONS, VOXELS)
    file = sorted(folder.iterdir())[0]
    for number, k in enumerate((0, 1, 1, 2)):
        tags = {"SeriesInstanceUID": "9.9", "SeriesNumber": 2, "InstanceNumber": number}
        write_dicom(folder / f"broken{number}.dcm", VOXELS[k], AXIAL_POSITIONS[k], **tags)
    assert np.array_equal(read_volume(file).voxels, VOXELS)
    assert np.array_equal(read_volume(folder, series_id="1").voxels, VOXELS)
    with pytest.raises(InputError, match="some positions 2 times"):
        read_volume(folder, series_id="9.9")
    with pytest.raises(InputError, match=r"1: CT 'chest', 3 images, 1.2.3.4\n  2: CT 'chest', 4 images, 9.9"):
        read_volume(folder)


def test_directions_that_differ_by_rounding_are_one_stack(tmp_path):
    """Wherever the rounding falls: 0.0004 and 0.0006 are as near as 0.0001 and 0.0003."""
    for k, position in enumerate(AXIAL_POSITIONS):
        cosines = [1, 0, 0.0004 + 0.0002 * (k % 2), 0, 1, 0]
        write_dicom(tmp_path / "mr" / f"{k}.dcm", VOXELS[k], position, ImageOrientationPatient=cosines)
    assert np.array_equal(read_volume(tmp_path / "mr").voxels, VOXELS)


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
    assert read_frame(tmp_path / "perfusion")[1] == 2
    assert np.array_equal(read_volume(tmp_path / "perfusion", frame=1).voxels, VOXELS + 100)
    sorted((tmp_path / "perfusion").rglob("*.dcm"))[0].unlink()
    with pytest.raises(InputError, match="1 times"):
        read_volume(tmp_path / "perfusion")


@pytest.mark.parametrize("tag", ["AcquisitionNumber", "TemporalPositionIdentifier"])
def test_acquisitions_that_number_their_images_alike_are_not_mixed(tmp_path, tag):
    names = iter((3, 0, 4, 1, 5, 2))
    for turn in (1, 2):
        for k, position in enumerate(AXIAL_POSITIONS):
            tags = {"InstanceNumber": k + 1, tag: turn}
            write_dicom(tmp_path / "phases" / f"{next(names)}.dcm", VOXELS[k] + 1000 * turn, position, **tags)
    assert np.array_equal(read_volume(tmp_path / "phases").voxels, VOXELS + 1000)
    assert np.array_equal(read_volume(tmp_path / "phases", frame=1).voxels, VOXELS + 2000)


def test_repetitions_whose_positions_are_rounded_otherwise_are_frames(tmp_path):
    write_series(tmp_path, AXIAL_POSITIONS)
    again = [(x, y, z + 0.004) for x, y, z in AXIAL_POSITIONS]
    write_series(tmp_path / "other", again, VOXELS + 100, AcquisitionNumber=2)
    for path in (tmp_path / "other").iterdir():
        path.rename(tmp_path / f"again_{path.name}")
    assert np.array_equal(read_volume(tmp_path).voxels, VOXELS)
    assert np.array_equal(read_volume(tmp_path, frame=1).voxels, VOXELS + 100)


def test_a_file_copied_twice_counts_once(tmp_path):
    folder = write_series(tmp_path / "ct", AXIAL_POSITIONS)
    first = sorted(folder.iterdir())[0]
    (folder / "copy.dcm").write_bytes(first.read_bytes())
    assert np.array_equal(read_volume(folder).voxels, VOXELS)
    assert np.array_equal(read_volume(folder / "copy.dcm").voxels, VOXELS)


def test_images_that_were_given_one_identifier_are_not_taken_for_copies(tmp_path):
    folder = write_series(tmp_path, AXIAL_POSITIONS, SOPInstanceUID="1.2.3.9")
    assert np.array_equal(read_volume(folder).voxels, VOXELS)
    assert np.array_equal(read_volume(sorted(folder.iterdir())[0]).voxels, VOXELS)


def test_missing_slices_are_warned_of(tmp_path):
    positions = [(0, 0, z) for z in (0, 2, 4, 8, 10)]
    voxels = np.zeros((5, 4, 5), np.int16)
    with pytest.warns(UserWarning, match="slices 3 and 4 are 4 mm apart, usually it is 2 mm"):
        read_volume(write_series(tmp_path / "gap", positions, voxels))


def test_a_slice_whose_file_was_cut_short_is_warned_of(tmp_path):
    """At the end of the stack nothing else would show it."""
    folder = write_series(tmp_path, AXIAL_POSITIONS)
    last = next(path for path in folder.iterdir() if path.stem.endswith("_2"))
    last.write_bytes(last.read_bytes()[:-20])
    (folder / "notes.txt").write_text("DICM")
    with pytest.warns(UserWarning, match=f"1 image of the folder cannot be read.*{last.name}"):
        volume = read_volume(folder)
    assert np.array_equal(volume.voxels, VOXELS[:2])


def test_slices_shifted_sideways_are_warned_of(tmp_path):
    folder = write_series(tmp_path / "ct", [(10, 20, 30), (14, 20, 35), (10, 20, 40)])
    with pytest.warns(UserWarning, match="some are shifted sideways"):
        read_volume(folder)


def test_pixels_of_unknown_size_are_warned_of(tmp_path):
    folder = write_series(tmp_path / "ct", AXIAL_POSITIONS)
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        del image.PixelSpacing
        image.save_as(path)
    with pytest.warns(UserWarning, match="how large their pixels are; 1 mm is assumed"):
        volume = read_volume(folder)
    np.testing.assert_allclose(volume.geometry.spacing_ijk, (1, 1, 5))


def test_pixels_of_one_millimetre_are_not_warned_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_volume(write_series(tmp_path / "ct", AXIAL_POSITIONS, PixelSpacing=[1, 1]))


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
    assert read_volume(tmp_path / "side.dcm").geometry.shape_kji[0] == 1


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


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_spacing_that_makes_no_sense_is_explained(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", VOXELS[0], (10, 20, 30), PixelSpacing=["1e300", "1e300"])
    with pytest.raises(InputError, match="no usable position and spacing"):
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
