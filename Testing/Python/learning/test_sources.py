import itertools
import json
import tomllib
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from repository import ROOT
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.learning.data.crops import object_mask
from SAMUNetSlicerLib.learning.data.production import read_or_skip
from SAMUNetSlicerLib.learning.data.sources import (
    Objects,
    SourceSpec,
    Split,
    find_pairs,
    number_parts,
    read_picture,
    split_pairs,
)
from SAMUNetSlicerLib.learning.data.volume_planes import LabelledVolumes
from SAMUNetSlicerLib.learning.data.windows import Intensity


def write_pictures(folder, cases, planes=3):
    folder.mkdir(parents=True)
    for case in range(cases):
        for plane in range(planes):
            mask = np.zeros((40, 50), np.uint8)
            mask[10:20, 10 + plane : 30] = 255
            Image.fromarray(mask // 2).save(folder / f"p{case}_{plane}_image.png")
            Image.fromarray(mask).save(folder / f"p{case}_{plane}_mask.png")


SPEC = SourceSpec("test", "set", Objects.BINARY, case_pattern=r"^p\d+", development_fraction=0.2)


def test_cases_stand_on_one_side_of_the_split_only(tmp_path):
    write_pictures(tmp_path / "set", cases=10)
    pairs = find_pairs(SPEC, tmp_path)
    train, held = (split_pairs(SPEC, pairs, side) for side in (Split.TRAIN, Split.DEVELOPMENT))
    assert len(pairs) == len(train) + len(held) == 30
    assert len({p.case for p in held}) == 2
    assert not {p.case for p in train} & {p.case for p in held}


def test_the_split_depends_on_the_cases_alone(tmp_path):
    write_pictures(tmp_path / "set", cases=10)
    pairs = find_pairs(SPEC, tmp_path)
    held = {p.case for p in split_pairs(SPEC, pairs, Split.DEVELOPMENT)}
    assert {p.case for p in split_pairs(SPEC, pairs[::-1], Split.DEVELOPMENT)} == held


def test_named_cases_are_held_back(tmp_path):
    write_pictures(tmp_path / "set", cases=4)
    spec = SourceSpec("test", "set", case_pattern=r"^p\d+", development_cases=("p1", "p3"))
    train = split_pairs(spec, find_pairs(spec, tmp_path), Split.TRAIN)
    assert {p.case for p in train} == {"p0", "p2"}


def test_a_folder_without_pairs_is_named(tmp_path):
    with pytest.raises(InputError, match="'test'"):
        find_pairs(SPEC, tmp_path)


def test_an_unknown_key_of_a_configuration_is_refused():
    with pytest.raises(InputError, match="'a'"):
        SourceSpec.from_mapping({"name": "a", "folder": "b", "colour": 3})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        # Letter by letter it would hold nothing back.
        ({"development_cases": "STS_017"}, "development_cases is a list"),
        ({"mask_endings": "_seg"}, "mask_endings is a list"),
        ({"development_fraction": "0.1"}, "development_fraction is a number"),
    ],
)
def test_values_of_the_wrong_kind_are_told_at_once(entry, said):
    with pytest.raises(InputError, match=f"'a' of the configuration is wrong: {said}"):
        SourceSpec.from_mapping({"name": "a", "folder": "b", **entry})


def test_files_of_different_sizes_are_refused(tmp_path):
    write_pictures(tmp_path / "set", cases=1, planes=1)
    Image.fromarray(np.full((7, 7), 255, np.uint8)).save(tmp_path / "set" / "p0_0_mask.png")
    with pytest.raises(InputError, match="sizes"):
        read_picture(find_pairs(SPEC, tmp_path)[0], np.random.default_rng(0))


def write_pair(folder, image, mask, suffix="png"):
    """Pictures as they are given to Pillow."""
    image.save(folder / f"a_image.{suffix}")
    mask.save(folder / f"a_mask.{suffix}")


SQUARE = np.zeros((40, 50), np.uint8)
SQUARE[10:20, 10:30] = 255


def read_only_pair(folder, **settings):
    spec = SourceSpec("any", ".", **settings)
    return read_picture(find_pairs(spec, folder)[0], np.random.default_rng(0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
def test_a_mask_may_have_any_mode(tmp_path, mode):
    write_pair(tmp_path, Image.fromarray(SQUARE), Image.fromarray(SQUARE).convert(mode))
    labels = read_only_pair(tmp_path, objects=Objects.BINARY).labels
    np.testing.assert_array_equal(labels, SQUARE > 0)


def test_each_colour_of_a_mask_is_a_label(tmp_path):
    coloured = np.zeros((40, 50, 3), np.uint8)
    coloured[10:20, 10:20] = (255, 0, 0)
    coloured[10:20, 20:30] = (0, 255, 0)  # touches the first
    write_pair(tmp_path, Image.fromarray(SQUARE), Image.fromarray(coloured))
    assert len(read_only_pair(tmp_path).objects) == 2


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_pictures_of_more_than_8_bits_are_windowed(tmp_path, dtype):
    image = np.linspace(0, 4095, SQUARE.size).reshape(SQUARE.shape).astype(dtype)
    write_pair(tmp_path, Image.fromarray(image), Image.fromarray(SQUARE.astype(np.uint8)), "tif")
    picture = read_only_pair(tmp_path)
    assert picture.image.dtype == np.uint8
    assert 100 < np.median(picture.image) < 156


@pytest.mark.parametrize("suffix", ["PNG", "tiff", "Tif"])
def test_endings_are_found_however_they_are_written(tmp_path, suffix):
    write_pair(tmp_path, Image.fromarray(SQUARE), Image.fromarray(SQUARE), suffix)
    assert read_only_pair(tmp_path) is not None


def test_a_picture_too_large_to_be_opened_is_skipped(tmp_path, monkeypatch):
    write_pair(tmp_path, Image.fromarray(SQUARE), Image.fromarray(SQUARE))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (pair,) = find_pairs(SourceSpec("any", "."), tmp_path)
    assert read_or_skip(pair, np.random.default_rng(0)) is None


def test_a_damaged_picture_is_skipped(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    write_pair(tmp_path, Image.fromarray(noise), Image.fromarray(SQUARE))
    path = tmp_path / "a_image.png"
    content = path.read_bytes()
    data = content.index(b"IDAT")
    (pair,) = find_pairs(SourceSpec("any", "."), tmp_path)
    for broken in (content[: data + 50], content[:data] + b"\r]\xc2A" + content[data + 4 :], b""):
        path.write_bytes(broken)
        assert read_or_skip(pair, np.random.default_rng(0)) is None


def write_volumes(folder, voxels, labels, is_vector=False):
    sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=is_vector), str(folder / "a_image.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(folder / "a_mask.nii.gz"))


def test_colour_volumes_and_time_series_are_skipped(tmp_path):
    labels = np.ones((5, 20, 30), np.uint8)
    for voxels, is_vector in ((np.zeros((5, 20, 30, 3), np.uint8), True), (np.zeros((2, 5, 20, 30), np.int16), False)):
        write_volumes(tmp_path, voxels, labels, is_vector)
        (pair,) = find_pairs(SourceSpec("any", "."), tmp_path)
        assert read_or_skip(pair, np.random.default_rng(0)) is None


def test_voxels_that_are_no_numbers_do_not_blacken_a_plane(tmp_path):
    voxels = np.random.default_rng(0).uniform(1, 100, (5, 20, 30)).astype(np.float32)
    voxels[:, :3] = np.nan
    write_volumes(tmp_path, voxels, np.ones((5, 20, 30), np.uint8))
    assert read_only_pair(tmp_path, intensity=Intensity.RELATIVE).image.max() > 200


@pytest.mark.parametrize("has_header", [True, False])
def test_a_mask_that_is_stored_in_another_direction_is_turned(tmp_path, has_header):
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[1:5, 2:9, 3:12] = 1
    write_volumes(tmp_path, labels.astype(np.int16), labels)
    image, mask = (sitk.ReadImage(str(tmp_path / f"a_{name}.nii.gz")) for name in ("image", "mask"))
    for volume in (image, mask):
        volume.SetSpacing((0.5, 0.5, 2.0))
        volume.SetOrigin((10.0, 20.0, 30.0))
    mask = sitk.DICOMOrient(mask, "RAS") if has_header else sitk.GetImageFromArray(labels)
    if has_header:
        assert not np.array_equal(sitk.GetArrayFromImage(mask), labels)
    sitk.WriteImage(image, str(tmp_path / "a_image.nii.gz"))
    sitk.WriteImage(mask, str(tmp_path / "a_mask.nii.gz"))
    found = LabelledVolumes().read(tmp_path / "a_image.nii.gz", tmp_path / "a_mask.nii.gz")
    np.testing.assert_array_equal(found.labels, found.voxels)


def test_a_mask_that_is_cut_off_is_not_trained_on(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 9, (5, 20, 30)).astype(np.uint8)
    write_volumes(tmp_path, voxels.astype(np.int16), voxels)
    mask = tmp_path / "a_mask.nii.gz"
    mask.write_bytes(mask.read_bytes()[: mask.stat().st_size * 3 // 4])
    with pytest.raises((OSError, RuntimeError)):
        LabelledVolumes().read(tmp_path / "a_image.nii.gz", mask)


def test_volumes_used_last_are_kept_within_a_limit(tmp_path):
    paths = []
    for name in "abc":
        (tmp_path / name).mkdir()
        write_volumes(tmp_path / name, np.zeros((5, 20, 30), np.int16), np.ones((5, 20, 30), np.uint8))
        paths.append((tmp_path / name / "a_image.nii.gz", tmp_path / name / "a_mask.nii.gz"))
    volumes = LabelledVolumes(limit=2 * 3 * 3000)
    first, second = (volumes.read(*pair) for pair in paths[:2])
    assert volumes.read(*paths[0]) is first
    volumes.read(*paths[2])
    assert volumes.read(*paths[0]) is first
    assert volumes.read(*paths[1]) is not second


def test_thousands_of_objects_need_one_map(tmp_path):
    labels = np.zeros((1400, 1400), np.int32)
    for number in range(1600):
        row, column = divmod(number, 40)
        labels[35 * row : 35 * row + 20, 35 * column : 35 * column + 20] = number + 1
    tracemalloc.start()
    parts = (
        number_parts(labels, Objects.COMPONENTS, np.random.default_rng(0)),
        number_parts(labels, Objects.INSTANCES, np.random.default_rng(0)),
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(*parts)
    assert len(np.unique(parts[0])) == 251
    assert peak < 30 * labels.size


@pytest.mark.parametrize(
    ("objects", "expected"),
    [(Objects.COMPONENTS, 3), (Objects.FOREGROUND, 2), (Objects.INSTANCES, 2)],
)
def test_objects_of_a_label_map(objects, expected):
    labels = np.zeros((60, 60), np.int32)
    labels[5:15, 5:15] = 1
    labels[5:15, 15:25] = 2  # touches the first
    labels[40:50, 40:50] = 2
    labels[30, 30] = 1  # too small to be an object by itself
    parts = number_parts(labels, objects, np.random.default_rng(0))
    assert parts.max() == expected


def test_planes_of_a_volume_come_from_all_orientations_with_square_pixels(tmp_path):
    labels = np.zeros((12, 30, 40), np.uint8)
    labels[3:9, 8:22, 10:30] = 1
    image = sitk.GetImageFromArray(labels.astype(np.int16) * 100)
    mask = sitk.GetImageFromArray(labels)
    for volume in (image, mask):
        volume.SetSpacing((1.0, 1.0, 3.0))
    sitk.WriteImage(image, str(tmp_path / "a_image.nii.gz"))
    sitk.WriteImage(mask, str(tmp_path / "a_mask.nii.gz"))
    spec = SourceSpec("volumes", ".", intensity=Intensity.RELATIVE)
    rng = np.random.default_rng(0)
    shapes = {read_picture(find_pairs(spec, tmp_path)[0], rng).labels.shape for _ in range(40)}
    assert {(30, 40), (36, 40), (36, 30)} <= shapes  # the last two: 12 planes of 3 mm are 36 pixels of 1 mm


def write_indexed(root, masks):
    """SA-Med2D's demo layout; masks: {name: array} of one image of 40 x 50."""
    folder = root / "data_demo"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(folder / "images" / "ct_00--set--c7--x_0003.png")
    for name, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{name}.png")
    listed = [f"data_demo/masks/{name}.png" for name in [*masks, "missing"]]
    index = {"data_demo/images/ct_00--set--c7--x_0003.png": listed, "data_demo/images/missing.png": listed}
    (folder / "index.json").write_text(json.dumps(index))
    return SourceSpec("demo", "data_demo", index="index.json", case_pattern=documented_pattern())


def documented_pattern():
    """Of SA-Med2D."""
    block = (ROOT / "docs" / "training.md").read_text().split("```toml")[1].split("```")[0]
    return tomllib.loads(block)["sources"][0]["case_pattern"]


@pytest.mark.parametrize("patient", ["p-1", "p.2", "BraTS20_001_--3"])
def test_modalities_and_slices_of_a_patient_are_one_case(tmp_path, patient):
    (tmp_path / "masks").mkdir()
    index = {}
    for modality, plane in itertools.product(("mr_t1", "mr_t2"), ("x_0001", "z_0002")):
        name = f"{modality}--A-set--{patient}--{plane}.png"
        (tmp_path / name).touch()
        (tmp_path / "masks" / name).touch()
        index[name] = [f"masks/{name}"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    spec = SourceSpec("demo", ".", index="index.json", case_pattern=documented_pattern())
    assert [pair.case for pair in find_pairs(spec, tmp_path)] == [f"A-set--{patient}"] * 4


def block(rows, columns, shape=(40, 50)):
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def test_an_index_of_images_and_masks_is_read_and_missing_files_are_left_out(tmp_path):
    spec = write_indexed(tmp_path, {"organ": block((2, 30), (2, 40)), "lesion": block((10, 20), (10, 20))})
    (pair,) = find_pairs(spec, tmp_path)
    assert pair.case == "set--c7"
    picture = read_picture(pair, np.random.default_rng(0))
    areas = sorted(object_mask(picture.labels, members).sum() for members in picture.objects)
    assert areas == [100, 28 * 38]  # the lesion, and the organ with it


@pytest.mark.parametrize("content", ['["a.png"]', '{"a.png": 3}', "no json"])
def test_an_index_of_another_form_is_told(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(InputError, match="index.json cannot be read"):
        find_pairs(SourceSpec("demo", ".", index="index.json"), tmp_path)


def test_a_mask_of_another_size_is_left_out(tmp_path):
    spec = write_indexed(tmp_path, {"good": block((2, 30), (2, 40)), "bad": block((2, 9), (2, 9), shape=(20, 20))})
    picture = read_picture(find_pairs(spec, tmp_path)[0], np.random.default_rng(0))
    assert len(picture.objects) == 1
