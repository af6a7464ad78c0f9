"""What several files state about the project agrees with the one place that holds it, SAMUNetSlicerLib/project.py.

These files repeat the placeholder of the home page: CMakeLists.txt, SAMUNetSlicer.s4ext, SAMUNetSlicer.json,
CITATION.cff, pyproject.toml and README.md.
"""

from __future__ import annotations

import json
import re
import tomllib
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from PIL import Image

from repository import MODULE_FOLDER, ROOT, text_files
from SAMUNetSlicerLib import project

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
INDEX_ENTRY_FILE = ROOT / f"{project.NAME}.json"
INDEX_ENTRY = json.loads(INDEX_ENTRY_FILE.read_text(encoding="utf-8"))
S4EXT_FILE = ROOT / f"{project.NAME}.s4ext"

# The keys of Slicer's catalog schema 1.0.1 and of the classic description, with those that must be there.
INDEX_REQUIRED = {"$schema", "category", "scm_url"}
INDEX_KEYS = INDEX_REQUIRED | {
    "scm_revision",
    "scm_type",
    "build_dependencies",
    "build_subdirectory",
    "enabled",
    "tier",
}
S4EXT_KEYS = {
    *("scm", "scmurl", "scmrevision", "depends", "build_subdirectory", "homepage", "contributors", "category"),
    *("iconurl", "status", "description", "screenshoturls", "enabled"),
}


def cmake_value(variable: str) -> str:
    found = re.findall(rf'^set\({variable} "([^"]*)"\)', CMAKE, re.MULTILINE)
    assert len(found) == 1, f"CMakeLists.txt sets {variable} {len(found)} times"
    return found[0]


def s4ext() -> dict[str, str]:
    values = {}
    for line in S4EXT_FILE.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            key, _, value = line.partition(" ")
            assert key in S4EXT_KEYS, f"not a keyword of .s4ext: {key!r}"
            assert key not in values, f"twice: {key}"
            values[key] = value
    return values


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_name_is_one():
    assert re.findall(r"^project\((\w+)\)", CMAKE, re.MULTILINE) == [project.NAME]
    module_cmake = (MODULE_FOLDER / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.findall(r"^set\(MODULE_NAME (\w+)\)", module_cmake, re.MULTILINE) == [project.NAME]
    assert MODULE_FOLDER.name == project.NAME
    assert CITATION["title"] == project.NAME
    assert PYPROJECT["project"]["name"] == project.NAME.lower()
    assert readme().startswith(f"# {project.NAME}")


def test_the_version_is_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", project.VERSION)
    assert CITATION["version"] == project.VERSION
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == project.VERSION
    source = PYPROJECT["tool"]["hatch"]["version"]
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    found = re.search(source["pattern"], (ROOT / source["path"]).read_text(encoding="utf-8"))
    assert found is not None
    assert found["version"] == project.VERSION


def test_the_home_page_is_one():
    assert cmake_value("EXTENSION_HOMEPAGE") == project.HOMEPAGE
    assert s4ext()["homepage"] == project.HOMEPAGE
    assert CITATION["url"] == project.HOMEPAGE
    assert PYPROJECT["project"]["urls"]["Homepage"] == project.HOMEPAGE
    assert INDEX_ENTRY["scm_url"] == s4ext()["scmurl"] == f"{project.HOMEPAGE}.git"


def test_no_address_escapes_when_the_placeholder_is_replaced():
    """Every address on the placeholder's host begins with the placeholder, so that one search finds them all."""
    host = urlsplit(project.HOMEPAGE).netloc
    strays = []
    for path, content in text_files():
        for address in re.findall(rf"https?://{re.escape(host)}[^\s\"'<>)`]*", content.decode("utf-8", "replace")):
            if not address.startswith(project.HOMEPAGE):
                strays.append(f"{path.relative_to(ROOT)}: {address}")
    assert not strays


def test_the_readme_calls_the_placeholder_a_placeholder():
    if urlsplit(project.HOMEPAGE).netloc == "example.org":
        assert project.HOMEPAGE in readme()
        assert "placeholder" in readme()


def test_the_licence_is_one():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text
    assert PYPROJECT["project"]["license"] == CITATION["license"] == "Apache-2.0"


def test_the_descriptions_say_the_same():
    classic = s4ext()
    assert classic["description"] == cmake_value("EXTENSION_DESCRIPTION")
    assert classic["contributors"] == cmake_value("EXTENSION_CONTRIBUTORS")
    assert classic["category"] == cmake_value("EXTENSION_CATEGORY") == INDEX_ENTRY["category"] == "Segmentation"
    assert classic["depends"].split() == cmake_value("EXTENSION_DEPENDS").split() == INDEX_ENTRY["build_dependencies"]
    assert classic["iconurl"] == cmake_value("EXTENSION_ICONURL")
    assert classic["screenshoturls"] == cmake_value("EXTENSION_SCREENSHOTURLS")
    assert classic["scmrevision"] == INDEX_ENTRY["scm_revision"]


def test_the_classic_description_is_complete():
    assert set(s4ext()) == S4EXT_KEYS
    assert s4ext()["enabled"] == "1"


def test_the_catalog_entry_follows_its_schema():
    assert set(INDEX_ENTRY) >= INDEX_REQUIRED
    assert set(INDEX_ENTRY) <= INDEX_KEYS
    assert INDEX_ENTRY["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert INDEX_ENTRY["tier"] in (1, 3, 5)


def test_the_catalog_entry_has_unix_line_ends_only():
    content = INDEX_ENTRY_FILE.read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"}\n")


def test_no_text_file_has_windows_line_ends():
    assert not [str(path.relative_to(ROOT)) for path, content in text_files() if b"\r\n" in content]


@pytest.mark.parametrize("variable", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_named_by_address_are_in_the_repository(variable):
    for address in cmake_value(variable).split():
        path = ROOT / address.removeprefix(f"{project.HOMEPAGE}/raw/main/")
        assert path.is_file(), f"{variable} names a picture that is not in the repository"


def test_the_icon_is_what_slicer_wants():
    icons = MODULE_FOLDER / "Resources" / "Icons"
    with Image.open(icons / f"{project.NAME}.png") as icon:
        assert icon.size == (128, 128)
        assert icon.getextrema()[3] == (0, 255), "the icon has transparent corners and an opaque middle"
    assert ElementTree.parse(icons / f"{project.NAME}.svg").getroot().tag.endswith("}svg")


def test_everyone_is_told_that_it_is_not_for_clinical_use():
    for text in (cmake_value("EXTENSION_DESCRIPTION"), readme(), CITATION["abstract"]):
        assert project.NOT_FOR_CLINICAL_USE in " ".join(text.split())
