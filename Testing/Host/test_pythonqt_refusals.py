"""The host refuses what PythonQt refuses: otherwise a test here would pass on code that fails in Slicer."""

from __future__ import annotations

import pytest


@pytest.fixture
def button(slicer_app):
    import qt

    return qt.QPushButton("Accept")


def test_properties_are_attributes(button):
    button.text = "Discard"
    button.enabled = False
    assert (button.text, button.enabled, button.checkable) == ("Discard", False, False)


def test_a_property_is_not_called(button):
    with pytest.raises(TypeError):
        button.text()


@pytest.mark.stand_ins
def test_a_property_refuses_a_value_of_another_type(button):
    with pytest.raises(AttributeError):
        button.text = [1, 2]


def test_new_attributes_are_refused_on_qts_own_classes(button):
    with pytest.raises(AttributeError):
        button.tooltip = "a typing error for toolTip"


@pytest.mark.stand_ins
def test_constructors_take_no_keywords(slicer_app):
    import qt

    with pytest.raises(TypeError):
        qt.QPushButton(text="Accept")


@pytest.mark.stand_ins
def test_unknown_signals_are_refused(button):
    with pytest.raises(ValueError, match="no signal"):
        button.connect("clicked(int)", print)


def test_a_receiver_gets_what_the_signature_names(button):
    heard = []
    button.checkable = True
    button.connect("clicked(bool)", heard.append)
    button.connect("clicked()", lambda: heard.append("no argument"))
    button.click()
    assert sorted(map(str, heard)) == ["True", "no argument"]


def test_a_disconnected_receiver_hears_nothing(button):
    heard = []
    button.connect("clicked()", heard.append)
    button.disconnect("clicked()", heard.append)
    button.click()
    assert heard == []


@pytest.mark.stand_ins
def test_a_ui_file_with_an_unknown_class_is_refused(slicer_app, tmp_path):
    import slicer

    ui = tmp_path / "panel.ui"
    ui.write_text(
        '<ui version="4.0"><class>P</class><widget class="QWidget" name="P"><layout class="QVBoxLayout">'
        '<item><widget class="ctkCollapsibleButon" name="typo"/></item></layout></widget></ui>',
        encoding="utf-8",
    )
    with pytest.raises(RuntimeError, match="ctkCollapsibleButon"):
        slicer.util.loadUI(str(ui))
