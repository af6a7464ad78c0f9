"""What an edit may change, decided on plain arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SAMUNetSlicerLib.scene.record.editing_rules import (
    Area,
    EditingRules,
    HeldBack,
    OtherSegment,
    Overwrite,
    WriteMode,
    plan_edit,
)

SHAPE = (2, 3, 4)
blocks = arrays(bool, SHAPE)


def after(before, plan):
    assert not (plan.added & before).any()
    assert not (plan.removed & ~before).any()
    return (before | plan.added) & ~plan.removed


@given(before=blocks, mask=blocks)
def test_replacing_makes_the_segment_be_the_mask(before, mask):
    assert np.array_equal(after(before, plan_edit(before, mask)), mask)


@given(before=blocks, mask=blocks)
def test_adding_and_subtracting_only_add_and_subtract(before, mask):
    added = after(before, plan_edit(before, mask, mode=WriteMode.ADD))
    assert np.array_equal(added, before | mask)
    subtracted = after(before, plan_edit(before, mask, mode=WriteMode.SUBTRACT))
    assert np.array_equal(subtracted, before & ~mask)


@st.composite
def situations(draw):
    others = [
        OtherSegment(name, draw(blocks), visible=draw(st.booleans()), finished=draw(st.booleans())) for name in "ab"
    ]
    rules = EditingRules(
        draw(st.sampled_from(Overwrite)),
        draw(st.sampled_from(Area)),
        draw(st.sampled_from(["a", "b", "gone"])),
        draw(st.sampled_from([None, (20.0, 60.0)])),
    )
    return others, rules, draw(blocks), draw(arrays(np.int16, SHAPE, elements=st.sampled_from([0, 19, 20, 40, 60, 61])))


@given(before=blocks, mask=blocks, situation=situations(), mode=st.sampled_from(WriteMode))
@settings(max_examples=300)
def test_the_rules_hold_for_every_voxel_and_keep_back_no_other(before, mask, situation, mode):
    others, rules, protected, intensities = situation
    plan = plan_edit(before, mask, others, rules, mode, intensities, protected)
    changed = plan.added | plan.removed
    after(before, plan)
    wanted = {WriteMode.REPLACE: mask, WriteMode.ADD: before | mask, WriteMode.SUBTRACT: before & ~mask}[mode]
    present = {other.segment_id: other.present for other in others}
    visible = np.logical_or.reduce([np.zeros(SHAPE, bool), *(o.present for o in others if o.visible)])
    allowed = {
        Area.EVERYWHERE: np.ones(SHAPE, bool),
        Area.INSIDE_ALL: present["a"] | present["b"] | before,
        Area.INSIDE_VISIBLE: visible | before,
        Area.OUTSIDE_ALL: ~(present["a"] | present["b"]),
        Area.OUTSIDE_VISIBLE: ~visible,
        Area.INSIDE_SEGMENT: present.get(rules.area_segment_id, np.zeros(SHAPE, bool)),
    }[rules.area]
    free = allowed & ~protected
    if rules.intensity_range:
        free &= (intensities >= 20) & (intensities <= 60)
    overwritten = [
        o for o in others if rules.overwrite is Overwrite.ALL or (rules.overwrite is Overwrite.VISIBLE and o.visible)
    ]
    for other in overwritten:
        if other.finished:
            free &= ~(other.present & wanted & ~before)
    for other in others:
        lost = plan.taken.get(other.segment_id, np.zeros(SHAPE, bool))
        loses = other in overwritten and not other.finished and mode is not WriteMode.SUBTRACT
        assert np.array_equal(lost, other.present & mask & free if loses else np.zeros(SHAPE, bool))
        if other in overwritten:
            # Whatever is gained is gained alone.
            assert not (plan.added & other.present & ~lost).any()
    assert np.array_equal(changed, (wanted != before) & free)
    kept_back = (wanted != before) & ~free
    assert sum(plan.held_back.values()) == kept_back.sum()
    assert np.array_equal(plan.refused, kept_back & ~protected)


def test_what_is_held_back_is_counted_once_under_the_first_reason():
    nothing, everything = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    finished = nothing.copy()
    finished[0] = True
    protected = nothing.copy()
    protected[:, 0] = True
    plan = plan_edit(
        nothing,
        everything,
        [OtherSegment("spleen", finished, finished=True)],
        EditingRules(Overwrite.ALL),
        protected=protected,
    )
    assert plan.held_back == {HeldBack.ACCEPTED: 8, HeldBack.FINISHED: 8}
    assert plan.added.sum() == 24 - 16
    assert not plan.taken


def test_a_segment_claims_voxels_that_it_shared_before():
    shared = np.zeros(SHAPE, bool)
    shared[0, 0, 0] = True
    plan = plan_edit(shared, shared, [OtherSegment("spleen", shared)], EditingRules(Overwrite.ALL))
    assert not plan.added.any()
    assert np.array_equal(plan.taken["spleen"], shared)


def test_rules_survive_their_own_description():
    rules = EditingRules(Overwrite.VISIBLE, Area.INSIDE_SEGMENT, "Segment_2", (-100.0, 240.0))
    assert EditingRules.from_dict(rules.to_dict()) == rules


@given(before=blocks, mask=blocks, situation=situations(), mode=st.sampled_from(WriteMode))
def test_scattered_voxels_are_edited_as_a_block_of_them_is(before, mask, situation, mode):
    others, rules, protected, intensities = situation
    block = plan_edit(before, mask, others, rules, mode, intensities, protected)
    flat = [OtherSegment(o.segment_id, o.present.ravel(), o.visible, o.finished) for o in others]
    scattered = plan_edit(before.ravel(), mask.ravel(), flat, rules, mode, intensities.ravel(), protected.ravel())
    assert np.array_equal(scattered.added, block.added.ravel())
    assert np.array_equal(scattered.removed, block.removed.ravel())
    assert scattered.held_back == block.held_back
    assert {i: lost.tolist() for i, lost in scattered.taken.items()} == {
        i: lost.ravel().tolist() for i, lost in block.taken.items()
    }


def test_an_intensity_range_needs_intensities():
    nothing = np.zeros(SHAPE, bool)
    with pytest.raises(ValueError, match="intensities"):
        plan_edit(nothing, nothing, rules=EditingRules(intensity_range=(0, 1)))
