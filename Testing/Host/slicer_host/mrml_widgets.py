"""Stand-ins of the qMRML widgets that the module uses, with the names that Slicer's headers give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import qt
import shiboken6
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal


class qMRMLWidget(qt.QWidget):
    """Hands its scene to the scene-aware widgets inside it, as the connections in .ui files do in Slicer."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene = None

    def setMRMLScene(self, scene) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)
        for child in self.findChildren(QtWidgets.QWidget):
            if hasattr(child, "setMRMLScene"):
                child.setMRMLScene(scene)

    def mrmlScene(self):
        return self._scene


def _flag(name: str) -> Property:
    def write(self, value) -> None:
        self._flags[name] = value
        self._rebuild()

    return Property(bool, lambda self: self._flags[name], write)


class qMRMLNodeComboBox(qt.QComboBox):
    """The nodes of some classes in the scene."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene, self._types, self._hidden, self._last, self._observations = None, [], [], "", []
        self._was_hidden: dict[str, bool] = {}
        self._flags = dict.fromkeys(("addEnabled", "removeEnabled", "renameEnabled", "editEnabled"), True)
        self._flags |= {"noneEnabled": False, "showChildNodeTypes": True, "selectNodeUponCreation": True}
        self._rebuilding = False
        self.currentIndexChanged.connect(self._chosen)

    def _set_types(self, types) -> None:
        self._types = list(types)
        self._rebuild()

    def _set_hidden(self, types) -> None:
        self._hidden = list(types)
        self._rebuild()

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)
    hideChildNodeTypes = Property("QStringList", lambda self: self._hidden, _set_hidden)
    noneEnabled = _flag("noneEnabled")
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    renameEnabled = _flag("renameEnabled")
    editEnabled = _flag("editEnabled")
    showChildNodeTypes = _flag("showChildNodeTypes")
    selectNodeUponCreation = _flag("selectNodeUponCreation")

    def setMRMLScene(self, scene) -> None:
        for source, tag in self._observations:
            source.RemoveObserver(tag)
        self._scene = scene
        events = (scene.NodeRemovedEvent, scene.EndCloseEvent) if scene else ()
        self._observations = [(scene, scene.AddObserver(event, self._scene_changed)) for event in events]
        if scene:
            self._observations.append((scene, scene.AddObserver(scene.NodeAddedEvent, self._node_added)))
            leaving = scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._node_leaving, -10.0)
            self._observations.append((scene, leaving))
        self._rebuild()

    def mrmlScene(self):
        return self._scene

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, _scene, _event, node) -> None:
        """As Slicer: a node that is hidden later on goes on being offered."""
        self._was_hidden[node.GetID()] = bool(node.GetHideFromEditors())
        self._scene_changed()

    def _scene_changed(self, *_) -> None:
        if shiboken6.isValid(self):  # the scene outlives the panel
            self._rebuild()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_leaving(self, scene, _event, node) -> None:
        """As Slicer: the node that takes the place of a removed one is chosen, or the last one, unless all go."""
        if not shiboken6.isValid(self) or scene.IsClosing() or node.GetID() != self.currentNodeID:
            return
        others = [other.GetID() for other in self._nodes()]
        place = others.index(node.GetID())
        others.remove(node.GetID())
        if others:
            self._set_current_id(others[min(place, len(others) - 1)])

    def _nodes(self) -> list:
        nodes = slicer.util.getNodesByClass("vtkMRMLNode", self._scene) if self._scene else []
        hidden = self._was_hidden
        return [n for n in nodes if not hidden.get(n.GetID(), n.GetHideFromEditors()) and self._shows(n)]

    def _shows(self, node) -> bool:
        """As Slicer's filter: every node where no class is named; hidden classes matter where children are shown."""
        if not self._types or not self._flags["showChildNodeTypes"]:
            return not self._types or node.GetClassName() in self._types
        return any(node.IsA(t) for t in self._types) and not any(node.IsA(t) for t in self._hidden)

    def _rebuild(self) -> None:
        current = self.currentNodeID
        self._rebuilding = True
        self.clear()
        if self._flags["noneEnabled"]:
            self.addItem("None", "")
        for node in self._nodes():
            self.addItem(node.GetName(), node.GetID())
        found = self.findData(current) if current else -1
        self.setCurrentIndex(found if found >= 0 else (0 if self.count else -1))
        self._rebuilding = False
        self._chosen()

    def _chosen(self, *_) -> None:
        if not self._rebuilding and self.currentNodeID != self._last:
            self._last = self.currentNodeID
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(self._last)

    def _set_current_id(self, node_id: str) -> None:
        self.setCurrentIndex(self.findData(node_id or ""))

    currentNodeID = Property(str, lambda self: self.itemData(self.currentIndex) or "", _set_current_id)

    def currentNode(self):
        return self._scene.GetNodeByID(self.currentNodeID) if self._scene and self.currentNodeID else None

    def setCurrentNode(self, node) -> None:
        self._set_current_id(node.GetID() if node else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        self._set_current_id(node_id)

    def addNode(self, class_name: str = ""):
        node = self._scene.AddNewNodeByClass(class_name or self._types[0])
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node


_STATUS_NAMES = ("Not started", "In progress", "Completed", "Flagged")
_COLUMNS = ("Visible", "Colour", "Name", "Status")


class qMRMLSegmentsTableView(qMRMLWidget):
    """Segments with visibility, colour, name and status, kept in step with the segmentation node."""

    selectionChanged = Signal(QtCore.QItemSelection, QtCore.QItemSelection)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._node, self._tags, self._filling = None, [], False
        self._shown: dict[str, _Shown] = {}
        self._properties = {"opacityColumnVisible": True, "statusColumnVisible": True}
        self._table = QtWidgets.QTableWidget(0, len(_COLUMNS), self)
        self._table.setProperty("hostOnly", True)
        self._table.setHorizontalHeaderLabels(_COLUMNS)
        self._table.verticalHeader().hide()
        for column, width in ((0, 55), (1, 55), (3, 90)):
            self._table.setColumnWidth(column, width)
        self._table.horizontalHeader().setSectionResizeMode(2, QtWidgets.QHeaderView.Stretch)
        self._table.setFixedHeight(120)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SingleSelection)
        self._table.itemChanged.connect(self._edited)
        self._table.cellDoubleClicked.connect(self._double_clicked)
        self._table.selectionModel().selectionChanged.connect(
            lambda new, old: None if self._filling else self.selectionChanged.emit(new, old)
        )
        box = QtWidgets.QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._table)

    def _option(name: str) -> Property:
        def write(self, value) -> None:
            self._properties[name] = value

        return Property(bool, lambda self: self._properties[name], write)

    opacityColumnVisible = _option("opacityColumnVisible")
    statusColumnVisible = _option("statusColumnVisible")
    segmentCount = Property(int, lambda self: self._table.rowCount)

    def setSelectionMode(self, mode: int) -> None:
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def setSegmentationNode(self, node) -> None:
        for source, tag in self._tags:
            source.RemoveObserver(tag)
        self._node, self._tags = node, []
        if node is not None:
            segmentation, events = node.GetSegmentation(), slicer.vtkSegmentation
            for event, heard in (
                (events.SegmentAdded, self._added_or_removed),
                (events.SegmentRemoved, self._added_or_removed),
                (events.SegmentModified, self._modified),
                (events.SegmentsOrderModified, self._reordered),
            ):
                self._tags.append((segmentation, segmentation.AddObserver(event, heard, 1.0)))
            display_changed = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
            self._tags.append((node, node.AddObserver(display_changed, self._display_changed)))
        self._shown.clear()
        self._fill()

    def segmentationNode(self):
        return self._node

    def _ids(self) -> list[str]:
        return list(self._node.GetSegmentation().GetSegmentIDs()) if self._node else []

    def _rows(self) -> list[str]:
        return [self._table.item(row, 0).data(QtCore.Qt.UserRole) for row in range(self._table.rowCount)]

    def _added_or_removed(self, *_) -> None:
        """Of a row that goes, and that was clicked, Qt selects the neighbour, and says so, before it is gone."""
        ids = self._ids()
        for row, segment_id in reversed([*enumerate(self._rows())]):
            if segment_id not in ids:
                self._shown.pop(segment_id)
                self._table.removeRow(row)
        self._filling = True
        for segment_id in ids:
            if segment_id not in self._shown:
                self._table.insertRow(self._table.rowCount)
                self._fill_row(self._table.rowCount - 1, segment_id)
        self._filling = False

    def _display_changed(self, *_) -> None:
        """As Slicer's: of a row, the eye alone is brought up to date."""
        self._filling = True
        for row, segment_id in enumerate(self._rows()):
            if segment_id in self._ids():
                self._table.item(row, 0).setCheckState(self._eye(segment_id))
        self._filling = False

    def _eye(self, segment_id: str):
        display = self._node.GetDisplayNode()
        visible = display is None or display.GetSegmentVisibility(segment_id)
        return QtCore.Qt.Checked if visible else QtCore.Qt.Unchecked

    @vtk.calldata_type(vtk.VTK_STRING)
    def _modified(self, _segmentation, _event, segment_id=None) -> None:
        """As Slicer's, mistake included (qMRMLSegmentsModel.cxx, updateItemDataFromSegment): where the segment's place
        has changed since its row was last brought up to date, what the row shows is written into the segment.
        """
        if segment_id:
            shown, segment = self._shown.get(segment_id), self._node.GetSegmentation().GetSegment(segment_id)
            if shown is not None and shown.place != self._ids().index(segment_id):
                self._shown[segment_id] = replace(shown, place=self._ids().index(segment_id))
                segment.SetName(shown.name)
                segment.SetColor(shown.colour)
                slicer.vtkSlicerSegmentationsModuleLogic.SetSegmentStatus(segment, shown.status)
        self._fill(segment_id)

    def _reordered(self, *_) -> None:
        """Rows change places, but are not brought up to date."""
        places = {segment_id: shown.place for segment_id, shown in self._shown.items()}
        self._fill()
        self._shown = {s: replace(shown, place=places.get(s, shown.place)) for s, shown in self._shown.items()}

    def _fill(self, only: str | None = None) -> None:
        chosen = self.selectedSegmentIDs()
        self._filling = True
        if only is not None and only in self._rows():
            self._fill_row(self._rows().index(only), only)
        else:
            self._table.setRowCount(0)
            for row, segment_id in enumerate(self._ids()):
                self._table.insertRow(row)
                self._fill_row(row, segment_id)
            self._select(chosen)
        self._filling = False
        if chosen and not self.selectedSegmentIDs():
            self.selectionChanged.emit(QtCore.QItemSelection(), QtCore.QItemSelection())

    def _fill_row(self, row: int, segment_id: str) -> None:
        segment = self._node.GetSegmentation().GetSegment(segment_id)
        self._shown[segment_id] = _Shown(
            self._ids().index(segment_id), segment.GetName(), segment.GetColor(), _status(segment)
        )
        eye = QtWidgets.QTableWidgetItem()
        eye.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsUserCheckable | QtCore.Qt.ItemIsSelectable)
        eye.setCheckState(self._eye(segment_id))
        eye.setData(QtCore.Qt.UserRole, segment_id)
        colour = QtWidgets.QTableWidgetItem()
        patch = QtGui.QPixmap(16, 16)
        patch.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
        colour.setIcon(QtGui.QIcon(patch))
        name = QtWidgets.QTableWidgetItem(segment.GetName())
        status = QtWidgets.QTableWidgetItem(_STATUS_NAMES[_status(segment)])
        for column, item in enumerate((eye, colour, name, status)):
            self._table.setItem(row, column, item)

    def _edited(self, item) -> None:
        if self._filling:
            return
        segment_id = self._table.item(item.row(), 0).data(QtCore.Qt.UserRole)
        if item.column() == 0:
            self._node.GetDisplayNode().SetSegmentVisibility(segment_id, item.checkState() == QtCore.Qt.Checked)
        elif item.column() == 2:
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())

    def _double_clicked(self, row: int, column: int) -> None:
        """Slicer opens its selector of terminology and colour; here it is Qt's of colours."""
        if _COLUMNS[column] != "Colour":
            return
        segment = self._node.GetSegmentation().GetSegment(self._ids()[row])
        dialog = QtWidgets.QColorDialog(QtGui.QColor.fromRgbF(*segment.GetColor()), self)
        dialog.setOption(QtWidgets.QColorDialog.DontUseNativeDialog)
        if dialog.exec():
            segment.SetColor(dialog.currentColor.getRgbF()[:3])
        dialog.deleteLater()

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        rows = {index.row() for index in self._table.selectionModel().selectedIndexes}
        return tuple(self._table.item(row, 0).data(QtCore.Qt.UserRole) for row in sorted(rows))

    def setSelectedSegmentIDs(self, segment_ids) -> None:
        if tuple(segment_ids) != self.selectedSegmentIDs() and not self._select(segment_ids):
            self._table.clearSelection()

    def _select(self, segment_ids) -> bool:
        """As Slicer's: the first one clears what was selected, and the current cell stays where it is."""
        flags, rows = QtCore.QItemSelectionModel.SelectionFlag, self._rows()
        how = flags.ClearAndSelect
        for segment_id in segment_ids:
            if segment_id in rows:
                index = self._table.model().index(rows.index(segment_id), 0)
                self._table.selectionModel().select(index, how | flags.Rows)
                how = flags.Select
        return how is flags.Select

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def cell_centre(self, segment_id: str, column: str) -> tuple[QtWidgets.QWidget, QtCore.QPoint]:
        """Where a test clicks: the viewport and the middle of a cell."""
        row = self._ids().index(segment_id)
        index = self._table.model().index(row, _COLUMNS.index(column))
        return self._table.viewport(), self._table.visualRect(index).center()


@dataclass(frozen=True)
class _Shown:
    """What a row shows. place: that of its segment when the row was last brought up to date."""

    place: int
    name: str
    colour: tuple[float, float, float]
    status: int


def _status(segment) -> int:
    text = vtk.reference("")
    if not segment.GetTag("Segmentation.Status", text):
        return 0
    names = ("notstarted", "inprogress", "completed", "flagged")
    return names.index(str(text)) if str(text) in names else 0


CLASSES = (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentsTableView)
