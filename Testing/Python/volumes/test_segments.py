import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMUNetSlicerLib.volumes.segmentations.segments import Segment, default_colours, named_segments
from SAMUNetSlicerLib.volumes.segmentations.terminology import TISSUE, find_term, terminology_entry

MASK = np.zeros((2, 3, 4), dtype=bool)


def test_common_structures_have_their_standard_code():
    assert terminology_entry("liver") == (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
    )


@pytest.mark.parametrize("name", ["left kidney", "kidney_left", "Kidney, Left", "KIDNEY LEFT", "left_kidney_1"])
def test_a_side_is_found_anywhere_in_a_name(name):
    term = find_term(name)
    assert term.type[1] == "Kidney"
    assert term.entry.split("~")[3] == "SCT^7771000^Left"


@pytest.mark.parametrize(
    ("name", "meaning"), [("Kidneys", "Kidney"), ("urinary_bladder", "Bladder"), ("Tumour", "Mass"), ("lungs", "Lung")]
)
def test_plurals_and_other_names_are_known(name, meaning):
    assert find_term(name).type[1] == meaning


@pytest.mark.parametrize(
    "name", ["left ventricle", "left liver", "left right lung", "autochthon", "", "12", "liverwort"]
)
def test_other_names_are_plain_tissue(name):
    assert find_term(name) is None
    assert terminology_entry(name) == TISSUE.entry


def test_known_structures_have_slicers_colour():
    assert default_colours(["spleen", "liver"]) == [
        (157 / 255, 108 / 255, 162 / 255),
        (221 / 255, 130 / 255, 101 / 255),
    ]


@given(st.lists(st.sampled_from(["liver", "left kidney", "right kidney", "kidney", "x", "y", "z"]), max_size=40))
def test_no_two_default_colours_are_alike(names):
    colours = default_colours(names)
    assert len(set(colours)) == len(names)
    assert all(0 <= channel <= 1 for colour in colours for channel in colour)


def test_named_segments_keep_order_and_masks():
    segments = named_segments({"spleen": MASK, "liver": ~MASK})
    assert [s.name for s in segments] == ["spleen", "liver"]
    assert segments[1].mask_kji.all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_kji": MASK.astype(np.uint8)}, "3D bool"),
        ({"mask_kji": MASK[0]}, "3D bool"),
        ({"colour_rgb": (255, 0, 0)}, "0-1"),
        ({"name": "two\nlines"}, "one line"),
        ({"tags": {"a": "b|c"}}, "Encode"),
        ({"tags": {"a:b": "c"}}, "Encode"),
        ({"tags": {"": "c"}}, "Encode"),
        ({"tags": {"a": "b\nc"}}, "Encode"),
        ({"tags": {"TerminologyEntry": "c"}}, "field of its own"),
        ({"terminology": "a|b"}, "Encode"),
    ],
)
def test_what_slicer_could_not_keep_is_refused(changes, message):
    fields = {"name": "a", "mask_kji": MASK, "colour_rgb": (1, 0, 0), "terminology": TISSUE.entry, **changes}
    with pytest.raises(ValueError, match=message):
        Segment(**fields)
