"""Called by `pythonqt-host` where C++ and Python exchange VTK's objects."""

from __future__ import annotations

import vtk


def address_of(thing, class_name: str) -> int:
    """Of an object of VTK's, or of None. Raises TypeError for one of another class."""
    if thing is None:
        return 0
    if not isinstance(thing, vtk.vtkObjectBase) or not thing.IsA(class_name):
        raise TypeError(f"{class_name} is wanted, not {thing!r}")
    return int(hexadecimal(thing), 16)


def hexadecimal(thing) -> str:
    return thing.__this__.split("_")[1]


def object_at(address: int):
    return vtk.vtkObjectBase(f"Addr={address:#x}")
