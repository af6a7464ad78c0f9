"""Sets of cases: what a set's file names, found in a data folder."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from SAMUNetSlicerLib.errors import InputError, UserError
from SAMUNetSlicerLib.evaluation.case_sets import SETS_FOLDER, read_case_set, spread
from SAMUNetSlicerLib.learning.data.sources import Objects

LUNGS = """
[[sources]]
name = "lungs"
folder = "xray"
masks = ["*-mask.png"]
case = '^\\d+'
image = "{case}.png"
objects = "binary"
"""
ELSEWHERE = """
[[sources]]
name = "elsewhere"
folder = "not/here"
masks = ["*.png"]
image = "{case}.png"
"""
GROUPS = """
[groups]
"easy ones" = ["lungs"]
"""
SET = LUNGS + ELSEWHERE + GROUPS


def picture(path, size=(20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(size, np.uint8)).save(path)


@pytest.fixture
def own_set(tmp_path):
    for number in (1, 2):
        picture(tmp_path / "data" / "xray" / f"{number}.png")
        picture(tmp_path / "data" / "xray" / f"{number}-mask.png")
    path = tmp_path / "own.toml"
    path.write_text(SET, encoding="utf-8")
    return path


def test_a_set_of_ones_own_finds_images_by_the_masks_names(own_set, tmp_path):
    cases = read_case_set(own_set, tmp_path / "data")
    (lungs,) = cases.sources
    assert [(f.case, f.image.name, f.mask.name) for f in lungs.files] == [
        ("1", "1.png", "1-mask.png"),
        ("2", "2.png", "2-mask.png"),
    ]
    assert lungs.settings.objects is Objects.BINARY
    assert cases.missing == ("elsewhere",)
    assert cases.groups == {"easy ones": ("lungs",)}


def test_a_mask_that_two_patterns_find_counts_once(own_set, tmp_path):
    own_set.write_text(SET.replace('["*-mask.png"]', '["*-mask.png", "1*mask.png"]'), encoding="utf-8")
    (lungs,) = read_case_set(own_set, tmp_path / "data").sources
    assert [f.mask.name for f in lungs.files] == ["1-mask.png", "2-mask.png"]


def test_development_is_what_training_holds_back(tmp_path):
    for number in range(20):
        folder = tmp_path / "images_more" / "us_hc18_fetalhead"
        picture(folder / f"{number:03d}_HC_image.png")
        picture(folder / f"{number:03d}_HC_mask.png")
    for case in ("STS_001", "STS_017"):
        folder = tmp_path / "volumes" / "ctmr_ibsi_sts"
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("image", "mask"):
            (folder / f"{case}_CT_{part}.nii.gz").touch()
    cases = read_case_set("development", tmp_path)
    found = {source.name: source for source in cases.sources}
    assert set(found) == {"us_hc18_fetalhead", "ct_sarcoma"}
    assert len(found["us_hc18_fetalhead"].files) == 2
    assert [f.case for f in found["ct_sarcoma"].files] == ["STS_017"]
    assert found["ct_sarcoma"].settings.window == "abdomen"
    assert found["ct_sarcoma"].settings.volumes
    assert "dermoscopy_validation" in cases.missing


def test_a_sets_settings_go_before_those_of_training(tmp_path):
    picture(tmp_path / "ct" / "1_image.png"), picture(tmp_path / "ct" / "1_mask.png")
    source = '[[sources]]\nname = "ct"\nfolder = "ct"\nintensity = "ct"\ndevelopment_fraction = 1.0\n'
    (tmp_path / "training.toml").write_text(source, encoding="utf-8")
    windows = []
    for settings in ("", '[settings.ct]\nwindow = "lung"\n'):
        (tmp_path / "own.toml").write_text(f'training = "training.toml"\n{settings}', encoding="utf-8")
        windows.append(read_case_set(tmp_path / "own.toml", tmp_path).sources[0].settings.window)
    assert windows == ["abdomen", "lung"]


def test_the_shipped_sets_share_no_folder():
    """A source in both would be trained on and called unseen."""
    import tomllib

    unseen = tomllib.loads((SETS_FOLDER / "unseen.toml").read_text(encoding="utf-8"))
    development = tomllib.loads((SETS_FOLDER / "development.toml").read_text(encoding="utf-8"))
    training = tomllib.loads((SETS_FOLDER / development["training"]).read_text(encoding="utf-8"))
    assert not {s["folder"] for s in unseen["sources"]} & {s["folder"] for s in training["sources"]}
    known = {s["name"] for s in unseen["sources"]} | {s["name"] for s in training["sources"]}
    for content in (unseen, development):
        named = {name for names in content["groups"].values() for name in names} | set(content.get("settings", {}))
        assert named <= known


def test_mistakes_are_named(own_set, tmp_path):
    with pytest.raises(InputError, match="no set of cases 'nothing'"):
        read_case_set("nothing", tmp_path)
    with pytest.raises(InputError, match="holds nothing of the set 'own'"):
        read_case_set(own_set, tmp_path / "empty")
    for wrong, error in (("objects = 'binary'\nplane = 3", InputError), ("window = 'abdominal'", UserError)):
        own_set.write_text(SET.replace('objects = "binary"', wrong), encoding="utf-8")
        with pytest.raises(error, match=r"lungs|abdominal"):
            read_case_set(own_set, tmp_path / "data")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('masks = ["*-mask.png"]', 'masks = "*-mask.png"', "masks is a list of patterns"),
        ('masks = ["*-mask.png"]', 'masks = ["/*-mask.png"]', "is a whole path. Patterns are those of files"),
        ('masks = ["*-mask.png"]', 'masks = [""]', "is not a pattern of files in the folder xray"),
        ('folder = "xray"', "folder = 5", "name, folder and image are texts"),
        ('image = "{case}.png"', "image = 5", "name, folder and image are texts"),
        ('objects = "binary"', "window = 5", "'5' is not a window"),
        ('objects = "binary"', 'planes_per_label = "few"', "The source 'lungs' of the set of cases is wrong"),
        ('"easy ones" = ["lungs"]', '"easy ones" = "lungs"', "is a list of names of sources"),
        ("[[sources]]", "[sources.x]", r"begins with the line \[\[sources\]\]"),
        ("[[sources]]", 'training = "none.toml"\n[[sources]]', "none.toml is not a configuration"),
        ("[[sources]]", 'training = "own.toml"\n[[other]]', r"own.toml is not a configuration with \[\[sources\]\]"),
        ("[[sources]]", 'training = "own.toml"\nsettings = 3\n[[sources]]', r"the line \[settings.NAME\]"),
        ("[[sources]]", 'training = "own.toml"\nsettings.lungs = 3\n[[sources]]', r"the line \[settings.NAME\]"),
    ],
)
def test_values_of_the_wrong_kind_are_told_in_plain_words(own_set, tmp_path, right, wrong, said):
    own_set.write_text((LUNGS + GROUPS).replace(right, wrong), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_case_set(own_set, tmp_path / "data")


@pytest.mark.parametrize("name", ["1.nii.gz", "1.nrrd", "1.png"])
def test_without_a_pattern_the_case_is_the_masks_name_less_its_whole_ending(tmp_path, name):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / name).touch()
    own = tmp_path / "own.toml"
    own.write_text(ELSEWHERE.replace("not/here", "masks").replace("*.png", "*").replace(".png", ".x"), encoding="utf-8")
    (file,) = read_case_set(own, tmp_path).sources[0].files
    assert (file.case, file.image.name) == ("1", "1.x")


def test_an_images_name_may_hold_other_braces(own_set, tmp_path):
    own_set.write_text(SET.replace("{case}.png", "{id}_{case}.png"), encoding="utf-8")
    assert read_case_set(own_set, tmp_path / "data").sources[0].files[0].image.name == "{id}_1.png"


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4]), (1, [2]), (2, [0, 4]), (3, [0, 2, 4])]
)
def test_a_limit_keeps_evenly_spaced_items(limit, expected):
    assert spread(range(5), limit) == expected
