"""Targets read from pictures and volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.evaluation.case_sets import CaseFiles, CaseSource, SourceSettings
from SAMUNetSlicerLib.evaluation.cases import INSTANCES_PER_PICTURE, plane_cases, volume_cases
from SAMUNetSlicerLib.learning.data.sources import Objects


@pytest.fixture
def pictured(tmp_path):
    def source(labels: np.ndarray, objects: Objects, suffix: str = "png") -> CaseSource:
        image, mask = tmp_path / "1.png", tmp_path / f"1-mask.{suffix}"
        Image.fromarray(np.zeros((*labels.shape, 3), np.uint8)).save(image)
        Image.fromarray(labels).save(mask)
        return CaseSource("pictures", (CaseFiles("1", image, mask),), SourceSettings(objects=objects))

    return source


def two_parts(value: int) -> np.ndarray:
    labels = np.zeros((40, 40), np.uint8)
    labels[2:12, 2:12] = labels[20:38, 20:38] = value
    return labels


def test_the_target_is_the_largest_component(pictured):
    (case,) = plane_cases(pictured(two_parts(255), Objects.BINARY))
    assert case.target.sum() == 18 * 18
    assert case.pixel_mm is None
    assert case.image.rgb.shape == (40, 40, 3)


def test_grey_rims_of_a_jpeg_mask_do_not_count(pictured):
    labels = two_parts(255)
    labels[19, 20:38] = 90
    (case,) = plane_cases(pictured(labels, Objects.BINARY))
    assert case.target.sum() == 18 * 18


def test_a_picture_of_two_colours_is_a_mask_too(pictured):
    (case,) = plane_cases(pictured(two_parts(255) > 0, Objects.BINARY))
    assert case.target.sum() == 18 * 18


@pytest.mark.parametrize(("window", "grey"), [("auto", {0, 128, 255}), ("0:4000", {64, 128, 159, 191})])
def test_a_picture_of_sixteen_bits_is_windowed_not_white(pictured, window, grey):
    source = pictured(two_parts(255), Objects.BINARY)
    values = np.repeat(np.array([1000, 2000, 2500, 3000], np.uint16), 10)
    Image.fromarray(np.tile(values, (40, 1))).save(source.files[0].image)
    (case,) = plane_cases(replace(source, settings=replace(source.settings, window=window)))
    assert case.image.rgb.shape == (40, 40, 3)
    assert set(np.unique(case.image.rgb)) == grey


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_how_opaque_a_mask_is_labels_nothing(pictured, mode):
    source = pictured(two_parts(255), Objects.BINARY)
    path = source.files[0].mask
    with Image.open(path) as mask:
        mask.convert(mode).save(path)
    (case,) = plane_cases(source)
    assert case.target.sum() == 18 * 18


def test_each_label_is_a_target_unless_numbers_mean_something_else(pictured):
    labels = two_parts(3)
    labels[20:30, 20:38] = 5
    assert [c.target.sum() for c in plane_cases(pictured(labels, Objects.COMPONENTS))] == [8 * 18, 10 * 18]
    assert [c.target.sum() for c in plane_cases(pictured(labels, Objects.FOREGROUND))] == [18 * 18]


def test_specks_are_no_targets(pictured):
    labels = np.zeros((40, 40), np.uint8)
    labels[3:6, 3:6] = 255
    assert not list(plane_cases(pictured(labels, Objects.BINARY)))


def test_of_many_cells_some_of_every_size_are_taken(pictured):
    labels = np.zeros((100, 200), np.uint8)
    for number in range(10):
        labels[5 : 15 + 5 * number, number * 20 : number * 20 + 15] = number + 1
    areas = [int(c.target.sum()) for c in plane_cases(pictured(labels, Objects.INSTANCES))]
    assert len(areas) == INSTANCES_PER_PICTURE
    assert areas[0] == 10 * 15
    assert areas[-1] == 55 * 15


def test_specks_are_not_among_the_instances_to_choose_from(pictured):
    labels = np.zeros((60, 200), np.uint8)
    for number in range(8):
        side = 3 if number < 4 else 10 + number
        labels[5 : 5 + side, number * 20 : number * 20 + side] = number + 1
    areas = [int(c.target.sum()) for c in plane_cases(pictured(labels, Objects.INSTANCES))]
    assert areas == [14**2, 15**2, 16**2, 17**2]


def test_each_colour_of_a_mask_is_a_label_as_in_training(pictured):
    source = pictured(two_parts(255), Objects.COMPONENTS)
    coloured = np.zeros((40, 40, 3), np.uint8)
    coloured[2:12, 2:12], coloured[2:12, 12:30] = (255, 0, 0), (0, 255, 0)  # they touch
    Image.fromarray(coloured).save(source.files[0].mask)
    assert sorted(int(case.target.sum()) for case in plane_cases(source)) == [10 * 10, 10 * 18]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_labels_that_are_grey_keep_their_numbers(pictured, mode):
    source = pictured(two_parts(3), Objects.COMPONENTS)
    path = source.files[0].mask
    with Image.open(path) as mask:
        mask.convert(mode).save(path)
    (case,) = plane_cases(source)
    assert case.name == "1-mask label 3"


def test_a_coloured_mask_of_black_and_white_is_told_by_its_brightest_channel(pictured):
    source = pictured(two_parts(255), Objects.BINARY)
    path = source.files[0].mask
    Image.fromarray(two_parts(255)[..., None] * np.array([1, 0, 0], np.uint8)).save(path)
    (case,) = plane_cases(source)
    assert case.target.sum() == 18 * 18


def test_image_and_mask_of_different_sizes_are_refused(pictured, tmp_path):
    source = pictured(two_parts(255), Objects.BINARY)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "1-mask.png")
    with pytest.raises(InputError, match="different sizes"):
        list(plane_cases(source))


def test_a_picture_that_is_damaged_or_too_large_is_named(pictured, tmp_path, monkeypatch):
    source = pictured(two_parts(255), Objects.BINARY)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="too large"):
        list(plane_cases(source))
    (tmp_path / "1-mask.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        list(plane_cases(source))


@pytest.fixture
def volume_source(tmp_path):
    """Label 1: a block of planes 3 to 14; label 2: one block of 10 planes and a smaller one beside it."""
    labels = np.zeros((20, 30, 32), np.uint8)
    labels[3:15, 4:14, 4:16] = 1
    labels[5:15, 18:28, 4:16] = 2
    labels[5:8, 18:28, 20:30] = 2
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(100, 20, labels.shape).astype(np.float32))
    mask = sitk.GetImageFromArray(labels)
    for written in (image, mask):
        written.SetSpacing((0.5, 0.5, 3.0))
    # The mask lies on its own grid: flipped, as exported files may be.
    mask = sitk.Flip(mask, (True, False, True))
    files = CaseFiles("a", tmp_path / "a.nii.gz", tmp_path / "a_labels.nii.gz")
    sitk.WriteImage(image, str(files.image))
    sitk.WriteImage(mask, str(files.mask))
    return CaseSource("volumes", (files,), SourceSettings(volumes=True))


def test_planes_of_a_volume_stand_at_thirds_of_the_labelled_range(volume_source):
    cases = list(plane_cases(volume_source))
    assert [c.name for c in cases] == [
        "a_labels label 1 plane 7",
        "a_labels label 1 plane 11",
        "a_labels label 2 plane 8",
        "a_labels label 2 plane 11",
    ]
    assert all(c.target.sum() == 120 for c in cases)
    assert cases[0].pixel_mm == pytest.approx(0.5)


def test_a_plane_has_the_largest_component_as_target(volume_source):
    settings = replace(volume_source.settings, planes_per_label=30)
    cases = [c for c in plane_cases(replace(volume_source, settings=settings)) if "label 2" in c.name]
    assert [c.name.split()[-1] for c in cases] == [str(number) for number in range(5, 15)]
    assert {int(c.target.sum()) for c in cases} == {120}, "in planes 5 to 7 another block lies beside it"


def test_a_volume_is_seen_through_the_window_named(volume_source):
    settings = replace(volume_source.settings, window="1000:2000")
    case = next(plane_cases(replace(volume_source, settings=settings)))
    assert case.image.rgb.max() == 0


def test_volumes_have_the_largest_component_of_each_label_as_target(volume_source):
    first, second = volume_cases(volume_source)
    assert first.target_kji.sum() == 12 * 10 * 12
    assert second.target_kji.sum() == 10 * 10 * 12
    assert first.labelled_planes().tolist() == list(range(3, 15))
    assert first.target_on(3).sum() == 120
    assert first.target_on(15).sum() == 0


def test_a_limit_is_shared_by_the_files(volume_source):
    files = volume_source.files * 3
    source = CaseSource("volumes", files, volume_source.settings)
    assert len(list(plane_cases(source, 5))) == 5
    assert len(list(volume_cases(source, 2))) == 2


def test_sources_without_volumes_have_none(pictured):
    assert not list(volume_cases(pictured(two_parts(255), Objects.BINARY)))
