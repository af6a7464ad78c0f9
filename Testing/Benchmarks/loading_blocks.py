"""How long loading a model holds the window: every block of its event loop, in a fresh process.

PYTHONPATH=SAMUNetSlicer python Testing/Benchmarks/loading_blocks.py [MODEL] [--fresh]

Two processes, one after the other, load the model as the panel does: with --fresh the first one finds no converted
network and lets a process of its own make it. Printed are the blocks of more than 50 ms, in order, with what was done.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SHOWN_S = 0.05


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("model", nargs="?", default="sam_unet_tiny")
    arguments.add_argument("--fresh", action="store_true", help="begin with an empty folder of converted networks")
    arguments.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.here:
        _load(chosen.model)
        return
    with tempfile.TemporaryDirectory() as folder:
        # Where platformdirs looks on Linux.
        environment = {**os.environ, "XDG_CACHE_HOME": folder} if chosen.fresh else dict(os.environ)
        for title in ("first start", "next start"):
            print(title, flush=True)
            subprocess.run([sys.executable, __file__, chosen.model, "--here"], env=environment, check=True)


def _load(model: str) -> None:
    sys.path.insert(0, str(ROOT / "SAMUNetSlicer"))
    from SAMUNetSlicerLib.widgets.controllers.breathing import Breather
    from SAMUNetSlicerLib.widgets.controllers.models import ModelLoader

    blocks: list[tuple[float, str]] = []
    known = set(sys.modules)
    began = last = time.perf_counter()

    def breathe() -> None:
        nonlocal last
        now = time.perf_counter()
        new = [name for name in sys.modules if name not in known and "." not in name]
        known.update(sys.modules)
        blocks.append((now - last, f"imports {', '.join(new[:3])}" if new else "works"))
        last = time.perf_counter()

    breather = Breather(breathe)
    with breather.turn(lambda: False):
        ModelLoader(print, breather).load(model, "cpu")
    breathe()
    print(f"  loaded after {time.perf_counter() - began:.1f} s; blocks of more than {1e3 * _SHOWN_S:.0f} ms:")
    for seconds, what in blocks:
        if seconds > _SHOWN_S:
            print(f"  {1e3 * seconds:6.0f} ms  {what}")


if __name__ == "__main__":
    main()
