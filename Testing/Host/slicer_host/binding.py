"""What depends on the binding of Qt: PySide6 dressed as PythonQt, or PythonQt itself in the host of Testing/PythonQt.

begin(): the application; makes `qt` and `ctk` importable. add_to_slicer(slicer): Slicer's own Python modules and the
qMRML widgets. hand(): what makes the events of mouse and keys. plain_widget(class_name, parent): one of Qt's own.
"""

import sys

if "PythonQt" in sys.modules:
    from pythonqt_host.binding import add_to_slicer, begin, hand, plain_widget
else:
    from .pyside import add_to_slicer, begin, hand, plain_widget

__all__ = ["add_to_slicer", "begin", "hand", "plain_widget"]
