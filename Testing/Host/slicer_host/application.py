"""`slicer.app` and its main window: a module panel at the left, three slice views at the right."""

from __future__ import annotations

import tempfile
import types

import qt
import slicer
import vtk

from .slice_views import SliceView

_VIEWS = {
    "Red": ("Axial", (0.95, 0.29, 0.25)),
    "Green": ("Coronal", (0.43, 0.69, 0.3)),
    "Yellow": ("Sagittal", (0.93, 0.84, 0.3)),
}


class ModuleManager(qt.QObject):
    """Tells modules when they are unloaded."""

    moduleAboutToBeUnloaded = qt.Signal(str)

    def module(self, name: str):
        return getattr(slicer.modules, name.lower(), None)


class SliceWidget:
    """What `layoutManager().sliceWidget(name)` gives."""

    def __init__(self, view: SliceView) -> None:
        self.view = view

    def sliceLogic(self):
        return self.view.logic

    def mrmlSliceNode(self):
        return self.view.node

    def sliceView(self):
        return self.view


class LayoutManager(qt.QObject):
    """The slice views by name. There is no 3D view here."""

    def __init__(self, views: dict[str, SliceView]) -> None:
        super().__init__()
        self._widgets = {name: SliceWidget(view) for name, view in views.items()}

    def mrmlSliceLogics(self):
        logics = vtk.vtkCollection()
        for widget in self._widgets.values():
            logics.AddItem(widget.sliceLogic())
        return logics

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> SliceWidget:
        return self._widgets[name]


class Application(qt.QObject):
    """The parts of qSlicerApplication that the module and slicer.util call."""

    applicationName = "SlicerHost"
    startupCompleted = qt.Signal()

    def __init__(self, qapplication, host) -> None:
        super().__init__()
        self._qapplication, self._host = qapplication, host
        self._module_manager = ModuleManager()
        self._cache = tempfile.TemporaryDirectory(prefix="slicer-host-")
        self.temporaryPath = self._cache.name
        self.restarts_wanted = 0
        logic, scene = host.application_logic, host.scene
        self.views = {name: SliceView(logic, scene, name, *style) for name, style in _VIEWS.items()}
        self._layout_manager = LayoutManager(self.views)
        self.window = _main_window(self.views)

    def new_scene(self) -> None:
        """Close the scene, and give the views what the layout gives them in Slicer."""
        self._host.scene.Clear(0)
        for view in self.views.values():
            view.restore()

    def moduleManager(self):
        return self._module_manager

    def layoutManager(self):
        return self._layout_manager

    def applicationLogic(self):
        return self._host.application_logic

    def mrmlScene(self):
        return self._host.scene

    def topLevelWidgets(self):
        return [self.window]

    def focusWidget(self):
        return qt.QApplication.focusWidget()

    def processEvents(self) -> None:
        self._qapplication.processEvents()

    def testingEnabled(self) -> bool:
        return False

    def restart(self) -> None:
        self.restarts_wanted += 1

    def settings(self):
        return qt.QSettings()

    def userSettings(self):
        return qt.QSettings()

    def translate(self, context: str, text: str) -> str:
        return text

    def setOverrideCursor(self, cursor) -> None:
        self._qapplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._qapplication.restoreOverrideCursor()

    def pauseRender(self) -> None:
        """Views redraw when idle anyway."""

    resumeRender = pauseRender


class MainWindow(qt.QMainWindow):
    """Named as Slicer's, so that slicer.util.mainWindow() finds it."""

    def moduleSelector(self):
        return self.module_selector


def _main_window(views: dict[str, SliceView]) -> MainWindow:
    window = MainWindow()
    window.setObjectName("qSlicerMainWindow")
    window.setWindowTitle("SAMUNetSlicer in its test host (not 3D Slicer)")
    middle = qt.QWidget()
    row = qt.QHBoxLayout(middle)
    scroll = qt.QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFixedWidth(500)
    scroll.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
    window.panel_area = scroll
    window.module_selector = types.SimpleNamespace(selectedModule="")
    row.addWidget(scroll)
    grid = qt.QGridLayout()
    row.addLayout(grid)
    for number, view in enumerate(views.values()):
        grid.addWidget(view, number // 2, number % 2)
    window.setCentralWidget(middle)
    window.statusBar()
    window.resize(1260, 800)
    return window


def module_parent(path: str) -> types.SimpleNamespace:
    """What Slicer's module factory hands to the module's first class."""
    return types.SimpleNamespace(path=path, icon=None)
