"""The record of the work as items of its sequence come and go."""

from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.scene.record.document import Document, PlaneKey, PlaneState, renumbered

VALUES = [f"{n} ms" for n in range(8)]


@given(st.lists(st.sampled_from(VALUES), unique=True), st.lists(st.sampled_from(VALUES), unique=True))
def test_what_is_known_of_an_item_goes_with_it_and_vanishes_with_it(known, now):
    """Sequences sort their items by value."""
    known, now = sorted(known), sorted(now)
    moved = any(value in now and now.index(value) != place for place, value in enumerate(known))
    if len(known) == len(now) and not moved:
        return  # the same items, some with other values
    document = Document(
        fingerprints={str(number): value for number, value in enumerate(known)},
        planes={PlaneKey(str(number), "a", "K", 3): PlaneState(stopped=value) for number, value in enumerate(known)},
    )
    frames = renumbered(known, now)
    document.rename(lambda frame: frames.get(frame, frame), lambda stack: stack)
    kept = {str(now.index(value)): value for value in known if value in now}
    assert document.fingerprints == kept
    assert document.planes == {PlaneKey(frame, "a", "K", 3): PlaneState(stopped=kept[frame]) for frame in kept}
    for frame, value in kept.items():
        ((_, state),) = document.of_segment(frame, "a")
        assert state.stopped == value


def test_items_that_were_only_given_other_values_keep_their_numbers():
    assert renumbered(["0", "1", "2"], ["0 s", "0.4 s", "0.8 s"]) == {}
    assert renumbered(["0", "1", "2"], ["0", "1.5", "2"]) == {}
