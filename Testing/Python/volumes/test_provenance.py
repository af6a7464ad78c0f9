import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.project import VERSION
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign
from SAMUNetSlicerLib.volumes.segmentations.provenance import (
    PROVENANCE_TAG,
    PlaneOrigin,
    PlaneRecord,
    Provenance,
    decode_tag_value,
    encode_tag_value,
    provenance_of,
    provenance_tags,
    read_provenance,
)
from SAMUNetSlicerLib.volumes.segmentations.segmentation_file import write_segmentation
from SAMUNetSlicerLib.volumes.segmentations.segments import named_segments

SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
PROMPTS = SegmentPrompts(
    "liver",
    points=(
        PointPrompt((1.25, -2.5, 1e-7 + 3), label="Jane Doe | 1970"),
        PointPrompt((0.1234567, 8, -9), Sign.NEGATIVE),
    ),
    boxes=(BoxPrompt((1, 2, 3), (4, 5, 0), ((0, 1, 0), (-1, 0, 0), (0, 0, 1)), BoxExtent.ALL_PLANES, "secret"),),
)
EXAMPLE = Provenance(
    model_family="lite_medsam",
    model_sha256=SHA256,
    window="abdomen: -160:240; 8 bit",
    orientation="axial",
    planes=(PlaneRecord(7, 0.912345), PlaneRecord(8, 1.02, PlaneOrigin.PROPAGATED)),
).of(PROMPTS)


@given(st.text())
def test_any_text_survives_as_a_tag_value(text):
    encoded = encode_tag_value(text)
    assert decode_tag_value(encoded) == text


@given(st.text())
def test_an_encoded_value_holds_nothing_that_slicer_or_nrrd_would_cut_or_change(text):
    assert re.fullmatch(r"[ -~]*", encode_tag_value(text))
    assert not set("|:;\\ \n&<>'^") & set(encode_tag_value(text))


def test_a_damaged_value_is_refused():
    with pytest.raises(InputError, match="damaged"):
        decode_tag_value("%ff")


def test_all_of_it_survives_json_and_tags():
    assert provenance_of(provenance_tags(EXAMPLE)) == EXAMPLE
    assert Provenance.from_json(EXAMPLE.to_json()) == EXAMPLE


def test_the_text_says_what_a_reader_looks_for():
    content = json.loads(EXAMPLE.to_json())
    assert content["software"] == f"SAMUNetSlicer {VERSION}"
    assert (content["model"], content["sha256"]) == ("lite_medsam", SHA256)
    assert content["window"] == "abdomen: -160:240; 8 bit"
    assert content["points"] == [[1.25, -2.5, 3.0, "positive"], [0.123457, 8.0, -9.0, "negative"]]
    assert content["boxes"][0]["extent"] == "all_planes"
    assert content["planes"] == [[7, 0.9123, "prompted"], [8, 1.0, "propagated"]]


def test_a_frame_is_stated_only_where_there_is_one():
    assert "frame" not in json.loads(EXAMPLE.to_json())
    assert Provenance.from_json(EXAMPLE.to_json()).frame is None
    for frame in (0, 7):
        of_frame = replace(EXAMPLE, frame=frame)
        assert json.loads(of_frame.to_json())["frame"] == frame
        assert provenance_of(provenance_tags(of_frame)) == of_frame


@pytest.mark.parametrize("frame", [-1, 1.5, "2", True])
def test_what_is_no_frames_number_is_refused(frame):
    with pytest.raises(ValueError, match="frame"):
        replace(EXAMPLE, frame=frame)
    text = replace(EXAMPLE, frame=9).to_json().replace('"frame":9', f'"frame":{json.dumps(frame)}')
    with pytest.raises(InputError, match="damaged"):
        Provenance.from_json(text)


def test_free_text_of_prompts_is_not_stored():
    assert "Jane" not in EXAMPLE.to_json()
    assert "secret" not in EXAMPLE.to_json()


@pytest.mark.parametrize("text", ["/home/jane/model.pth", "C:/models/a.pth", r"C:\models", "~/a.pth", "CT /data/x"])
@pytest.mark.parametrize("field", ["model_family", "window", "orientation", "software"])
def test_file_paths_are_refused(field, text):
    fields = {"model_family": "a", "model_sha256": SHA256, "window": "CT 40/400", "orientation": "axial", field: text}
    with pytest.raises(ValueError, match="file path"):
        Provenance(**fields)


def test_what_is_no_hash_or_no_number_is_refused():
    with pytest.raises(ValueError, match="hexadecimal"):
        Provenance("a", "unknown", "w", "axial")
    with pytest.raises(ValueError, match="not a number"):
        PlaneRecord(0, math.nan)


def test_a_file_gives_back_the_provenance_of_each_segment_that_has_one(tmp_path):
    geometry = GridGeometry((2, 3, 4), np.eye(4))
    masks = {name: np.zeros(geometry.shape_kji, dtype=bool) for name in ("liver", "spleen")}
    write_segmentation(tmp_path / "a.seg.nrrd", geometry, named_segments(masks), {"liver": EXAMPLE})
    assert read_provenance(tmp_path / "a.seg.nrrd") == {"liver": EXAMPLE}
    write_segmentation(tmp_path / "b.seg.nrrd", geometry, named_segments(masks))
    assert read_provenance(tmp_path / "b.seg.nrrd") == {}


def test_provenance_of_no_segment_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="not written: .*liver"):
        write_segmentation(tmp_path / "a.seg.nrrd", GridGeometry((2, 3, 4), np.eye(4)), [], {"liver": EXAMPLE})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format":1}', EXAMPLE.to_json().replace("negative", "neutral"), EXAMPLE.to_json()[:-20]],
)
def test_damaged_provenance_is_refused(text):
    with pytest.raises(InputError, match="damaged"):
        provenance_of({PROVENANCE_TAG: encode_tag_value(text)})


def test_a_newer_format_is_told_as_such():
    newer = EXAMPLE.to_json().replace('"format":1', '"format":2')
    with pytest.raises(InputError, match="newer version"):
        Provenance.from_json(newer)
