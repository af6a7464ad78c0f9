"""Starts the host, once in a process, and opens modules in it."""

from __future__ import annotations

import importlib
import sys
import types
from functools import cache
from pathlib import Path


@cache
def start():
    """The application (`slicer.app`). Makes qt, ctk, and what Slicer's own Python adds to slicer, importable."""
    from . import binding

    qapplication = binding.begin()
    import slicer
    import slicer.util

    from mrml_host import the_host

    host = the_host()
    slicer.mrmlScene = host.scene
    binding.add_to_slicer(slicer)
    from . import application, sample_data, scripted_modules

    slicer.qSlicerScriptedLoadableModuleWidget = scripted_modules.qSlicerScriptedLoadableModuleWidget
    slicer.app = application.Application(qapplication, host)
    sys.modules["SampleData"] = sample_data
    modules = {name: types.SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in host.logics.items()}
    slicer.modules = types.SimpleNamespace(**modules)
    slicer.app.window.show()
    return slicer.app


class OpenModule:
    """A module in the main window, entered as when the user chooses it."""

    def __init__(self, folder: Path, name: str) -> None:
        import slicer

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
        slicer.app.processEvents()

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
