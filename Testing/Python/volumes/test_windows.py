"""Intensities to 8 bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from SAMUNetSlicerLib.errors import UserError
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.volume import Modality, Volume
from SAMUNetSlicerLib.volumes.windows import (
    CT_PRESETS,
    Window,
    default_window,
    describe_window,
    parse_window,
    percentile_window,
    to_uint8,
)


def volume_of(voxels, modality=Modality.OTHER) -> Volume:
    voxels = np.asarray(voxels)
    return Volume(voxels, GridGeometry(voxels.shape[:3], np.eye(4)), modality)


def test_a_window_spreads_its_range_over_256_grey_levels():
    image = np.array([[-1000, -160, 40, 240, 3000]], dtype=np.float32)
    eight_bit = to_uint8(image, Window(-160, 240))
    assert eight_bit.dtype == np.uint8
    assert eight_bit.shape == (1, 5, 3)
    assert eight_bit[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert (eight_bit == eight_bit[..., :1]).all()


def test_pixels_that_are_not_finite_are_black():
    image = np.array([[np.nan, np.inf, -np.inf, 1.0]], dtype=np.float32)
    assert to_uint8(image, Window(0, 1))[0, :, 0].tolist() == [0, 0, 0, 255]


def test_colours_pass_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    assert np.array_equal(to_uint8(image, None), image)
    assert np.array_equal(to_uint8(image, Window(0, 10)), image)


def test_a_grey_image_needs_a_window():
    with pytest.raises(ValueError, match="window"):
        to_uint8(np.zeros((2, 2)), None)


@settings(max_examples=100, deadline=None)
@given(
    st_numpy.arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(-1e5, 1e5),
    st.floats(0.5, 1e5),
)
def test_brighter_intensities_are_never_darker_in_8_bit(image, level, width):
    grey = to_uint8(image, Window.from_level(level, width))[..., 0].ravel()
    order = np.argsort(image, axis=None)
    assert (np.diff(grey[order].astype(int)) >= 0).all()


def test_percentiles_ignore_the_background():
    voxels = np.zeros((10, 40, 40), dtype=np.int16)
    voxels[:, 10:20, 10:30] = np.random.default_rng(0).integers(500, 1500, (10, 10, 20))
    window = percentile_window(volume_of(voxels))
    assert 500 <= window.lower <= 510
    assert 1490 <= window.upper <= 1500


def test_percentiles_ignore_masked_zeros_above_the_minimum():
    voxels = np.zeros((10, 40, 40), dtype=np.float32)
    voxels[:, 10:20, 10:30] = np.random.default_rng(0).uniform(500, 1500, (10, 10, 20))
    voxels[0, 10, 10] = -3
    assert percentile_window(volume_of(voxels)).lower > 400


def test_zeros_within_a_signed_range_are_kept():
    voxels = np.random.default_rng(0).normal(0, 100, (10, 20, 20)).astype(np.float32)
    window = percentile_window(volume_of(voxels))
    assert -300 < window.lower < -200
    assert 200 < window.upper < 300


def test_a_single_hot_voxel_does_not_set_the_window():
    voxels = np.random.default_rng(0).uniform(0, 100, (10, 40, 40)).astype(np.float32)
    voxels[3, 3, 3] = 1e9
    assert percentile_window(volume_of(voxels)).upper < 101


def test_voxels_that_are_not_finite_do_not_count():
    voxels = np.random.default_rng(0).uniform(0, 100, (10, 20, 20)).astype(np.float32)
    expected = percentile_window(volume_of(voxels))
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    window = percentile_window(volume_of(voxels))
    assert window.lower == pytest.approx(expected.lower, abs=0.5)
    assert window.upper == pytest.approx(expected.upper, abs=0.5)


@pytest.mark.parametrize("value", [0, 7, -1000.0, np.nan, np.inf, 1e30, 2**62])
def test_a_constant_volume_still_has_a_window_and_is_black(value):
    volume = volume_of(np.full((2, 3, 4), value))
    window = percentile_window(volume)
    assert window.lower < window.upper
    assert (to_uint8(volume.voxels[0], window) == 0).all()


def test_a_volume_of_two_intensities_shows_both():
    voxels = np.zeros((2, 10, 10), dtype=np.uint8)
    voxels[:, 2:5, 2:5] = 1
    grey = to_uint8(voxels[0], percentile_window(volume_of(voxels)))
    assert sorted(np.unique(grey)) == [0, 255]


def test_huge_volumes_are_thinned_the_same_way_each_time():
    # A broadcast view: 8e9 voxels that take no memory.
    row = np.random.default_rng(0).integers(0, 1000, 2000).astype(np.int16)
    volume = volume_of(np.broadcast_to(row, (2000, 2000, 2000)))
    window = percentile_window(volume)
    assert window == percentile_window(volume)
    assert 0 <= window.lower < 60
    assert 940 < window.upper <= 1000


def test_the_default_window_follows_the_modality():
    grey = np.random.default_rng(0).integers(-1000, 1000, (4, 10, 10)).astype(np.int16)
    ct = default_window(volume_of(grey, Modality.CT))
    assert (ct.lower, ct.upper) == (-160, 240)
    for modality in (Modality.MR, Modality.PET, Modality.US, Modality.XRAY, Modality.OTHER):
        assert default_window(volume_of(grey, modality)) == percentile_window(volume_of(grey))
    assert default_window(volume_of(np.zeros((1, 4, 4, 3), np.uint8))) is None


def test_an_rgb_volume_has_no_percentiles():
    with pytest.raises(ValueError, match="RGB"):
        percentile_window(volume_of(np.zeros((1, 4, 4, 3), np.uint8)))


@pytest.mark.parametrize("window", [*CT_PRESETS.values(), Window(-1.5, 2.25), Window.from_level(40, 400, "mine")])
def test_a_window_survives_json(window):
    assert Window.from_dict(json.loads(json.dumps(window.to_dict()))) == window


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abdomen", (-160, 240)),
        ("Lung", (-1350, 150)),
        ("soft tissue", (-160, 240)),
        ("-160:240", (-160, 240)),
        (" 0.5 : 1e3 ", (0.5, 1000)),
    ],
)
def test_a_window_is_read_from_text(text, expected):
    window = parse_window(text)
    assert (window.lower, window.upper) == expected


def test_auto_leaves_the_choice_to_the_default():
    assert parse_window("auto") is None


@pytest.mark.parametrize("text", ["", "bones", "1", "5:1", "1:1", "1:2:3", "nan:1", "0:inf", "a:b"])
def test_an_unusable_window_names_the_choices(text):
    with pytest.raises(UserError, match="abdomen"):
        parse_window(text)


@pytest.mark.parametrize(("lower", "upper"), [(1, 1), (2, 1), (np.nan, 1), (0, np.inf)])
def test_a_window_needs_two_finite_numbers_in_order(lower, upper):
    with pytest.raises(ValueError, match="window"):
        Window(lower, upper)


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (CT_PRESETS["abdomen"], "abdomen -160:240"),
        (Window(1234567.25, 1234571.5), "custom 1234567.25:1234571.5"),
        (Window(0.1 + 0.2, 252.60000000000002), "custom 0.3:252.6"),
        (None, "colour"),
    ],
)
def test_a_window_is_told_exactly_enough_to_be_repeated(window, text):
    assert describe_window(window) == text
