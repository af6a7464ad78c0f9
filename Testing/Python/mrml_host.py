"""A real MRML scene with Slicer's own logics, from the slicer-core wheel, without the Slicer application.

There is one host for the whole process and it is never freed: MRML crashes when a second scene or the logics of the
first one are destroyed. Tests get it from the fixtures `mrml_host` and `mrml_scene` of conftest.py; the scene is
emptied between tests.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import slicer
import vtk

# Attribute name: class of the module logic, and the name under which other logics ask the application for it.
_LOGICS = {
    "subject_hierarchy": ("vtkSlicerSubjectHierarchyModuleLogic", "SubjectHierarchy"),
    "volumes": ("vtkSlicerVolumesLogic", "Volumes"),
    "markups": ("vtkSlicerMarkupsLogic", "Markups"),
    "segmentations": ("vtkSlicerSegmentationsModuleLogic", "Segmentations"),
    "transforms": ("vtkSlicerTransformLogic", "Transforms"),
}


class MrmlHost:
    """A scene, its application logic, and the module logics by name (`host.logics["volumes"]`)."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.application_logic.SetMRMLScene(self.scene)
        self.application_logic.SetSliceLogics(vtk.vtkCollection())
        self.application_logic.SetViewLogics(vtk.vtkCollection())
        self._connect_file_access()
        colours = self.application_logic.GetColorLogic()
        colours.SetMRMLScene(self.scene)
        colours.AddDefaultColorNodes()
        # The volumes logic looks for it under this name.
        self.application_logic.SetModuleLogic("Colors", colours)
        self.logics = {"colors": colours}
        for name, (class_name, module) in _LOGICS.items():
            logic = getattr(slicer, class_name)()
            logic.SetMRMLApplicationLogic(self.application_logic)
            # Also registers the module's node classes in the scene.
            logic.SetMRMLScene(self.scene)
            self.application_logic.SetModuleLogic(module, logic)
            self.logics[name] = logic
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def _connect_file_access(self) -> None:
        """What the scene needs to import and export whole scenes."""
        self._cache_folder = tempfile.TemporaryDirectory(prefix="mrml-cache-")
        self._remote_io = slicer.vtkMRMLRemoteIOLogic()
        self._remote_io.SetMRMLApplicationLogic(self.application_logic)
        self._remote_io.GetCacheManager().SetRemoteCacheDirectory(self._cache_folder.name)
        self._data_io = slicer.vtkDataIOManagerLogic()
        self._data_io.SetMRMLApplicationLogic(self.application_logic)
        self._data_io.SetAndObserveDataIOManager(self._remote_io.GetDataIOManager())
        self.application_logic.SetMRMLSceneDataIO(self.scene, self._remote_io, self._data_io)

    def clear(self) -> None:
        """Remove every node but the singletons."""
        self.scene.Clear(0)

    def load_volume(self, path: Path):
        return _loaded(self.logics["volumes"].AddArchetypeVolume(str(path), path.stem), path)

    def load_segmentation(self, path: Path):
        return _loaded(self.logics["segmentations"].LoadSegmentationFromFile(str(path), True, path.stem), path)

    def load_markups(self, path: Path) -> list:
        """All markups nodes that a file makes, in its order."""
        before = self._markups_nodes()
        _loaded(self.logics["markups"].LoadMarkups(str(path)), path)
        return [node for node in self._markups_nodes() if node not in before]

    def save(self, node, path: Path, **settings) -> None:
        """Write a storable node; settings: names and arguments of setters of its storage node."""
        node.AddDefaultStorageNode(str(path))
        storage = node.GetStorageNode()
        storage.SetFileName(str(path))
        for setter, value in settings.items():
            getattr(storage, setter)(value)
        if not storage.WriteData(node):
            raise OSError(f"Slicer could not write {path}.")

    def _markups_nodes(self) -> list:
        nodes = self.scene.GetNodesByClass("vtkMRMLMarkupsNode")
        nodes.UnRegister(None)
        return [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]


def _loaded(result, path: Path):
    if not result:
        raise OSError(f"Slicer could not load {path}.")
    return result


@cache
def the_host() -> MrmlHost:
    """The one host of this process."""
    return MrmlHost()
