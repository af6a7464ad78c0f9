"""The contact sheet of a result."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from SAMUNetSlicerLib.evaluation.picture import MOST_PLANES, choose_planes, contact_sheet
from SAMUNetSlicerLib.inference.prompts import PlanePrompts
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.jobs.segmentation_job import SegmentResult
from SAMUNetSlicerLib.volumes.plane_source import VolumePlanes
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, SegmentPrompts
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneOrigin, PlaneRecord
from SAMUNetSlicerLib.volumes.volume import Volume
from SAMUNetSlicerLib.volumes.windows import Window


def result(planes: int, prompted: int) -> SegmentResult:
    mask = np.zeros((planes, 20, 20), bool)
    mask[:, 5:10, 5:10] = True
    return SegmentResult(
        SegmentPrompts("a", boxes=(BoxPrompt((0, 0, 0), (1, 1, 1)),)),
        mask,
        {index: PlaneRecord(index, 0.5, PlaneOrigin.PROPAGATED) for index in range(planes)},
        {index: PlanePrompts(box_xyxy=(4, 4, 11, 11)) for index in range(prompted)},
    )


@pytest.mark.parametrize(("planes", "prompted"), [(12, 3), (20, 20), (60, 3), (60, 20), (60, 50)])
def test_at_most_twenty_planes_are_shown_prompted_ones_first(planes, prompted):
    chosen = choose_planes({"a": result(planes, prompted)})
    assert len(chosen) == min(planes, MOST_PLANES)
    assert sum(index < prompted for index in chosen) == min(prompted, MOST_PLANES)


def drawn_size(folder, names) -> tuple[int, int]:
    geometry = GridGeometry((2, 20, 20), np.eye(4))
    volume = Volume(np.zeros(geometry.shape_kji, np.float32), geometry)
    planes = VolumePlanes(volume, PlaneStack(geometry, Orientation.AXIAL), Window(-1, 1))
    contact_sheet(folder / "sheet.png", planes, {name: result(2, 1) for name in names})
    with Image.open(folder / "sheet.png") as picture:
        return picture.size


def test_there_is_room_for_the_names_of_many_segments(tmp_path):
    few, many = drawn_size(tmp_path, ["a"]), drawn_size(tmp_path, [f"segment {n}" for n in range(20)])
    assert few[0] == many[0]
    assert many[1] - few[1] >= 9 * 20


def test_dollars_in_a_name_are_drawn_as_they_are(tmp_path):
    assert min(drawn_size(tmp_path, ["tumour $\\foo$"])) > 100
