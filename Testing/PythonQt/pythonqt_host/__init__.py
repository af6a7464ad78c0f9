"""The test host's Qt from PythonQt itself, with Slicer's own Python files. Only inside `pythonqt-host`."""
