import argparse

import numpy as np
import pytest

from example_grids import random_geometry, sphere
from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.checkpoints.loading import LoadedModel
from SAMUNetSlicerLib.errors import OutputError
from SAMUNetSlicerLib.evaluation import propagation_study
from SAMUNetSlicerLib.evaluation.case_sets import CaseSet
from SAMUNetSlicerLib.evaluation.cases import VolumeCase
from SAMUNetSlicerLib.evaluation.propagation_study import (
    PlaneTrust,
    Walked,
    auc_of_bad_planes,
    fit_calibration,
    table,
    trust_table,
    walk,
)
from SAMUNetSlicerLib.inference.agreement import Evidence
from SAMUNetSlicerLib.inference.mask_geometry import dice
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.volumes.plane_source import VolumePlanes
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.propagation.walks import NeighbourRule
from SAMUNetSlicerLib.volumes.windows import Window


def trusts(*pairs):
    return [PlaneTrust(confidence, Evidence(confidence, 1.0, 1.0, 1.0, 1.0), found) for confidence, found in pairs]


def test_auc_is_one_where_every_bad_plane_is_trusted_less():
    assert auc_of_bad_planes(trusts((0.9, 0.95), (0.8, 0.81), (0.4, 0.7), (0.1, 0.0))) == 1


def test_auc_counts_pairs_and_halves_ties():
    # good: .9, .5; bad: .5, .1; pairs won: 2 (.9) + .5 (tie) + 1 = 3.5 of 4
    assert auc_of_bad_planes(trusts((0.9, 0.9), (0.5, 0.9), (0.5, 0.1), (0.1, 0.1))) == pytest.approx(3.5 / 4)


def test_auc_needs_both_kinds_of_planes():
    assert auc_of_bad_planes(trusts((0.9, 0.9))) is None


def drawn_from(weights, bias, count=4000):
    """Planes whose chance to be good follows a logistic model of random evidence."""
    rng = np.random.default_rng(2)
    evidence = rng.uniform(0, 1, (count, 5))
    good = rng.uniform(size=count) < 1 / (1 + np.exp(-(bias + evidence @ weights)))
    return [PlaneTrust(0.5, Evidence(*e), 0.9 if g else 0.3) for e, g in zip(evidence.tolist(), good, strict=True)]


def test_the_calibration_finds_what_the_planes_were_drawn_from():
    found = fit_calibration(drawn_from((5.0, 2.0, 0.0, 1.0, 0.0), -4.0))
    assert found.weights == pytest.approx((5.0, 2.0, 0.0, 1.0, 0.0), abs=0.6)
    assert found.bias == pytest.approx(-4.0, abs=0.6)


def test_evidence_that_misleads_gets_no_weight():
    assert fit_calibration(drawn_from((4.0, 0.0, -3.0, 0.0, 0.0), -1.0)).weights[2] == 0


def test_the_trust_table_names_each_part_of_the_evidence():
    text = trust_table(drawn_from((9.0, 0.0, 0.0, 0.0, 0.0), -4.5))
    own = float(next(line for line in text.splitlines() if line.startswith("| own alone")).split("|")[2])
    other = float(next(line for line in text.splitlines() if line.startswith("| border alone")).split("|")[2])
    assert own > 0.8 > 0.6 > other
    assert "| confidence | 0.500 |" in text  # all the same: no better than chance


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("planes", [(), ((0.9, 0.95),), ((0.9, 0.95), (0.1, 0.9))])
def test_the_trust_table_fits_nothing_without_good_planes_and_bad_ones(planes):
    assert trust_table(trusts(*planes)).endswith("\n\nNothing was fitted: that takes good planes and bad ones.\n")


def test_a_ball_is_walked_and_scored_in_3d():
    geometry = random_geometry(8)
    volume = sphere(geometry, geometry.to_ras((geometry.size_ijk - 1) / 2), 11.0)
    planes = VolumePlanes(volume, PlaneStack(geometry, Orientation.AXIAL), Window(-1, 1))
    case = VolumeCase("made up", "ball", "ball", planes, volume.voxels > 0)
    walked = walk(case, PlanePredictor(BrightRegionNetwork()), NeighbourRule.BOX)
    assert walked.dice > 0.9
    assert len(walked.planes) >= len(case.labelled_planes()) - 3
    assert np.mean([p.dice for p in walked.planes]) > 0.85


def test_a_table_that_could_not_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(propagation_study, "load_network", lambda *_args, **_kwargs: pytest.fail("the work began"))
    parser = argparse.ArgumentParser()
    propagation_study.add_arguments(parser)
    arguments = parser.parse_args(["--data", str(tmp_path), "--output", str(tmp_path / "no folder" / "table.md")])
    with pytest.raises(OutputError, match="does not exist"):
        propagation_study.run_study(arguments)


def test_what_is_finished_is_written_when_interrupted(tmp_path, monkeypatch):
    geometry = random_geometry(8)
    volume = sphere(geometry, geometry.to_ras((geometry.size_ijk - 1) / 2), 11.0)
    planes = VolumePlanes(volume, PlaneStack(geometry, Orientation.AXIAL), Window(-1, 1))

    def one_case(_source, _limit):
        yield VolumeCase("made up", "ball", "ball", planes, volume.voxels > 0)
        raise KeyboardInterrupt

    model = LoadedModel(BrightRegionNetwork(), "bright_region", "0" * 64, "fake", "none")
    monkeypatch.setattr(propagation_study, "load_network", lambda *_args, **_kwargs: model)
    monkeypatch.setattr(propagation_study, "volume_cases", one_case)
    monkeypatch.setattr(propagation_study, "read_case_set", lambda *_args: CaseSet("made up", (None,), {}))
    parser = argparse.ArgumentParser()
    propagation_study.add_arguments(parser)
    output = tmp_path / "table.md"
    options = ["--data", str(tmp_path), "--output", str(output), "--engine", "torch", "--device", "cpu"]
    with pytest.raises(KeyboardInterrupt):
        propagation_study.run_study(parser.parse_args(options))
    assert "| rule | Dice, mean over sources | made up |" in output.read_text(encoding="utf-8")


def test_the_table_weighs_sources_alike():
    walked = [Walked("a", "1", 0.4, ()), Walked("a", "2", 0.6, ()), Walked("b", "3", 0.9, ())]
    lines = table({NeighbourRule.BOX: walked}).splitlines()
    assert "| bounding box | 0.700 | 0.500 | 0.900 |" in lines[2]


def test_two_empty_masks_agree():
    empty = np.zeros((3, 3), dtype=bool)
    assert dice(empty, empty) == 1
    assert dice(~empty, empty) == 0
