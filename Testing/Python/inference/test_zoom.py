from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.inference.zoom import Crop, ZoomMode, ZoomPolicy

POLICY = ZoomPolicy()
PLANE = (512, 400)


@st.composite
def extents(draw, plane_hw=PLANE):
    height, width = plane_hw
    x0 = draw(st.floats(0, width - 2))
    y0 = draw(st.floats(0, height - 2))
    return x0, y0, draw(st.floats(x0 + 1, width)), draw(st.floats(y0 + 1, height))


@given(extents())
def test_crop_lies_in_the_plane_and_holds_the_prompts(extent):
    crop = POLICY.choose(PLANE, extent)
    assert 0 <= crop.x0 < crop.x1 <= 400
    assert 0 <= crop.y0 < crop.y1 <= 512
    assert crop.x0 <= extent[0]
    assert crop.y0 <= extent[1]
    assert crop.x1 >= extent[2]
    assert crop.y1 >= extent[3]


@given(extents())
def test_a_fresh_crop_would_be_kept_for_the_same_prompts(extent):
    crop = POLICY.choose(PLANE, extent)
    assert POLICY.keeps(crop, PLANE, extent) or crop == Crop(0, 0, 400, 512)


@given(extents())
def test_a_small_move_keeps_the_crop(extent):
    crop = POLICY.choose(PLANE, extent)
    shift = 0.02 * max(crop.size_hw)
    moved = (extent[0] + shift, extent[1], min(extent[2] + shift, 400), extent[3])
    if moved[2] - moved[0] >= 1 and POLICY.keeps(crop, PLANE, moved):
        assert POLICY.choose(PLANE, moved, crop) is crop


def test_prompts_near_the_crops_border_move_the_crop():
    crop = POLICY.choose(PLANE, (180, 180, 220, 220))
    outside = (crop.x1 - 30, 190, crop.x1 - 1, 220)
    assert POLICY.choose(PLANE, outside, crop) != crop


def test_a_point_in_the_outer_half_of_a_border_pixel_keeps_its_crop_and_is_looked_at_from_close_by():
    for x, y in ((-0.5, 200), (399.5, 200), (200, -0.5), (200, 511.5)):
        extent = (x, y, x + 1, y + 1)
        half = POLICY.half(PLANE, extent)
        assert half is not None
        assert POLICY.in_middle(half, PLANE, extent)
        crop = POLICY.choose(PLANE, extent)
        assert POLICY.choose(PLANE, extent, crop) is crop


def test_an_object_that_became_small_gets_a_closer_crop():
    crop = POLICY.choose(PLANE, (150, 150, 250, 250))
    closer = POLICY.choose(PLANE, (195, 195, 205, 205), crop)
    assert max(closer.size_hw) < max(crop.size_hw)


def test_large_objects_are_seen_on_the_whole_plane():
    assert POLICY.choose(PLANE, (10, 10, 390, 300)) == Crop(0, 0, 400, 512)


def test_whole_plane_mode_never_crops():
    policy = ZoomPolicy(ZoomMode.WHOLE_PLANE)
    kept_from_a_time_of_zoom = Crop(150, 150, 278, 278)
    for current in (None, kept_from_a_time_of_zoom):
        assert policy.choose(PLANE, (200, 200, 210, 210), current) == Crop(0, 0, 400, 512)
    assert policy.half(PLANE, (200, 200, 210, 210)) is None


def test_no_crop_is_smaller_than_the_smallest_side():
    crop = POLICY.choose(PLANE, (200, 200, 201, 201))
    assert min(crop.size_hw) >= POLICY.smallest_side
    assert POLICY.half((90, 80), (40, 40, 41, 41)) is None


def test_crop_sides_are_few_so_that_encodings_are_shared():
    sides = {max(POLICY.choose(PLANE, (100, 100, 100 + s, 100 + s)).size_hw) for s in range(30, 160)}
    assert len(sides) <= 12


def test_a_side_that_is_one_of_the_steps_stays():
    for side in (64, 128, 256):
        crop = POLICY.choose((1000, 1000), (400, 400, 400 + side / 2, 400 + side / 2))
        assert crop.size_hw == (side, side)


def test_the_longer_side_of_the_plane_decides_when_the_whole_is_taken():
    crop = POLICY.choose((100, 400), (150, 20, 214, 84))  # a crop of 128 pixels is more than the height
    assert crop.size_hw == (100, 128)


def test_crops_begin_on_a_grid_so_that_a_small_move_finds_the_same_one():
    starts = {POLICY.choose((1000, 1000), (x, 300, x + 100, 400)).x0 for x in range(300, 350)}
    assert len(starts) <= 3


def test_half_the_plane_is_not_taken_where_prompts_reach_its_border():
    assert POLICY.half((512, 512), (200, 200, 260, 260)) is not None
    assert POLICY.half((512, 512), (100, 100, 400, 400)) is None
