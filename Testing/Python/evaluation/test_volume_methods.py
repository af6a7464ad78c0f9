"""Whole volumes from one box, and corrections where the result is worst."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.evaluation.cases import VolumeCase
from SAMUNetSlicerLib.evaluation.volume_methods import (
    VOLUME_CORRECTIONS,
    FixedBox,
    PropagatedBox,
    SeedsOnThreePlanes,
    worst_plane,
)
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.inference.zoom import ZoomMode, ZoomPolicy
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.plane_source import VolumePlanes
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.volume import Volume
from SAMUNetSlicerLib.volumes.windows import Window

SHAPE = (20, 64, 64)
K, ROW, COLUMN = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]


def dice(a, b) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def make_case(target: np.ndarray, bright: np.ndarray | None = None) -> VolumeCase:
    """A volume that is bright where `bright` says, in planes 3 mm apart."""
    geometry = GridGeometry(SHAPE, np.diag([-1.0, -1.0, 3.0, 1.0]))
    volume = Volume(np.where(target if bright is None else bright, 200, 20).astype(np.int16), geometry)
    planes = VolumePlanes(volume, PlaneStack(geometry, Orientation.AXIAL), Window(0, 255))
    return VolumeCase("source", "case", "name", planes, target)


def predictor() -> PlanePredictor:
    return PlanePredictor(BrightRegionNetwork(), zoom=ZoomPolicy(ZoomMode.WHOLE_PLANE))


SPINDLE = (14 - 1.5 * np.abs(K - 9)) ** 2 > (ROW - 30) ** 2 + (COLUMN - 34) ** 2
SPINDLE &= (K >= 3) & (K <= 15)


def test_one_box_on_the_median_plane_finds_the_whole_object():
    rounds = list(PropagatedBox("p", predictor()).run(make_case(SPINDLE)))
    prompts = [r.prompt for r in rounds]
    assert prompts[:3] == ["one box in 3D", "one box in 3D + 1 correction", "one box in 3D + 2 corrections"]
    assert prompts[-2:] == ["one box in 3D + 2 planes by hand", "one box in 3D + 3 planes by hand"]
    assert len(rounds) == 1 + 2 * VOLUME_CORRECTIONS
    assert dice(rounds[0].mask_kji, SPINDLE) > 0.97


def test_corrections_mend_planes_that_propagation_missed():
    case = make_case(SPINDLE, bright=SPINDLE & (K != 11))  # dark plane: propagation upwards ends before it
    found = [dice(r.mask_kji, SPINDLE) for r in PropagatedBox("p", predictor()).run(case)]
    assert found[0] < 0.85
    for corrected in (found[1 : 1 + VOLUME_CORRECTIONS], found[1 + VOLUME_CORRECTIONS :]):
        assert corrected[-1] > found[0] + 0.05
        assert all(later >= earlier - 1e-9 for earlier, later in pairwise([found[0], *corrected]))


def test_a_plane_by_hand_is_right_whatever_a_box_would_give():
    case = make_case(SPINDLE, bright=SPINDLE & (K != 11))
    rounds = {r.prompt: r.mask_kji for r in PropagatedBox("p", predictor()).run(case)}
    assert not rounds["one box in 3D + 1 correction"][11].any(), "on a dark plane a box finds nothing"
    assert np.array_equal(rounds["one box in 3D + 1 plane by hand"][11], SPINDLE[11])


def test_a_correction_ends_the_range_where_the_target_has_ended():
    tube = (ROW - 30) ** 2 + (COLUMN - 34) ** 2 < 10**2
    target = tube & (K >= 5) & (K <= 11)
    rounds = list(PropagatedBox("p", predictor()).run(make_case(target, bright=tube)))
    beyond = rounds[0].mask_kji[12:].sum()
    assert beyond > 0, "nothing in the picture tells where this target ends"
    assert dice(rounds[2].mask_kji, target) > 0.97, "one correction for each end"


def test_the_first_plane_may_be_corrected_by_hand_but_not_by_its_box_again():
    hollow = SPINDLE & (np.maximum(0, 6 - np.abs(K - 9)) ** 2 <= (ROW - 30) ** 2 + (COLUMN - 34) ** 2)
    case = make_case(hollow, bright=SPINDLE)  # a box brings the hollow, too, which is widest on the median plane
    rounds = PropagatedBox("p", predictor()).run(case)
    wrong = {r.prompt: case.voxels_per_plane(r.mask_kji != hollow) for r in rounds}
    assert wrong["one box in 3D"].argmax() == 9
    assert wrong["one box in 3D + 3 corrections"][9] == wrong["one box in 3D"][9]
    assert wrong["one box in 3D + 1 plane by hand"][9] == 0


def test_the_worst_plane_has_most_wrong_voxels_and_was_not_done():
    case = make_case(SPINDLE)
    mask = SPINDLE.copy()
    mask[9] = False
    mask[5, 20:30, 20:30] ^= True
    assert worst_plane(case, mask, set()) == 9
    assert worst_plane(case, mask, {9}) == 5
    assert worst_plane(case, SPINDLE, set()) is None


def test_a_fixed_box_answers_on_the_given_planes_only():
    tube = (ROW - 30) ** 2 + (COLUMN - 34) ** 2 < 10**2
    target = tube & (K >= 5) & (K <= 11)
    (answered,) = FixedBox("f", predictor()).run(make_case(target, bright=tube))
    assert dice(answered.mask_kji, target) > 0.97


def test_seeds_on_three_planes_find_the_object():
    (answered,) = SeedsOnThreePlanes("s").run(make_case(SPINDLE))
    assert dice(answered.mask_kji, SPINDLE) > 0.9
