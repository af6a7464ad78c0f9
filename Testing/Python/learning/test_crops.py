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
