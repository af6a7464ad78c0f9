"""What key planes' pixels tell of other planes."""

import numpy as np
import pytest
from test_propagation import Ball, answer_at

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlaneMask, PlanePredictor
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.volumes.propagation.learnt_pixels import LearntPixels
from SAMUNetSlicerLib.volumes.propagation.steps import Direction, PlaneRange
from SAMUNetSlicerLib.volumes.propagation.walks import Propagation

SHAPE = (80, 90)


def disc(x=40, y=40, radius=14):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def picture(mask, index=0, bright=150, dark=60):
    """What a mask shows, with noise."""
    noise = np.random.default_rng(index).normal(0, 8, mask.shape)
    grey = np.clip(np.where(mask, bright, dark) + noise, 0, 255).astype(np.uint8)
    return PlaneImage(np.repeat(grey[..., None], 3, axis=2), index)


def answer(mask, logit=2.0):
    """A network's, as sure everywhere."""
    logits = np.where(mask, logit, -logit).astype(np.float32)
    return PlaneMask(logits, 0.9, Crop(0, 0, mask.shape[1], mask.shape[0]))


def learnt(masks):
    return LearntPixels.of({index: (picture(mask, index), mask) for index, mask in masks.items()})


@pytest.fixture(scope="module")
def discs():
    """Learnt from a disc that moves by three pixels a plane."""
    return learnt({2: disc(34), 6: disc(46)})


def test_an_unsure_network_is_put_right_where_the_picture_shows_what_key_planes_have_shown(discs):
    truth, seen = disc(40), answer(disc(45))
    found = discs.beside(seen, picture(truth, 4), 4)
    wrong = np.count_nonzero(found.mask ^ truth)
    assert wrong < 0.1 * np.count_nonzero(seen.mask ^ truth)
    assert (found.quality, found.crop) == (seen.quality, seen.crop)
    assert np.array_equal(seen.logits, answer(disc(45)).logits), "the network's own answer stays as it was"


def test_a_sure_network_is_not_contradicted(discs):
    for seen in (answer(disc(45), logit=6.0), answer(disc(45), logit=12.0)):
        assert np.array_equal(discs.beside(seen, picture(disc(40), 4), 4).logits, seen.logits)
    heard = discs.beside(answer(disc(40)), picture(disc(40), 4), 4).logits
    assert np.abs(heard).max() == pytest.approx(2 + 0.7 * 6), "nor are the pixels believed more than that"


def test_nothing_is_told_far_from_the_answer(discs):
    """By more than 3 pixels and .7 of its radius, whatever looks alike there."""
    truth, seen = disc(40), answer(disc(40))
    heard = discs.beside(seen, picture(truth | disc(80, radius=8), 4), 4).logits
    changed = np.argwhere(heard != seen.logits)
    reach = 14 + np.ceil(3 + 0.7 * np.sqrt(truth.sum() / np.pi))
    assert np.array_equal(changed.min(axis=0), [40 - reach] * 2)
    assert np.array_equal(changed.max(axis=0), [40 + reach] * 2)


def test_where_the_object_is_tells_as_much_as_how_it_looks():
    """Two discs that look alike, of which the user has meant the upper one."""
    pictures = {index: picture(disc(y=25, radius=9) | disc(y=47, radius=9), index) for index in (0, 2, 4)}
    upper = disc(y=25, radius=9)
    pixels = LearntPixels.of({index: (pictures[index], upper) for index in (0, 4)})
    both = answer(disc(y=25, radius=9) | disc(y=47, radius=9))
    found = pixels.beside(both, pictures[2], 2).mask
    assert np.count_nonzero(found ^ upper) < 0.1 * upper.sum()


def test_which_plane_it_is_tells_too():
    """Of pictures that show nothing: near a key plane the object is expected where that has it."""
    flat = PlaneImage(np.full((*SHAPE, 3), 90, np.uint8), 0)
    pixels = LearntPixels.of({0: (flat, disc(32)), 10: (flat, disc(48))})
    seen = answer(disc(40, radius=22), logit=0.1)
    places = [np.argwhere(pixels.beside(seen, flat, index).mask)[:, 1].mean() for index in (1, 5, 9)]
    assert places[0] < places[1] - 3 < places[2] - 6


def test_colours_are_learnt_from_as_grey_values():
    colours = {}
    for index, x in ((2, 34), (4, 40), (6, 46)):
        grey = picture(disc(x), index).rgb
        colours[index] = PlaneImage(np.stack([grey[..., 0], grey[..., 1] // 2, grey[..., 2] // 3], axis=2), index)
    pixels = LearntPixels.of({index: (colours[index], disc(x)) for index, x in ((2, 34), (6, 46))})
    found = pixels.beside(answer(disc(45)), colours[4], 4).mask
    assert np.count_nonzero(found ^ disc(40)) < 30


def test_an_object_in_the_corner_of_a_plane_is_learnt_and_found():
    masks = {0: disc(4, 4), 2: disc(6, 5), 5: disc(88, 78), 7: disc(86, 78)}
    pixels = learnt(masks)
    for index, truth in ((1, disc(5, 4)), (6, disc(87, 78))):
        found = pixels.beside(answer(truth), picture(truth, index), index).mask
        assert np.count_nonzero(found ^ truth) < 0.05 * truth.sum()


def test_small_objects_are_learnt_too():
    pixels = learnt({0: disc(20, radius=2), 2: disc(22, radius=2)})
    found = pixels.beside(answer(disc(22, radius=2)), picture(disc(21, radius=2), 1), 1).mask
    assert np.count_nonzero(found ^ disc(21, radius=2)) <= 2


@pytest.mark.parametrize("shape", [(1, 80), (80, 1), (1, 1), (2, 3)])
def test_planes_of_few_pixels_are_learnt_from(shape):
    """Those across a volume of one slice."""
    mask = np.zeros(shape, bool)
    mask[: (shape[0] + 1) // 2, : (shape[1] + 1) // 2] = True
    pixels = learnt({0: mask, 3: mask})
    assert np.array_equal(pixels.beside(answer(mask), picture(mask, 1), 1).mask, mask)


def test_large_objects_are_looked_at_in_steps():
    def large(x):
        return disc(x // 12, 40, 14).repeat(12, axis=0).repeat(12, axis=1)

    pixels = learnt({2: large(34 * 12), 6: large(46 * 12)})
    truth, seen = large(40 * 12), answer(large(45 * 12))
    found = pixels.beside(seen, picture(truth, 4), 4)
    assert pixels.step == 2
    assert np.count_nonzero(found.mask ^ truth) < 0.15 * np.count_nonzero(seen.mask ^ truth)
    assert found.logits.shape == truth.shape


def test_the_same_planes_teach_the_same(discs):
    again = learnt({6: disc(46), 2: disc(34)})
    assert np.array_equal(discs.weights, again.weights)
    assert discs.weights.dtype == np.float32


def test_planes_that_leave_nothing_to_learn_do_no_harm():
    """Flat pictures; and masks that fill their whole plane."""
    flat = PlaneImage(np.full((*SHAPE, 3), 90, np.uint8), 0)
    pixels = LearntPixels.of({0: (flat, disc()), 2: (flat, disc())})
    found = pixels.beside(answer(disc()), flat, 1)
    assert np.isfinite(found.logits).all()
    assert np.count_nonzero(found.mask ^ disc()) < 0.2 * disc().sum()
    everything = np.ones(SHAPE, bool)
    pixels = LearntPixels.of({0: (flat, everything), 2: (flat, everything)})
    assert pixels.beside(answer(everything), flat, 1).mask.all()


@pytest.mark.parametrize(("beyond", "share"), [(0, 1), (1, 0.5), (2, 0), (40, 0)])
def test_beyond_the_planes_learnt_from_less_is_told_and_soon_nothing(discs, beyond, share):
    """Nor is it told that what has moved on the way moves on: the planes learnt from are 2 and 6."""
    seen = answer(disc(45))
    for index, outermost, x in ((6 + beyond, 6, 46), (2 - beyond, 2, 34)):
        shown = picture(disc(x))
        told = discs.beside(seen, shown, index).logits - seen.logits
        there = discs.beside(seen, shown, outermost).logits - seen.logits
        assert np.allclose(told, share * there, atol=1e-5)
        assert there.any()


def test_one_plane_alone_teaches_nothing_and_no_plane_neither():
    assert LearntPixels.of({}) is None
    assert LearntPixels.of({3: (picture(disc()), disc())}) is None


def test_where_the_network_finds_nothing_nothing_is_told(discs):
    nothing = answer(disc() & False)
    assert discs.beside(nothing, picture(disc(40), 4), 4) is nothing


class Told:
    """Learns nothing, and notes what it was asked to learn from and told of."""

    def __init__(self, monkeypatch):
        self.learnt, self.planes = [], []
        monkeypatch.setattr(LearntPixels, "of", lambda planes: self.learnt.append(sorted(planes)) or self)

    def beside(self, seen, _image, index):
        self.planes.append(index)
        return seen


def walk_over(keys, **options):
    planes, predictor = Ball(), PlanePredictor(BrightRegionNetwork())
    answers = {index: answer_at(planes, predictor, index) for index in keys}
    known = {index: PlaneMask.certain(planes.mask(index)) for index in options.pop("known", ())}
    return Propagation(planes, predictor).from_planes(answers, known=known, **options)


def test_every_plane_that_a_walk_looks_at_is_told(monkeypatch):
    told = Told(monkeypatch)
    found = {step.index for step in walk_over((8, 12)) if step.answer is not None}
    assert found == {4, 5, 6, 7, 9, 10, 11, 13, 14, 15, 16}
    assert sorted(told.planes) == [3, 4, 5, 6, 7, *[9] * 2, *[10] * 2, *[11] * 2, 13, 14, 15, 16, 17]
    assert told.learnt == [[8, 12]], "once for all walks that learn from the same planes"


def test_nothing_is_learnt_for_walks_that_look_at_no_plane(monkeypatch):
    """A gap between key planes is all that a host asks for: outwards from its sides there is nothing to do."""
    told = Told(monkeypatch)
    list(walk_over((5, 8, 10, 12, 15, 16), within=PlaneRange(9, 9)))
    assert told.learnt == [[5, 8, 10, 12]]


@pytest.mark.parametrize(
    ("keys", "known", "learnt_from"),
    [
        ((5, 8, 10, 12, 15), (), [8, 10, 12, 15]),  # between 10 and 12
        ((10, 12), (5, 6, 15), [6, 10, 12, 15]),
        ((10, 12), (6, 18), [6, 10, 12]),  # where the object is not shown is nothing to learn from
    ],
)
def test_walks_learn_from_the_four_known_planes_nearest_to_them(monkeypatch, keys, known, learnt_from):
    told = Told(monkeypatch)
    list(walk_over(keys, known=known, within=PlaneRange(11, 11)))
    assert told.learnt[-1] == learnt_from


def test_nothing_is_learnt_before_a_walk_begins(monkeypatch):
    """It costs time, and a host shows steps as they come."""
    told = Told(monkeypatch)
    steps = walk_over((8, 12), direction=Direction.UP)
    assert told.learnt == []
    next(steps)
    assert told.learnt == [[8, 12]]


def test_a_walk_goes_on_from_what_pixels_have_told(monkeypatch):
    """Where they empty a plane, the object has ended."""

    class Ended(Told):
        def beside(self, seen, _image, index):
            return answer(seen.mask & (index < 14))

    Ended(monkeypatch)
    found = {step.index for step in walk_over((8, 12), direction=Direction.UP) if step.answer is not None}
    assert found == {9, 10, 11, 13}
