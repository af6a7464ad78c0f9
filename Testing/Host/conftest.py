"""Fixtures of the tests that open the module in the host."""

from __future__ import annotations

import pytest

from requirements_guard import need


@pytest.fixture(scope="session")
def slicer_app():
    """The host's `slicer.app`; skipped where Qt, MRML or the drawing library cannot be loaded."""
    for name in ("PySide6", "slicer", "libEGL.so.1"):
        need(name)
    from slicer_host.start import start

    return start()
