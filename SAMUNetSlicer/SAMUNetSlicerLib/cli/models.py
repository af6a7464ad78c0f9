"""`samunet models`: which models there are."""

from __future__ import annotations

import argparse
import json

from ..checkpoints.catalogue import CatalogueEntry, read_catalogue
from ..checkpoints.installed import find_installed
from ..errors import ExitCode

HELP = "List the models that the program knows, with licence and state."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> ExitCode:
    rows = [_describe(entry) for entry in read_catalogue().models]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return ExitCode.OK
    for row in rows:
        size = f", {row['megabytes']} MB" if row["megabytes"] else ""
        prompts = ", ".join(row["prompts"]) or "classes, without prompts"
        print(f"{row['name']}  ({row['state']}{size}, {row['licence']})")
        print(f"  {row['title']}; trained for {prompts}; input {row['input_size']} px")
        print(f"  {row['source']}")
    return ExitCode.OK


def _describe(entry: CatalogueEntry) -> dict:
    here = "shipped" if entry.file.shipped else "installed"
    return {
        "name": entry.name,
        "title": entry.title,
        "family": entry.family,
        "state": here if find_installed(entry) else "not installed",
        "megabytes": round(entry.file.size / 1e6) if entry.file.size else None,
        "licence": entry.licence,
        "prompts": list(entry.trained_prompts),
        "input_size": entry.input_size,
        "source": entry.source,
    }
