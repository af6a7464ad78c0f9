"""Fixtures of all tests: Slicer's MRML without Slicer."""

from __future__ import annotations

import pytest

from requirements_guard import need


@pytest.fixture(scope="session")
def mrml_host():
    """The process's one `mrml_host.MrmlHost`, on the slicer-core wheel."""
    need("slicer")
    from mrml_host import the_host

    return the_host()


@pytest.fixture
def mrml_scene(mrml_host):
    """The host's scene, emptied before and after the test."""
    mrml_host.clear()
    yield mrml_host.scene
    mrml_host.clear()
