import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from learning_examples import disc, two_discs

from SAMUNetSlicerLib.learning.data.augmentation import Augmentation
from SAMUNetSlicerLib.learning.data.crops import (
    SIZE,
    Frame,
    cut,
    finish,
    object_mask,
    random_frame,
    square_frame,
    turned,
)
from SAMUNetSlicerLib.learning.data.sources import Picture


@given(
    x=st.floats(-20, 220), y=st.floats(-20, 220), side=st.integers(1, 400), height=st.integers(8, 200),
    width=st.integers(8, 200),
)  # fmt: skip
def test_a_square_lies_within_the_picture(x, y, side, height, width):
    frame = square_frame(x, y, side, height, width)
    assert 0 <= frame.x0 < frame.x1 <= width
    assert 0 <= frame.y0 < frame.y1 <= height
    assert frame.x1 - frame.x0 == min(side, width)
    assert frame.y1 - frame.y0 == min(side, height)


@pytest.mark.parametrize("seed", range(8))
def test_a_plane_of_one_row_can_be_turned_and_cut(seed):
    labels = np.ones((1, 300), np.uint8)
    picture = turned(Picture(labels * 200, labels, ((1,),)), np.random.default_rng(seed))
    height, width = picture.labels.shape
    assert cut(picture, Frame(0, 0, width, height))[1].size


@pytest.mark.parametrize("seed", range(8))
def test_image_and_objects_stay_together(seed):
    rng = np.random.default_rng(seed)
    picture = turned(two_discs(), rng)
    frame = random_frame(picture, rng)
    image, parts = cut(picture, frame)
    bright = image[0] > 120
    assert np.mean(bright != (parts > 0)) < 0.04


def test_a_look_is_normalised_and_padded_like_the_networks_input():
    picture = two_discs()
    frame = Frame(0, 0, 100, 80)
    look = finish(*cut(picture, frame), picture, frame)
    assert look.visible == (205, SIZE)
    assert look.image[:, :205].min() == 0
    assert look.image.max() == 255
    assert not look.image[:, 205:].any()
    assert not look.parts[205:].any()


def test_an_object_that_is_mostly_outside_is_not_asked_for():
    picture = two_discs()
    frame = Frame(15, 20, 55, 60)  # the first disc, and a sliver of the second
    look = finish(*cut(picture, frame), picture, frame)
    assert look.objects == ((1,),)


def test_borders_do_not_become_steps_when_pixels_grow():
    picture = two_discs()
    frame = Frame(15, 20, 45, 50)
    _, parts = cut(picture, frame)
    scale = SIZE / 30
    # The centre of pixel 30 lies at (30 - 15 + .5) * scale - .5 of the look.
    truth = disc(SIZE, 15.5 * scale - 0.5, 15.5 * scale - 0.5, 12 * scale)
    assert np.mean((parts == 1) != truth) < 0.021  # in steps it would be .023


def test_nested_objects_share_parts():
    parts = np.array([[0, 1], [2, 2]], np.uint8)
    assert object_mask(parts, (1, 2)).sum() == 3


def test_augmentation_keeps_shape_and_range_and_repeats_itself():
    image = np.repeat(np.random.default_rng(1).uniform(0, 255, (1, 64, 48)).astype(np.float32), 3, axis=0)
    augmentation = Augmentation()
    for seed in range(6):
        first = augmentation(image, np.random.default_rng(seed))
        again = Augmentation()(image, np.random.default_rng(seed))
        assert first.shape == image.shape
        assert first.min() >= 0
        assert first.max() <= 255
        np.testing.assert_array_equal(first, again)


def picture_of(size: int, *boxes: tuple[int, int, int, int]) -> Picture:
    """Bright boxes (x0, y0, x1, y1), numbered from 1."""
    labels = np.zeros((size, size), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        labels[y0:y1, x0:x1] = number
    return Picture((labels > 0).astype(np.uint8) * 255, labels, tuple((n + 1,) for n in range(len(boxes))))


def test_a_square_stands_around_its_point():
    assert square_frame(100, 50, 20, height=200, width=300) == Frame(90, 40, 110, 60)


def test_a_frame_holds_its_object_or_is_the_whole_picture_now_and_then():
    picture, rng = picture_of(1000, (480, 490, 520, 510)), np.random.default_rng(0)
    frames = [random_frame(picture, rng) for _ in range(400)]
    around = [f for f in frames if f != Frame(0, 0, 1000, 1000)]
    assert 0.08 < 1 - len(around) / len(frames) < 0.16
    sides = [f.x1 - f.x0 for f in around]
    assert 50 <= min(sides) < 55
    assert 180 < max(sides) <= 200
    assert all(f.x0 <= 480 and f.y0 <= 490 and f.x1 >= 520 and f.y1 >= 510 for f in around)
    assert np.std([f.x0 + f.x1 for f in around]) > 20, "the object is not always in the middle"


def test_a_small_object_is_not_looked_at_more_closely_than_20_pixels():
    picture, rng = picture_of(100, (50, 50, 53, 53)), np.random.default_rng(0)
    assert min(f.x1 - f.x0 for f in (random_frame(picture, rng) for _ in range(50))) == 20


def test_objects_of_few_pixels_are_not_asked_for():
    picture, frame = picture_of(256, (10, 10, 16, 16), (50, 50, 57, 57)), Frame(0, 0, 256, 256)
    assert finish(*cut(picture, frame), picture, frame).objects == ((2,),)


@pytest.mark.parametrize(("shown", "asked"), [(5, False), (7, True)])
def test_three_tenths_of_an_object_have_to_be_shown(shown, asked):
    picture = picture_of(256, (100, 100, 120, 120), (10, 10, 40, 40))
    frame = Frame(0, 0, 200, 100 + shown)
    assert ((1,) in finish(*cut(picture, frame), picture, frame).objects) == asked


def test_parts_shrink_as_the_image_does():
    picture = picture_of(1024, (409, 407, 611, 613))
    image, parts = cut(picture, Frame(0, 0, 1024, 1024))
    np.testing.assert_array_equal(parts > 0, image[0] > 127)


def test_a_shrunken_image_is_the_mean_of_its_pixels():
    stripes = np.tile(np.array([240, 0, 0, 240], np.uint8), (1024, 256))
    image, _ = cut(Picture(stripes, stripes, ()), Frame(0, 0, 1024, 1024))
    assert np.unique(image).tolist() == [120]


@pytest.mark.parametrize("seed", range(12))
def test_turning_makes_no_parts_and_forgets_those_turned_out(seed):
    labels = np.zeros((90, 90), np.uint8)
    labels[20:70, 20:70], labels[:3, :3] = 9, 4
    picture = turned(Picture(labels, labels, ((9,), (4,))), np.random.default_rng(seed))
    present = set(np.unique(picture.labels))
    assert present <= {0, 4, 9}
    assert set(picture.objects) == {(n,) for n in present - {0}}
