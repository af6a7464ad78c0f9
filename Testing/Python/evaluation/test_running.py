"""Answers are scored in the unit and along the axes of their case."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from requirements_guard import need

need("monai")

from SAMUNetSlicerLib.evaluation.cases import PlaneCase, VolumeCase  # noqa: E402
from SAMUNetSlicerLib.evaluation.methods import RuleMethod  # noqa: E402
from SAMUNetSlicerLib.evaluation.protocols import PLANE_PROTOCOLS  # noqa: E402
from SAMUNetSlicerLib.evaluation.running import evaluate_planes, evaluate_volumes  # noqa: E402
from SAMUNetSlicerLib.inference.predictor import PlaneImage  # noqa: E402
from SAMUNetSlicerLib.networks.base import PromptKind  # noqa: E402
from SAMUNetSlicerLib.volumes.geometry import GridGeometry  # noqa: E402
from SAMUNetSlicerLib.volumes.plane_source import VolumePlanes  # noqa: E402
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack  # noqa: E402
from SAMUNetSlicerLib.volumes.volume import Volume  # noqa: E402
from SAMUNetSlicerLib.volumes.windows import Window  # noqa: E402

TARGET = np.zeros((40, 50), bool)
TARGET[10:30, 10:30] = True


def moved_right() -> RuleMethod:
    """The target two columns too far to the right."""
    return RuleMethod("moved", PromptKind.BOX, lambda rgb, prompts: np.roll(TARGET, 2, axis=1))


@pytest.mark.parametrize(("pixel_mm", "unit", "distance"), [(None, "px", 2), (0.5, "mm", 1)])
def test_a_plane_is_scored_in_millimetres_or_in_pixels(pixel_mm, unit, distance):
    image = PlaneImage(np.zeros((40, 50, 3), np.uint8), "key")
    case = PlaneCase("source", "case", "name", image, TARGET, pixel_mm)
    (shown,) = evaluate_planes([case], [moved_right()], [PLANE_PROTOCOLS["box"]], tolerance=1.5, seed=0)
    assert (shown.result.unit, shown.result.scores.hd95) == (unit, distance)
    assert (shown.result.scores.nsd == 1) == (distance == 1)


def test_a_method_is_not_asked_for_what_it_does_not_understand():
    case = PlaneCase("source", "case", "name", PlaneImage(np.zeros((40, 50, 3), np.uint8), "key"), TARGET)
    protocols = [PLANE_PROTOCOLS[name] for name in ("points", "corrections", "box")]
    asked = [shown.result.prompt for shown in evaluate_planes([case], [moved_right()], protocols, 1.0, 0)]
    assert asked == ["exact box"]


def evaluated(target: np.ndarray, answer: np.ndarray):
    """The result for an answer on a grid of 3, 1 and 0.5 mm."""
    geometry = GridGeometry(target.shape, np.diag([0.5, 1.0, 3.0, 1.0]))
    volume = Volume(target.astype(np.int16), geometry)
    planes = VolumePlanes(volume, PlaneStack(geometry, Orientation.AXIAL), Window(0, 1))
    method = SimpleNamespace(name="known", run=lambda case: [SimpleNamespace(prompt="any", mask_kji=answer)])
    (shown,) = evaluate_volumes([VolumeCase("source", "case", "name", planes, target)], [method], tolerance_mm=1.0)
    return shown


BLOCK = np.zeros((12, 20, 24), bool)
BLOCK[4:8, 5:15, 6:18] = True


@pytest.mark.parametrize(("axis", "distance"), [(0, 3), (1, 1), (2, 0.5)])
def test_a_volume_is_scored_in_millimetres_of_each_axis(axis, distance):
    assert evaluated(BLOCK, np.roll(BLOCK, 1, axis=axis)).result.scores.hd95 == pytest.approx(distance)


def test_the_plane_with_most_wrong_voxels_is_shown():
    answer = BLOCK.copy()
    answer[6] = False
    answer[4, 5, 6] = False
    shown = evaluated(BLOCK, answer)
    assert shown.target.any()
    assert not shown.answer.any()
