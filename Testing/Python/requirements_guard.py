"""What a test needs beyond the package itself: there, or skipped with the reason; in continuous integration, failed."""

from __future__ import annotations

import ctypes
import importlib
import os
from types import ModuleType

import pytest


def in_continuous_integration() -> bool:
    """Whether the environment variable CI says so, as every service sets it and `.ci/run` does."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def missing(reason: str) -> None:
    """Skip the running test or the module being collected; in continuous integration fail it instead."""
    if in_continuous_integration():
        pytest.fail(f"{reason} (.ci/run and `make test` install it; a skip here would hide a broken set-up)")
    pytest.skip(reason, allow_module_level=True)


def need(name: str) -> ModuleType | ctypes.CDLL:
    """A Python module ("slicer") or a library of the system ("libEGL.so.1"), loaded.

    Call it at the head of a test module or inside a test or fixture. A module that is installed but does not load,
    say for want of a library of the system, counts as missing.
    """
    try:
        return ctypes.CDLL(name) if ".so" in name else importlib.import_module(name)
    except (ImportError, OSError) as error:
        return missing(f"needs {name}: {error}")
