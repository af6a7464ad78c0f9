"""What of preprocessing no published case shows: masks as prompts, and pictures at the limits of resizing."""

import numpy as np
import pytest

from SAMUNetSlicerLib.inference.preprocessing import PROMPT_LOGIT, input_frame, prepare
from SAMUNetSlicerLib.networks.base import Normalisation, Preprocessing, Resize

LONGEST = Preprocessing(64, Resize.BILINEAR_LONGEST, Normalisation.UNIT)
AREA = Preprocessing(64, Resize.AREA_LONGEST, Normalisation.UNIT)


@pytest.mark.parametrize("prompt_size", [64, 32])
def test_a_mask_prompt_says_outside_where_the_picture_ends(prompt_size):
    prompt = input_frame((40, 80), LONGEST).mask_to_prompt(np.ones((40, 80), bool), prompt_size)[0, 0]
    half = prompt_size // 2
    np.testing.assert_allclose(prompt[: half - 1], PROMPT_LOGIT, atol=0.01)
    np.testing.assert_allclose(prompt[half + 1 :], -PROMPT_LOGIT, atol=0.01)


def test_a_mask_is_made_smaller_from_all_of_its_pixels():
    stripes = np.zeros((512, 512), bool)
    stripes[3::8] = stripes[4::8] = True  # a quarter of the rows: those in the middle of each new one
    prompt = input_frame((512, 512), LONGEST).mask_to_prompt(stripes, 64)
    assert (prompt < 0).all()


def test_the_mean_of_an_area_is_rounded_to_the_nearest_grey_value():
    picture = np.full((128, 128, 3), 10, np.uint8)
    picture[::2, ::2] = 13  # the mean is 10.75
    prepared, _ = prepare(picture, AREA)
    np.testing.assert_allclose(prepared.numpy() * 255, 11, atol=1e-4)


@pytest.mark.parametrize("resize", list(Resize))
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (7, 1), (63, 64), (65, 3), (1000, 1)])
def test_pictures_of_any_size_can_be_prepared(size_hw, resize):
    prepared, frame = prepare(np.full((*size_hw, 3), 100, np.uint8), Preprocessing(64, resize, Normalisation.UNIT))
    assert prepared.shape == (3, 64, 64)
    height, width = frame.resized_hw
    np.testing.assert_allclose(prepared[:, :height, :width].numpy() * 255, 100, atol=1e-3)
