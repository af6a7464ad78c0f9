"""`samunet cache`: what this program keeps of patients' pictures between sessions, and removing it."""

from __future__ import annotations

import argparse
import json

from ..errors import ExitCode
from ..inference.encoding.disk_cache import DiskCache
from ..inference.encoding.kept_encodings import default_folder

HELP = "Show or remove the encodings of planes that were kept on the disk (segment --disk-cache)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    works = parser.add_subparsers(metavar="WORK", required=True)
    info = works.add_parser("info", help="where encodings are kept, and how much")
    info.add_argument("--json", action="store_true", help="print JSON")
    info.set_defaults(work=_info)
    works.add_parser("clear", help="remove all of them").set_defaults(work=_clear)


def run(arguments: argparse.Namespace) -> ExitCode:
    return arguments.work(arguments)


def _info(arguments: argparse.Namespace) -> ExitCode:
    cache = DiskCache(default_folder())
    facts = {
        "folder": str(cache.folder),
        "encodings": len(cache),
        "bytes": cache.nbytes,
        "limit_bytes": cache.limit_bytes,
    }
    if arguments.json:
        print(json.dumps(facts))
    else:
        print(f"{facts['encodings']} encodings, {cache.nbytes / 1e6:.0f} of at most {cache.limit_bytes / 1e6:.0f} MB")
        print(f"in {cache.folder}. They are computed from patients' pictures: treat them as patient data.")
    return ExitCode.OK


def _clear(_arguments: argparse.Namespace) -> ExitCode:
    cache = DiskCache(default_folder())
    before = len(cache)
    cache.clear()
    left = len(cache)
    print(f"{before - left} encodings were removed." + (f" {left} could not be removed." if left else ""))
    return ExitCode.OUTPUT if left else ExitCode.OK
