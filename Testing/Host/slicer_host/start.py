"""Starts the host, once in a process, and opens modules in it."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import types
from functools import cache
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


@cache
def start():
    """The application (`slicer.app`). Makes qt, ctk, and what Slicer's own Python adds to slicer, importable."""
    from PySide6 import QtCore, QtWidgets

    from . import pythonqt

    QtCore.QCoreApplication.setAttribute(QtCore.Qt.AA_ShareOpenGLContexts)
    qapplication = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["slicer-host"])
    QtWidgets.QApplication.setStyle("Fusion")
    QtCore.QCoreApplication.setOrganizationName("slicer-host")
    QtCore.QCoreApplication.setApplicationName("slicer-host")
    settings = tempfile.mkdtemp(prefix="slicer-host-settings-")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, settings)
    sys.modules["qt"] = pythonqt.build_qt_module()

    from . import ctk_widgets

    sys.modules["ctk"] = ctk_widgets.build_ctk_module()
    import slicer
    import slicer.util

    from mrml_host import the_host

    host = the_host()
    slicer.mrmlScene = host.scene
    _add_to_slicer(slicer)
    from . import application, sample_data

    slicer.app = application.Application(qapplication, host)
    sys.modules["SampleData"] = sample_data
    modules = {name: types.SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in host.logics.items()}
    slicer.modules = types.SimpleNamespace(**modules)
    slicer.app.window.show()
    return slicer.app


def _add_to_slicer(slicer) -> None:
    """Slicer's own Python modules, and the qMRML widgets."""
    from . import mrml_widgets

    for cls in mrml_widgets.CLASSES:
        setattr(slicer, cls.__name__, cls)
    from . import ctk_widgets, parameter_nodes, scripted_modules

    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text: text
    for name, module in (
        ("i18n", i18n),
        ("ScriptedLoadableModule", scripted_modules),
        ("parameterNodeWrapper", parameter_nodes),
    ):
        sys.modules[f"slicer.{name}"] = module
    slicer.i18n = i18n
    slicer.qSlicerScriptedLoadableModuleWidget = scripted_modules.qSlicerScriptedLoadableModuleWidget

    import qt

    from .ui_files import build_loader

    qt.QUiLoader = build_loader((*ctk_widgets.CLASSES, *mrml_widgets.CLASSES))


class OpenModule:
    """A module in the main window, entered as when the user chooses it."""

    def __init__(self, folder: Path, name: str) -> None:
        import slicer
        from PySide6 import QtWidgets

        from .application import module_parent

        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        path = str(folder / f"{name}.py")
        self.python = importlib.import_module(name)
        self.description = module_parent(path)
        self.module = getattr(self.python, name)(self.description)
        slicer.util.modulePath = lambda _module_name: path
        entry = types.SimpleNamespace(path=path, widgetRepresentation=lambda: self.parent)
        setattr(slicer.modules, name.lower(), entry)
        self.name = name
        self.parent = slicer.qSlicerScriptedLoadableModuleWidget(name)
        self.area = slicer.app.window.panel_area
        self.area.setWidget(self.parent)
        slicer.app.window.module_selector.selectedModule = name
        self.widget.enter()
        QtWidgets.QApplication.processEvents()

    @property
    def widget(self):
        """The Python object; another one after a reload."""
        return self.parent.self()

    def close(self) -> None:
        """Leave and unload the module."""
        import slicer

        self.widget.exit()
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.name)
        slicer.app.window.module_selector.selectedModule = ""
        self.area.takeWidget()
        self.parent.deleteLater()
        slicer.app.processEvents()
