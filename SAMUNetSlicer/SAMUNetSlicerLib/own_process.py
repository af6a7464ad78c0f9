"""Processes of our own beside the one that runs: their Python must find this library."""

from __future__ import annotations

import os
from pathlib import Path


def environment() -> dict[str, str]:
    """This process's environment, with the library on Python's path."""
    paths = (str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH"))
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
