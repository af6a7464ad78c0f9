"""Files, modules, commands, make targets and extras that the documents name exist as they name them."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import LIBRARY, PACKAGE, ROOT, library_modules, syntax_tree, tracked_files
from SAMUNetSlicerLib.cli.main import build_parser

DOCUMENTS = [path for path in tracked_files() if path.suffix == ".md"]
# What users have or make, and pages that are not of this repository.
OF_USERS = {".venv/bin/samunet", "my_cases.toml", "log.csv", "development.csv", "curve.png"}
ELSEWHERE = {"tests/reference_files/example_ct_dicom"}

_PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
_ENDING = re.compile(r"\.(py|md|toml|json|ui|txt|csv|png|gif|cff)$")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request) -> Path:
    return request.param


def blocks(document: Path) -> list[str]:
    """Fenced blocks without a language: command lines, and the tree of the library."""
    return re.findall(r"^```\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def spans(document: Path) -> list[str]:
    """Code within sentences."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def block_lines(document: Path) -> Iterator[str]:
    """Without what explains a line, which stands behind two blanks or a #."""
    for block in blocks(document):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            yield re.split(r"(?<=\S)\s{2,}|\s+# ", line.rstrip())[0]


def in_the_repository(name: str) -> bool:
    """Whether a file or folder is called so, at the end of its path."""
    pattern = "(.*/)?" + re.escape(name.rstrip("/")).replace(r"\*", "[^/]*") + "(/.*)?"
    return any(re.fullmatch(pattern, path.relative_to(ROOT).as_posix()) for path in tracked_files())


def names_defined_in(path: Path) -> set[str]:
    targets = (node for node in ast.walk(syntax_tree(path)) if isinstance(node, ast.Name))
    defined = (n for n in ast.walk(syntax_tree(path)) if isinstance(n, ast.FunctionDef | ast.ClassDef))
    return {node.name for node in defined} | {t.id for t in targets if isinstance(t.ctx, ast.Store)}


def test_links_lead_to_files(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target.partition("#")[0]).exists(), target


def test_files_and_folders_exist(document):
    for name in spans(document):
        if _PATH.fullmatch(name) and ("/" in name or _ENDING.search(name)) and name not in OF_USERS | ELSEWHERE:
            file, _, inside = name.rpartition(".")
            module = file if "/" in name and not in_the_repository(name) else name
            assert in_the_repository(name) or in_the_repository(f"{module}.py"), name
            if module == file:
                paths = [p for p in LIBRARY.rglob("*.py") if p.match(f"{module}.py")]
                assert any(inside in names_defined_in(path) for path in paths), name


def test_files_after_the_way_to_a_command_exist(document):
    for line in (*spans(document), *block_lines(document)):
        for name in re.findall(r"(?:Testing|SAMUNetSlicer|SAMUNetSlicerLib|docs)/[\w./-]+", line):
            assert in_the_repository(name), name


def test_modules_exist(document):
    for span in (*spans(document), *block_lines(document)):
        for name in re.findall(rf"{PACKAGE}\.([\w.]*\w)", span):
            module, _, inside = name.rpartition(".")
            known = library_modules()
            assert name in known or (module in known and inside in names_defined_in(known[module])), name


# -- command lines


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its sub-commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                yield from parsers(choice)


def patient_parser() -> argparse.ArgumentParser:
    """Takes a part of a command line, but nothing that is unknown or shortened."""
    whole = build_parser()
    for parser in parsers(whole):
        parser.allow_abbrev = False
        for action in parser._actions:
            action.required = False
            if action.nargs is None:
                action.nargs = "?"
    return whole


def arguments_of(line: str) -> list[str] | None:
    """What follows the command `samunet` in a line, under whatever name; None for other lines."""
    found = re.match(rf"(?:\S*/)?samunet(?: |$)|(?:torchrun .*|python )-m {PACKAGE}\.cli ", line)
    return shlex.split(line[found.end() :]) if found else None


def is_synopsis(line: str) -> bool:
    return bool(re.search(r"[\[\]|]|, |\bVOLUME\b", line))


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))


def test_commands_in_blocks_are_understood(document):
    lines = [line for line in block_lines(document) if not is_synopsis(line)]
    for arguments in filter(None, map(arguments_of, lines)):
        parser = build_parser() if len(arguments) > 2 else patient_parser()
        parser.parse_args(arguments)


def test_commands_in_sentences_are_understood(document):
    commands = set(next(iter(build_parser()._subparsers._group_actions)).choices)
    for span in spans(document):
        words = span.split()
        line = f"samunet {span}" if words[0] in commands and words[1:2] and words[1].startswith("--") else span
        if arguments_of(line) and not is_synopsis(line):
            patient_parser().parse_args(arguments_of(line))


def test_options_exist(document):
    known = {option for parser in parsers(build_parser()) for option in parser._option_string_actions}
    known |= {"--index-url", "--nproc-per-node"}  # pip's and torchrun's
    for path in (ROOT / "Testing").rglob("*.py"):
        known |= options_in(path.read_text(encoding="utf-8"))
    for text in (*spans(document), *blocks(document)):
        assert options_in(text) <= known


def test_the_synopsis_names_what_each_command_has():
    (block,) = (b for b in blocks(ROOT / "README.md") if b.startswith("samunet segment"))
    subparsers = next(iter(build_parser()._subparsers._group_actions)).choices
    named = set()
    for entry in re.split(r"^samunet ", block, flags=re.MULTILINE)[1:]:
        line = re.split(r"\s{2,}(?!\[)", entry)[0]
        commands = re.match(r"[\w-]+(, [\w-]+)*", line)[0].split(", ")
        named |= set(commands)
        for command in commands:
            inner = list(parsers(subparsers[command]))
            options = {option for parser in inner for option in parser._option_string_actions}
            assert options_in(entry if command == "segment" else line) <= options
            works = re.match(rf"{command} \[([a-z|]+)\]", line)
            if works:
                assert set(works[1].split("|")) == set(next(iter(inner[0]._subparsers._group_actions)).choices)
    assert named == set(subparsers)


def test_scripts_have_their_options(document):
    for line in (*spans(document), *block_lines(document)):
        script = re.search(r"(Testing/\w+/\w+\.py)(.*)", line)
        if script:
            assert options_in(script[2]) <= options_in((ROOT / script[1]).read_text(encoding="utf-8")), line


def test_make_has_the_targets(document):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in (*spans(document), *block_lines(document)):
        found = re.match(r"make ([a-z-]+)", line)
        if found:
            assert re.search(rf"^{found[1]}:", makefile, re.MULTILINE), line


def test_the_extras_exist(document):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for names in re.findall(r"pip install '\.\[([\w,]+)\]'", document.read_text(encoding="utf-8")):
        assert set(names.split(",")) <= set(extras), names


def test_the_tree_of_the_architecture_is_that_of_the_library():
    """Every folder of the library stands in it, under the one that holds it."""
    (tree,) = (b for b in blocks(ROOT / "docs" / "architecture.md") if b.startswith("SAMUNetSlicer/"))
    above: list[tuple[int, str]] = []
    shown = set()
    for line in tree.splitlines():
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        if not name.endswith(("/", "/,")) or indent > 8:
            continue
        above = [entry for entry in above if entry[0] < indent]
        above.append((indent, name.rstrip("/,")))
        shown.add("/".join(part for _, part in above))
    folders = {p.parent.relative_to(ROOT).as_posix() for p in LIBRARY.rglob("__init__.py")}
    assert folders <= shown
