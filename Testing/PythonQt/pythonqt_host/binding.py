"""What `slicer_host.binding` asks for, from PythonQt itself. SLICER_SOURCE names the folder of Slicer's sources."""

from __future__ import annotations

import os
import sys
import tempfile
import types
from pathlib import Path

import PythonQt


def begin():
    """The application. Makes `qt` and `ctk` importable, and Slicer's own Python files as parts of `slicer`."""
    sys.modules["qt"] = qt = _module("qt", "QtCore", "QtGui", "QtNetwork", "QtUiTools")
    sys.modules["ctk"] = ctk = _module("ctk", "CTKWidgets")
    qt.QUiLoader = PythonQt.Host.HostUiLoader
    ctk.ctkMessageBox = MessageBox
    application = qt.QApplication.instance()
    qt.QApplication.setStyle("Fusion")
    qt.QApplication.setFont(qt.QFont("Sans", 9))
    application.organizationName = application.applicationName = "slicer-host"
    qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
    folder = tempfile.mkdtemp(prefix="slicer-host-settings-")
    qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, folder)
    import slicer

    slicer.__path__.insert(0, str(Path(os.environ["SLICER_SOURCE"]) / "Base" / "Python" / "slicer"))
    sys.modules.pop("slicer.util", None)  # slicer-core's copy
    return application


def _module(name: str, *kits: str) -> types.ModuleType:
    module = types.ModuleType(name)
    for kit in kits:
        module.__dict__.update({n: v for n, v in vars(getattr(PythonQt, kit)).items() if not n.startswith("_")})
    return module


def add_to_slicer(slicer) -> None:
    """The qMRML widgets, and classes that Slicer's parameter nodes merely name."""
    import ctk

    for name in ("qMRMLWidget", "qMRMLNodeComboBox", "qMRMLSegmentsTableView"):
        setattr(slicer, name, getattr(PythonQt.Host, name))
    connectors = Path(os.environ["SLICER_SOURCE"]) / "Base/Python/slicer/parameterNodeWrapper/guiConnectors.py"
    text = connectors.read_text(encoding="utf-8")
    for prefix, module in (("ctk.", ctk), ("slicer.", slicer)):
        for name in {word.partition("(")[0] for word in text.replace(")", " ").replace(":", " ").split()}:
            own = name.removeprefix(prefix)
            if name.startswith((f"{prefix}ctk", f"{prefix}qMRML")) and not hasattr(module, own):
                setattr(module, own, type(own, (), {}))
    load = slicer.util.loadUI

    def load_and_follow(path):
        from .node_widgets import follow_scene

        widget = load(path)
        follow_scene(widget)
        return widget

    slicer.util.loadUI = load_and_follow


class MessageBox:
    """ctk.ctkMessageBox: as the other host's, it notes what it would show and gives the next prepared answer."""

    def __init__(self, *_arguments) -> None:
        import qt

        self.text, self.standardButtons = "", qt.QMessageBox.Ok

    def __getattr__(self, _name):
        return lambda *_arguments: None

    def setText(self, text) -> None:
        self.text = text

    def exec_(self):
        import qt

        from slicer_host import messages

        messages.shown.append(self.text)
        if messages.answers:
            return messages.answers.pop(0)
        cautious = (qt.QMessageBox.Cancel, qt.QMessageBox.No, qt.QMessageBox.Ok)
        return next(button for button in cautious if int(self.standardButtons) & int(button))


def hand():
    return PythonQt.Host.Hand()


def plain_widget(class_name: str, parent):
    import qt

    return qt.QUiLoader().createWidget(class_name, parent)
