"""The checkout that the tests stand in: its folders, its tracked files, what its Python files import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from requirements_guard import missing

ROOT = Path(__file__).resolve().parents[2]
MODULE_FOLDER = ROOT / "SAMUNetSlicer"
PACKAGE = "SAMUNetSlicerLib"
LIBRARY = MODULE_FOLDER / PACKAGE


@cache
def tracked_files() -> tuple[Path, ...]:
    """What git would commit: tracked files, and new ones that it does not ignore."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        return missing(f"needs a git checkout: {error}")
    paths = (ROOT / name for name in listing.stdout.decode().split("\0") if name)
    return tuple(sorted(p for p in paths if p.is_file()))


def text_files() -> Iterator[tuple[Path, bytes]]:
    """Tracked files that are text, with their content. A zero byte tells binary ones, as it does for git."""
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path, content


@cache
def library_modules() -> dict[str, Path]:
    """Every module of the library by its name inside the package: "volumes.planes", "volumes" for the room itself."""
    modules = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def statements_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: not the bodies of functions, nor what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from statements_at_import(node)


def imported_names(path: Path, nodes: Iterator[ast.AST]) -> set[str]:
    """Absolute dotted names that these nodes of a file import; names below the package where the file is in it."""
    inside = path.is_relative_to(LIBRARY)
    package = (PACKAGE, *path.relative_to(LIBRARY).parent.parts) if inside else ()
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (*package[: len(package) - node.level + 1], node.module) if node.level else (node.module,)
            base = ".".join(part for part in base if part)
            modules = library_modules()
            for alias in node.names:
                full = f"{base}.{alias.name}"
                names.add(full if full.removeprefix(f"{PACKAGE}.") in modules else base)
    return names


def imports(path: Path) -> set[str]:
    """All that a file imports, wherever the statement stands."""
    return imported_names(path, ast.walk(syntax_tree(path)))


def imports_on_import(path: Path) -> set[str]:
    """What importing a file imports at once."""
    return imported_names(path, statements_at_import(syntax_tree(path)))


def third_party(names: set[str]) -> set[str]:
    """Top-level names that are neither Python's own nor this package's."""
    return {n.partition(".")[0] for n in names} - set(sys.stdlib_module_names) - {PACKAGE, ""}


def third_party_on_import(path: Path) -> dict[str, tuple[str, ...]]:
    """Third-party names that importing a file loads, through however many of the library's modules.

    Each comes with the chain of files that leads to it.
    """
    modules = library_modules()
    found: dict[str, tuple[str, ...]] = {}
    seen: set[Path] = set()
    waiting = [(path, (path.name,))]
    while waiting:
        current, chain = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        names = imports_on_import(current)
        for name in third_party(names):
            found.setdefault(name, chain)
        for name in names:
            if name.partition(".")[0] != PACKAGE:
                continue
            parts = name.split(".")[1:]
            for length in range(len(parts) + 1):  # importing a.b imports a too
                module = ".".join(parts[:length])
                if module in modules:
                    waiting.append((modules[module], (*chain, module or PACKAGE)))
    return found
