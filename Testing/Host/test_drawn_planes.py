"""Planes that were painted elsewhere, in the Segment Editor for example, and are taken for right as they stand."""

import numpy as np
import pytest


@pytest.fixture
def draw(user):
    """Draw (K, J, I) voxels into the active segment, as another module does."""
    import slicer

    def draw(voxels_kji) -> None:
        session = user.session
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            voxels_kji.astype(np.uint8), session.node, session.segment_id, session.volume_node
        )
        user.settle()

    return draw


def show(user, point_ras) -> None:
    from SAMUNetSlicerLib.widgets.slice_views import show_point

    show_point(point_ras, user.view("Red").node)
    user.settle()


def on_planes(voxels_kji, *indices):
    kept = np.zeros_like(voxels_kji)
    kept[list(indices)] = voxels_kji[list(indices)]
    return kept


def test_drawn_planes_are_kept_and_propagated_from_without_any_prompt(user, at, draw, balls):
    user.press("addSegmentButton")
    draw(on_planes(balls[0], 6, 10))
    show(user, at((6, 32, 20)))
    user.key("K")
    assert user.message == "Kept as it is drawn: axial plane 6. Propagations go on from it."
    show(user, at((10, 32, 20)))
    user.press("keepButton")
    user.picture("drawn_and_kept")
    assert [i for i, status in enumerate(user.statuses()) if status == "accepted"] == [6, 10]
    user.key("P")
    user.wait_while_busy()
    found = user.proposed()
    for index in (7, 8, 9):
        overlap = np.count_nonzero(found[index] & balls[0][index])
        assert 2 * overlap / (found[index].sum() + balls[0][index].sum()) > 0.9
    assert not found[[6, 10]].any(), "they stand as they were drawn"


def test_a_plane_that_is_kept_as_empty_ends_a_propagation(prompted, at):
    user = prompted
    show(user, at((10, 32, 20)))
    user.key("K")
    assert user.message == "Kept as empty: axial plane 10. Propagations end before it."
    user.key("P")
    user.wait_while_busy()
    assert user.proposed()[9].any()
    assert not user.proposed()[10:].any()


def test_keeping_can_be_undone_and_takes_the_place_of_a_preview(prompted, draw, balls):
    user = prompted
    draw(on_planes(balls[0], 8))
    user.key("K")
    assert user.statuses()[8] == "accepted"
    assert not user.proposed().any()
    user.key("Z")
    assert user.statuses()[8] == "proposed"
    assert user.proposed()[8].any()


def test_a_finished_segment_keeps_nothing_and_says_why(prompted):
    user = prompted
    user.press("finishButton")
    assert not user.ui.keepButton.enabled
    user.key("K")
    assert "finished" in user.message
    assert user.statuses()[8] == "proposed"
