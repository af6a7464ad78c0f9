"""Keeping encodings on the disk: a choice of the user's on this computer, off until then."""

from __future__ import annotations

import types

import pytest


@pytest.fixture
def folder(user, tmp_path, monkeypatch):
    """Where encodings would be kept; the user's choice is forgotten again."""
    import qt

    from SAMUNetSlicerLib.inference.encoding import kept_encodings

    monkeypatch.setattr(kept_encodings, "default_folder", lambda: tmp_path / "encodings")
    yield tmp_path / "encodings"
    qt.QSettings().remove("SAMUNetSlicer/KeepEncodings")


@pytest.fixture
def loaded(user):
    """A model that the loader has loaded: its predictor, seen through what keeps encodings."""
    predictor = types.SimpleNamespace(on_disk=None)
    user.panel.work.loader._loaded = predictor, types.SimpleNamespace(identity="a model")
    return predictor


def test_nothing_is_kept_until_the_user_ticks_it(user, folder, loaded):
    assert not user.ui.keepEncodingsCheckBox.checked
    assert user.panel.work.loader._encodings_folder is None
    assert "patient data" in user.ui.keepEncodingsCheckBox.text
    user.ui.keepEncodingsCheckBox.click()
    assert loaded.on_disk.cache.folder == folder
    user.ui.keepEncodingsCheckBox.click()
    assert loaded.on_disk is None, "and no more once it is unticked"


def test_the_choice_is_remembered_on_this_computer_and_in_no_scene(user, folder):
    import slicer

    from SAMUNetSlicerLib.widgets.encodings_panel import EncodingsPanel

    user.ui.keepEncodingsCheckBox.click()
    user.ui.keepEncodingsCheckBox.blockSignals(True)
    user.ui.keepEncodingsCheckBox.checked = False
    user.ui.keepEncodingsCheckBox.blockSignals(False)
    EncodingsPanel(user.ui, user.panel.work)
    assert user.ui.keepEncodingsCheckBox.checked
    for number in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")):
        node = slicer.mrmlScene.GetNthNodeByClass(number, "vtkMRMLScriptedModuleNode")
        assert not [name for name in node.GetParameterNames() if "ncoding" in name]


def test_clear_removes_what_is_kept(user, folder):
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(bytes(3_000_000))
    user.ui.setUpSection.collapsed = False
    user.panel.refresh()
    assert "1 encodings, 3 of at most" in user.ui.encodingsLabel.text
    user.press("clearEncodingsButton")
    assert not list(folder.iterdir())
    assert user.ui.encodingsLabel.text == "Nothing is kept."
