"""The stories of Testing/Host in PythonQt: pythonqt-host run_stories.py [pytest's arguments]. See README.md."""

import faulthandler
import os
import sys
from pathlib import Path

ROOT = Path(sys.argv[0]).resolve().parents[2]
FOLDERS = ("SAMUNetSlicer", "Testing", "Testing/Python", "Testing/Host", "Testing/PythonQt")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
sys.path[:0] = [str(ROOT / folder) for folder in FOLDERS]
faulthandler.enable()
os.chdir(ROOT)

import pytest  # noqa: E402 - after the paths

arguments = sys.argv[1:]
if not any(Path(argument.partition("::")[0]).exists() for argument in arguments):
    arguments.append("Testing/Host")
code = pytest.main(["-m", "not slow and not stand_ins", *arguments])
sys.stdout.flush()
os._exit(code)  # MRML crashes when its scene is destroyed
