"""The module as Slicer meets it: description, its own test, set-up, sample data, reload."""

from __future__ import annotations

import sys
import types

import pytest

from slicer_host.installers import Installers


def test_the_description_says_what_it_is_and_is_not(user):
    description = user.opened.description
    assert description.title == "SAMUNetSlicer"
    assert description.categories == ["Segmentation"]
    assert "Not for clinical use" in description.helpText
    assert not description.icon.isNull()
    assert "Not for clinical use" in user.ui.noticeLabel.text


def test_the_modules_own_test_passes(user, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer.util, "delayDisplay", lambda *_arguments, **_keywords: None)
    user.opened.module.runTest()


def test_the_modules_own_test_says_what_it_leaves_out_before_anything_is_installed(user, monkeypatch):
    import slicer

    told = []
    monkeypatch.setattr(slicer.util, "delayDisplay", lambda text, *_arguments, **_keywords: told.append(text))
    for name in ("undo_stack", "SAMUNetSlicerLib.scene.history.undo_redo"):
        monkeypatch.setitem(sys.modules, name, None)
    user.opened.module.runTest()
    assert told[-2:] == ["Segmenting was not tested: the module's requirements are not installed.", "Test passed"]


def test_the_modules_own_test_leaves_no_keys_behind_in_another_module(user, slicer_app, monkeypatch):
    import qt
    import slicer

    monkeypatch.setattr(slicer.util, "delayDisplay", lambda *_arguments, **_keywords: None)
    user.opened.widget.exit()
    slicer_app.window.module_selector.selectedModule = "SelfTests"
    user.opened.module.runTest()
    user.settle()
    assert not slicer.util.mainWindow().findChildren(qt.QShortcut)


def test_the_module_can_be_closed_and_opened_again(user):
    from repository import MODULE_FOLDER
    from slicer_host.start import OpenModule

    user.opened.close()
    again = OpenModule(MODULE_FOLDER, "SAMUNetSlicer")
    user.opened = again
    assert again.widget.panel.parameters.volume is user.volume


def test_no_observation_and_no_shortcut_is_left_behind(user):
    import qt
    import slicer

    user.key("A")
    user.opened.widget.exit()
    user.settle()
    assert not user.panel.Observations
    assert not slicer.util.mainWindow().findChildren(qt.QShortcut)
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") == []
    user.opened.widget.enter()


def missing(monkeypatch, **versions: str) -> None:
    """Let these packages be installed in these versions, "" for not at all."""
    from SAMUNetSlicerLib.widgets.controllers import requirements

    installed = requirements._installed
    monkeypatch.setattr(
        requirements, "_installed", lambda name: versions[name] if name in versions else installed(name)
    )


def test_set_up_says_what_is_missing_and_installs_only_on_request(user, monkeypatch):
    missing(monkeypatch, safetensors="")
    installers = Installers(monkeypatch)
    user.press("checkButton")
    user.picture("set_up_missing")
    assert "safetensors: missing" in user.ui.setUpLabel.text
    assert installers.asked == []
    user.press("installButton")
    (question,) = installers.asked
    assert "safetensors" in question
    ((listed, requester),) = installers.installed
    assert listed.endswith("requirements.txt")
    assert requester == "SAMUNetSlicer"


@pytest.mark.parametrize("old_slicer", [False, True])
@pytest.mark.parametrize("package", ["safetensors", "torch"])
def test_on_a_no_nothing_happens_and_nothing_is_said(user, monkeypatch, package, old_slicer):
    missing(monkeypatch, **{package: ""})
    installers = Installers(monkeypatch, old_slicer)
    installers.answer = False
    user.press("checkButton")
    user.press("installButton")
    assert len(installers.asked) == 1
    assert installers.installed == []
    assert user.message == ""
    assert f"{package}: missing" in user.ui.setUpLabel.text


def test_who_says_no_to_torch_is_not_asked_about_the_rest(user, monkeypatch):
    missing(monkeypatch, torch="", safetensors="")
    installers = Installers(monkeypatch)
    installers.answer = False
    user.press("checkButton")
    user.press("installButton")
    assert len(installers.asked) == 1


@pytest.mark.parametrize("old_slicer", [False, True])
@pytest.mark.parametrize("package", ["safetensors", "torch"])
def test_a_failed_installation_is_told_with_what_to_do(user, monkeypatch, package, old_slicer):
    missing(monkeypatch, **{package: ""})
    installers = Installers(monkeypatch, old_slicer)
    installers.fails = True
    user.press("checkButton")
    looks = []
    look = user.panel.set_up.check
    monkeypatch.setattr(user.panel.set_up, "check", lambda: looks.append(look()))
    user.press("installButton")
    assert "installation failed" in user.message
    assert "proxy" in user.message
    assert "Python console" in user.message
    assert looks, "what got installed before the failure is shown"


@pytest.mark.parametrize(
    "error", [OSError("[WinError 126] The specified module could not be found"), ImportError("libcudart.so.12")]
)
def test_a_torch_that_cannot_be_imported_once_installed_is_told(user, monkeypatch, error):
    missing(monkeypatch, torch="")
    installers = Installers(monkeypatch)
    installers.import_error = error
    user.press("checkButton")
    user.press("installButton")
    assert str(error) in user.message
    assert "Restart Slicer" in user.message
    assert "network" not in user.message, "pip has done its part"


def test_a_refusal_of_slicers_installer_is_told(user, monkeypatch):
    missing(monkeypatch, safetensors="")
    Installers(monkeypatch)

    def refuse(*_arguments, **_keywords):
        raise RuntimeError("PythonSlicer executable not found")

    monkeypatch.setattr(sys.modules["slicer.packaging"], "pip_ensure", refuse)
    user.press("checkButton")
    user.press("installButton")
    assert "installation failed" in user.message


def test_torch_comes_from_the_pytorch_extension_which_asks_first(user, monkeypatch):
    missing(monkeypatch, torch="")
    installers = Installers(monkeypatch)
    extension = sys.modules["PyTorchUtils"]
    user.press("checkButton")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    user.press("installButton")
    assert "extension PyTorch is missing" in user.message
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    user.press("installButton")
    assert len(installers.asked) == 1
    assert installers.installed == ["torch>=2.4"]
    assert user.message == ""


def test_an_older_torch_is_updated_and_a_restart_asked_for_where_it_is_loaded(user, monkeypatch):
    missing(monkeypatch, torch="2.1.0")
    installers = Installers(monkeypatch)
    user.press("checkButton")
    assert "torch 2.1.0" in user.ui.setUpLabel.text
    monkeypatch.setitem(sys.modules, "torch", sys.modules.get("torch", types.ModuleType("torch")))
    user.press("installButton")
    assert installers.installed == ["torch>=2.4"], "without a version pip keeps the older one"
    assert "Restart Slicer" in user.message


def test_older_slicers_are_asked_before_pip(user, monkeypatch):
    missing(monkeypatch, platformdirs="")
    installers = Installers(monkeypatch, old_slicer=True)
    user.press("checkButton")
    user.press("installButton")
    assert "platformdirs" in installers.asked[0]
    ((name,),) = installers.installed
    assert name.startswith("platformdirs")


def test_models_show_size_licence_prompts_and_state(user):
    table = user.ui.modelTable
    rows = [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]
    (lite,) = [row for row in rows if row[0] == "LiteMedSAM"]
    assert lite == ["LiteMedSAM", "installed with the extension", "20 MB", "Apache-2.0", "box"]


def test_tooltips_name_the_keys(user):
    from SAMUNetSlicerLib.widgets.shortcuts import KEYS

    for name, button in (("positive", "positiveButton"), ("accept", "acceptButton"), ("propagate", "propagateButton")):
        assert f"({KEYS[name]})" in getattr(user.ui, button).toolTip
    assert all(key in user.ui.keysLabel.text for key in KEYS.values())
    assert "(Enter)" in user.ui.acceptButton.toolTip, "as the documents call it"
