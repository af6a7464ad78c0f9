"""`slicer.parameterNodeWrapper` for the types and widgets that the module uses, with Slicer's meaning of each.

Values are kept as text in the parameter node under the attribute's own name, nodes as references with a parameter of
the same name; `connectGui` goes by the dynamic property "SlicerParameterName" and follows both sides.
"""

from __future__ import annotations

import functools
import typing
import weakref
from dataclasses import dataclass

import qt
import slicer
import vtk

PROPERTY = "SlicerParameterName"
_LEAST, _MOST = -(2**31), 2**31 - 1  # of a spin box for an int of any size


@dataclass(frozen=True)
class WithinRange:
    """Annotates a number with the least and the largest value it may have."""

    minimum: float
    maximum: float


def parameterNodeWrapper(cls: type) -> type:
    """A typed view of a vtkMRMLScriptedModuleNode."""
    types = typing.get_type_hints(cls)
    defaults = {name: getattr(cls, name, None if _is_node(kind) else kind()) for name, kind in types.items()}
    for name, kind in types.items():
        setattr(cls, name, property(functools.partial(_held, name), functools.partial(_change, name, kind)))

    def start(self, parameterNode) -> None:
        self.parameterNode = parameterNode
        self._connected, self._updating = {}, False
        self._values: dict[str, object] = {}
        for name, kind in types.items():
            if not parameterNode.HasParameter(name):
                _write(name, kind, self, defaults[name])
        _keep_values(self, types, defaults)

    cls.__init__ = start
    cls.allParameters = types
    cls.ranges = {
        name: limits
        for name, kind in typing.get_type_hints(cls, include_extras=True).items()
        for limits in getattr(kind, "__metadata__", ())
    }
    cls.connectGui = _connect_gui
    cls.disconnectGui = _disconnect_gui
    cls.AddObserver = lambda self, event, callback, priority=0.0: self.parameterNode.AddObserver(
        event, callback, priority
    )
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, before: self.parameterNode.EndModify(before)
    cls.Modified = lambda self: self.parameterNode.Modified()
    return cls


def _is_node(kind: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _held(name: str, self):
    return self._values[name]


def _change(name: str, kind: type, self, value) -> None:
    with slicer.util.NodeModify(self.parameterNode):
        _write(name, kind, self, value)
        self._values[name] = _read(name, kind, self)


def _keep_values(self, types: dict[str, type], defaults: dict[str, object]) -> None:
    """As Slicer: what others change is known once the node says that it was modified, nodes included.

    A parameter that is gone by then is given its default again.
    """
    held = weakref.ref(self)

    def keep(*_) -> None:
        wrapper = held()
        for name, kind in types.items():
            if not wrapper.parameterNode.HasParameter(name):
                _write(name, kind, wrapper, defaults[name])
            wrapper._values[name] = _read(name, kind, wrapper)

    keep()
    weakref.finalize(self, self.parameterNode.RemoveObserver, self.parameterNode.AddObserver("ModifiedEvent", keep))


def _read(name: str, kind: type, self):
    if _is_node(kind):
        return self.parameterNode.GetNodeReference(name)
    text = self.parameterNode.GetParameter(name)
    return text == "True" if kind is bool else kind(text)


def _write(name: str, kind: type, self, value) -> None:
    if _is_node(kind):
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{name} takes a {kind.__name__}, not {value!r}")
        self.parameterNode.SetParameter(name, "")
        self.parameterNode.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        return
    if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
        raise ValueError(f"{name} takes a {kind.__name__}, not {value!r}")
    self.parameterNode.SetParameter(name, str(value))


def _accessors(widget) -> tuple[str, typing.Callable, typing.Callable]:
    """The signal, reader and writer of a widget; exact classes only, as in Slicer."""
    kinds = {
        qt.QCheckBox: ("stateChanged(int)", lambda: widget.checked, lambda v: setattr(widget, "checked", v)),
        qt.QSpinBox: ("valueChanged(int)", lambda: widget.value, lambda v: setattr(widget, "value", v)),
        qt.QLineEdit: ("textChanged(QString)", lambda: widget.text, lambda v: setattr(widget, "text", v)),
        slicer.qMRMLNodeComboBox: ("currentNodeChanged(vtkMRMLNode*)", widget_current(widget), widget_choose(widget)),
    }
    if type(widget) not in kinds:
        raise TypeError(f"the host has no connector for {type(widget).__name__}")
    return kinds[type(widget)]


def widget_current(widget) -> typing.Callable:
    return lambda: widget.currentNode()


def widget_choose(widget) -> typing.Callable:
    return lambda node: widget.setCurrentNode(node)


def _connect_gui(self, gui) -> int:
    connections = []
    for widget in list(vars(gui).values()):
        name = widget.property(PROPERTY)
        if not name:
            continue
        if name not in self.allParameters:
            raise ValueError(f"{widget.name} names the parameter {name!r}, which there is not")
        if isinstance(widget, slicer.qMRMLNodeComboBox):  # as Slicer: the parameter's type replaces the .ui file's list
            widget.nodeTypes = [self.allParameters[name].__name__]
        if isinstance(widget, qt.QSpinBox):  # and its annotation the file's limits
            limits = self.ranges.get(name, WithinRange(_LEAST, _MOST))
            widget.minimum, widget.maximum = limits.minimum, limits.maximum
        signal, read, write = _accessors(widget)
        connections.append((widget, signal, name, read, write))
    tag = len(self._connected)

    def changed(name, read) -> None:
        if not self._updating:
            setattr(self, name, read())

    def update(*_) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for _widget, _signal, name, _read_it, write in connections:
                write(getattr(self, name))
        finally:
            self._updating = False

    receivers = []
    update()
    for widget, signal, name, read, _write_it in connections:
        receiver = functools.partial(lambda name, read, *_: changed(name, read), name, read)
        widget.connect(signal, receiver)
        receivers.append((widget, signal, receiver))
    observation = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, update)
    self._connected[tag] = (receivers, observation)
    return tag


def _disconnect_gui(self, tag: int) -> None:
    receivers, observation = self._connected.pop(tag)
    for widget, signal, receiver in receivers:
        widget.disconnect(signal, receiver)
    self.parameterNode.RemoveObserver(observation)
