"""The catalogue obeys its schema and says of every model what its network says of itself."""

import json

import jsonschema
import pytest

from repository import ROOT
from SAMUNetSlicerLib.checkpoints.catalogue import read_catalogue
from SAMUNetSlicerLib.checkpoints.identity import sha256_of
from SAMUNetSlicerLib.checkpoints.places import resources_folder, weights_folder
from SAMUNetSlicerLib.checkpoints.table import main, models_table, with_table
from SAMUNetSlicerLib.networks.base import PromptKind
from SAMUNetSlicerLib.networks.registry import FAMILIES, build

ENTRIES = read_catalogue().models
KINDS = {"box": PromptKind.BOX, "points": PromptKind.POINTS, "mask": PromptKind.MASK}


def content(name):
    return json.loads((resources_folder() / "Models" / name).read_text(encoding="utf-8"))


def test_the_catalogue_obeys_its_schema():
    schema = content("catalogue.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content("catalogue.json"), schema)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", -1),
        ("sha256", "abc"),
        ("url", "http://open.example/x.pth"),
        ("name", "../x.pth"),
        ("name", "x.exe"),
        ("unheard_of", 1),
    ],
)
def test_the_schema_refuses_bad_files(field, value):
    catalogue = content("catalogue.json")
    catalogue["models"][0]["file"][field] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(catalogue, content("catalogue.schema.json"))


def test_the_schema_refuses_an_address_without_a_hash():
    catalogue = content("catalogue.json")
    entry = next(model for model in catalogue["models"] if "url" in model["file"])
    entry["file"]["sha256"] = None
    entry["file"].pop("md5", None)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(catalogue, content("catalogue.schema.json"))


def test_names_files_and_hashes_are_not_used_twice():
    for values in ([e.name for e in ENTRIES], [e.file.name for e in ENTRIES], [e.file.digest for e in ENTRIES]):
        values = [value for value in values if value is not None]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_model_is_described_as_its_network_describes_itself(entry):
    spec = build(entry.family).spec
    trained = PromptKind.NONE
    for kind in entry.trained_prompts:
        trained |= KINDS[kind]
    assert trained == spec.trained_prompts & ~PromptKind.NEIGHBOUR_MASK, "all that a user can give"
    assert entry.input_size == spec.preprocessing.input_size


def test_every_family_stands_in_the_catalogue_or_is_another_use_of_one_that_does():
    listed = {entry.family for entry in ENTRIES}
    assert {name for name, family in FAMILIES.items() if family.mode_of is None} - listed <= {"sam_unet_tiny"}


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.file.shipped], ids=lambda entry: entry.name)
def test_shipped_files_are_those_of_the_catalogue_and_come_with_a_notice(entry):
    path = weights_folder() / entry.file.name
    assert path.stat().st_size == entry.file.size
    assert sha256_of(path) == entry.file.sha256
    assert entry.licence in path.with_suffix(".NOTICE.txt").read_text(encoding="utf-8")


def test_the_table_has_a_line_with_the_licence_of_every_model():
    lines = models_table().splitlines()
    assert len(lines) == 2 + len(ENTRIES)
    for line, entry in zip(lines[2:], ENTRIES, strict=True):
        assert f"`{entry.name}`" in line
        assert entry.licence in line
    assert len({line.count("|") for line in lines}) == 1


def test_the_readme_has_todays_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_table(text) == text, "run: python -m SAMUNetSlicerLib.checkpoints.table README.md"


def test_an_outdated_table_is_replaced_and_the_rest_kept(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    outdated = tmp_path / "README.md"
    outdated.write_text(text.replace("| `lite_medsam` |", "| `old_name` |"), encoding="utf-8")
    assert outdated.read_text(encoding="utf-8") != text
    main([str(outdated)])
    assert outdated.read_text(encoding="utf-8") == text
    with pytest.raises(ValueError, match="marks"):
        with_table("no marks here")
