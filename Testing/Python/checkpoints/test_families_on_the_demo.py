"""A user's file of each family segments the demo's CT from the command line.

Published weights cannot be had here: the files have the published names and shapes, wrapped as trainers write them,
and made-up values. So this shows that each file is opened, recognised and run on a real DICOM series with real
prompts; how well published weights segment it shows not.
"""

import json

import pytest
import torch

from parity import manifest_of, parity_delta, parity_state
from repository import ROOT
from SAMUNetSlicerLib import demo
from SAMUNetSlicerLib.cli.main import main
from SAMUNetSlicerLib.errors import ExitCode
from SAMUNetSlicerLib.volumes.files.markups_writing import write_markups
from SAMUNetSlicerLib.volumes.files.reading import read_volume
from SAMUNetSlicerLib.volumes.prompts import SegmentPrompts
from SAMUNetSlicerLib.volumes.segmentations.segmentation_file import read_segmentation

DATA = ROOT / "Testing" / "Data"
SERIES = DATA / "ct_abdomen_dicom"
PROMPTED = {
    # family of the manifest: what the user adds to the command
    "lite_medsam": [],
    "sam_unet_res34": [],
    "sam_unet_res50": [],
    "sam_med2d": [],
    "sam_vit_b": ["--family", "sam_vit_b"],
    "medsam_vit_b": ["--family", "medsam_vit_b"],
    "hq_sam_vit_b": [],
    "med_sa": [],
}
# The last plane alone: the larger networks take many seconds a plane.
ONE_PLANE = ["--propagate", "none", "--engine", "torch"]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """One box around the liver on its middle plane."""
    geometry = read_volume(SERIES).geometry
    liver = demo.read_reference(DATA / "ct_abdomen_reference.nii.gz", geometry)["liver"]
    boxes = demo.boxes_from_reference("liver", liver, geometry).boxes
    path = tmp_path_factory.mktemp("prompts") / "box.mrk.json"
    write_markups(path, [SegmentPrompts("liver", boxes=(boxes[len(boxes) // 2],))])
    return path


def save_as_trainers_do(state, path):
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}, path)


@pytest.mark.slow  # 1024 px inputs: one to two minutes in all on two quiet cores
@pytest.mark.parametrize("family", PROMPTED)
def test_a_box_on_the_demo_is_answered(family, prompts, tmp_path, capsys):
    layout = "sam_vit_b" if family == "medsam_vit_b" else family
    save_as_trainers_do(parity_state(manifest_of(layout)["keys"]), tmp_path / "mine.pth")
    command = ["segment", str(SERIES), "--box", str(prompts), "--model", str(tmp_path / "mine.pth"), "--json"]
    command += ["-o", str(tmp_path / "out.seg.nrrd"), *ONE_PLANE, *PROMPTED[family]]
    assert main(command) == ExitCode.OK
    assert len(json.loads(capsys.readouterr().out)["segments"]["liver"]["planes"]) == 1
    assert [segment.name for segment in read_segmentation(tmp_path / "out.seg.nrrd")[1]] == ["liver"]


@pytest.mark.slow  # SAM's encoder at 512 px, 20 planes
@pytest.mark.parametrize("family", ["samed", "ma_sam"])
def test_classes_of_the_demo_are_found_without_prompts(family, tmp_path, capsys):
    torch.save(parity_state(manifest_of("sam_vit_b")["keys"]), tmp_path / "sam.pth")
    torch.save(parity_delta(family), tmp_path / "mine.pth")
    command = ["segment", str(SERIES), "--model", str(tmp_path / "mine.pth"), "--base", str(tmp_path / "sam.pth")]
    assert main([*command, "-o", str(tmp_path / "out.seg.nrrd"), "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["finished"]
    assert read_segmentation(tmp_path / "out.seg.nrrd")[1]
