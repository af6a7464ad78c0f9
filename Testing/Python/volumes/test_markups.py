import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.volumes.files.markups import collect_prompts, read_markups
from SAMUNetSlicerLib.volumes.prompts import BoxExtent, Sign

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/"
    "Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
)
# A quarter turn about S: in RAS the box's X axis points to A, its Y axis to L.
TURNED = [0.0, -1, 0, 1, 0, 0, 0, 0, 1]


def point(**fields) -> dict:
    return {"id": "1", "label": "F-1", "description": "", "position": [1.0, 2.0, 3.0], **fields}


def point_list(*points, **fields) -> dict:
    return {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": list(points), **fields}


def roi(description="", **fields) -> dict:
    box = {"roiType": "Box", "center": [1.0, 2, 3], "orientation": TURNED, "size": [10.0, 20, 30], "insideOut": False}
    points = [point(label="R", description=description)]
    return {"type": "ROI", "coordinateSystem": "LPS", **box, "controlPoints": points, **fields}


def saved(folder: Path, *markups, name="F.mrk.json", schema=SCHEMA) -> Path:
    path = folder / name
    path.write_text(json.dumps({"@schema": schema, "markups": list(markups)}), encoding="utf-8")
    return path


def only(path: Path):
    (found,) = read_markups(path)
    return found


@pytest.mark.parametrize(
    ("system", "expected"),
    [("LPS", (-1, -2, 3)), ("1", (-1, -2, 3)), (1, (-1, -2, 3)), ("RAS", (1, 2, 3)), ("0", (1, 2, 3)), (0, (1, 2, 3))],
)
def test_points_become_ras_whatever_the_file_states(tmp_path, system, expected):
    assert only(saved(tmp_path, point_list(point(), coordinateSystem=system))).prompt.position_ras == expected


def test_a_file_that_states_no_coordinate_system_is_lps(tmp_path):
    markup = point_list(point())
    del markup["coordinateSystem"]
    assert only(saved(tmp_path, markup)).prompt.position_ras == (-1, -2, 3)


@pytest.mark.parametrize(
    ("system", "centre", "axes"),
    [
        ("LPS", (-1, -2, 3), ((0, -1, 0), (1, 0, 0), (0, 0, 1))),
        ("RAS", (1, 2, 3), ((0, 1, 0), (-1, 0, 0), (0, 0, 1))),
    ],
)
@pytest.mark.parametrize("kind", ["Box", "BoundingBox"])
def test_an_roi_becomes_an_oriented_box(tmp_path, system, centre, axes, kind):
    box = only(saved(tmp_path, roi(coordinateSystem=system, roiType=kind))).prompt
    assert box.centre_ras == centre
    assert box.size_mm == (10, 20, 30)
    assert np.allclose(box.axes_ras, axes)


@pytest.mark.parametrize(
    "markup",
    [
        roi("segment=A\nsecond line"),
        roi("segment=A\rB"),
        roi(name="A\nB"),
        roi(name="A\0B"),
        roi(name="A\ud800"),
        point_list(point(), name="left;right"),
    ],
)
def test_what_cannot_be_a_segments_name_is_refused_when_it_is_read(tmp_path, markup):
    path = saved(tmp_path, markup)
    with pytest.raises(PromptError, match="F.mrk.json: .* cannot be a segment's name") as caught:
        collect_prompts([path], [])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux takes bytes as names.")
def test_a_file_whose_name_is_no_utf8_names_no_segment(tmp_path):
    path = tmp_path / os.fsdecode(b"Sch\xe4del.mrk.json")
    saved(tmp_path, point_list(point())).rename(path)
    with pytest.raises(PromptError, match="cannot be a segment's name"):
        collect_prompts([path], [])
    assert [found.segment for found in collect_prompts([path], [], ["skull"])] == ["skull"]


def test_a_file_may_hold_several_markups(tmp_path):
    path = saved(tmp_path, point_list(point(), point(label="F-2")), roi(), point_list(point(label="F-3")))
    assert [item.prompt.label for item in read_markups(path)] == ["F-1", "F-2", "R", "F-3"]


@pytest.mark.parametrize("status", ["undefined", "preview"])
def test_points_that_are_not_placed_are_left_out(tmp_path, status):
    unplaced = point(label="F-2", positionStatus=status, position="")
    path = saved(tmp_path, point_list(point(positionStatus="defined"), unplaced))
    assert [item.prompt.label for item in read_markups(path)] == ["F-1"]


@pytest.mark.parametrize(
    ("label", "description", "sign"),
    [
        ("F-1", "", Sign.POSITIVE),
        ("-1", "", Sign.NEGATIVE),
        (" - not this", "", Sign.NEGATIVE),
        ("+1", "", Sign.POSITIVE),
        ("F-1", "-", Sign.NEGATIVE),
        ("F-1", "Negative", Sign.NEGATIVE),
        ("F-1", "positive", Sign.POSITIVE),
        ("F-1", "sign=negative", Sign.NEGATIVE),
        ("F-1", "Sign = - ; segment = x", Sign.NEGATIVE),
        ("-1", "sign=-", Sign.NEGATIVE),
        ("F-1", "not positive at all", Sign.POSITIVE),
        ("F-1", "-50 HU here", Sign.POSITIVE),
        ("F-1", "signal=negative", Sign.POSITIVE),
    ],
)
def test_label_and_description_state_the_sign(tmp_path, label, description, sign):
    found = only(saved(tmp_path, point_list(point(label=label, description=description))))
    assert found.prompt.sign is sign


@pytest.mark.parametrize(
    ("description", "segment"),
    [
        ("segment=liver", "liver"),
        ("SEGMENT = Left kidney ; sign=-", "Left kidney"),
        ("sign=-;segment=a=b", "a=b"),
        ("the liver", None),
        ("liver -", None),
        ("", None),
    ],
)
def test_the_description_states_the_segment(tmp_path, description, segment):
    assert only(saved(tmp_path, point_list(point(description=description)))).stated_segment == segment
    assert only(saved(tmp_path, roi(description.replace("sign=-", "")))).stated_segment == segment


@pytest.mark.parametrize(
    ("description", "extent"),
    [("planes=all", BoxExtent.ALL_PLANES), ("planes=Centre", BoxExtent.CENTRE_PLANE), ("all planes", None)],
)
def test_the_description_states_an_rois_planes(tmp_path, description, extent):
    assert only(saved(tmp_path, roi(description))).stated_extent is extent


@pytest.mark.parametrize(
    ("markup", "message"),
    [
        (point_list(point(label="-1", description="sign=positive")), "'-1' contradict each other about its sign"),
        (point_list(point(description="segment=a; segment=b")), "about its segment"),
        (point_list(point(description="sign=maybe")), "'sign=maybe'. Known are: [+], positive, -, negative"),
        (point_list(point(description="segment= ")), "names no segment"),
        (roi("planes=some"), "'planes=some'. Known are: all, centre"),
        (roi("sign=negative"), "only points can be"),
    ],
)
def test_contradictory_and_unknown_values_are_refused(tmp_path, markup, message):
    with pytest.raises(PromptError, match=message):
        read_markups(saved(tmp_path, markup))


@pytest.mark.parametrize(
    ("markup", "message"),
    [
        (
            point_list(point(), point(label="F-2", position=[1, 2])),
            "F.mrk.json: the position of point 'F-2' is missing",
        ),
        (point_list(point(label="", position=None)), "point 'F-1' is missing"),
        (point_list(point(position=[1, "x", 3])), "point 'F-1' is not made of numbers"),
        (point_list(point(position=[1, 10**400, 3])), "point 'F-1' is not made of numbers"),
        (point_list(point(position=[1, math.nan, 3])), "position of point 'F-1' is not finite"),
        (point_list(point(position=[1, math.inf, 3])), "position of point 'F-1' is not finite"),
        (point_list(point(), coordinateSystem="IJK"), "coordinate system IJK"),
        (point_list(point(), coordinateUnits="um"), "in um, not mm"),
        (point_list(point(), coordinateUnits=["um", "UCUM", "micrometer"]), "not mm"),
        (point_list("a point"), "control points of 'F' are damaged"),
        (roi(size=[0, 0, 30]), "Box 'R' has no size"),
        (roi(size=[10, -20, 30]), "Box 'R' has no size"),
        (roi(center=None), "centre of ROI 'R' is missing"),
        (roi(center=[1, 2, math.nan]), "centre of ROI 'R' is not finite"),
        (roi(orientation=[1, 1, 0, 0, 1, 0, 0, 0, 1]), "not a rotation"),
        (roi(roiType="Sphere"), "not a plain box"),
        (roi(insideOut=True), "not a plain box"),
        ({"type": "Line", "name": "L", "controlPoints": [point(), point()]}, "'L' is of type Line"),
    ],
)
def test_unusable_markups_are_refused_by_name(tmp_path, markup, message):
    with pytest.raises(PromptError, match=message):
        read_markups(saved(tmp_path, markup))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a JSON file"),
        (b'{"markups": [', "cut off"),
        (b"[1, 2]", "holds no markups"),
        (b'{"markups": {}}', "holds no markups"),
        (b'{"markups": [1]}', "holds no markups"),
        (b'{"@schema": "markups-schema-v2.0.0.json", "markups": []}', "format that is not known"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_broken_files_are_told_in_plain_words(tmp_path, content, message):
    (tmp_path / "broken.mrk.json").write_bytes(content)
    with pytest.raises(PromptError, match=message):
        read_markups(tmp_path / "broken.mrk.json")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(PromptError, match="There is no file"):
        read_markups(tmp_path / "missing.mrk.json")


FCSV = '''# Markups fiducial file version = 5.11
# CoordinateSystem = {system}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
1,1.5,-2,3e1,0,0,0,1,1,1,0,F-1,,vtkMRMLScalarVolumeNode1,2,0
2,4,5,6,0,0,0,1,1,1,0,"-second, or ""2""",segment=liver,,2,0
3,7,8,9,0,0,0,1,1,1,0,F-3,,,0,0
4,10,11,12,0,0,0,1,1,1,0,F-4
'''


@pytest.mark.parametrize(("system", "factor"), [("LPS", -1), ("1", -1), ("RAS", 1), ("0", 1)])
def test_the_older_point_lists_are_read(tmp_path, system, factor):
    path = tmp_path / "spleen.fcsv"
    path.write_text(FCSV.format(system=system))
    found = read_markups(path)
    assert [item.prompt.position_ras for item in found] == [
        (1.5 * factor, -2.0 * factor, 30.0),
        (4.0 * factor, 5.0 * factor, 6.0),
        (10.0 * factor, 11.0 * factor, 12.0),
    ]
    assert [item.prompt.sign for item in found] == [Sign.POSITIVE, Sign.NEGATIVE, Sign.POSITIVE]
    assert [item.stated_segment for item in found] == [None, "liver", None]
    assert found[1].prompt.label == '-second, or "2"'
    assert found[0].markups_name == "spleen"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# Markups fiducial file version = 5.11\n", "", "older than Slicer 4"),
        ("1.5,-2", "nan,-2", "position of point 'F-1' is not finite"),
        ("1.5,-2", "x,-2", "point 'F-1' is not made of numbers"),
        ("F-1", "F" * 200_000, "this .fcsv is damaged"),
        ("= LPS", "= IJK", "coordinate system IJK"),
        (",10,11,12,0,0,0,1,1,1,0,F-4", ",10", "point 'F-4' is missing"),
    ],
)
def test_broken_older_point_lists_are_refused(tmp_path, old, new, message):
    (tmp_path / "F.fcsv").write_text(FCSV.format(system="LPS").replace(old, new))
    with pytest.raises(PromptError, match=message):
        read_markups(tmp_path / "F.fcsv")


@pytest.mark.parametrize(
    ("file_name", "stated", "expected"),
    [
        ("liver.mrk.json", None, "liver"),
        ("Left kidney.json", None, "Left kidney"),
        ("F.mrk.json", "spleen", "spleen"),
        ("F.mrk.json", None, None),
        ("F_1.mrk.json", None, None),
        ("R_12.mrk.json", None, None),
        ("MarkupsFiducial.mrk.json", None, None),
        ("Point List_2.mrk.json", None, None),
        ("Femur.mrk.json", None, "Femur"),
    ],
)
def test_the_markups_name_is_the_files_unless_it_is_slicers_own(tmp_path, file_name, stated, expected):
    markup = point_list(point(), **({"name": stated} if stated else {}))
    assert only(saved(tmp_path, markup, name=file_name)).markups_name == expected


def test_a_name_is_found_that_macos_has_written_with_accents_apart(tmp_path):
    """Slicer there saves "Läsion.mrk.json" with an a and two dots that follow it."""
    apart, together = "La\u0308sion", "L\u00e4sion"
    files = [saved(tmp_path, point_list(point()), name=f"{name}.mrk.json") for name in (apart, "liver")]
    assert only(files[0]).markups_name == together
    assert [s.segment for s in collect_prompts(files, [], [together, "liver"])] == [together, "liver"]


def test_prompts_of_several_files_are_gathered_by_segment(tmp_path):
    files = [
        saved(tmp_path, point_list(point(), point(label="-2", description="segment=Spleen")), name="liver.mrk.json"),
        saved(tmp_path, roi(), roi("segment=spleen; planes=all"), name="Liver.json"),
    ]
    liver, spleen = collect_prompts(files[:1], files[1:])
    assert (liver.segment, len(liver.points), len(liver.boxes)) == ("liver", 1, 1)
    assert (spleen.segment, len(spleen.points), len(spleen.boxes)) == ("Spleen", 1, 1)
    assert spleen.points[0].sign is Sign.NEGATIVE
    assert [liver.boxes[0].extent, spleen.boxes[0].extent] == [BoxExtent.CENTRE_PLANE, BoxExtent.ALL_PLANES]


def test_a_file_given_as_points_and_as_boxes_is_read_once(tmp_path):
    path = saved(tmp_path, point_list(point()), roi())
    (found,) = collect_prompts([path], [path], box_extent=BoxExtent.ALL_PLANES)
    assert (found.segment, len(found.points), len(found.boxes)) == ("Segment_1", 1, 1)
    assert found.boxes[0].extent is BoxExtent.ALL_PLANES


def test_one_name_asked_for_is_the_segment_of_all_that_state_none(tmp_path):
    files = [saved(tmp_path, point_list(point()), name=name) for name in ("F.mrk.json", "my points.mrk.json")]
    (found,) = collect_prompts(files, [], ["liver"])
    assert (found.segment, len(found.points)) == ("liver", 2)


def test_names_asked_for_set_order_and_spelling(tmp_path):
    files = [saved(tmp_path, point_list(point()), name=name) for name in ("liver.mrk.json", "spleen.mrk.json")]
    found = collect_prompts(files, [], ["Spleen", "LIVER"])
    assert [s.segment for s in found] == ["Spleen", "LIVER"]


@pytest.mark.parametrize(
    ("markup", "segments", "message"),
    [
        (point_list(point()), ["liver", "spleen"], "cannot be told to which segment 'F-1' belongs: liver, spleen"),
        (point_list(point(description="segment=heart")), ["liver"], "'heart', which is not among .*: liver"),
        (point_list(point(description="segment=heart")), ["liver", "spleen"], "'heart', which is not among"),
        (point_list(point(description="segment=liver")), ["liver", "spleen"], "no prompt for segment 'spleen'"),
        (point_list(), None, "F.mrk.json holds no placed point"),
        (point_list(point(positionStatus="undefined")), None, "holds no placed point"),
        (point_list(point()), [" "], "cannot be a segment's name"),
    ],
)
def test_prompts_whose_segment_cannot_be_told_are_refused(tmp_path, markup, segments, message):
    with pytest.raises(PromptError, match=message):
        collect_prompts([saved(tmp_path, markup)], [], segments)
