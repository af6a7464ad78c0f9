"""Every name of Slicer's and CTK's that the module uses is one that their headers have: stand-ins cannot hide typos.

slicer_names.json holds what the headers say. Qt's own names are checked by Qt itself: the host refuses unknown ones.
"""

from __future__ import annotations

import ast
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from repository import LIBRARY, MODULE_FOLDER

NAMES = json.loads(Path(__file__).with_name("slicer_names.json").read_text(encoding="utf-8"))["classes"]
UI_FILE = MODULE_FOLDER / "Resources" / "UI" / "SAMUNetSlicer.ui"
SOURCES = [*sorted((LIBRARY / "widgets").rglob("*.py")), MODULE_FOLDER / "SAMUNetSlicer.py"]
HOSTS_OWN = {"cell_centre", "views", "window", "new_scene", "restarts_wanted", "view"}


def known(class_name: str) -> set[str]:
    entry = NAMES[class_name]
    signals = {signal.partition("(")[0] for signal in entry["signals"]}
    return {*entry["properties"], *entry["methods"], *signals}


def ui_widgets() -> dict[str, str]:
    """Class by name, of every widget in the .ui file."""
    return {w.get("name"): w.get("class") for w in ElementTree.parse(UI_FILE).iter("widget")}


def stand_ins() -> list[tuple[type, str]]:
    from slicer_host import application, ctk_widgets, mrml_widgets

    pairs = [(cls, cls.__name__) for cls in (*ctk_widgets.CLASSES, *mrml_widgets.CLASSES)]
    return [
        *pairs,
        (application.Application, "qSlicerApplication"),
        (application.LayoutManager, "qSlicerLayoutManager"),
        (application.SliceWidget, "qMRMLSliceWidget"),
        (application.ModuleManager, "qSlicerModuleManager"),
    ]


@pytest.mark.stand_ins
def test_stand_ins_offer_nothing_that_slicer_lacks(slicer_app):
    import qt

    invented = {}
    for cls, name in stand_ins():
        own = {n for n in vars(cls) if not n.startswith("_") and n not in ("staticMetaObject", "connect", "disconnect")}
        if extra := own - known(name) - set(dir(getattr(qt, NAMES[name]["base"]))) - HOSTS_OWN:
            invented[name] = sorted(extra)
    assert not invented


@pytest.mark.stand_ins
def test_stand_ins_signals_have_slicers_signatures(slicer_app):
    from slicer_host import ctk_widgets, mrml_widgets

    for cls in (*ctk_widgets.CLASSES, *mrml_widgets.CLASSES):
        example = cls()  # the class's own meta object goes with the first of its widgets that Qt deletes
        meta = example.metaObject()
        for number in range(meta.methodOffset(), meta.methodCount()):
            method = meta.method(number)
            if method.methodType() is not type(method).Signal:
                continue
            signature = method.methodSignature().data().decode()
            real = [
                s.replace("vtkMRMLNode*", "PyObject").replace("vtkMRMLScene*", "PyObject")
                for s in NAMES[cls.__name__]["signals"]
            ]
            assert signature in real, f"{cls.__name__} has no signal {signature}"


def test_the_ui_file_sets_only_properties_that_the_classes_have(slicer_app):
    import qt

    strange = []
    for widget in ElementTree.parse(UI_FILE).iter("widget"):
        class_name = widget.get("class")
        of_qt = getattr(qt, NAMES[class_name]["base"] if class_name in NAMES else class_name)
        for entry in widget.findall("property"):
            name = entry.get("name")
            dynamic = entry.get("stdset") == "0"
            there = name in NAMES.get(class_name, {}).get("properties", ()) or hasattr(of_qt, name)
            if not dynamic and not there:
                strange.append(f"{widget.get('name')}: {class_name} has no property {name}")
    assert not strange


def test_the_ui_file_declares_every_custom_class_and_real_connections():
    tree = ElementTree.parse(UI_FILE)
    declared = {entry.findtext("class") for entry in tree.iter("customwidget")}
    used = {name for name in ui_widgets().values() if name.startswith(("q", "ctk"))}
    assert used == declared
    classes = ui_widgets()
    for connection in tree.iter("connection"):
        sender, receiver = (classes[connection.findtext(end)] for end in ("sender", "receiver"))
        assert connection.findtext("signal") in NAMES[sender]["signals"]
        slot = connection.findtext("slot").partition("(")[0]
        assert slot in known(receiver) | known("qMRMLWidget")


def used_on_widgets() -> set[tuple[str, str]]:
    """(widget, attribute) of every `ui.widget.attribute` in the module's sources."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                owner = ast.unparse(node.value.value)
                if owner in ("ui", "self.ui", "self._ui"):
                    found.add((node.value.attr, node.attr))
    return found


def test_widgets_are_used_as_their_classes_allow(slicer_app):
    import qt

    classes = ui_widgets()
    used = used_on_widgets()
    assert len(used) > 40
    wrong = []
    for widget, attribute in sorted(used):
        assert widget in classes, f"the .ui file has no {widget}"
        class_name = classes[widget]
        of_qt = getattr(qt, NAMES[class_name]["base"] if class_name in NAMES else class_name)
        allowed = set(dir(of_qt)) | (known(class_name) if class_name in NAMES else set())
        if attribute not in allowed:
            wrong.append(f"{widget}.{attribute}")
    assert not wrong


@pytest.mark.parametrize(
    ("prefix", "class_name"),
    [
        ("slicer.app", "qSlicerApplication"),
        ("manager", "qSlicerLayoutManager"),
        ("editor", "qMRMLSegmentEditorWidget"),
        ("table", None),
    ],
)
def test_calls_on_slicers_objects_exist(slicer_app, prefix, class_name):
    import qt

    used = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == prefix:
                used.add(node.attr)
    assert used
    if class_name is None:
        allowed = set(dir(qt.QTableWidget)) | known("qMRMLSegmentsTableView")
    else:
        allowed = known(class_name) | set(dir(getattr(qt, NAMES[class_name]["base"])))
    assert used <= allowed, used - allowed


def test_every_slicer_class_and_function_that_is_named_exists(slicer_app):
    import slicer

    missing = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            owner = ast.unparse(node.value)
            if owner == "slicer" and node.attr.startswith("vtk") and not hasattr(slicer, node.attr):
                missing.add(f"slicer.{node.attr}")
            if owner == "slicer.util" and not hasattr(slicer.util, node.attr):
                missing.add(f"slicer.util.{node.attr}")
    assert not missing


def test_keys_are_none_of_slicers_own():
    """Of the main window, the views, the markups toolbar. The Segment Editor's keys end when it is left."""
    from SAMUNetSlicerLib.widgets.shortcuts import KEYS

    views = {*"GTFBVR[]{}+-", "Left", "Right", "Up", "Down", "Space", "Delete", "Backspace", "Insert", "Home", "End"}
    window = {f"Ctrl+{key}" for key in "OSWZY4265XCVHF103"}
    assert not set(KEYS.values()) & (views | window)
    assert len(set(KEYS.values())) == len(KEYS)
