"""What an object of a label map is, and how cases are divided."""

import numpy as np
from PIL import Image

from SAMUNetSlicerLib.learning.data.sources import (
    Objects,
    Pair,
    SourceSpec,
    Split,
    find_pairs,
    number_parts,
    overlay,
    read_picture,
    split_pairs,
)


def block(*frame: int) -> np.ndarray:
    """(40, 60) bool: rows and columns from, to."""
    mask = np.zeros((40, 60), bool)
    mask[frame[0] : frame[1], frame[2] : frame[3]] = True
    return mask


def held(fraction: float, count: int) -> set[str]:
    spec = SourceSpec("any", ".", development_fraction=fraction)
    pairs = [Pair(spec, f"p{i}", None, ()) for i in range(count)]
    return {pair.case for pair in split_pairs(spec, pairs, Split.DEVELOPMENT)}


def test_cases_are_held_back_as_they_always_were():
    """By the order of their names' SHA-256: another order would train on what others measure."""
    assert held(0.3, 10) == {"p7", "p0", "p9"}


def test_of_few_cases_one_is_held_back():
    assert len(held(0.1, 3)) == 1
    assert not held(0.0, 3)


def test_grey_rims_of_a_jpeg_mask_are_not_its_object():
    labels = np.where(block(5, 25, 5, 25), 255, np.where(block(4, 26, 4, 26), 90, 0))
    np.testing.assert_array_equal(number_parts(labels, Objects.BINARY, np.random.default_rng(0)), block(5, 25, 5, 25))


def test_a_coloured_mask_of_black_and_white_is_told_by_its_brightness(tmp_path):
    mask = np.where(block(5, 25, 5, 25)[..., None], (250, 255, 251), np.where(block(4, 26, 4, 26)[..., None], 9, 0))
    mask[30:, :] = (3, 2, 1)  # as JPEG leaves it
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "a_image.png")
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "a_mask.png")
    (pair,) = find_pairs(SourceSpec("any", ".", objects=Objects.BINARY), tmp_path)
    np.testing.assert_array_equal(read_picture(pair, np.random.default_rng(0)).labels, block(5, 25, 5, 25))


def test_of_too_many_objects_other_ones_are_taken_each_time():
    labels = np.arange(400).reshape(20, 20).repeat(6, axis=0).repeat(6, axis=1)
    first, second = (number_parts(labels, Objects.INSTANCES, np.random.default_rng(seed)) > 0 for seed in range(2))
    assert first.sum() == second.sum() == 250 * 36
    assert (first & ~second).any()


def test_an_object_that_is_mostly_painted_over_is_not_one():
    parts, objects = overlay([block(0, 20, 0, 20), block(0, 20, 10, 30)])
    assert [np.isin(parts, members).sum() for members in objects] == [400]


def test_an_object_is_itself_and_what_lies_inside_it():
    outer, inner, beside = block(0, 30, 0, 30), block(5, 15, 5, 15), block(22, 31, 22, 33)
    parts, objects = overlay([inner, beside, outer])
    masks = [np.isin(parts, members) for members in objects]
    np.testing.assert_array_equal(masks, [outer & ~beside, inner, beside])


def test_specks_are_left_out_of_an_index():
    assert len(overlay([block(0, 20, 0, 20), block(30, 35, 0, 5)])[1]) == 1
