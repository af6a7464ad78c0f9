"""`slicer.ScriptedLoadableModule` reduced to what a module relies on: its four classes and when they do what.

Beside them the widget of Slicer's window that holds a module's panel.
"""

from __future__ import annotations

import importlib
import sys
import unittest
from pathlib import Path

import qt
import slicer

_ICONS = (".svg", ".png")


class ScriptedLoadableModule:
    """Describes the module to Slicer through `parent`."""

    def __init__(self, parent) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
        parent.helpText = parent.acknowledgementText = ""
        for extension in _ICONS:
            icon = Path(self.resourcePath(f"Icons/{self.moduleName}{extension}"))
            if icon.is_file():
                parent.icon = qt.QIcon(str(icon))
                break

    def resourcePath(self, filename: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def runTest(self, msec=100, **keywords) -> None:
        case = getattr(importlib.import_module(type(self).__module__), f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**keywords)


class ScriptedLoadableModuleWidget:
    """The module's panel; `setup` fills the layout of the parent that Slicer gives."""

    def __init__(self, parent=None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        """Where Slicer adds its developer section."""

    def cleanup(self) -> None:
        """For subclasses."""

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, module_name: str) -> None:
        if module_name == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class qSlicerScriptedLoadableModuleWidget(slicer.qMRMLWidget):
    """What Slicer shows of a module: makes the object of Python that fills it, anew at every reload."""

    def __init__(self, module_name: str) -> None:
        super().__init__()
        qt.QVBoxLayout(self)
        self.setMRMLScene(slicer.mrmlScene)
        self._module_name = module_name
        self.reload()

    def reload(self) -> None:
        """As Slicer's: `enter` is not called."""
        name = f"{self._module_name}Widget"
        self._self = getattr(sys.modules[self._module_name], name)(self)
        setattr(slicer.modules, name, self._self)
        self._self.setup()

    def self(self):
        return self._self


class ScriptedLoadableModuleLogic:
    """Work without a window, with one parameter node in the scene."""

    def __init__(self, parent=None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is not None:
            if node.GetAttribute("ModuleName") != self.moduleName:
                node.SetAttribute("ModuleName", self.moduleName)
            return node
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return slicer.mrmlScene.AddNode(node)


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The test that "Reload and Test" runs."""

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.messageDelay = 0

    def delayDisplay(self, message, requestedDelay=None, msec=None) -> None:
        slicer.util.delayDisplay(message, 0)

    def runTest(self) -> None:
        """For subclasses."""
