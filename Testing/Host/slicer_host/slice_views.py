"""Real slice views: MRML's displayable managers drawing off the screen, shown in a label that takes mouse and keys."""

from __future__ import annotations

import qt
import slicer
import vtk
import vtkmodules.vtkInteractionStyle
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401 - these three register what the views draw with
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
)
_EVENTS = {qt.Qt.LeftButton: "LeftButton", qt.Qt.RightButton: "RightButton"}


class SliceView(qt.QLabel):
    """One slice view. Redraws when MRML asks for it and the event loop is idle, as Slicer does."""

    def __init__(self, application_logic, scene, name: str, orientation: str, colour, size_wh=(360, 360)) -> None:
        super().__init__()
        self.setFixedSize(*size_wh)
        self.setFocusPolicy(qt.Qt.ClickFocus)
        self.setMouseTracking(True)
        self._size_wh = size_wh
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self._application_logic, self._scene, self._name = application_logic, scene, name
        self._orientation, self._colour = orientation, colour

        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*size_wh)
        self._renderer = vtk.vtkRenderer()
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._interactor.Initialize()
        self._interactor.Enable()

        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application_logic)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = factory.InstantiateDisplayableManagers(self._renderer)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetDisplayableManagers(self._managers)
        self._style.SetSliceLogic(self.logic)
        self._style.SetInteractor(self._interactor)

        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(actor)
        self._drawing = False
        self._timer = qt.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(5)
        self._timer.timeout.connect(self.draw)
        self._managers.AddObserver("UpdateEvent", lambda *_: self._timer.start())
        self.logic.AddObserver("ModifiedEvent", lambda *_: self._timer.start())
        self.restore()

    def restore(self) -> None:
        """Make the slice node, at first and after the scene was emptied."""
        node = self.logic.GetSliceNode() or self.logic.AddSliceNode(self._name)
        node.SetOrientation(self._orientation)
        node.SetLayoutColor(*self._colour)
        node.SetDimensions(*self._size_wh, 1)
        node.SetMappedInLayout(1)
        if self._managers.GetMRMLDisplayableNode() is not node:
            self._managers.SetMRMLDisplayableNode(node)

    @property
    def node(self):
        return self.logic.GetSliceNode()

    def show_volume(self, volume_node) -> None:
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
        self.node.RotateToVolumePlane(volume_node)
        self.logic.FitSliceToAll(*self._size_wh)
        self.logic.SnapSliceOffsetToIJK()

    def draw(self) -> None:
        if self._drawing or self.node is None:
            return
        self._drawing = True
        try:
            self.logic.UpdatePipeline()
            if self.logic.GetImageDataConnection() is not None:
                self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
            self._window.Render()
            grab = vtk.vtkWindowToImageFilter()
            grab.SetInput(self._window)
            grab.ReadFrontBufferOff()
            grab.Update()
            width, height = self._size_wh
            pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, -1)
            picture = qt.QPixmap()  # as a PPM file, which Qt reads under any binding
            picture.loadFromData(qt.QByteArray(b"P6 %d %d 255\n" % (width, height) + pixels[::-1, :, :3].tobytes()))
            self.setPixmap(picture)
        finally:
            self._drawing = False

    def position_of(self, point_ras) -> qt.QPoint:
        """Where a world point shows in this label."""
        to_xy = vtk.vtkMatrix4x4()
        to_xy.DeepCopy(self.node.GetXYToRAS())
        to_xy.Invert()
        x, y = to_xy.MultiplyPoint((*point_ras, 1))[:2]
        return qt.QPoint(round(x), self._size_wh[1] - 1 - round(y))

    def _tell(self, event, *names: str) -> None:
        position = event.position() if hasattr(event, "position") else event.localPos()  # of Qt 6 and 5
        shift = int(bool(event.modifiers() & qt.Qt.ShiftModifier))
        control = int(bool(event.modifiers() & qt.Qt.ControlModifier))
        self._interactor.SetEventInformation(
            int(position.x()), self._size_wh[1] - 1 - int(position.y()), control, shift, "\0", 0, None
        )
        for name in names:
            self._interactor.InvokeEvent(name)

    def mousePressEvent(self, event) -> None:
        self.setFocus()
        self._tell(event, "EnterEvent", "MouseMoveEvent", f"{_EVENTS[event.button()]}PressEvent")

    def mouseReleaseEvent(self, event) -> None:
        self._tell(event, "MouseMoveEvent", f"{_EVENTS[event.button()]}ReleaseEvent")

    def mouseMoveEvent(self, event) -> None:
        self._tell(event, "MouseMoveEvent")

    def leaveEvent(self, event) -> None:
        self._interactor.InvokeEvent("LeaveEvent")

    def wheelEvent(self, event) -> None:
        up = event.angleDelta().y() > 0
        self._tell(event, "MouseWheelForwardEvent" if up else "MouseWheelBackwardEvent")
