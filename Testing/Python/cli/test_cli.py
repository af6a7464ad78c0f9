import json

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from example_grids import random_geometry, sphere
from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.checkpoints.loading import LoadedModel
from SAMUNetSlicerLib.cli import main, segment
from SAMUNetSlicerLib.errors import ExitCode
from SAMUNetSlicerLib.project import NOT_FOR_CLINICAL_USE
from SAMUNetSlicerLib.volumes.geometry import LPS_TO_RAS
from SAMUNetSlicerLib.volumes.markups import read_markups
from SAMUNetSlicerLib.volumes.markups_writing import write_markups
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, PointPrompt, SegmentPrompts
from SAMUNetSlicerLib.volumes.provenance import read_provenance
from SAMUNetSlicerLib.volumes.segmentation_file import read_segmentation

RADIUS_MM = 11.0


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A folder with a ball in an oblique volume and markups for it; the model is the bright-region finder."""
    geometry = random_geometry(5)
    centre = tuple(geometry.to_ras((geometry.size_ijk - 1) / 2))
    voxels = sphere(geometry, np.array(centre), RADIUS_MM).voxels
    image = sitk.GetImageFromArray(voxels)
    to_lps = LPS_TO_RAS @ geometry.ijk_to_ras
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetSpacing(geometry.spacing_ijk.tolist())
    image.SetDirection((to_lps[:3, :3] / geometry.spacing_ijk).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "volume.nrrd"))
    write_markups(tmp_path / "points.mrk.json", [SegmentPrompts("ball", points=(PointPrompt(centre),))])
    boxes = (BoxPrompt(centre, (2.2 * RADIUS_MM,) * 3),)
    write_markups(tmp_path / "box.mrk.json", [SegmentPrompts("boxed", boxes=boxes)])
    model = LoadedModel(BrightRegionNetwork(), "bright_region", "ab" * 32, "fake", "none")
    monkeypatch.setattr(segment, "load_network", lambda *args, **kwargs: model)
    monkeypatch.chdir(tmp_path)
    return geometry, voxels > 0


BASIC = ["segment", "volume.nrrd", "--window=-1:1", "--engine=torch", "-o", "out.seg.nrrd"]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_points_and_box_files_become_segments_in_a_seg_nrrd(case):
    geometry, truth = case
    code = main([*BASIC, "--points", "points.mrk.json", "--box", "box.mrk.json", "--picture", "out.png"])
    assert code == ExitCode.OK
    written_geometry, segments = read_segmentation("out.seg.nrrd")
    assert written_geometry.matches(geometry)
    assert [s.name for s in segments] == ["ball", "boxed"]
    for found in segments:
        assert dice(found.mask_kji, truth) > 0.9
    provenance = read_provenance("out.seg.nrrd")["ball"]
    assert provenance.model_sha256 == "ab" * 32
    assert provenance.planes
    with open("out.png", "rb") as stream:
        assert stream.read(8) == b"\x89PNG\r\n\x1a\n"


def test_oblique_planes_from_a_slice_views_matrix(case):
    _, truth = case
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("xyz", [25, -40, 15], degrees=True).as_matrix()
    oblique[:3, 3] = read_markups("points.mrk.json")[0].prompt.position_ras
    numbers = [f"{n:.9f}" for n in oblique.ravel()]
    assert main([*BASIC, "--points", "points.mrk.json", "--slice-to-ras", *numbers]) == ExitCode.OK
    assert dice(read_segmentation("out.seg.nrrd")[1][0].mask_kji, truth) > 0.88
    assert read_provenance("out.seg.nrrd")["ball"].orientation == "oblique"


def test_json_summary_is_the_only_thing_on_standard_output(case, capsys):
    assert main([*BASIC, "--points", "points.mrk.json", "--json"]) == ExitCode.OK
    summary = json.loads(capsys.readouterr().out)
    assert summary["finished"] is True
    assert summary["segments"]["ball"]["voxels"] == read_segmentation("out.seg.nrrd")[1][0].mask_kji.sum()


def test_ctrl_c_writes_what_is_finished(case, monkeypatch):
    done = []

    def interrupted(steps, visible=True):
        for step in steps:
            done.append(step)
            yield step
            if len(done) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(segment, "shown", interrupted)
    assert main([*BASIC, "--points", "points.mrk.json"]) == ExitCode.CANCELLED
    assert len(read_provenance("out.seg.nrrd")["ball"].planes) == 3
    assert read_segmentation("out.seg.nrrd")[1][0].mask_kji.any()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (["--points", "missing.mrk.json"], ExitCode.PROMPT, "no file"),
        (["--points", "points.mrk.json", "--window", "nonsense"], ExitCode.USAGE, "not a window"),
        (["--points", "points.mrk.json", "--device", "abacus"], ExitCode.USAGE, "not known"),
        (["--points", "points.mrk.json", "-o", "out.nii"], ExitCode.USAGE, ".seg.nrrd"),
        (["--points", "points.mrk.json", "-o", "no/such/folder/out.seg.nrrd"], ExitCode.OUTPUT, "folder"),
        (["--points", "points.mrk.json", "--slice-to-ras", *["0"] * 16], ExitCode.USAGE, "invertible"),
        ([], ExitCode.PROMPT, "no prompts"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(case, capsys, change, code, words):
    assert main([*BASIC, *change]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samunet: ")]
    assert len(lines) == 1
    assert words in lines[0]


def test_a_result_that_could_not_be_saved_is_refused_before_the_work(case, monkeypatch):
    def unexpected(*_args, **_kwargs):
        raise AssertionError("the work began")

    monkeypatch.setattr(segment, "read_volume", unexpected)
    assert main([*BASIC, "--points", "points.mrk.json", "--picture", "no/folder/a.png"]) == ExitCode.OUTPUT


def test_a_broken_volume_is_an_input_error(case, capsys):
    with open("volume.nrrd", "wb") as stream:
        stream.write(b"NRRD0004\ntype: nothing\n")
    assert main([*BASIC, "--points", "points.mrk.json"]) == ExitCode.INPUT
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_model_is_a_model_error(case, monkeypatch):
    from SAMUNetSlicerLib.checkpoints.loading import load_network

    monkeypatch.setattr(segment, "load_network", load_network)
    assert main([*BASIC, "--points", "points.mrk.json", "--model", "nothing_of_this_name"]) == ExitCode.MODEL


def test_info_tells_what_is_in_volumes_and_segmentations(case, capsys):
    main([*BASIC, "--points", "points.mrk.json"])
    capsys.readouterr()
    assert main(["info", "volume.nrrd", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)
    assert main(["info", "out.seg.nrrd", "--json"]) == ExitCode.OK
    facts = json.loads(capsys.readouterr().out)
    assert facts["segments"][0]["name"] == "ball"
    assert facts["segments"][0]["provenance"]["model"] == "bright_region"


def test_models_lists_the_shipped_model_with_its_licence(capsys):
    assert main(["models", "--json"]) == ExitCode.OK
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["lite_medsam"]["state"] == "shipped"
    assert rows["lite_medsam"]["licence"] == "Apache-2.0"


def test_help_and_version_say_not_for_clinical_use(capsys):
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit):
            main([option])
        assert NOT_FOR_CLINICAL_USE in " ".join(capsys.readouterr().out.split())
