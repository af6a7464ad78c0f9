"""Files to volumes."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation
from volume_files import (
    IJK_TO_RAS,
    RAS_TO_LPS,
    SHAPE_KJI,
    VOXELS,
    assert_is_the_example,
    write_nifti,
    write_nrrd,
    write_series,
)

from example_grids import affine
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.stepwise import run_through
from SAMUNetSlicerLib.volumes.files.dicom_slices import read_header
from SAMUNetSlicerLib.volumes.files.reading import describe_volume, read_frame, read_volume
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack, acquisition_orientation
from SAMUNetSlicerLib.volumes.segmentations.label_images import read_labels_on_grid
from SAMUNetSlicerLib.volumes.segmentations.segmentation_file import read_segmentation
from SAMUNetSlicerLib.volumes.volume import Modality, Volume


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


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
@pytest.mark.parametrize("turned", [np.eye(3), [[0, 0, 1], [1, 0, 0], [0, 1, 0]], Rotation.from_euler("x", 30, True)])
def test_a_nifti_picture_lies_where_its_header_says(tmp_path, name, turned):
    direction = turned.as_matrix() if isinstance(turned, Rotation) else np.array(turned)
    place = affine(direction, (0.5, 0.75, 3.0), (11.5, -22.25, 33.0))
    plain = write_nifti(tmp_path / "image.nii", VOXELS[0], place)
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.voxels, VOXELS[:1])
    assert volume.name == "image"
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, place, atol=1e-5)


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
    assert read_frame(path)[1] == 2
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
    assert read_frame(path)[1] == 2
    volume = read_volume(path, frame=1)
    assert np.array_equal(volume.voxels, VOXELS + 1000)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, IJK_TO_RAS, atol=1e-6)


def test_of_a_long_sequence_file_only_one_frame_is_copied(tmp_path):
    frames = np.zeros((20, 30, 40, 50), dtype=np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(frames, isVector=True), str(tmp_path / "a.seq.nrrd"))
    path = tmp_path / "a.seq.nrrd"
    path.write_bytes(path.read_bytes().replace(b"kinds: vector", b"kinds: list  ", 1))
    read_frame(path)
    tracemalloc.start()
    volume, count = read_frame(path, frame=49)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (volume.geometry.shape_kji, count) == ((20, 30, 40), 50)
    assert peak < frames.nbytes / 2


def test_an_ordinary_volume_has_one_frame(tmp_path):
    path = write_nifti(tmp_path / "image.nii")
    assert read_frame(path)[1] == 1
    with pytest.raises(InputError, match="one frame"):
        read_volume(path, frame=1)


@pytest.mark.parametrize("extension", ["png", "tif", "jpg"])
def test_grey_pictures_are_read_upright(tmp_path, extension):
    pixels = np.full((16, 24), 40, dtype=np.uint8)
    pixels[:8, :8] = 200
    path = tmp_path / f"picture.{extension}"
    sitk.WriteImage(sitk.GetImageFromArray(pixels), path)
    volume = read_volume(path)
    assert volume.geometry.shape_kji == (1, 16, 24)
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


def test_a_folder_without_images_is_explained(tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    monkeypatch.chdir(tmp_path / "scans")
    for folder in (tmp_path / "scans", "."):
        with pytest.raises(InputError, match="folder 'scans' holds no DICOM images"):
            read_volume(folder)


def test_a_name_that_is_no_utf8_is_refused_in_words(tmp_path):
    """SimpleITK would end the whole program."""
    path = tmp_path / os.fsdecode(b"M\xfcller.nrrd")
    for read in (read_volume, read_header, read_segmentation):
        with pytest.raises(InputError, match="not valid UTF-8") as refusal:
            read(path)
        assert str(refusal.value).isascii()
    with pytest.raises(InputError, match="not valid UTF-8"):
        read_labels_on_grid(path, GridGeometry(SHAPE_KJI, np.eye(4)))


@pytest.mark.parametrize("refused", ["iterdir", "stat"])
def test_a_folder_that_may_not_be_read_is_explained(tmp_path, monkeypatch, refused):
    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, refused, refuse)
    with pytest.raises(InputError, match="cannot be opened: Permission denied"):
        read_volume(tmp_path)


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz", "image.hdr", "image.img.gz"])
def test_a_nifti_file_that_is_cut_off_is_no_volume_of_zeros(tmp_path, name):
    voxels = np.random.default_rng(0).integers(-500, 500, (8, 20, 30)).astype(np.int16)
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))
    np.testing.assert_array_equal(read_volume(path).voxels, voxels)
    assert read_labels_on_grid(path, read_volume(path).geometry).any()

    data = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(InputError, match="cut off"):
        read_volume(path)
    with pytest.raises(InputError, match="cut off"):
        read_labels_on_grid(path, GridGeometry(voxels.shape, np.eye(4)))
    with pytest.raises(InputError, match="cut off"):
        read_segmentation(path)


def test_a_compressed_nifti_file_that_is_damaged_in_the_middle_is_refused(tmp_path):
    voxels = np.random.default_rng(0).integers(-500, 500, (40, 100, 100)).astype(np.int16)
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_volume(path)


def test_a_name_too_long_for_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_volume(tmp_path / ("a" * 300))


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


def fingerprint_of(volume):
    return run_through(volume.fingerprint_in_steps())


def test_a_fingerprint_follows_content_and_place():
    geometry = GridGeometry(SHAPE_KJI, IJK_TO_RAS)
    fingerprint = fingerprint_of(Volume(VOXELS, geometry, name="a"))
    assert fingerprint_of(Volume(np.asfortranarray(VOXELS), geometry, Modality.CT)) == fingerprint
    assert fingerprint_of(Volume(VOXELS.astype(">i2"), geometry)) == fingerprint
    changed = VOXELS.copy()
    changed[1, 2, 3] += 1
    moved = GridGeometry(SHAPE_KJI, IJK_TO_RAS + np.eye(4)[:, [3, 0, 1, 2]] * [0, 0, 0, 0.1])
    others = [Volume(changed, geometry), Volume(VOXELS, moved), Volume(VOXELS.astype(np.int32), geometry)]
    assert fingerprint not in {fingerprint_of(volume) for volume in others}


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
