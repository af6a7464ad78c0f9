"""Volume nodes as volumes: a view of their voxels, placed in the world. The voxels are never copied nor changed."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from ...errors import InputError
from ...volumes.geometry import GridGeometry
from ...volumes.volume import DICOM_MODALITIES, Modality, Volume
from .placement import local_geometry, local_matrix, to_world

_MODALITY_ATTRIBUTE = "DICOM.Modality"
_GRID_DECIMALS = 8
_HOUNSFIELD = "[hnsf'U]"  # DICOM's and UCUM's code


@dataclass(frozen=True, eq=False)
class PlacedVolume:
    """One reading of a volume node.

    volume: its voxels on the grid in world RAS. local: the same grid without the parent transforms. to_world: 4 x 4
    from local to world. frame: the item of the sequence that a proxy node shows, "" for others.
    """

    volume: Volume
    local: GridGeometry
    to_world: np.ndarray
    frame: str = ""

    @property
    def geometry(self) -> GridGeometry:
        """The grid in world RAS."""
        return self.volume.geometry

    def fingerprint_in_steps(self, grid: GridGeometry) -> Generator[None, None, str]:
        """Hash of voxels and a grid of their shape: the local one, so that a parent transform changes nothing."""
        # Saving and loading a slanting grid changes last digits.
        rounded = GridGeometry(grid.shape_kji, np.round(grid.ijk_to_ras, _GRID_DECIMALS))
        return Volume(self.volume.voxels, rounded).fingerprint_in_steps()


class VolumeReader:
    """Reads one volume node, anew only where its voxels or its place have changed."""

    def __init__(self, node) -> None:
        self.node = node
        self._revision: tuple | None = None
        self._reading: PlacedVolume | None = None

    def read(self) -> PlacedVolume:
        """Raises InputError for a volume that cannot be used."""
        revision = revision_of(self.node)
        if self._reading is None or revision != self._revision:
            self._reading = read_volume(self.node)
            self._revision = revision
        return self._reading


def revision_of(node) -> tuple:
    """Differs whenever the node's voxels or place have changed. Raises InputError as `read_volume`."""
    image = node.GetImageData()
    # VTK never gives two objects the same time.
    voxels = None if image is None else image.GetMTime()
    return voxels, local_matrix(node).tobytes(), to_world(node).tobytes(), frame_of(node)


def read_volume(node, modality: Modality | None = None) -> PlacedVolume:
    """A scalar volume, or a vector volume of 8-bit colours (alpha is left out), under any linear transforms.

    modality: None to tell it by node and voxels.

    Raises InputError for other nodes, an empty volume, or a parent transform that is not linear.
    """
    if node is None or not node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError("Choose a volume with an image: a scalar volume or a colour image.")
    local = local_geometry(node)
    matrix = to_world(node)
    scalars = node.GetImageData().GetPointData().GetScalars()
    voxels = vtk_to_numpy(scalars)
    components = scalars.GetNumberOfComponents()
    name = node.GetName() or ""
    if components == 1:
        voxels = voxels.reshape(local.shape_kji)
    elif components in (3, 4) and voxels.dtype == np.uint8:
        voxels = voxels.reshape(*local.shape_kji, components)[..., :3]
    else:
        raise InputError(
            f"The volume '{name}' has {components} values per voxel of type {voxels.dtype}. "
            "Only grey volumes and 8-bit colours can be used."
        )
    try:
        world = Volume(voxels, local.transformed(matrix), modality or modality_of(node, voxels), name)
    except ValueError as error:
        raise InputError(f"The volume '{name}' cannot be used: {error}") from error
    return PlacedVolume(world, local, matrix, frame_of(node))


def modality_of(node, voxels: np.ndarray) -> Modality:
    """From the DICOM modality attribute, or Hounsfield units, else by the look of the intensities, as for files."""
    known = DICOM_MODALITIES.get(node.GetAttribute(_MODALITY_ATTRIBUTE) or _modality_of_series(node))
    if known is not None:
        return known
    units = node.GetVoxelValueUnits()
    in_hounsfield = units is not None and _HOUNSFIELD in (units.GetCodeValue(), f"[{units.GetCodeValue()}]")
    if in_hounsfield:
        return Modality.CT
    # Only now: it brings SimpleITK, which takes a while to load.
    from ...volumes.files.reading import guess_modality

    return guess_modality(voxels)


def _modality_of_series(node) -> str:
    """What Slicer's DICOM module wrote beside the volume in the subject hierarchy, or ""."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = 0 if hierarchy is None else hierarchy.GetItemByDataNode(node)
    return hierarchy.GetItemAttribute(item, _MODALITY_ATTRIBUTE) if item else ""


def browser_of(node):
    """The sequence browser that shows items of a sequence by way of this node; None for a node that is no proxy."""
    scene = node.GetScene()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") if scene is not None else 0):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        if browser.IsProxyNodeID(node.GetID()) and browser.GetMasterSequenceNode() is not None:
            return browser
    return None


def frame_of(node) -> str:
    """Number of the sequence's item that a proxy node shows, as text; "" for a node that is no proxy."""
    browser = browser_of(node)
    return "" if browser is None else str(browser.GetSelectedItemNumber())


def item_values(node) -> list[str]:
    """The index values of the items that `frame_of` numbers; [] for a node that is no proxy."""
    browser = browser_of(node)
    if browser is None:
        return []
    master = browser.GetMasterSequenceNode()
    return [master.GetNthIndexValue(item) for item in range(browser.GetNumberOfItems())]


def items_of(node) -> list:
    """The volume nodes of the sequence that a proxy node shows, by the numbers that `frame_of` gives; [] for others.

    They are the sequence's own: outside the scene, without transforms.
    """
    browser = browser_of(node)
    if browser is None:
        return []
    sequence = browser.GetSequenceNode(node)
    return [sequence.GetDataNodeAtValue(value, False) for value in item_values(node)]


def read_item(node, frame: str, shown: PlacedVolume) -> PlacedVolume:
    """Another item of the sequence that a proxy node shows, where the volume stands now: the shown node has the
    transform. Raises InputError for an item that is not there, or lies on another grid.
    """
    items = items_of(node)
    if not frame.isdecimal() or int(frame) >= len(items):
        raise InputError("The item of the sequence is not there any more.")
    item = items[int(frame)]
    if not local_geometry(item).matches(shown.local):
        raise InputError("The items of this sequence lie on different grids. Resample them onto one grid first.")
    read = read_volume(item, shown.volume.modality).volume
    volume = Volume(read.voxels, shown.geometry, read.modality, read.name)
    return PlacedVolume(volume, shown.local, shown.to_world, frame)
