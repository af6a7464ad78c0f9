"""Items of a sequence that are added or removed while the work on others is under way."""

import pytest
from sequence_scenery import PLANE, BeatingDesk, accept_in

from SAMUNetSlicerLib.errors import EditError
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import find_segment, segment_name


@pytest.fixture
def beating(mrml_host, mrml_scene):
    return BeatingDesk(mrml_host)


def test_a_new_name_is_kept_when_an_earlier_item_is_removed(beating):
    """The browser then shows the next item, which has the old name yet, under the same number."""
    accept_in(beating, 2)
    find_segment(beating.segmentation, beating.ids[0]).SetName("Heart")
    beating.sequence.RemoveDataNodeAtValue("0")
    beating.space.check()
    results = beating.space.items.results
    assert [segment_name(results.node(frame), beating.ids[0]) for frame in results.frames] == ["Heart"] * 4


@pytest.mark.parametrize("way", ["planes", "items"])
def test_a_propagation_ends_where_items_get_other_numbers(beating, way):
    accept_in(beating, 2)
    logic, node, segment = beating.logic, beating.segmentation, beating.ids[0]
    if way == "planes":
        steps = logic.propagate(node, segment, "axial")
    else:
        steps = logic.propagateInTime(node, segment, PLANE, "axial")
    first = next(steps)
    place = PLANE if way == "items" else first.index
    beating.sequence.RemoveDataNodeAtValue("0")
    with pytest.raises(EditError, match="added or removed during the work"):
        list(steps)
    beating.go(1 if way == "planes" else first.index - 1)
    assert beating.statuses()[place] == "proposed", "what is finished went along"
    beating.go(1)
    assert beating.statuses()[PLANE] == "accepted"
    (note,) = logic.takeNotes(node)
    assert "go with their items" in note, "and no volume is told to have changed"
