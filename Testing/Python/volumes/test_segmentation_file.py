import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from example_grids import grid_geometries
from requirements_guard import need
from SAMUNetSlicerLib.errors import InputError, OutputError
from SAMUNetSlicerLib.volumes.geometry import LPS_TO_RAS, GridGeometry
from SAMUNetSlicerLib.volumes.segmentations import segmentation_file
from SAMUNetSlicerLib.volumes.segmentations.segmentation_file import (
    count_segments,
    read_segmentation,
    write_segmentation,
)
from SAMUNetSlicerLib.volumes.segmentations.segmentation_header import read_segment_headers
from SAMUNetSlicerLib.volumes.segmentations.segments import Segment, named_segments
from SAMUNetSlicerLib.volumes.segmentations.terminology import TISSUE, terminology_entry

GEOMETRY = GridGeometry((3, 4, 5), np.array([[0, 0, 2, 5], [-0.8, 0, 0, -7], [0, 0.8, 0, 9], [0, 0, 0, 1.0]]))


def block(geometry: GridGeometry, where) -> np.ndarray:
    mask = np.zeros(geometry.shape_kji, dtype=bool)
    mask[where] = True
    return mask


OVERLAPPING = named_segments(
    {
        "liver": block(GEOMETRY, np.s_[:2, 1:3, :3]),
        "tumour": block(GEOMETRY, np.s_[1, 1, 1]),
        "spleen": block(GEOMETRY, np.s_[2]),
        "nothing": block(GEOMETRY, np.s_[:0]),
    }
)


def assert_same_segments(found: list[Segment], expected: list[Segment]) -> None:
    assert [s.name for s in found] == [s.name for s in expected]
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.mask_kji, other.mask_kji), one.name
        assert one.colour_rgb == other.colour_rgb
        assert one.terminology == other.terminology
        assert one.tags == other.tags


def test_overlapping_and_empty_segments_come_back(tmp_path):
    segments = [replace(OVERLAPPING[0], tags={"Segmentation.Status": "completed", "a": "b:c; d"}), *OVERLAPPING[1:]]
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, segments)
    geometry, found = read_segmentation(tmp_path / "a.seg.nrrd")
    assert geometry.matches(GEOMETRY, tolerance_mm=1e-9)
    assert_same_segments(found, segments)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.int64, np.float32])
def test_the_voxels_of_all_segments_are_counted_without_a_mask_of_any(tmp_path, monkeypatch, kind):
    """Dozens of masks of a large file take minutes."""
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, GEOMETRY, OVERLAPPING)
    image = sitk.ReadImage(str(path))
    typed = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image).astype(kind), isVector=True)
    typed.CopyInformation(image)
    for key in image.GetMetaDataKeys():
        typed.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(typed, str(path))
    expected = [(s.name, s.colour_rgb, s.tags, np.count_nonzero(s.mask_kji)) for s in read_segmentation(path)[1]]

    monkeypatch.setattr(segmentation_file, "Segment", None)
    geometry, counted = count_segments(path)
    assert geometry.matches(GEOMETRY, tolerance_mm=1e-9)
    assert [(header.name, header.colour_rgb, header.tags, voxels) for header, voxels in counted] == expected
    assert [voxels for _, voxels in counted] == [12, 1, 20, 0]


def test_labels_of_any_size_are_counted(tmp_path):
    labels = np.zeros((2, 3, 4), np.int32)
    labels[0, 0], labels[1, 1], labels[1, 2, 0] = -7, 3_000_000, 5
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / "a.nrrd"))
    assert {header.label_value: voxels for header, voxels in count_segments(tmp_path / "a.nrrd")[1]} == {
        -7: 4,
        5: 1,
        3_000_000: 4,
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grid_geometries(), seed=st.integers(0, 2**32 - 1), count=st.integers(0, 5))
def test_any_segments_on_any_grid_come_back(tmp_path, grid, seed, count):
    random = np.random.default_rng(seed)
    masks = {f"s{n}": random.random(grid.shape_kji) < random.choice([0, 0.02, 0.3, 1]) for n in range(count)}
    write_segmentation(tmp_path / "a.seg.nrrd", grid, named_segments(masks))
    geometry, found = read_segmentation(tmp_path / "a.seg.nrrd")
    assert geometry.matches(grid, tolerance_mm=1e-9)
    assert_same_segments(found, named_segments(masks))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool))
def test_any_name_comes_back(tmp_path, name):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, named_segments({name: block(GEOMETRY, 0)}))
    assert read_segmentation(tmp_path / "a.seg.nrrd")[1][0].name == name


def test_names_that_are_no_utf8_are_taken_for_latin1(tmp_path):
    geometry = GridGeometry((2, 3, 4), np.eye(4))
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, geometry, named_segments({"NAME": np.ones((2, 3, 4), bool)}))
    content = (
        path.read_bytes()
        .replace(b"Name:=NAME", b"Name:=L\xe4ber")
        .replace(b"Segment0_ID", b"Segment0_\xe4:=a\nSegment0_ID")
    )
    path.write_bytes(content)
    (segment,) = read_segmentation(path)[1]
    assert segment.name == "L\u00e4ber"
    write_segmentation(path, geometry, [segment])
    assert read_segmentation(path)[1][0].name == segment.name


def test_segments_that_do_not_overlap_share_a_layer(tmp_path):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING)
    headers = read_segment_headers(tmp_path / "a.seg.nrrd")
    assert [(h.name, h.layer, h.label_value) for h in headers] == [
        ("liver", 0, 1),
        ("tumour", 1, 1),
        ("spleen", 0, 2),
        ("nothing", 0, 3),
    ]
    image = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert image.GetNumberOfComponentsPerPixel() == 2
    assert image.GetMetaData("NRRD_kinds[pixel]") == "list"


def test_a_file_without_overlap_is_a_plain_label_image_to_other_readers(tmp_path):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, [OVERLAPPING[0], OVERLAPPING[2]])
    image = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    expected = np.where(OVERLAPPING[0].mask_kji, 1, 0) + np.where(OVERLAPPING[2].mask_kji, 2, 0)
    assert np.array_equal(sitk.GetArrayFromImage(image), expected)
    point_lps = image.TransformIndexToPhysicalPoint((4, 0, 2))
    assert np.allclose(LPS_TO_RAS[:3, :3] @ point_lps, GEOMETRY.to_ras((4, 0, 2)))


def test_slicers_other_python_reader_sees_the_same(tmp_path):
    slicerio = need("slicerio")
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING)
    content = slicerio.read_segmentation(str(tmp_path / "a.seg.nrrd"))
    assert np.allclose(LPS_TO_RAS @ content["ijkToLPS"], GEOMETRY.ijk_to_ras)
    assert content["masterRepresentation"] == "Binary labelmap"
    for segment, read in zip(OVERLAPPING, content["segments"], strict=True):
        assert read["name"] == segment.name
        assert read["color"] == list(segment.colour_rgb)
        voxels_lijk = content["voxels"][read["layer"]]
        assert np.array_equal((voxels_lijk == read["labelValue"]).transpose(2, 1, 0), segment.mask_kji)


@pytest.mark.parametrize("name", ["Segmentation.seg.nrrd", "SegmentationOverlapping.seg.nrrd"])
def test_files_written_by_the_slicer_application_are_read(name):
    slicerio = need("slicerio")
    path = Path(slicerio.__file__).parent / "data" / name
    content = slicerio.read_segmentation(str(path))
    geometry, segments = read_segmentation(path)
    assert np.allclose(geometry.ijk_to_ras, LPS_TO_RAS @ content["ijkToLPS"])
    assert [s.name for s in segments] == [s["name"] for s in content["segments"]]
    for segment, read in zip(segments, content["segments"], strict=True):
        voxels = content["voxels"] if content["voxels"].ndim == 3 else content["voxels"][read["layer"]]
        assert np.array_equal(segment.mask_kji, (voxels == read["labelValue"]).transpose(2, 1, 0))
        assert segment.colour_rgb == tuple(read["color"])
        assert segment.tags["Segmentation.Status"] == read["status"]
        assert f"~SCT^{read['terminology']['type'][1]}^" in segment.terminology


def test_equal_segments_make_an_equal_file(tmp_path):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING)
    write_segmentation(tmp_path / "b.seg.nrrd", GEOMETRY, OVERLAPPING)
    assert (tmp_path / "a.seg.nrrd").read_bytes() == (tmp_path / "b.seg.nrrd").read_bytes()


def test_more_than_255_segments_fit(tmp_path):
    grid = GridGeometry((3, 10, 10), np.eye(4))
    masks = {f"s{n}": np.arange(300).reshape(grid.shape_kji) == n for n in range(300)}
    write_segmentation(tmp_path / "a.seg.nrrd", grid, named_segments(masks))
    found = read_segmentation(tmp_path / "a.seg.nrrd", names=["s299", "s0"])[1]
    assert [s.name for s in found] == ["s0", "s299"]
    assert np.array_equal(found[1].mask_kji, masks["s299"])


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("voxel_type", [np.uint8, np.int16, np.float32])
def test_a_plain_label_image_has_one_segment_per_value(tmp_path, ending, voxel_type):
    labels = np.zeros(GEOMETRY.shape_kji, dtype=voxel_type)
    labels[0], labels[1, 2] = 3, 1
    image = sitk.GetImageFromArray(labels)
    ijk_to_lps = LPS_TO_RAS @ GEOMETRY.ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing)
    image.SetDirection((ijk_to_lps[:3, :3] / spacing).ravel())
    image.SetOrigin(ijk_to_lps[:3, 3])
    sitk.WriteImage(image, str(tmp_path / f"labels{ending}"))
    geometry, segments = read_segmentation(tmp_path / f"labels{ending}")
    assert geometry.matches(GEOMETRY)
    assert [s.name for s in segments] == ["Segment_1", "Segment_3"]
    assert np.array_equal(segments[0].mask_kji, labels == 1)
    assert np.array_equal(segments[1].mask_kji, labels == 3)
    assert segments[0].terminology == TISSUE.entry


def test_missing_colour_and_terminology_are_filled_in_by_name(tmp_path):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING[:1])
    edit_header(tmp_path / "a.seg.nrrd", b"Segment0_Color:=", b"Segment0_Paint:=")
    edit_header(tmp_path / "a.seg.nrrd", b"Segment0_Tags:=", b"Segment0_Labels:=")
    segment = read_segmentation(tmp_path / "a.seg.nrrd")[1][0]
    assert segment.colour_rgb == OVERLAPPING[0].colour_rgb
    assert segment.terminology == terminology_entry("liver")


def edit_header(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Segment0_Layer:=0", b"Segment0_Layer:=5", "layer"),
        (b"Segment0_LabelValue:=1", b"Segment0_LabelValue:=x", "damaged"),
        (b"Representation:=Binary labelmap", b"Representation:=Closed surface", "Open it in 3D Slicer"),
        (b"NRRD0004", b"NOTNRRD4", "not an image file"),
        (b"Segment0_Color:=", b"Segmentation_Extent:=", "Open it in 3D Slicer"),
    ],
)
def test_damaged_and_foreign_files_are_refused_in_plain_words(tmp_path, old, new, message):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING)
    edit_header(tmp_path / "a.seg.nrrd", old, new)
    with pytest.raises(InputError, match=message):
        read_segmentation(tmp_path / "a.seg.nrrd")


def test_a_file_cut_off_is_refused(tmp_path):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING)
    content = (tmp_path / "a.seg.nrrd").read_bytes()
    (tmp_path / "a.seg.nrrd").write_bytes(content[:-30])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_segmentation(tmp_path / "a.seg.nrrd")


def test_an_intensity_image_and_a_missing_file_are_refused(tmp_path):
    values = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "ct.nrrd"))
    with pytest.raises(InputError, match="intensities"):
        read_segmentation(tmp_path / "ct.nrrd")
    with pytest.raises(InputError, match="no file"):
        read_segmentation(tmp_path / "missing.seg.nrrd")


def test_a_mask_of_another_shape_is_refused_naming_both(tmp_path):
    segment = Segment("liver", np.zeros((9, 4, 5), dtype=bool), (1, 0, 0), TISSUE.entry)
    with pytest.raises(ValueError, match=r"liver.*\(9, 4, 5\).*\(3, 4, 5\)"):
        write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, [segment])
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_told(tmp_path):
    with pytest.raises(OutputError, match=r"\.seg\.nrrd"):
        write_segmentation(tmp_path / "a.nrrd", GEOMETRY, OVERLAPPING)
    with pytest.raises(OutputError, match="does not exist"):
        write_segmentation(tmp_path / "missing" / "a.seg.nrrd", GEOMETRY, OVERLAPPING)


def test_an_earlier_file_survives_a_failed_write(tmp_path, monkeypatch):
    write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING)
    earlier = (tmp_path / "a.seg.nrrd").read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gzip.GzipFile, "write", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_segmentation(tmp_path / "a.seg.nrrd", GEOMETRY, OVERLAPPING[:1])
    assert (tmp_path / "a.seg.nrrd").read_bytes() == earlier
    assert [p.name for p in tmp_path.iterdir()] == ["a.seg.nrrd"]
