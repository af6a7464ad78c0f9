"""DICOM files of many frames: enhanced CT, MR and PET, films, and those whose positions cannot be known."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless
from volume_files import RAS_TO_LPS, UPRIGHT, write_dicom, write_enhanced

from example_grids import affine, random_direction
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.volumes.files.reading import read_frame, read_volume
from SAMUNetSlicerLib.volumes.volume import Modality

EVEN = [(10, 20, 30 + 3 * k) for k in range(6)]
FRAMES = np.stack([np.full((4, 5), 100 + k, np.int16) for k in range(6)])
CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T
CT, PET = (f"1.2.840.10008.5.1.4.1.1.{ending}" for ending in ("2.1", "130"))
OPT = "1.2.840.10008.5.1.4.1.1.77.1.5.4"  # tomography of the eye, which ITK does not rescale


@pytest.fixture(autouse=True)
def _no_warning_but_those_expected():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def levels(volume) -> list:
    """The value of each slice, which is the same in all its voxels."""
    assert np.ptp(volume.voxels, axis=(1, 2)).max() == 0
    return volume.voxels[:, 0, 0].tolist()


def expected(direction=UPRIGHT, step=3.0, origin=(10, 20, 30)):
    return RAS_TO_LPS @ affine(np.asarray(direction), (0.5, 0.75, step), origin)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0), (3, 0, 5, 1, 4, 2)])
def test_frames_are_sorted_by_position(tmp_path, order):
    volume = read_volume(write_enhanced(tmp_path / "a.dcm", [EVEN[k] for k in order], FRAMES[list(order)]))
    assert levels(volume) == [100, 101, 102, 103, 104, 105]
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected(), atol=1e-6)
    assert volume.modality is Modality.MR


def test_positions_a_little_off_keep_the_spacing(tmp_path):
    positions = [*EVEN[:3], (10, 20, 39.002), *EVEN[4:]]
    volume = read_volume(write_enhanced(tmp_path / "a.dcm", positions, FRAMES))
    np.testing.assert_allclose(volume.geometry.spacing_ijk, (0.5, 0.75, 3))


def test_oblique_positions_rounded_to_hundredths_keep_the_spacing(tmp_path):
    direction = random_direction(3)
    direction[:, 2] = np.cross(direction[:, 0], direction[:, 1])
    positions = [np.round(np.array([-110, -98, -40]) + 3.3 * k * direction[:, 2], 2) for k in range(24)]
    frames = np.zeros((24, 4, 5), np.int16)
    volume = read_volume(write_enhanced(tmp_path / "a.dcm", positions, frames, directions=direction))
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected(direction, 3.3, (-110, -98, -40)), atol=1e-2)


def test_sagittal_frames_lie_where_their_groups_say(tmp_path):
    direction = np.array([(0, 1, 0), (0, 0, -1), (-1, 0, 0)]).T
    positions = [(10 - 3 * k, 20, 30) for k in range(6)]
    volume = read_volume(write_enhanced(tmp_path / "a.dcm", positions, FRAMES, directions=[direction] * 6))
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected(direction), atol=1e-6)
    assert levels(volume) == [100, 101, 102, 103, 104, 105]


def test_a_tilted_gantry_keeps_its_shear(tmp_path):
    positions = [(10, 20 + k, 30 + 3 * k) for k in range(6)]
    volume = read_volume(write_enhanced(tmp_path / "a.dcm", positions, FRAMES, SOPClassUID=CT, Modality="CT"))
    np.testing.assert_allclose(volume.geometry.to_ras([0, 0, 5]), (-10, -25, 45), atol=1e-6)


def test_missing_frames_are_warned_of(tmp_path):
    positions = [(10, 20, z) for z in (30, 33, 36, 45, 48, 51)]
    path = write_enhanced(tmp_path / "a.dcm", positions, FRAMES)
    with pytest.warns(UserWarning, match="slices 3 and 4 are 9 mm apart, usually it is 3 mm"):
        volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.spacing_ijk[:2], (0.5, 0.75))


@pytest.mark.parametrize(
    ("positions", "second"), [([0, 1, 2, 0, 1, 2], [103, 104, 105]), ([0, 0, 1, 1, 2, 2], [101, 103, 105])]
)
def test_repeated_positions_are_frames_of_a_time_series(tmp_path, positions, second):
    path = write_enhanced(tmp_path / "a.dcm", [EVEN[k] for k in positions], FRAMES)
    assert read_frame(path)[1] == 2
    volume = read_volume(path, frame=1)
    assert levels(volume) == second
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected(), atol=1e-6)


def test_the_index_of_time_decides_the_order_of_frames(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", EVEN[:3] * 2, FRAMES, times=[2, 2, 2, 1, 1, 1])
    assert levels(read_volume(path, frame=0)) == [103, 104, 105]


def compressed(path):
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("prepare", [lambda path: path, compressed], ids=["raw", "compressed"])
def test_a_film_of_one_slice_is_a_time_series(tmp_path, prepare):
    """ITK refuses to decode it, since the frames are 0 mm apart."""
    path = prepare(write_enhanced(tmp_path / "a.dcm", EVEN[:1] * 6, FRAMES, scales=[(2, 1)] * 6))
    assert read_frame(path)[1] == 6
    volume = read_volume(path, frame=4)
    assert levels(volume) == [209]
    np.testing.assert_allclose(volume.geometry.spacing_ijk, (0.5, 0.75, 2.5))


@pytest.mark.parametrize(("uid", "modality"), [(PET, "PT"), (CT, "CT"), (OPT, "OPT")])
@pytest.mark.parametrize("start", [(1, 0), (0.37, -3.25)])
def test_frames_with_their_own_scales_are_rescaled_one_by_one(tmp_path, uid, modality, start):
    """Also in a class of object that ITK does not rescale (OPT)."""
    scales = [(start[0] + k / 4, start[1] + k) for k in range(6)]
    path = write_enhanced(tmp_path / "a.dcm", EVEN[::-1], FRAMES, scales=scales, SOPClassUID=uid, Modality=modality)
    wanted = [(100 + k) * slope + intercept for k, (slope, intercept) in enumerate(scales)]
    np.testing.assert_allclose(levels(read_volume(path)), wanted[::-1], rtol=1e-6)


def test_a_time_frame_is_scaled_as_its_own_frames_say(tmp_path):
    scales = [(1, 0)] * 3 + [(2, -10)] * 3
    path = write_enhanced(tmp_path / "a.dcm", EVEN[:3] * 2, FRAMES, scales=scales)
    assert levels(read_volume(path, frame=0)) == [100, 101, 102]
    assert levels(read_volume(path, frame=1)) == [196, 198, 200]


def test_a_scale_that_all_frames_share_leaves_whole_numbers(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", EVEN, FRAMES, scales=[(2, -1024)] * 6, SOPClassUID=CT, Modality="CT")
    volume = read_volume(path)
    assert levels(volume) == [-824, -822, -820, -818, -816, -814]
    assert volume.voxels.dtype.kind == "i"


@pytest.mark.parametrize(("uid", "modality"), [(CT, "CT"), (OPT, "OPT")])
@pytest.mark.parametrize("order", [1, -1])
def test_a_scale_that_is_given_once_for_all_frames_is_applied(tmp_path, uid, modality, order):
    path = write_enhanced(tmp_path / "a.dcm", EVEN[::order], FRAMES[::order], SOPClassUID=uid, Modality=modality)
    change_shared(path, PixelValueTransformationSequence={"RescaleSlope": 2, "RescaleIntercept": -1024})
    assert levels(read_volume(path)) == [-824, -822, -820, -818, -816, -814]


@pytest.mark.parametrize(
    ("measures", "apart"), [({"SpacingBetweenSlices": 4}, 4), ({}, 2.5), ({"SliceThickness": 0}, 1)]
)
def test_a_single_slice_is_as_thick_as_the_distance_to_the_next_would_be(tmp_path, measures, apart):
    """Else as the slice itself is; else 1 mm."""
    path = write_enhanced(tmp_path / "a.dcm", EVEN[:1] * 6, FRAMES)
    change_shared(path, PixelMeasuresSequence={"PixelSpacing": [0.75, 0.5], "SliceThickness": 2.5} | measures)
    np.testing.assert_allclose(read_volume(path, frame=0).geometry.spacing_ijk, (0.5, 0.75, apart))


def test_a_frames_own_scale_goes_before_the_one_for_all(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", EVEN, FRAMES, scales=[(3, 0)] * 6, SOPClassUID=OPT, Modality="OPT")
    change_shared(path, PixelValueTransformationSequence={"RescaleSlope": 2, "RescaleIntercept": -1024})
    assert levels(read_volume(path)) == [300, 303, 306, 309, 312, 315]


def change_shared(path, **macros):
    """Replace groups that all frames share."""
    dataset = pydicom.dcmread(path)
    for keyword, values in macros.items():
        item = pydicom.Dataset()
        item.update(values)
        setattr(dataset.SharedFunctionalGroupsSequence[0], keyword, pydicom.Sequence([item]))
    dataset.save_as(path)


def test_compressed_frames_are_sorted_and_scaled(tmp_path):
    path = compressed(write_enhanced(tmp_path / "a.dcm", EVEN[::-1], FRAMES, scales=[(1 + k, 0) for k in range(6)]))
    assert levels(read_volume(path)) == [630, 520, 412, 306, 202, 100]


def test_frames_of_several_directions_are_listed_to_choose_from(tmp_path):
    directions = [UPRIGHT] * 3 + [CORONAL] * 3
    positions = [*EVEN[:3], *((10, 20 - 3 * k, 30) for k in range(3))]
    path = write_enhanced(tmp_path / "a.dcm", positions, FRAMES, directions=directions)
    with pytest.raises(InputError, match=r"1: MR 'chest', 3 images, 1\.2\.3\.4#1\n  2: MR 'chest', 3 images"):
        read_volume(path)
    volume = read_volume(path, series_id="2")
    assert levels(volume) == [103, 104, 105]
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected(CORONAL), atol=1e-6)


def test_some_positions_shown_oftener_than_others_are_explained(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", [*EVEN[:5], EVEN[0]], FRAMES)
    with pytest.raises(InputError, match="some positions 2 times and others 1 times"):
        read_volume(path)


def test_files_of_many_frames_are_not_mixed_with_each_other(tmp_path):
    for n in range(2):
        write_enhanced(tmp_path / f"{n}.dcm", EVEN, FRAMES + 10 * n)
    with pytest.raises(InputError, match="several DICOM series"):
        read_volume(tmp_path)
    assert levels(read_volume(tmp_path / "1.dcm")) == [110, 111, 112, 113, 114, 115]


@pytest.mark.parametrize(
    "times",
    [
        [{"times": [3 - n] * 6} for n in range(3)],
        [{"moments": [f"2024010112000{8 - 2 * n}.5"] * 6} for n in range(3)],
        [{"times": [1] * 6, "AcquisitionDateTime": f"2024010112000{8 - 2 * n}.5"} for n in range(3)],
    ],
    ids=["index", "moment of the frames", "moment of the file"],
)
def test_files_of_many_frames_that_are_times_of_one_volume_are_a_time_series(tmp_path, times):
    for n, tags in enumerate(times):
        write_enhanced(tmp_path / f"{n}.dcm", EVEN, FRAMES + 10 * n, **tags)
    assert read_frame(tmp_path)[1] == 3
    for frame in range(3):
        volume = read_volume(tmp_path, frame=frame)
        assert levels(volume) == [120 - 10 * frame + k for k in range(6)], "the times decide, not the names"
        np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected(), atol=1e-6)


@pytest.mark.parametrize("x", [10.005, 10.015, 10.025, 10.035, 10.045])
def test_times_of_one_volume_may_be_rounded_otherwise(tmp_path, x):
    for n in range(2):
        write_enhanced(tmp_path / f"{n}.dcm", [(x + 2e-5 * n, y, z) for _, y, z in EVEN], FRAMES, times=[n + 1] * 6)
    assert read_frame(tmp_path)[1] == 2


def test_one_file_of_such_a_time_series_is_its_own_time(tmp_path):
    for n in range(3):
        write_enhanced(tmp_path / f"{n}.dcm", EVEN, FRAMES + 10 * n, times=[n + 1] * 6)
    assert read_frame(tmp_path / "1.dcm")[1] == 1
    assert levels(read_volume(tmp_path / "1.dcm"))[0] == 110
    assert read_frame(tmp_path / "1.dcm", series_id="1")[1] == 3


def test_files_of_other_positions_are_no_times_of_one_volume(tmp_path):
    for n in range(3):
        positions = [(x, y, z + 100 * (n == 2)) for x, y, z in EVEN]
        write_enhanced(tmp_path / f"{n}.dcm", positions, FRAMES + 10 * n, times=[n + 1] * 6)
    with pytest.raises(InputError, match=r"1: MR 'chest', 12 images, 1\.2\.3\.4#1\n  2: MR 'chest', 6 images"):
        read_volume(tmp_path)
    assert levels(read_volume(tmp_path, series_id="1", frame=1))[0] == 110
    assert levels(read_volume(tmp_path, series_id="2"))[0] == 120


def test_the_parts_of_one_object_are_put_together(tmp_path):
    """A concatenation; its parts may have scales of their own, and files in any order."""
    for n, name in enumerate(("b", "a")):
        part = slice(3 * n, 3 * n + 3)
        write_enhanced(
            tmp_path / f"{name}.dcm",
            EVEN[part],
            FRAMES[part],
            scales=[(1 + n, 0)] * 3,
            ConcatenationUID="1.2.9",
            InConcatenationNumber=n + 1,
        )
    assert levels(read_volume(tmp_path)) == [100, 101, 102, 206, 208, 210]
    assert levels(read_volume(tmp_path / "a.dcm")) == [100, 101, 102, 206, 208, 210]


@pytest.mark.parametrize("frames", [EVEN, EVEN[::-1]], ids=["up", "down"])
@pytest.mark.parametrize("first_part", [1, 5])
def test_a_part_may_be_a_single_frame(tmp_path, frames, first_part):
    for n, part in enumerate((slice(first_part), slice(first_part, 6))):
        tags = {"ConcatenationUID": "1.2.9", "InConcatenationNumber": n + 1}
        write_enhanced(tmp_path / f"{n}.dcm", frames[part], FRAMES[part], **tags)
    wanted = [100, 101, 102, 103, 104, 105]
    assert levels(read_volume(tmp_path)) == (wanted if frames is EVEN else wanted[::-1])


def test_parts_of_one_object_that_repeat_its_positions_follow_their_numbers(tmp_path):
    """Nothing else tells the times: neither the frames nor the names of the files."""
    for n, name in enumerate(("b", "a")):
        part = slice(3 * n, 3 * n + 3)
        write_enhanced(
            tmp_path / f"{name}.dcm", EVEN[:3], FRAMES[part], ConcatenationUID="1.2.9", InConcatenationNumber=n + 1
        )
    assert [levels(read_frame(tmp_path, frame=n)[0]) for n in range(2)] == [[100, 101, 102], [103, 104, 105]]


def test_a_part_of_a_single_frame_keeps_its_moment(tmp_path):
    moments = [f"2024010112000{n}.5" for n in range(6)]
    for n, part in enumerate((slice(5), slice(5, 6))):
        tags = {"ConcatenationUID": "1.2.9", "InConcatenationNumber": n + 1, "moments": moments[part]}
        write_enhanced(tmp_path / f"{n}.dcm", EVEN[:1] * len(moments[part]), FRAMES[part], **tags)
    assert [levels(read_volume(tmp_path, frame=n)) for n in range(6)] == [[100 + n] for n in range(6)]


def test_enhanced_files_of_one_frame_are_stacked(tmp_path):
    for k in range(3):
        write_enhanced(tmp_path / f"{2 - k}.dcm", EVEN[k : k + 1], FRAMES[k : k + 1], scales=[(1 + k, 0)])
    volume = read_volume(tmp_path)
    assert levels(volume) == [100, 202, 306]
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected(), atol=1e-6)


def test_enhanced_files_of_one_frame_are_scaled_in_every_class_of_object(tmp_path):
    for k in range(3):
        tags = {"SOPClassUID": OPT, "Modality": "OPT"}
        write_enhanced(tmp_path / f"{k}.dcm", EVEN[k : k + 1], FRAMES[k : k + 1], scales=[(1 + k, 7)], **tags)
    assert levels(read_volume(tmp_path)) == [107, 209, 313]


def test_a_film_without_positions_stays_as_it_is(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", FRAMES[0], Modality="US", NumberOfFrames=6, PixelData=FRAMES.tobytes())
    assert levels(read_volume(path)) == [100, 101, 102, 103, 104, 105]
    assert read_frame(path)[1] == 1


def test_frames_without_groups_are_warned_of(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", FRAMES[0], Modality="MR", NumberOfFrames=6, PixelData=FRAMES.tobytes())
    with pytest.warns(
        UserWarning, match=r"positions of the 6 frames of 'a.dcm' could not be checked: the file does not"
    ):
        assert levels(read_volume(path)) == [100, 101, 102, 103, 104, 105]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("position", "for some of them only"),
        ("count", "for some of them only"),
        ("text", "list of frames is damaged"),
        ("two numbers", "positions or directions are missing"),
        ("skewed", "not at right angles"),
    ],
)
def test_frames_with_broken_groups_are_warned_of(tmp_path, broken, reason):
    path = write_enhanced(tmp_path / "a.dcm", EVEN, FRAMES)
    dataset = pydicom.dcmread(path)
    frames = dataset.PerFrameFunctionalGroupsSequence
    plane = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    if broken == "position":
        del frames[4].PlanePositionSequence
    elif broken == "count":
        del frames[5]
    elif broken == "two numbers":
        frames[4].PlanePositionSequence[0].ImagePositionPatient = [10, 20]
    elif broken == "skewed":
        plane.ImageOrientationPatient = [1, 0, 0, 0.5, 0.8, 0]
    dataset.save_as(path)
    if broken == "text":
        path.write_bytes(path.read_bytes().replace(b"10.0\\20.0\\45.0", b"10.0\\20.0\\4x.0"))
    with pytest.warns(UserWarning, match=reason):
        assert read_volume(path).voxels.shape == FRAMES.shape


def test_without_pydicom_frames_are_read_with_a_warning(tmp_path, monkeypatch):
    path = write_enhanced(tmp_path / "a.dcm", EVEN, FRAMES)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.warns(UserWarning, match="package pydicom is not installed"):
        assert levels(read_volume(path)) == [100, 101, 102, 103, 104, 105]


@pytest.mark.parametrize(
    "tags", [{"PixelData": FRAMES[:5].tobytes()}, {"PhotometricInterpretation": "MONOCHROME1"}], ids=["cut", "inverted"]
)
def test_a_film_that_cannot_be_decoded_is_explained(tmp_path, tags):
    path = write_enhanced(tmp_path / "a.dcm", EVEN[:1] * 6, FRAMES, **tags)
    with pytest.raises(InputError, match="cannot be decoded"):
        read_volume(path)


def test_a_scale_that_cannot_be_undone_is_refused(tmp_path, monkeypatch):
    """As where ITK were to scale other classes of objects than today."""
    from SAMUNetSlicerLib.volumes.files import dicom_frames

    path = write_enhanced(tmp_path / "a.dcm", EVEN, FRAMES, scales=[(0.3 + k, 0) for k in range(6)])
    monkeypatch.setattr(dicom_frames, "_SCALED_IN_DECODING", set())
    with pytest.raises(InputError, match="scales of their own"):
        read_volume(path)
