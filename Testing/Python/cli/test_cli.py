import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from example_grids import random_geometry, sphere
from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.checkpoints.loading import LoadedModel
from SAMUNetSlicerLib.cli import main, segment
from SAMUNetSlicerLib.cli.main import build_parser
from SAMUNetSlicerLib.errors import ExitCode
from SAMUNetSlicerLib.project import NOT_FOR_CLINICAL_USE
from SAMUNetSlicerLib.volumes.files import dicom_series
from SAMUNetSlicerLib.volumes.files.markups import read_markups
from SAMUNetSlicerLib.volumes.files.markups_writing import write_markups
from SAMUNetSlicerLib.volumes.geometry import LPS_TO_RAS, GridGeometry
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, PointPrompt, SegmentPrompts
from SAMUNetSlicerLib.volumes.segmentations.provenance import (
    PROVENANCE_TAG,
    Provenance,
    provenance_tags,
    read_provenance,
)
from SAMUNetSlicerLib.volumes.segmentations.segmentation_file import read_segmentation, write_segmentation
from SAMUNetSlicerLib.volumes.segmentations.segments import Segment

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


@pytest.fixture
def fails_at(monkeypatch):
    """fails_at(count, error): the network decodes so often and then always raises the error."""

    def put(count, error):
        decode, decoded = BrightRegionNetwork.decode, []

        def limited(network, *arguments):
            decoded.append(network)
            if len(decoded) > count:
                raise error
            return decode(network, *arguments)

        monkeypatch.setattr(BrightRegionNetwork, "decode", limited)

    return put


def test_a_shortage_of_memory_midway_writes_what_is_finished(case, capsys, fails_at):
    fails_at(3, MemoryError())
    assert main([*BASIC, "--box", "box.mrk.json"]) == ExitCode.MEMORY
    done = read_provenance("out.seg.nrrd")["boxed"].planes
    assert len(done) == 3
    assert read_segmentation("out.seg.nrrd")[1][0].mask_kji.any()
    said = capsys.readouterr()
    assert "what is finished (3 planes) will be saved" in said.err
    assert "samunet: There is not enough memory" in said.err
    assert "boxed: " in said.out


def test_an_unforeseen_error_midway_writes_what_is_finished_too(case, fails_at):
    fails_at(3, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        main([*BASIC, "--box", "box.mrk.json"])
    assert len(read_provenance("out.seg.nrrd")["boxed"].planes) == 3


def test_an_error_before_anything_is_finished_writes_nothing(case, capsys, fails_at):
    fails_at(0, MemoryError())
    assert main([*BASIC, "--box", "box.mrk.json"]) == ExitCode.MEMORY
    assert not Path("out.seg.nrrd").exists()
    assert "saved" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "code", "told"),
    [
        ("CUDA out of memory. Tried to allocate 2 GiB", ExitCode.MEMORY, "the computer's or the graphics card's."),
        (
            "CUDA error: unknown error\nCompile with it",
            ExitCode.USAGE,
            "has failed (CUDA error: unknown error). Choose",
        ),
    ],
)
def test_what_a_graphics_card_says_outside_of_a_plane_is_told_in_plain_words(
    case, capsys, monkeypatch, message, code, told
):
    def load(*_args, **_kwargs):
        raise RuntimeError(message)

    monkeypatch.setattr(segment, "load_network", load)
    assert main([*BASIC, "--box", "box.mrk.json"]) == code
    assert told in capsys.readouterr().err


@pytest.fixture
def moving(case):
    """The ball's volume as the second frame of two, the first of which is empty: `moving.nrrd`."""
    image = sitk.ReadImage("volume.nrrd")
    sitk.WriteImage(sitk.JoinSeries([image * 0 - 1, image]), "moving.nrrd")


def test_a_frame_is_chosen_or_the_choice_is_told(case, moving, capsys):
    _, truth = case
    options = ["--window=-1:1", "--engine=torch", "--box", "box.mrk.json", "-o", "out.seg.nrrd"]
    assert main(["segment", "moving.nrrd", *options, "--frame", "1"]) == ExitCode.OK
    assert dice(read_segmentation("out.seg.nrrd")[1][0].mask_kji, truth) > 0.9
    assert "frame" not in capsys.readouterr().err
    assert main(["segment", "moving.nrrd", *options]) == ExitCode.OK
    assert "There are 2 frames; frame 0 is segmented" in capsys.readouterr().err
    assert not read_segmentation("out.seg.nrrd")[1][0].mask_kji.any()
    assert main(["segment", "volume.nrrd", *options]) == ExitCode.OK
    assert "frame" not in capsys.readouterr().err
    assert main(["segment", "moving.nrrd", *options, "--frame", "2"]) == ExitCode.INPUT


def test_the_frame_is_kept_in_the_provenance_and_shown_by_info(case, moving, capsys):
    options = ["--window=-1:1", "--engine=torch", "--box", "box.mrk.json", "-o", "out.seg.nrrd"]
    for chosen, frame in ((["--frame", "1"], 1), (["--frame", "0"], 0), ([], 0)):
        assert main(["segment", "moving.nrrd", *options, *chosen]) == ExitCode.OK
        assert read_provenance("out.seg.nrrd")["boxed"].frame == frame
        capsys.readouterr()
        assert main(["info", "out.seg.nrrd"]) == ExitCode.OK
        assert f"frame: {frame}\n" in capsys.readouterr().out
    assert main(["segment", "volume.nrrd", *options, "--frame", "0"]) == ExitCode.OK
    assert read_provenance("out.seg.nrrd")["boxed"].frame is None
    assert main(["info", "out.seg.nrrd"]) == ExitCode.OK
    assert "frame" not in capsys.readouterr().out


def test_info_counts_frames_and_describes_the_one_asked_for(moving, capsys):
    found = []
    for options in ([], ["--frame", "1"]):
        assert main(["info", "moving.nrrd", "--json", *options]) == ExitCode.OK
        found.append(json.loads(capsys.readouterr().out))
    assert [facts["frames"] for facts in found] == [2, 2]
    assert found[0]["maximum"] < found[1]["maximum"]
    assert main(["info", "volume.nrrd"]) == ExitCode.OK
    assert "frames: 1" in capsys.readouterr().out


def test_a_choice_that_a_file_does_not_offer_is_refused(case, capsys):
    assert main(["info", "volume.nrrd", "--series", "1"]) == ExitCode.INPUT
    assert "not DICOM" in capsys.readouterr().err
    geometry, ball = case
    write_segmentation(Path("out.seg.nrrd"), geometry, [Segment("ball", ball, (1, 0, 0), "tissue")])
    for choice in (["--series", "1"], ["--frame", "1"]):
        assert main(["info", "out.seg.nrrd", *choice]) == ExitCode.USAGE


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (["--points", "missing.mrk.json"], ExitCode.PROMPT, "no file"),
        (["--points", "points.mrk.json", "--window", "nonsense"], ExitCode.USAGE, "not a window"),
        (["--points", "points.mrk.json", "--device", "abacus"], ExitCode.USAGE, "not known"),
        (["--points", "points.mrk.json", "--device", "cpu:abc"], ExitCode.USAGE, "not known"),
        (["--points", "points.mrk.json", "--range", "700:800"], ExitCode.PROMPT, "range 700:800"),
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

    monkeypatch.setattr(segment, "read_frame", unexpected)
    assert main([*BASIC, "--points", "points.mrk.json", "--picture", "no/folder/a.png"]) == ExitCode.OUTPUT


@pytest.mark.parametrize(
    ("name", "said"), [("photo.png", "would overwrite"), ("volume.nrrd", ".png"), ("sheet.jpg", ".png")]
)
def test_a_picture_that_would_overwrite_an_input_or_has_another_ending_is_refused(case, capsys, name, said):
    Path("photo.png").write_bytes(b"the volume")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    options = ["--points", "points.mrk.json", "-o", "out.seg.nrrd", "--picture", str(Path(name).resolve())]
    assert main(["segment", "photo.png", *options]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.filterwarnings("error")
def test_names_that_look_like_formulas_or_begin_with_an_underscore_stand_in_the_picture(case, monkeypatch):
    from matplotlib.text import Text

    drawn, draw = [], Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, renderer: (drawn.append(text.get_text()), draw(text, renderer)))
    centre = read_markups("points.mrk.json")[0].prompt.position_ras
    names = (r"$\nothing$", "_ball", "a|b:c")
    write_markups("odd.mrk.json", [SegmentPrompts(name, points=(PointPrompt(centre),)) for name in names])
    assert main([*BASIC, "--points", "odd.mrk.json", "--propagate", "none", "--picture", "out.png"]) == ExitCode.OK
    assert set(names) <= set(drawn)
    assert {segment.name for segment in read_segmentation("out.seg.nrrd")[1]} == set(names)


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


def test_info_tells_of_each_segment_its_own_provenance_and_all_of_it(tmp_path, capsys):
    """Slicer lets two segments have one name, and the scene keeps a tag for each stack of planes."""
    axial = Provenance("lite_medsam", "ab" * 32, "CT", "axial")
    tags = provenance_tags(axial)
    for n in (10, 2):
        of_stack = provenance_tags(replace(axial, orientation=f"stack {n}"))
        tags[f"{PROVENANCE_TAG}.{n}"] = of_stack[PROVENANCE_TAG]
    mask = np.ones((2, 3, 4), bool)
    segments = [Segment("liver", mask, (1, 0, 0), "tissue"), Segment("liver", ~mask, (0, 1, 0), "tissue", tags)]
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, GridGeometry((2, 3, 4), np.eye(4)), segments)
    assert main(["info", str(path), "--json"]) == ExitCode.OK
    drawn, made = json.loads(capsys.readouterr().out)["segments"]
    assert drawn["provenance"] is None
    assert "further_provenance" not in drawn
    assert made["provenance"]["orientation"] == "axial"
    assert [further["orientation"] for further in made["further_provenance"]] == ["stack 2", "stack 10"]
    assert main(["info", str(path)]) == ExitCode.OK
    assert "orientation: stack 10" in capsys.readouterr().out


def test_models_lists_the_shipped_model_with_its_licence(capsys):
    assert main(["models", "--json"]) == ExitCode.OK
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["lite_medsam"]["state"] == "shipped"
    assert rows["lite_medsam"]["licence"] == "Apache-2.0"


def parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                yield from parsers(choice)


def test_the_help_says_what_every_option_is_and_its_default():
    silent = []
    for parser in parsers(build_parser()):
        for action in parser._actions:
            ordinary = not isinstance(
                action, argparse._SubParsersAction | argparse._HelpAction | argparse._VersionAction
            )
            spoken = "default" in (action.help or "") or action.default in (None, False, 0, [], {})
            if ordinary and not (action.help and spoken):
                silent.append(f"{parser.prog} {action.dest}")
    assert not silent


def test_help_and_version_say_not_for_clinical_use(capsys):
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit):
            main([option])
        assert NOT_FOR_CLINICAL_USE in " ".join(capsys.readouterr().out.split())


def test_each_dicom_header_is_read_once(monkeypatch, capsys):
    folder = Path(__file__).parents[2] / "Data" / "ct_abdomen_dicom"
    read, counted = dicom_series.read_header, []
    monkeypatch.setattr(dicom_series, "read_header", lambda path: counted.append(path) or read(path))
    assert main(["info", str(folder), "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["frames"] == 1
    assert len(counted) == len(set(counted))
