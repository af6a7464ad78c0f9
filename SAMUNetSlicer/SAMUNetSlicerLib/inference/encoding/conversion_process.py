"""Converting a network for OpenVINO in a process of its own, while a window lives: it takes up to a minute, once.

The process writes what `OpenVinoEncoder` keeps (weights, no image data) and tries it out; whoever waits only reads it
afterwards. A processor for which OpenVINO generates faulty code ends this process instead of the window. Run as
`python -m SAMUNetSlicerLib.inference.encoding.conversion_process MODEL`, which is what the job does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from ... import own_process
from ..jobs import CancelledError, Job

_LEFT_OVER_AFTER_S = 3600
_END_S = 10
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows


class ConversionJob(Job[bool]):
    """Converts a model, by its name or file. The result tells whether it went well; nothing is raised."""

    def __init__(self, model: str) -> None:
        self._cancelled = False
        self._process: subprocess.Popen | None = None
        try:
            self._process = subprocess.Popen(
                [_python(), "-m", __name__, model],
                env=own_process.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                creationflags=_NO_WINDOW,
                process_group=0,  # of its own, see `_end`; ignored on Windows
            )
        except OSError:  # no such program, no memory: the result says so
            return

    def poll(self) -> bool:
        return self._process is None or self._cancelled or self._process.poll() is not None

    def result(self) -> bool:
        if self._cancelled:
            raise CancelledError
        return self._process is not None and self._process.wait() == 0

    def cancel(self) -> None:
        if self.poll():
            return
        self._cancelled = True
        _end(self._process)
        self._process.wait(_END_S)


def _python() -> str:
    """Slicer's Python where this runs in Slicer, whose own program is no Python."""
    return shutil.which("PythonSlicer") or sys.executable


def _end(process: subprocess.Popen) -> None:
    """With what it has started: Slicer's Python is a launcher, and the process that converts its child."""
    with contextlib.suppress(OSError):  # it has ended by itself
        if os.name == "nt":
            tree = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
            subprocess.run(tree, capture_output=True, check=False, creationflags=_NO_WINDOW)
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _remove_left_overs(folder: Path) -> None:
    """What a process that was stopped has left, but not what another may be writing now."""
    for left in folder.glob(".new-*"):
        with contextlib.suppress(OSError):  # its process has just finished
            if time.time() - left.stat().st_mtime > _LEFT_OVER_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)


def main(model: str) -> None:
    """Convert and compile a model as `open_predictor` would, keep both, and note that they work."""
    import torch

    from ...checkpoints.loading import load_network
    from .engines import EngineChoice, build_encode, kept_conversions_folder

    folder = kept_conversions_folder()
    _remove_left_overs(folder)
    loaded = load_network(model)
    build_encode(loaded.network, torch.device("cpu"), EngineChoice.OPENVINO, folder / loaded.identity).try_out()


if __name__ == "__main__":
    main(sys.argv[1])
