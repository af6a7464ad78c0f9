"""The documents name tests, pictures and keys that exist."""

from __future__ import annotations

import re

from repository import ROOT

DOCS = ROOT / "docs"
OF_THE_MODULE = ("user-requests.md", "tutorial.md", "first-run-checklist.md")


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


def test_pictures_exist():
    for name in OF_THE_MODULE:
        for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (DOCS / name).read_text(encoding="utf-8")):
            assert (DOCS / picture).is_file(), picture


def test_the_tutorial_lists_the_keys():
    from slicer_host.start import start

    start()
    from SAMUNetSlicerLib.widgets.shortcuts import KEYS

    table = (DOCS / "tutorial.md").read_text(encoding="utf-8").partition("## Keys")[2]
    listed = set(re.findall(r"`([^`]+)`", table.partition("##")[0])) - {".mrb"}
    assert listed == set(KEYS.values())
