"""Fixtures of the tests that open the module in the host."""

from __future__ import annotations

import sys

import pytest

from requirements_guard import need


@pytest.fixture(scope="session")
def slicer_app():
    """The host's `slicer.app`; skipped where Qt, MRML or the drawing library cannot be loaded."""
    for name in (*([] if "PythonQt" in sys.modules else ["PySide6"]), "slicer", "libEGL.so.1"):
        need(name)
    from slicer_host.start import start

    return start()


@pytest.fixture
def no_hidden_errors(monkeypatch):
    """Fails the test where an exception ended inside Qt or VTK, which print it and go on."""
    found = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: found.append(error[1]))
    yield
    for error in found:
        raise error


@pytest.fixture
def user(slicer_app, tmp_path, no_hidden_errors):
    """Somebody who has loaded a phantom and opened the module, with the network that finds bright regions."""

    from fakes import BrightRegionNetwork
    from panel_user import PanelUser
    from phantoms import add_phantom
    from repository import MODULE_FOLDER
    from SAMUNetSlicerLib.inference.predictor import PlanePredictor
    from SAMUNetSlicerLib.scene.record.document import ModelIdentity
    from SAMUNetSlicerLib.widgets.controllers.breathing import PatientPredictor
    from slicer_host.start import OpenModule

    slicer_app.new_scene()
    add_phantom()
    opened = OpenModule(MODULE_FOLDER, "SAMUNetSlicer")
    someone = PanelUser(slicer_app, opened, tmp_path / "pictures")
    someone.volume = opened.widget.panel.parameters.volume
    someone.network = BrightRegionNetwork()
    predictor = PatientPredictor(PlanePredictor(someone.network), someone.panel.work.breather)
    someone.panel.work.set_predictor(predictor, ModelIdentity("bright_region", "0" * 64, "Bright regions"))
    someone.settle()
    yield someone
    opened.close()
    slicer_app.new_scene()


@pytest.fixture
def balls():
    """The phantom's two balls, as masks."""
    from phantoms import balls_kji

    return balls_kji()


@pytest.fixture
def at(user):
    """Where a voxel (k, j, i) of the user's volume lies in the world."""
    from phantoms import to_ras

    return lambda kji: to_ras(user.volume, kji)


@pytest.fixture
def prompted(user, at):
    """The first ball, previewed on its middle plane."""
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("Esc")
    return user
