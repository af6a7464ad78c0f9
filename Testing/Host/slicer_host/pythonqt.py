"""PySide6 as PythonQt shows it: properties are attributes, signals connect by their signature, refusals included.

Refused because PythonQt refuses it: keyword arguments in constructors, calling a property, setting a property to a
value of another type, new attributes on objects of Qt's own classes, signals that the class does not have.
"""

from __future__ import annotations

import inspect
import types

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

_MODULES = (QtCore, QtGui, QtWidgets)
_METHODS_IN_PYTHONQT = {"parent", "singleShot"}
_APPLICATIONS = {"QApplication", "QCoreApplication", "QGuiApplication"}
# Types that Slicer's signals carry and that are plain Python objects here.
_POINTERS = ("vtkMRMLNode*", "vtkMRMLScene*", "vtkObject*")
_forwards: dict = {}  # object: {(signal, receiver): what was connected for it}
_static_connect = QtCore.QObject.connect
_static_disconnect = QtCore.QObject.disconnect


def build_qt_module() -> types.ModuleType:
    """The module `qt`. Changes PySide6's classes for good, so call it once in a process."""
    for module in _MODULES:
        _show_properties_as_attributes(module)
    QtCore.QObject.name = _property("objectName")
    QtCore.QObject.className = lambda self: type(self).__name__
    QtCore.QObject.delete = lambda self: shiboken6.delete(self)

    qt = types.ModuleType("qt", __doc__)
    for module in _MODULES:
        for name in dir(module):
            if not name.startswith("_"):
                setattr(qt, name, _dressed(getattr(module, name)))
    qt.Signal, qt.Slot, qt.Property = QtCore.Signal, QtCore.Slot, QtCore.Property
    qt.QFileDialog = _dialogs_answering_text(qt.QFileDialog)
    return qt


def _property(name: str) -> property:
    def read(self):
        return QtCore.QObject.property(self, name)

    def write(self, value) -> None:
        if not QtCore.QObject.setProperty(self, name, value):
            raise AttributeError(f"{type(self).__name__}.{name} does not take {value!r}")

    return property(read, write)


def _show_properties_as_attributes(module: types.ModuleType) -> None:
    for cls in _qobject_classes(module):
        meta = cls.staticMetaObject
        for number in range(meta.propertyCount()):
            name = meta.property(number).name()
            is_new = number >= meta.propertyOffset() or name in vars(cls)  # a class may override the getter
            if is_new and name not in _METHODS_IN_PYTHONQT and not isinstance(getattr(cls, name, None), QtCore.Signal):
                setattr(cls, name, _property(name))


def _qobject_classes(module: types.ModuleType) -> list[type]:
    classes = [getattr(module, name) for name in dir(module)]
    return [c for c in classes if inspect.isclass(c) and issubclass(c, QtCore.QObject)]


def full_signature(source: QtCore.QObject, signature: str) -> str:
    """The signal that a text such as "clicked(bool)" names. Raises ValueError for one that the object has not."""
    normalised = QtCore.QMetaObject.normalizedSignature(signature).data().decode()
    for pointer in _POINTERS:
        normalised = normalised.replace(pointer, "PyObject")
    if source.metaObject().indexOfSignal(normalised) < 0:
        raise ValueError(f"{type(source).__name__} has no signal {signature!r}")
    return normalised


def _connect_receiver(source: QtCore.QObject, signature: str, receiver) -> None:
    signal = full_signature(source, signature)

    def forward(*values):
        return _call(receiver, values)

    forwards = _forwards.setdefault(shiboken6.getCppPointer(source)[0], {})
    forwards.setdefault((signal, receiver), []).append(forward)
    _static_connect(source, QtCore.SIGNAL(signal), forward)


def _disconnect_receiver(source: QtCore.QObject, signature: str, receiver) -> None:
    signal = full_signature(source, signature)
    forwards = _forwards.get(shiboken6.getCppPointer(source)[0], {}).get((signal, receiver), [])
    if not forwards:
        raise ValueError(f"{signature} of {type(source).__name__} is not connected to {receiver}")
    _static_disconnect(source, QtCore.SIGNAL(signal), forwards.pop())


def _call(receiver, values):
    """As PythonQt: a receiver that takes fewer arguments is given fewer."""
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return receiver(*values)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return receiver(*values)
    takes = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return receiver(*values[:takes])


def _connect(self, *arguments):
    if len(arguments) == 2 and isinstance(arguments[0], str) and callable(arguments[1]):
        _connect_receiver(self, *arguments)
        return True
    # PySide6's own signals come by here too, naming their sender.
    return _static_connect(*arguments) if arguments[0] is self else _static_connect(self, *arguments)


def _disconnect(self, *arguments):
    if len(arguments) == 2 and isinstance(arguments[0], str) and callable(arguments[1]):
        _disconnect_receiver(self, *arguments)
        return True
    return _static_disconnect(*arguments) if arguments[0] is self else _static_disconnect(self, *arguments)


class PythonQtObject:
    """Mixed into every class of the module `qt`, and into subclasses of those."""

    connect = _connect
    disconnect = _disconnect

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        # PySide6 looks these up in the class itself before its bases.
        cls.connect = _connect
        cls.disconnect = _disconnect

    def __init__(self, *arguments, **keywords):
        if keywords:
            raise TypeError(f"{type(self).__name__}() takes no keyword arguments in PythonQt: {sorted(keywords)}")
        super().__init__(*arguments)

    def __setattr__(self, name, value):
        if type(self).__module__ in ("qt", "ctk") and not hasattr(type(self), name) and not name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}', and PythonQt does not add one")
        super().__setattr__(name, value)


def _dressed(thing):
    """A QObject class as a subclass that behaves as in PythonQt; anything else as it is."""
    if not inspect.isclass(thing) or not issubclass(thing, QtCore.QObject) or thing.__name__ in _APPLICATIONS:
        return thing
    try:
        return type(thing.__name__, (PythonQtObject, thing), {"__module__": "qt"})
    except TypeError:  # a class that Qt does not let anyone derive from
        return thing


def _dialogs_answering_text(dialog: type) -> type:
    """PythonQt's file dialogs return the path alone."""

    class QFileDialog(dialog):
        @staticmethod
        def getOpenFileName(*arguments):
            return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]

        @staticmethod
        def getSaveFileName(*arguments):
            return QtWidgets.QFileDialog.getSaveFileName(*arguments)[0]

    QFileDialog.__module__ = "qt"
    return QFileDialog
