"""Work that only one process may do at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

if os.name == "nt":
    import msvcrt
else:
    import fcntl


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Yields whether nobody else is within a block of the same `path`, a file that is made for that and removed.

    The system ends it with the process, however that ends. Raises OSError where the file cannot be made.
    """
    with path.open("ab") as stream:
        held = _hold(stream.fileno())
        try:
            yield held
        finally:
            if os.name == "nt":
                stream.close()  # what is open cannot be removed there; elsewhere it goes before another may hold it
            if held:
                with contextlib.suppress(OSError):
                    path.unlink()


def _hold(file: int) -> bool:
    try:
        if os.name == "nt":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a disk that knows no locks
        return True
    return True
