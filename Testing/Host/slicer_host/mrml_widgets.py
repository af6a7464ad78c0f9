"""Stand-ins of the qMRML widgets that the module uses, with the names that Slicer's headers give."""

from __future__ import annotations

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
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent) if scene else ()
        self._observations = [(scene, scene.AddObserver(event, self._scene_changed)) for event in events]
        if scene:
            leaving = scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._node_leaving, -10.0)
            self._observations.append((scene, leaving))
        self._rebuild()

    def mrmlScene(self):
        return self._scene

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
        return [n for n in nodes if not n.GetHideFromEditors() and self._shows(n)]

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
            segmentation = node.GetSegmentation()
            for event in (
                slicer.vtkSegmentation.SegmentAdded,
                slicer.vtkSegmentation.SegmentRemoved,
                slicer.vtkSegmentation.SegmentModified,
            ):
                self._tags.append((segmentation, segmentation.AddObserver(event, lambda *_: self._fill())))
            self._tags.append((node, node.AddObserver(slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, self._shown)))
        self._fill()

    def _shown(self, *_) -> None:
        self._fill()

    def segmentationNode(self):
        return self._node

    def _ids(self) -> list[str]:
        return list(self._node.GetSegmentation().GetSegmentIDs()) if self._node else []

    def _fill(self) -> None:
        chosen = self.selectedSegmentIDs()
        self._filling = True
        self._table.setRowCount(0)
        for row, segment_id in enumerate(self._ids()):
            self._table.insertRow(row)
            self._fill_row(row, segment_id)
        self._filling = False
        if chosen:
            self._select(chosen)
            if not self.selectedSegmentIDs():
                self.selectionChanged.emit(QtCore.QItemSelection(), QtCore.QItemSelection())

    def _fill_row(self, row: int, segment_id: str) -> None:
        segment = self._node.GetSegmentation().GetSegment(segment_id)
        display = self._node.GetDisplayNode()
        eye = QtWidgets.QTableWidgetItem()
        eye.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsUserCheckable | QtCore.Qt.ItemIsSelectable)
        visible = display is None or display.GetSegmentVisibility(segment_id)
        eye.setCheckState(QtCore.Qt.Checked if visible else QtCore.Qt.Unchecked)
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

    def selectedSegmentIDs(self) -> list[str]:
        rows = {index.row() for index in self._table.selectionModel().selectedIndexes}
        return [self._table.item(row, 0).data(QtCore.Qt.UserRole) for row in sorted(rows)]

    def setSelectedSegmentIDs(self, segment_ids) -> None:
        self._table.clearSelection()
        self._select(segment_ids)

    def _select(self, segment_ids) -> None:
        for row in range(self._table.rowCount):
            if self._table.item(row, 0).data(QtCore.Qt.UserRole) in segment_ids:
                self._table.selectRow(row)

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def cell_centre(self, segment_id: str, column: str) -> tuple[QtWidgets.QWidget, QtCore.QPoint]:
        """Where a test clicks: the viewport and the middle of a cell."""
        row = self._ids().index(segment_id)
        index = self._table.model().index(row, _COLUMNS.index(column))
        return self._table.viewport(), self._table.visualRect(index).center()


def _status(segment) -> int:
    text = vtk.reference("")
    if not segment.GetTag("Segmentation.Status", text):
        return 0
    names = ("notstarted", "inprogress", "completed", "flagged")
    return names.index(str(text)) if str(text) in names else 0


CLASSES = (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentsTableView)
