"""Saves in a process of its own that something happens to: python saving_story.py HOW FILE.

`again and again` saves for ever, an accepted plane more each time, until it is killed; `full disk` may write no file
beyond a few kilobytes; `read only` gives up the right to write into the folder first. The last two print what is said.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[2] / "SAMUNetSlicer")]

import scenery  # noqa: E402

from mrml_host import the_host  # noqa: E402
from SAMUNetSlicerLib.errors import OutputError  # noqa: E402

NOBODY = 65534


def main(how: str, path: Path) -> None:
    voxels = scenery.np.zeros((40, 24, 28), scenery.np.int16)
    voxels[:, 8:16, 10:18] = 200
    # Noise, so that the file takes a while to write.
    voxels += scenery.np.random.default_rng(0).integers(0, 20, voxels.shape).astype(scenery.np.int16)
    desk = scenery.Desk(the_host().scene, voxels)
    desk.propose(0)
    desk.accept()
    if how == "again and again":
        for plane in range(1, 40):
            desk.logic.saveScene(path)
            print("saved", flush=True)
            desk.propose(plane)
            desk.accept()
        return
    before = desk.mask()
    try:
        with hindered(how, path.parent):
            desk.logic.saveScene(path)
    except OutputError as error:
        print(error)
    still_there = scenery.np.array_equal(desk.mask(), before) and desk.statuses()[0] == "accepted"
    desk.propose(1)
    print("goes on" if still_there and desk.accept().planes == (1,) else "is lost")


@contextlib.contextmanager
def hindered(how: str, folder: Path):
    """In here, files cannot grow, or none can be made in the folder."""
    if how == "full disk":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
        yield
        return
    folder.chmod(0o555)
    privileged = os.geteuid() == 0
    if privileged:  # rights do not bind root
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if privileged:
            os.seteuid(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
