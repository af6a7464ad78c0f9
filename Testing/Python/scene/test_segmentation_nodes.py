"""Segmentation nodes on a volume's grid, and their segments."""

import numpy as np
import pytest
import scenery
from scenery import Desk

from SAMUNetSlicerLib.errors import EditError, InputError
from SAMUNetSlicerLib.scene.nodes import segmentation_nodes as nodes
from SAMUNetSlicerLib.scene.nodes.editor_rules import segment_editor_rules
from SAMUNetSlicerLib.scene.nodes.labelmaps import SegmentChange, read_mask, write_changes
from SAMUNetSlicerLib.scene.nodes.names import ROLE_RESULT
from SAMUNetSlicerLib.scene.nodes.placement import follow, local_geometry
from SAMUNetSlicerLib.scene.record.editing_rules import Area, EditingRules, Overwrite


@pytest.fixture
def volume(mrml_scene):
    node = scenery.volume_node(mrml_scene)
    node.SetAndObserveTransformNodeID(scenery.linear_transform(mrml_scene, scenery.rigid(1)).GetID())
    return node


@pytest.fixture
def segmentation(mrml_scene, volume):
    return nodes.create_segmentation(mrml_scene, volume, "Segmentation", ROLE_RESULT)


def test_a_new_segmentation_lies_where_the_volume_lies(volume, segmentation):
    assert segmentation.GetTransformNodeID() == volume.GetTransformNodeID()
    assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is volume
    nodes.check_fits(segmentation, volume)


def test_voxels_saved_under_a_transform_come_back_unchanged(volume, segmentation, mrml_host, tmp_path):
    """Slicer resamples to the reference geometry when it saves: that must be the volume's own grid."""
    geometry = local_geometry(volume)
    mask = scenery.ball()
    segment_id = nodes.add_segment(segmentation, "Liver")
    whole = tuple(slice(0, n) for n in geometry.shape_kji)
    write_changes(segmentation, [SegmentChange(segment_id, whole, mask, np.zeros_like(mask))], geometry)
    mrml_host.save(segmentation, tmp_path / "moved.seg.nrrd")
    loaded = mrml_host.load_segmentation(tmp_path / "moved.seg.nrrd")
    assert np.array_equal(read_mask(loaded, segment_id, geometry), mask)


def test_a_segmentation_that_was_begun_on_another_volume_is_saved_voxel_by_voxel(mrml_host, mrml_scene, tmp_path):
    """An empty one fits any volume; Slicer would resample it to the other volume's grid."""
    other = scenery.volume_node(mrml_scene, np.zeros((5, 6, 7), np.int16), scenery.ijk_to_ras((5.0, 5.0, 5.0)))
    desk = Desk(mrml_scene)
    desk.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(other)
    desk.propose(6)
    desk.accept()
    mrml_host.save(desk.segmentation, tmp_path / "saved.seg.nrrd")
    again = mrml_host.load_segmentation(tmp_path / "saved.seg.nrrd")
    assert np.array_equal(read_mask(again, *nodes.segment_ids(again), local_geometry(desk.volume)), desk.mask())


def test_a_segmentation_elsewhere_is_refused_and_one_in_the_same_place_is_not(mrml_scene, volume, segmentation):
    segmentation.SetAndObserveTransformNodeID(None)
    with pytest.raises(EditError, match="different transforms"):
        nodes.check_fits(segmentation, volume)
    same = scenery.linear_transform(mrml_scene, scenery.rigid(1))
    segmentation.SetAndObserveTransformNodeID(same.GetID())
    nodes.check_fits(segmentation, volume)
    follow(segmentation, volume)
    assert segmentation.GetTransformNodeID() == volume.GetTransformNodeID()


def test_an_unusable_volume_makes_no_segmentation(mrml_scene):
    empty = mrml_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    bent = scenery.volume_node(mrml_scene)
    bent.SetAndObserveTransformNodeID(scenery.bent_transform(mrml_scene).GetID())
    for volume, said in ((empty, "empty"), (bent, "not linear")):
        with pytest.raises(InputError, match=said):
            nodes.create_segmentation(mrml_scene, volume, "Segmentation", ROLE_RESULT)
    assert mrml_scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_segments_are_named_coloured_and_coded_by_their_names(segmentation):
    liver = nodes.add_segment(segmentation, "Liver")
    thing = nodes.add_segment(segmentation, "thing")
    other = nodes.add_segment(segmentation, "thing")
    assert len({liver, thing, other}) == 3
    vtk_liver = nodes.find_segment(segmentation, liver)
    assert [round(255 * c) for c in vtk_liver.GetColor()] == [221, 130, 101]
    assert "SCT^10200004^Liver" in nodes.get_tag(segmentation, liver, "TerminologyEntry")
    colours = {tuple(nodes.find_segment(segmentation, i).GetColor()) for i in (liver, thing, other)}
    assert len(colours) == 3
    chosen = nodes.add_segment(segmentation, "Spleen", (1.0, 0.0, 0.0))
    assert nodes.find_segment(segmentation, chosen).GetColor() == (1.0, 0.0, 0.0)


def test_a_removed_segment_comes_back_as_it_was(segmentation):
    ids = [nodes.add_segment(segmentation, name) for name in ("a", "b", "c")]
    nodes.set_tag(segmentation, ids[1], "mine", "yes")
    nodes.set_status(segmentation, ids[1], nodes.SegmentStatus.FLAGGED)
    segmentation.GetDisplayNode().SetSegmentVisibility(ids[1], False)
    look = nodes.remove_segment(segmentation, ids[1])
    assert nodes.segment_ids(segmentation) == (ids[0], ids[2])
    nodes.restore_segment(segmentation, look)
    assert nodes.segment_ids(segmentation) == tuple(ids)
    assert nodes.segment_name(segmentation, ids[1]) == "b"
    assert nodes.get_tag(segmentation, ids[1], "mine") == "yes"
    assert nodes.status_of(segmentation, ids[1]) is nodes.SegmentStatus.FLAGGED
    assert not nodes.is_visible(segmentation, ids[1])
    with pytest.raises(EditError, match="already"):
        nodes.restore_segment(segmentation, look)


@pytest.mark.parametrize("status", nodes.SegmentStatus)
def test_finished_segments_are_locked(segmentation, status):
    segment_id = nodes.add_segment(segmentation, "Liver")
    nodes.set_status(segmentation, segment_id, nodes.SegmentStatus.IN_PROGRESS)
    nodes.set_status(segmentation, segment_id, status)
    assert nodes.status_of(segmentation, segment_id) is status
    if status.is_finished:
        with pytest.raises(EditError, match="'Liver' is finished"):
            nodes.check_writable(segmentation, segment_id)
    else:
        nodes.check_writable(segmentation, segment_id)


def test_tags_are_told_apart_and_removed(segmentation):
    segment_id = nodes.add_segment(segmentation, "Liver")
    for tag in ("P", "P.2", "P.3", "Q"):
        nodes.set_tag(segmentation, segment_id, tag, "1")
    assert nodes.tags_like(segmentation, segment_id, "P") == {"P", "P.2", "P.3"}
    nodes.set_tag(segmentation, segment_id, "P.2", None)
    assert nodes.get_tag(segmentation, segment_id, "P.2") is None
    assert nodes.get_tag(segmentation, segment_id, "Q") == "1"


def test_the_rules_of_the_segment_editor_are_taken_over(mrml_scene):
    import slicer

    editor = mrml_scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.SetOverwriteMode(editor.OverwriteVisibleSegments)
    editor.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    editor.SetMaskSegmentID("Segment_3")
    editor.SourceVolumeIntensityMaskOn()
    editor.SetSourceVolumeIntensityMaskRange(-50, 150)
    assert segment_editor_rules(editor) == EditingRules(
        Overwrite.VISIBLE, Area.INSIDE_SEGMENT, "Segment_3", (-50.0, 150.0)
    )
    editor.SourceVolumeIntensityMaskOff()
    assert segment_editor_rules(editor).intensity_range is None
