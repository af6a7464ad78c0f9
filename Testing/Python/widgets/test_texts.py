"""Every sentence of the panel can be translated: it is a literal inside `_()`, where Slicer's tools find it."""

from __future__ import annotations

import ast
import re

from repository import LIBRARY, MODULE_FOLDER
from SAMUNetSlicerLib.inference.notes import NOTES
from SAMUNetSlicerLib.project import NOT_FOR_CLINICAL_USE
from SAMUNetSlicerLib.widgets.controllers import texts
from SAMUNetSlicerLib.widgets.controllers.texts import clinical_notice

SOURCES = [
    path
    for path in (*sorted((LIBRARY / "widgets").rglob("*.py")), MODULE_FOLDER / "SAMUNetSlicer.py")
    if path.name != "self_test.py"  # its messages are for developers
]
# Words that are not the panel's: formats of files, markup, names of nodes that nobody sees.
NO_SENTENCES = [
    r" \(\*\.\w+( \*\.\w+)*\)$",
    r"^<|<.*>|^&nbsp; $",
    r"^background-color:|^color: ",
    r"^out of memory$|^not enough memory$",
    r"^The SAMUNetSlicer contributors$|^Test passed$",
]


def translated(call: ast.AST) -> bool:
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("_", "translate")


def docstrings(tree: ast.AST) -> set[int]:
    holders = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return {id(node.body[0].value) for node in holders if node.body and isinstance(node.body[0], ast.Expr)}


def bare_sentences(tree: ast.AST) -> list[str]:
    """String literals of several words outside `_()` and docstrings."""
    allowed = docstrings(tree)
    for node in ast.walk(tree):
        if translated(node):
            allowed |= {id(part) for part in ast.walk(node)}
    found = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in allowed
    ]
    sentences = [text for text in found if re.search(r"[A-Za-z]{2,}.* |^[a-z].* [A-Za-z]", text)]
    return [text for text in sentences if not any(re.search(pattern, text) for pattern in NO_SENTENCES)]


def test_no_sentence_stands_outside():
    bare = {}
    for path in SOURCES:
        if texts := bare_sentences(ast.parse(path.read_text(encoding="utf-8"))):
            bare[path.name] = texts
    assert not bare


def test_a_sentence_outside_would_be_found():
    assert bare_sentences(ast.parse('say("Nothing to undo.")'))
    assert bare_sentences(ast.parse('say(f"{count} planes are left")'))
    assert not bare_sentences(ast.parse('"""A doc string."""\nsay(_("Nothing to undo."))'))


def test_only_literals_are_translated():
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if translated(node) and not all(isinstance(a, ast.Constant) for a in node.args):
                wrong.append(f"{path.name}:{node.lineno}")
    assert not wrong


def test_the_notice_is_the_projects():
    assert clinical_notice() == NOT_FOR_CLINICAL_USE


def test_every_note_of_the_room_below_is_known_to_the_panel(monkeypatch):
    """A translation replaces it; what is not known is shown as it is."""
    monkeypatch.setattr(texts, "_", lambda text: f"translated: {text}")
    assert [texts.translated_note(note) for note in NOTES] == [f"translated: {note}" for note in NOTES]
    assert texts.translated_note("something else") == "something else"
