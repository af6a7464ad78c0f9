"""The figures of the scene: accepting a plane, and what undo holds. They need Slicer's MRML and the repository."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from ... import own_process

_SCRIPT = Path(__file__).resolve().parents[4] / "Testing" / "Benchmarks" / "scene_benchmark.py"


def scene_report() -> str:
    """What the scene's benchmark prints, or why it cannot be run here."""
    if not _SCRIPT.is_file():
        return "Scene figures need the repository: Testing/Benchmarks/scene_benchmark.py is not here.\n"
    if importlib.util.find_spec("slicer") is None:
        return "Scene figures need slicer-core, which is not installed here: pip install '.[headless]'.\n"
    done = subprocess.run(
        [sys.executable, str(_SCRIPT)], env=own_process.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"Scene figures: the benchmark failed.\n{done.stderr[-2000:]}\n"
    return done.stdout
