"""The shipped model on a real CT, through the scene: a box on one plane, its neighbour by propagation."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scenery import volume_node

from repository import ROOT
from SAMUNetSlicerLib.checkpoints.loading import load_network
from SAMUNetSlicerLib.inference.opening import open_predictor
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask
from SAMUNetSlicerLib.volumes.files.reading import read_volume
from SAMUNetSlicerLib.volumes.geometry import LPS_TO_RAS, GridGeometry
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt

LIVER = 5
DATA = ROOT / "Testing" / "Data"


@pytest.fixture(scope="module")
def abdomen():
    """The CT, and its pseudo reference of the liver on the same voxels."""
    volume = read_volume(DATA / "ct_abdomen_dicom")
    labels = sitk.ReadImage(str(DATA / "ct_abdomen_reference.nii.gz"))
    to_lps = np.eye(4)
    to_lps[:3, :3] = np.reshape(labels.GetDirection(), (3, 3)) * labels.GetSpacing()
    to_lps[:3, 3] = labels.GetOrigin()
    grid = GridGeometry(labels.GetSize()[::-1], LPS_TO_RAS @ to_lps)
    k, j, i = np.indices(volume.geometry.shape_kji)
    ijk = np.round(grid.to_ijk(volume.geometry.to_ras(np.stack([i, j, k], axis=-1)))).astype(int)
    ijk = np.clip(ijk, 0, grid.size_ijk - 1)
    return volume, sitk.GetArrayFromImage(labels)[ijk[..., 2], ijk[..., 1], ijk[..., 0]] == LIVER


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_the_shipped_model_finds_the_liver(mrml_scene, abdomen):
    volume, liver = abdomen
    node = volume_node(mrml_scene, np.array(volume.voxels), volume.geometry.ijk_to_ras)
    logic = SegmentationLogic(mrml_scene)
    model = logic.loadModel("lite_medsam", "cpu")
    as_in_the_panel = open_predictor(load_network("lite_medsam"), torch.device("cpu"))
    assert logic._engine.predictor.encode_planes.signature == as_in_the_panel.encode_planes.signature
    segmentation = logic.createSegmentation(node)
    segment_id = logic.addSegment(segmentation, "Liver", volumeNode=node)
    plane = 10
    j, i = np.nonzero(liver[plane])
    low, high = (volume.geometry.to_ras([f(i), f(j), plane]) for f in (np.min, np.max))
    box = BoxPrompt(tuple((low + high) / 2), tuple(np.abs(high - low) + np.array([1, 1, 0])))
    outcome = logic.segment(node, segmentation, segment_id, boxes=box, orientation="axial")
    assert outcome.notes == ()
    logic.accept(segmentation, segment_id)
    steps = list(logic.propagate(segmentation, segment_id, planes=(plane + 1, plane + 1)))
    assert steps[0].confidence > 0.5
    logic.accept(segmentation, segment_id)
    mask = read_mask(segmentation, segment_id, logic.workspace(segmentation).check().local)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [plane, plane + 1]
    for k in (plane, plane + 1):
        assert dice(mask[k], liver[k]) > 0.9
    assert logic.workspace(segmentation).document.models == [model]
    assert model.family == "lite_medsam"
