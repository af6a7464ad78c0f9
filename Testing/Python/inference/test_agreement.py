"""What is believed of a propagated plane."""

from dataclasses import replace

import numpy as np
import pytest

from SAMUNetSlicerLib.inference.agreement import SMALLEST_DEVIATION, Appearance, Evidence, certainty, confidence
from SAMUNetSlicerLib.inference.predictor import PlaneMask
from SAMUNetSlicerLib.inference.zoom import Crop


def disc(radius=20, size=100, x=50.0):
    ys, xs = np.mgrid[:size, :size]
    return (xs - x) ** 2 + (ys - 50) ** 2 <= radius**2


def picture(mask, inside, outside):
    grey = np.where(mask, inside, outside).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def answer(mask, quality):
    height, width = mask.shape
    return PlaneMask(np.where(mask, 5, -5).astype(np.float32), quality, Crop(0, 0, width, height))


def test_contrast_is_signed_and_taken_at_the_border():
    mask = disc()
    assert Appearance.under(picture(mask, 180, 60), mask).contrast == pytest.approx(120)
    assert Appearance.under(picture(mask, 60, 180), mask).contrast == pytest.approx(-120)
    # A bright core far from the border makes no contrast there.
    assert Appearance.under(picture(disc(8), 250, 60), mask).contrast == pytest.approx(0)


def test_all_sides_of_a_border_count_alike():
    mask = np.zeros((100, 100), dtype=bool)
    mask[30:60, 20:70] = True
    shaded = picture(mask, 180, 60)
    shaded[60:] = 120  # below
    seen = Appearance.under(shaded, mask)
    assert 60 < seen.contrast < 119
    for turns in range(1, 4):
        turned = Appearance.under(np.rot90(shaded, turns), np.rot90(mask, turns))
        assert turned.contrast == pytest.approx(seen.contrast)


def test_likeness_falls_with_the_difference_in_deviations():
    one = Appearance(100, 40, 0)
    assert one.likeness(one) == 1
    assert one.likeness(Appearance(140, 30, 0)) == pytest.approx(np.exp(-0.5))
    assert Appearance(60, 30, 0).likeness(one) == pytest.approx(np.exp(-0.5))
    flat = Appearance(100, 0, 0)
    assert flat.likeness(Appearance(100 + SMALLEST_DEVIATION, 0, 0)) == pytest.approx(np.exp(-0.5))


def test_what_is_expected_follows_what_was_seen_slowly():
    before, seen = Appearance(100, 20, 50), Appearance(140, 40, -10)
    assert before.followed_by(before) == before
    after = before.followed_by(seen)
    assert 100 < after.mean < 120
    assert 20 < after.deviation < 30
    assert 20 < after.contrast < 50


def test_a_sharp_answer_is_certain_a_vague_or_empty_one_is_not():
    mask = disc()
    sharp, vague, empty = (
        certainty(replace(answer(mask, None), logits=logits.astype(np.float32)))
        for logits in (np.where(mask, 8, -8), np.where(mask, 0.5, -0.5), np.full(mask.shape, -100))
    )
    assert 0.98 < sharp <= 1
    assert vague == pytest.approx(np.tanh(0.25), abs=1e-5)
    assert empty == 0


def test_a_mask_that_fills_the_picture_has_no_border():
    mask = np.ones((30, 30), dtype=bool)
    assert Appearance.under(picture(mask, 90, 0), mask).contrast == 0


def test_a_border_that_fades_or_turns_over_is_not_kept():
    bright, faint, dark = (Appearance(100, 10, contrast) for contrast in (80.0, 20.0, -80.0))
    assert bright.border_kept(bright) == 1
    assert bright.border_kept(faint) == pytest.approx(0.25)
    assert bright.border_kept(dark) == 0
    assert Appearance(100, 10, 2.0).border_kept(dark) == 1, "too faint to tell"


@pytest.mark.parametrize("part", range(5))
def test_every_part_of_the_evidence_counts(part):
    weaker = [0.9] * 5
    weaker[part] = 0.4
    assert confidence(Evidence(*weaker)) < confidence(Evidence(*[0.9] * 5))


def test_evidence_is_drawn_from_answer_and_neighbour():
    mask = disc()
    seen = Appearance.under(picture(mask, 180, 60), mask)
    alike = Evidence.of(answer(mask, 0.8), mask, seen, seen)
    assert alike == Evidence(0.8, 1.0, 1.0, 1.0, 1.0)
    moved = Evidence.of(answer(mask, 0.8), disc(x=60.0), seen, seen)
    assert moved.overlap < 0.7
    assert moved.support < alike.support
    assert Evidence.of(answer(mask, 0.8), disc(x=60.0), seen, seen, carried=0.5).carried == moved.overlap / 2
    assert Evidence.of(answer(mask, None), mask, seen, seen).own > 0.9, "certainty where there is no quality head"
