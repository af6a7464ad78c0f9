"""A stand-in of the Slicer application: real MRML from the slicer-core wheel, Qt from PySide6 dressed as PythonQt.

`start.start()` makes `qt`, `ctk` and what Slicer adds to `slicer` importable. What it cannot show: PythonQt itself, the
genuine ctk and qMRML widgets, packaging, and the Extension Manager. See docs/first-run-checklist.md for those.
"""
