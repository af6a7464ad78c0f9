"""The module as Slicer meets it: description, its own test, set-up, sample data, reload."""

from __future__ import annotations

import sys
import types


def test_the_description_says_what_it_is_and_is_not(user):
    description = user.opened.description
    assert description.title == "SAMUNetSlicer"
    assert description.categories == ["Segmentation"]
    assert "Not for clinical use" in description.helpText
    assert not description.icon.isNull()
    assert "Not for clinical use" in user.ui.noticeLabel.text


def test_the_modules_own_test_passes(user, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _name: user.opened.widget)
    monkeypatch.setattr(slicer.util, "delayDisplay", lambda *_arguments, **_keywords: None)
    user.opened.module.runTest()


def test_the_module_can_be_closed_and_opened_again(user):
    from repository import MODULE_FOLDER
    from slicer_host.start import OpenModule

    user.opened.close()
    again = OpenModule(MODULE_FOLDER, "SAMUNetSlicer")
    user.opened = again
    assert again.widget.panel.parameters.volume is user.volume


def test_no_observation_and_no_shortcut_is_left_behind(user):
    import slicer
    from PySide6 import QtGui

    user.key("A")
    user.opened.widget.exit()
    user.settle()
    assert not user.panel.Observations
    assert not slicer.util.mainWindow().findChildren(QtGui.QShortcut)
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") == []
    user.opened.widget.enter()


def test_set_up_says_what_is_missing_and_installs_only_on_request(user, monkeypatch):
    from SAMUNetSlicerLib.widgets.controllers import requirements

    installed = requirements._installed
    monkeypatch.setattr(requirements, "_installed", lambda name: "" if name == "safetensors" else installed(name))
    asked = []
    packaging = types.ModuleType("slicer.packaging")
    packaging.load_requirements = lambda path: path
    packaging.pip_ensure = lambda listed, requester: asked.append((listed, requester))
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    user.press("checkButton")
    user.picture("set_up_missing")
    assert "safetensors: missing" in user.ui.setUpLabel.text
    assert asked == []
    user.press("installButton")
    (listed, requester), *more = asked
    assert listed.endswith("requirements.txt")
    assert requester == "SAMUNetSlicer"
    assert not more


def test_torch_comes_from_the_pytorch_extension_which_asks_first(user, monkeypatch):
    from SAMUNetSlicerLib.widgets.controllers import requirements

    installed = requirements._installed
    monkeypatch.setattr(requirements, "_installed", lambda name: "" if name == "torch" else installed(name))
    user.press("checkButton")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    user.press("installButton")
    assert "extension PyTorch is missing" in user.message
    asked = []
    utils = types.ModuleType("PyTorchUtils")
    logic = types.SimpleNamespace(installTorch=lambda askConfirmation: asked.append(askConfirmation))
    utils.PyTorchUtilsLogic = lambda: logic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)
    user.press("installButton")
    assert asked == [True]


def test_older_slicers_are_asked_before_pip(user, monkeypatch):
    import slicer

    from SAMUNetSlicerLib.widgets import set_up_panel

    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    questions, installed = [], []
    monkeypatch.setattr(slicer.util, "pip_install", installed.append)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text: questions.append(text) or len(questions) > 1)
    set_up_panel._install_packages(None, ["platformdirs>=4"])
    assert installed == []
    set_up_panel._install_packages(None, ["platformdirs>=4"])
    assert installed == [["platformdirs>=4"]]
    assert "platformdirs" in questions[0]


def test_models_show_size_licence_prompts_and_state(user):
    table = user.ui.modelTable
    rows = [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]
    (lite,) = [row for row in rows if row[0] == "LiteMedSAM"]
    assert lite == ["LiteMedSAM", "installed with the extension", "20 MB", "Apache-2.0", "box"]


def test_sample_data_is_registered_and_loads(user, monkeypatch):
    import slicer

    offered = []
    sample_data = types.ModuleType("SampleData")
    sample_data.SampleDataLogic = types.SimpleNamespace(
        registerCustomSampleDataSource=lambda **fields: offered.append(fields)
    )
    monkeypatch.setitem(sys.modules, "SampleData", sample_data)
    slicer.app.startupCompleted.emit()
    assert offered
    assert len({str(o) for o in offered}) == 1, "the same source each time, so that it is registered once"
    source = offered[0]
    monkeypatch.setattr(slicer.util, "loadVolume", lambda path, properties: (path, properties))
    path, properties = source["customDownloader"](None)
    assert properties == {"name": source["nodeNames"]}
    from pathlib import Path

    from mrml_host import the_host

    node = the_host().load_volume(Path(path))
    assert node.GetImageData().GetDimensions() == (256, 256, 20)


def test_tooltips_name_the_keys(user):
    from SAMUNetSlicerLib.widgets.shortcuts import KEYS

    for name, button in (("positive", "positiveButton"), ("accept", "acceptButton"), ("propagate", "propagateButton")):
        assert f"({KEYS[name]})" in getattr(user.ui, button).toolTip
    assert all(key in user.ui.keysLabel.text for key in KEYS.values())
