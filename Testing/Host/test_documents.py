"""The documents name tests, buttons and keys that exist."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from repository import MODULE_FOLDER, ROOT

DOCS = ROOT / "docs"
OF_THE_MODULE = ("tutorial.md", "first-run-checklist.md")
OF_SLICER = {
    *("PyTorch", "Segmentation", "SAMUNetSlicer", "SAMUNetAbdomenCT", "CTPCardioSeq"),
    *("Edit", "Application Settings", "Modules", "Additional module paths"),
    *("File", "Sample Data", "Download Sample Data", "Close Scene"),
    *("Reload and Test", "Ctrl+Alt", "Reformat", "Save changes", "Remove", "Show 3D"),
    *("Yes", "No", "Esc"),  # in questions; the key
}


def test_every_complaint_is_answered_by_a_test_that_exists():
    rows = [
        line for line in (DOCS / "user-requests.md").read_text(encoding="utf-8").splitlines() if line[2:3].isdigit()
    ]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 18))
    for row in rows:
        path = None
        for name in re.findall(r"`([^`]*)`", row.split("|")[4]):
            file, _, test = name.partition("::")
            path = ROOT / "Testing" / file if file else path
            text = path.read_text(encoding="utf-8")
            assert not test or f"def {test}(" in text, name


def test_what_is_to_be_pressed_is_in_the_panel():
    """Emphasised names in the pages that lead through the panel are its texts, or Slicer's own."""
    panel = {
        text.text.removesuffix("...").removesuffix(":")
        for text in ElementTree.parse(MODULE_FOLDER / "Resources" / "UI" / "SAMUNetSlicer.ui").iter("string")
        if text.text
    }
    for path in (ROOT / "README.md", *(DOCS / name for name in OF_THE_MODULE)):
        text = path.read_text(encoding="utf-8").partition("## Models")[0]
        for emphasised in re.findall(r"(?<![*\w])\*([A-Z+][^*]{1,80})\*(?!\*)", text):
            for name in " ".join(emphasised.split()).split(" > "):
                assert name.removesuffix("...") in panel | OF_SLICER, f"{path.name}: {name}"


def test_the_tutorial_lists_the_keys():
    from slicer_host.start import start

    start()
    from SAMUNetSlicerLib.widgets.shortcuts import KEYS

    table = (DOCS / "tutorial.md").read_text(encoding="utf-8").partition("## Keys")[2]
    listed = set(re.findall(r"`([^`]+)`", table.partition("##")[0])) - {".mrb"}
    assert listed == set(KEYS.values())
