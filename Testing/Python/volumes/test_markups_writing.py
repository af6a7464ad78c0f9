from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SAMUNetSlicerLib.errors import OutputError
from SAMUNetSlicerLib.volumes.files.markups import collect_prompts, read_markups
from SAMUNetSlicerLib.volumes.files.markups_writing import write_markups
from SAMUNetSlicerLib.volumes.prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign

COORDINATES = st.tuples(*[st.floats(-1e4, 1e4)] * 3)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=";"), min_size=1)
LABELS = st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(str.strip)


@st.composite
def axes(draw):
    quaternion = draw(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(v * v for v in q) > 0.01))
    return tuple(tuple(row) for row in Rotation.from_quat(quaternion).as_matrix().tolist())


@st.composite
def segment_prompts(draw):
    points = st.builds(PointPrompt, COORDINATES, st.sampled_from(Sign), LABELS)
    sizes = st.tuples(*[st.floats(0.01, 500)] * 3)
    boxes = st.builds(BoxPrompt, COORDINATES, sizes, axes(), st.sampled_from(BoxExtent), LABELS)
    name = draw(NAMES.map(str.strip).filter(bool))
    return SegmentPrompts(
        name, tuple(draw(st.lists(points, min_size=1, max_size=3))), tuple(draw(st.lists(boxes, max_size=2)))
    )


@example(SegmentPrompts("+", (PointPrompt((0, 0, 0), Sign.NEGATIVE),)))
@example(SegmentPrompts("a", (PointPrompt((0, 0, 0), Sign.POSITIVE, "-"),)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompts=segment_prompts())
def test_prompts_survive_a_written_file(tmp_path, prompts):
    write_markups(tmp_path / "F.mrk.json", [prompts])
    (found,) = collect_prompts([tmp_path / "F.mrk.json"], [])
    assert found.segment == prompts.segment
    for ours, read in zip(prompts.points, found.points, strict=True):
        assert (read.position_ras, read.sign) == (ours.position_ras, ours.sign)
    for ours, read in zip(prompts.boxes, found.boxes, strict=True):
        assert (read.centre_ras, read.size_mm, read.extent) == (ours.centre_ras, ours.size_mm, ours.extent)
        assert np.allclose(read.axes_ras, ours.axes_ras, atol=1e-12)


def test_names_and_places_that_cannot_be_written_are_refused(tmp_path):
    for name in ("", " liver", "a;b", "a\nb"):
        with pytest.raises(ValueError, match="name"):
            write_markups(tmp_path / "a.mrk.json", [SegmentPrompts(name, (PointPrompt((1, 2, 3)),))])
    with pytest.raises(OutputError, match="does not exist"):
        write_markups(tmp_path / "missing" / "a.mrk.json", [])


# Agreement with Slicer's own markups.

EXAMPLE = SegmentPrompts(
    "Leber é",
    (PointPrompt((1.25, -2.5, 30)), PointPrompt((-4, 5, 6.125), Sign.NEGATIVE, "not here")),
    (
        BoxPrompt((10, 20, -30), (4, 5, 6), ((0, 1, 0), (-1, 0, 0), (0, 0, 1)), BoxExtent.ALL_PLANES, "all"),
        BoxPrompt((1, 2, 3), (7, 8, 9), tuple(map(tuple, Rotation.from_rotvec([0.3, -0.5, 0.7]).as_matrix()))),
    ),
)


def roi_in_slicer(node) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre and size of an ROI node, and its axes as rows, in RAS."""
    matrix = node.GetObjectToNodeMatrix()
    axes_ras = np.array([[matrix.GetElement(r, c) for r in range(3)] for c in range(3)])
    return np.array(node.GetCenter()), np.array(node.GetSize()), axes_ras


def test_slicer_loads_what_we_write(mrml_host, mrml_scene, tmp_path):
    write_markups(tmp_path / "a.mrk.json", [EXAMPLE])
    points, *rois = mrml_host.load_markups(tmp_path / "a.mrk.json")
    assert [node.GetName() for node in (points, *rois)] == ["Leber é"] * 3
    assert points.GetClassName() == "vtkMRMLMarkupsFiducialNode"
    for number, ours in enumerate(EXAMPLE.points):
        assert points.GetNthControlPointPosition(number) == pytest.approx(ours.position_ras, abs=1e-12)
        assert points.GetNthControlPointPositionStatus(number) == points.PositionDefined
    assert points.GetNthControlPointLabel(1) == "not here"
    for ours, node in zip(EXAMPLE.boxes, rois, strict=True):
        centre, size, axes_ras = roi_in_slicer(node)
        assert np.allclose(centre, ours.centre_ras, atol=1e-9)
        assert np.allclose(size, ours.size_mm, atol=1e-9)
        assert np.allclose(axes_ras, ours.axes_ras, atol=1e-9)


@pytest.mark.parametrize("storage", ["UseLPSOn", "UseRASOn"])
@pytest.mark.parametrize("ending", [".mrk.json", ".fcsv"])
def test_points_that_slicer_wrote_are_read_in_ras(mrml_host, mrml_scene, tmp_path, storage, ending):
    node = mrml_scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    positions = [(1.5, -2.25, 30), (-40, 5, -6)]
    for position in positions:
        node.AddControlPoint(position)
    node.SetNthControlPointLabel(1, "-a, b")
    node.SetNthControlPointDescription(1, "segment=spleen")
    node.AddControlPoint((9, 9, 9))
    node.UnsetNthControlPointPosition(2)
    saved_by_slicer(mrml_host, mrml_scene, node, tmp_path / f"F{ending}", storage)
    found = read_markups(tmp_path / f"F{ending}")
    assert [item.prompt.position_ras for item in found] == positions
    assert [item.prompt.sign for item in found] == [Sign.POSITIVE, Sign.NEGATIVE]
    assert [item.stated_segment for item in found] == [None, "spleen"]


@pytest.mark.parametrize("storage", ["UseLPSOn", "UseRASOn"])
def test_rois_that_slicer_wrote_are_read_in_ras(mrml_host, mrml_scene, tmp_path, storage):
    node = mrml_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "liver")
    node.SetCenter((10, -20, 30))
    node.SetSize((4, 5, 6))
    rotation = Rotation.from_rotvec([0.3, -0.5, 0.7]).as_matrix()
    matrix = node.GetObjectToNodeMatrix()
    for row in range(3):
        for column in range(3):
            matrix.SetElement(row, column, rotation[row, column])
    saved_by_slicer(mrml_host, mrml_scene, node, tmp_path / "liver.mrk.json", storage)
    (found,) = read_markups(tmp_path / "liver.mrk.json")
    centre, size, axes_ras = roi_in_slicer(node)
    assert np.allclose(found.prompt.centre_ras, centre)
    assert np.allclose(found.prompt.size_mm, size)
    assert np.allclose(found.prompt.axes_ras, axes_ras)
    assert np.allclose(axes_ras, rotation.T)
    assert found.markups_name == "liver"


def saved_by_slicer(host, scene, node, path: Path, storage_setting: str) -> None:
    if path.suffix == ".fcsv":
        storage = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialStorageNode")
        node.SetAndObserveStorageNodeID(storage.GetID())
    node.AddDefaultStorageNode(str(path))
    getattr(node.GetStorageNode(), storage_setting)()
    host.save(node, path)
