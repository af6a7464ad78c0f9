"""A stand-in of the Slicer application: real MRML from the slicer-core wheel, Qt from PySide6 dressed as PythonQt.

`start.start()` makes `qt`, `ctk` and what Slicer adds to `slicer` importable. Testing/PythonQt opens it in PythonQt
itself. What neither can show: genuine qMRML widgets, packaging, and the Extension Manager. See
docs/first-run-checklist.md for those.
"""
