"""What docs/scripting.md and docs/examples show is what happens."""

import re
import types

import numpy as np
import pytest
import scenery
import slicer
import slicer.util
from sequence_scenery import PLANE, BeatingDesk

import repository
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import segment_ids

DOCS = repository.ROOT / "docs"


@pytest.fixture
def console(mrml_scene, monkeypatch):
    """Slicer's Python console with a volume and a ROI around the ball on its middle plane."""
    volume = scenery.volume_node(mrml_scene, name="CT")
    roi = mrml_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box around the liver")
    roi.SetCenterWorld(*local_geometry(volume).to_ras([14, 12, 6]))
    roi.SetSize(14.0, 14.0, 1.0)
    logic = SegmentationLogic(mrml_scene)
    logic.loadModel = lambda name, device="auto": logic.setPredictor(scenery.predictor(), scenery.MODEL)
    monkeypatch.setattr(slicer, "mrmlScene", mrml_scene, raising=False)
    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(processEvents=lambda: None), raising=False)
    monkeypatch.setattr(slicer.util, "getModuleLogic", lambda name: logic, raising=False)
    monkeypatch.setattr(slicer.util, "getNode", mrml_scene.GetFirstNodeByName)
    return types.SimpleNamespace(volume=volume, roi=roi, logic=logic)


def test_the_page_runs_from_top_to_bottom(console, tmp_path, capsys):
    page = (DOCS / "scripting.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 6
    names = {"scenePath": tmp_path / "work.mrb"}
    for block in blocks:
        code = compile(block, f"scripting.md, block that begins with {block.splitlines()[0]!r}", "exec")
        exec(code, names)
    mask = read_mask(names["segmentationNode"], names["liver"], local_geometry(console.volume))
    assert np.count_nonzero(mask != scenery.ball()) < 0.05 * scenery.ball().sum()
    said = capsys.readouterr().out
    assert "plane 6: 113 pixels, confidence 0.90" in said
    assert "Two corrections" in said
    assert "accepted planes 5, proposed planes 0" in said


def test_the_example_segments_an_organ(console, capsys):
    names = {}
    exec((DOCS / "examples" / "segment_in_slicer.py").read_text(encoding="utf-8"), names)
    segmentation = names["segment_organ"](console.volume, console.roi, "Liver")
    mask = read_mask(segmentation, segment_ids(segmentation)[0], local_geometry(console.volume))
    assert np.count_nonzero(mask != scenery.ball()) < 0.05 * scenery.ball().sum()
    assert "Ended at plane 3: the object vanished." in capsys.readouterr().out


def test_the_lines_on_sequences_run_on_a_sequence(mrml_host, mrml_scene, capsys):
    desk = BeatingDesk(mrml_host)
    desk.propose(PLANE)
    page = (DOCS / "scripting.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## Sequences\n.*?```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    names = {"logic": desk.logic, "segmentationNode": desk.segmentation, "liver": desk.ids[0]}
    exec(block, names)
    assert names["outcome"].items == (0, 1, 2, 3, 4)
    assert "item 0: " in capsys.readouterr().out
