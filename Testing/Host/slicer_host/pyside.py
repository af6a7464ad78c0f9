"""The host's Qt from PySide6, with stand-ins for what Slicer has beside it."""

from __future__ import annotations

import os
import sys
import tempfile
import types

from PySide6 import QtCore, QtUiTools, QtWidgets
from PySide6.QtTest import QTest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


def begin():
    """The application. Makes `qt` and `ctk` importable."""
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
    return qapplication


def add_to_slicer(slicer) -> None:
    """Stand-ins of Slicer's own Python modules and of the qMRML widgets."""
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

    import qt

    from .ui_files import build_loader

    qt.QUiLoader = build_loader((*ctk_widgets.CLASSES, *mrml_widgets.CLASSES))


class _Hand:
    """Events by QTest."""

    keyClick = staticmethod(QTest.keyClick)
    keyClicks = staticmethod(QTest.keyClicks)
    mouseMove = staticmethod(QTest.mouseMove)

    @staticmethod
    def mousePress(widget, position) -> None:
        QTest.mousePress(widget, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, position)

    @staticmethod
    def mouseRelease(widget, position) -> None:
        QTest.mouseRelease(widget, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, position)

    @staticmethod
    def mouseClick(widget, position) -> None:
        QTest.mouseClick(widget, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, position)

    @staticmethod
    def mouseDClick(widget, position) -> None:
        QTest.mouseDClick(widget, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, position)


def hand() -> type:
    return _Hand


def plain_widget(class_name: str, parent) -> QtWidgets.QWidget:
    """Not dressed as PythonQt's: those that Qt asks for a size through Python cannot all answer."""
    return QtUiTools.QUiLoader().createWidget(class_name, parent)
