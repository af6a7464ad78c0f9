"""Loads .ui files with the host's own classes; a class that the host lacks is an error."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import qt
from PySide6 import QtCore, QtUiTools

_SCENE_SIGNAL = "mrmlSceneChanged(vtkMRMLScene*)"


def build_loader(custom_classes: tuple[type, ...]) -> type:
    """The class `qt.QUiLoader`."""
    classes = {cls.__name__: cls for cls in custom_classes}

    class QUiLoader(QtUiTools.QUiLoader):
        """As Qt's, but for the connections of scenes, which `qMRMLWidget.setMRMLScene` makes here."""

        def load(self, file, *parent):
            tree = ElementTree.fromstring(bytes(file.readAll().data()))
            for connection in tree.findall("connections/connection"):
                if connection.findtext("signal") == _SCENE_SIGNAL:
                    tree.find("connections").remove(connection)
            buffer = QtCore.QBuffer()
            buffer.setData(ElementTree.tostring(tree))
            buffer.open(QtCore.QIODevice.ReadOnly)
            self.failure = ""
            widget = super().load(buffer, *parent)
            if self.failure:
                raise RuntimeError(self.failure)
            return widget

        def createWidget(self, class_name, parent=None, name=""):
            cls = classes.get(class_name) or getattr(qt, class_name, None)
            if cls is None:
                self.failure = f"the host has no widget class {class_name!r}"
                raise RuntimeError(self.failure)
            widget = cls(parent) if parent is not None else cls()
            widget.setObjectName(name)
            return widget

    return QUiLoader
