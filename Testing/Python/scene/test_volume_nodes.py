"""Volume nodes as volumes, without copying or changing a voxel."""

import numpy as np
import pytest
import scenery
from vtk.util.numpy_support import vtk_to_numpy

from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.scene.nodes.volume_nodes import VolumeReader, frame_of, read_volume
from SAMUNetSlicerLib.stepwise import run_through
from SAMUNetSlicerLib.volumes.volume import Modality


def scalars(node):
    return vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())


def test_voxels_are_a_read_only_view(mrml_scene):
    node = scenery.volume_node(mrml_scene)
    volume = read_volume(node).volume
    assert np.shares_memory(volume.voxels, scalars(node))
    assert volume.voxels.shape == scenery.SHAPE
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1


def test_any_chain_of_linear_transforms_places_the_volume(mrml_scene):
    own = scenery.ijk_to_ras((0.5, 0.7, 3.0), scenery.rigid(1)[:3, :3])
    node = scenery.volume_node(mrml_scene, matrix=own)
    upper = scenery.linear_transform(mrml_scene, scenery.rigid(2))
    scaling = np.diag([1.0, 2.0, 0.5, 1.0])
    lower = scenery.linear_transform(mrml_scene, scaling, parent=upper)
    node.SetAndObserveTransformNodeID(lower.GetID())
    reading = read_volume(node)
    assert np.allclose(reading.to_world, scenery.rigid(2) @ scaling)
    assert np.allclose(reading.geometry.ijk_to_ras, scenery.rigid(2) @ scaling @ own)
    assert np.allclose(reading.local.ijk_to_ras, own)
    # Slicer's own word for where a voxel is.
    position = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(own[:3, 3] + own[:3, :3] @ [3, 2, 1], position)
    assert np.allclose(reading.geometry.to_ras([3, 2, 1]), position)


def test_a_transform_that_is_not_linear_is_refused_until_it_is_hardened(mrml_scene):
    node = scenery.volume_node(mrml_scene)
    bent = scenery.bent_transform(mrml_scene)
    node.SetAndObserveTransformNodeID(bent.GetID())
    with pytest.raises(InputError, match="not linear.*Harden"):
        read_volume(node)
    node.HardenTransform()
    assert node.GetParentTransformNode() is None
    read_volume(node)


def test_colours_are_read_and_alpha_is_left_out(mrml_scene):
    chance = np.random.default_rng(0)
    colours = chance.integers(0, 255, (1, 5, 6, 4), dtype=np.uint8)
    volume = read_volume(scenery.volume_node(mrml_scene, colours)).volume
    assert volume.is_rgb
    assert np.array_equal(volume.voxels, colours[..., :3])


@pytest.mark.parametrize("components", [2, 3])
def test_vectors_that_are_no_colours_are_refused(mrml_scene, components):
    vectors = np.zeros((2, 3, 4, components), np.float32)
    with pytest.raises(InputError, match="values per voxel"):
        read_volume(scenery.volume_node(mrml_scene, vectors))


def test_empty_volumes_and_label_maps_are_refused(mrml_scene):
    empty = mrml_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(InputError, match="empty"):
        read_volume(empty)
    with pytest.raises(InputError, match="Choose a volume"):
        read_volume(mrml_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode"))
    with pytest.raises(InputError, match="Choose a volume"):
        read_volume(None)


def fingerprint_of(reading):
    return run_through(reading.fingerprint_in_steps(reading.local))


def test_a_volume_is_read_anew_only_where_it_has_changed(mrml_scene):
    node = scenery.volume_node(mrml_scene)
    reader = VolumeReader(node)
    first = reader.read()
    fingerprint = fingerprint_of(first)
    node.SetName("renamed")
    assert reader.read() is first
    scalars(node)[0] = 77
    node.GetImageData().GetPointData().GetScalars().Modified()
    second = reader.read()
    assert second is not first
    assert fingerprint_of(second) != fingerprint
    node.SetAndObserveTransformNodeID(scenery.linear_transform(mrml_scene, scenery.rigid(4)).GetID())
    third = reader.read()
    assert third is not second
    assert fingerprint_of(third) == fingerprint_of(second), "moving a volume does not change what it shows"


def test_an_item_of_a_sequence_is_told_from_the_next(mrml_host, mrml_scene):
    logic = scenery.sequences_logic(mrml_host)
    sequence = mrml_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beating heart")
    for number in range(3):
        item = scenery.volume_node(mrml_scene, np.full((2, 3, 4), number, np.int16), name=f"item {number}")
        sequence.SetDataNodeAtValue(item, str(number))
        mrml_scene.RemoveNode(item)
    browser = mrml_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.SetSelectedItemNumber(2)
    logic.UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    reading = read_volume(proxy)
    assert (reading.frame, reading.volume.voxels.max()) == ("2", 2)
    browser.SetSelectedItemNumber(1)
    logic.UpdateProxyNodesFromSequences(browser)
    reading = read_volume(proxy)
    assert (reading.frame, reading.volume.voxels.max()) == ("1", 1)
    assert frame_of(scenery.volume_node(mrml_scene)) == ""


def test_the_modality_comes_from_dicom_or_units_or_the_intensities(mrml_scene):
    import slicer

    node = scenery.volume_node(mrml_scene)
    assert read_volume(node).volume.modality is Modality.OTHER
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    node.SetVoxelValueUnits(units)
    assert read_volume(node).volume.modality is Modality.CT
    node.SetAttribute("DICOM.Modality", "MR")
    assert read_volume(node).volume.modality is Modality.MR
    node.SetAttribute("DICOM.Modality", "PX")
    assert read_volume(node).volume.modality is Modality.XRAY, "as in files"
    loaded = scenery.volume_node(mrml_scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(mrml_scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), loaded)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "PT")
    assert read_volume(loaded).volume.modality is Modality.PET
    ct = np.full(scenery.SHAPE, -1000, np.int16)
    ct[3:6] = 300
    assert read_volume(scenery.volume_node(mrml_scene, ct)).volume.modality is Modality.CT
