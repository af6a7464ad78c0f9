"""How an object's sections change between and beyond its key planes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.volumes.propagation.taper import Taper

STEP = 40.0  # pixels from plane to plane, so that none of these is flat


def ellipsoid(middle: int, half_length: float, area: float = 40_000.0) -> dict[int, int]:
    """Pixels of an ellipsoid's sections on the planes that show it."""
    planes = range(int(np.ceil(middle - half_length)), int(np.floor(middle + half_length)) + 1)
    return {index: round(area * (1 - ((index - middle) / half_length) ** 2)) for index in planes}


@given(st.integers(-20, 60), st.floats(6, 40), st.data())
def test_two_planes_and_the_middle_tell_the_rest_of_an_ellipsoid(middle, half_length, data):
    areas = ellipsoid(middle, half_length)
    others = sorted(set(areas) - {middle})
    one, other = data.draw(st.sampled_from(others)), data.draw(st.sampled_from([middle, *others]))
    if abs(one - middle) == abs(other - middle):
        return
    taper = Taper.through({i: areas[i] for i in (middle, one, other)}, one, other)
    rounding = 2 + 2 * half_length**2 / abs((one - middle) ** 2 - (other - middle) ** 2)
    for index, area in areas.items():
        assert taper.side(index) ** 2 == pytest.approx(area, abs=rounding)


def test_the_end_behind_the_outermost_key_plane_is_foreseen():
    areas = ellipsoid(10, 8.0)
    taper = Taper.beyond({10: areas[10], 16: areas[16]}, 16, STEP)
    assert taper.side(17) > 0
    assert taper.side(18) == pytest.approx(0, abs=6)
    assert taper.shrink(16, 1) == pytest.approx(np.sqrt(areas[17] / areas[16]), abs=0.01)
    mirrored = Taper.beyond({10: areas[10], 4: areas[4]}, 4, STEP)
    assert mirrored.shrink(4, -1) == pytest.approx(taper.shrink(16, 1))


def test_sides_never_shrink_at_once_and_go_on_shrinking_beyond_the_end():
    areas = ellipsoid(10, 8.0)
    taper = Taper.beyond({10: areas[10], 17: areas[17]}, 17, STEP)
    assert [taper.shrink(index, 1) for index in (17, 18, 25)] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "areas",
    [
        {12: 900},  # one key plane tells nothing
        {10: 1000, 12: 600},  # an end would lie about as far as what was seen
        {10: 500, 12: 900},  # it grows
        {2: 900, 10: 890, 12: 880},  # a tube
        {12: 0},
        {10: 0, 12: 0},
    ],
)
def test_no_end_is_foreseen_where_key_planes_do_not_tell_of_one(areas):
    assert Taper.beyond(areas, 12, STEP) is None


def test_no_end_is_believed_that_would_make_the_object_flat():
    """Half of the area, two planes away: an ellipsoid of three planes to each side, or a tail behind a bulge."""
    areas = {10: 1000, 12: 400}  # 18 pixels to each side in plane, 2.6 planes along the stack
    assert Taper.beyond(areas, 12, 5.0) is None
    assert Taper.beyond(areas, 12, 8.0) is not None
    assert Taper.beyond(areas, 12, 0.0) is None  # frames of a sequence


@given(
    st.dictionaries(st.integers(0, 40), st.integers(1, 10_000), min_size=2, max_size=6),
    st.data(),
)
def test_shares_of_the_way_add_up_to_the_goal(areas, data):
    """From any of two neighbouring key planes, over every plane between, the last step leads to the goal."""
    keys = sorted(areas)
    place = data.draw(st.integers(0, len(keys) - 2))
    low, high = keys[place], keys[place + 1]
    taper = Taper.through(areas, low, high)
    for start, goal in ((low, high), (high, low)):
        step = 1 if goal > start else -1
        where = 0.0
        for index in range(start, goal, step):
            share = taper.share_of_way(index, step, goal)
            assert -1e-6 <= share <= 1 + 1e-6
            where += share * (1 - where)
        assert where == pytest.approx(1)


def test_near_the_end_an_object_changes_faster_than_in_its_middle():
    areas = ellipsoid(0, 10.0)
    taper = Taper.through({0: areas[0], 9: areas[9]}, 0, 9)
    assert taper.share_of_way(0, 1, 9) < 1 / 9 / 5
    assert taper.share_of_way(8, -1, 0) > 1 / 8
    even = Taper.through({0: 500, 9: 500}, 0, 9)
    assert even.share_of_way(3, 1, 9) == pytest.approx(1 / 6)
